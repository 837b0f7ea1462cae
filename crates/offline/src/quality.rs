//! What the quality checks of a partition found.

use std::fmt;

use serde::{Deserialize, Serialize};
use trivium_model::Severity;

/// How one check ended. Kept in the partition's pointer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The rule, as the config words it: `between(avg_dep_delay)`.
    pub check: String,
    /// What a failure does.
    pub severity: Severity,
    /// Whether it held.
    pub passed: bool,
    /// What was found: a number of rows, a share, an instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What was asked for.
    pub expected: String,
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.as_deref().unwrap_or("nothing");
        write!(f, "{}: found {found}, expected {}", self.check, self.expected)
    }
}

impl From<&trivium_sql::CheckResult> for CheckResult {
    fn from(result: &trivium_sql::CheckResult) -> Self {
        let columns: Vec<&str> = result.columns.iter().map(|name| name.as_str()).collect();
        let check = if columns.is_empty() {
            result.check.to_owned()
        } else {
            format!("{}({})", result.check, columns.join(", "))
        };
        let found = if result.passed {
            result.observed.to_string()
        } else {
            format!("{} ({} rows)", result.observed, result.failing_rows)
        };
        Self {
            check,
            severity: result.severity,
            passed: result.passed,
            found: Some(found),
            expected: result.expected.clone(),
        }
    }
}
