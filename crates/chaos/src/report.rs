//! What a run came to.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use crate::{Plan, check::Violation};

/// Counts, and what was found.
#[derive(Debug)]
pub struct Report {
    pub plan: Plan,
    pub took: Duration,
    /// Rows asked for, by operation and answer.
    pub counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Why writes failed.
    pub reasons: BTreeMap<String, u64>,
    pub faults: BTreeMap<&'static str, u64>,
    /// What the nodes counted of the cache.
    pub cache: BTreeMap<String, f64>,
    pub evicted: u64,
    pub violations: Vec<Violation>,
    /// Whatever else must not be.
    pub problems: Vec<String>,
    /// The nodes' logs and the rows' histories, where something was found.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether all is as it must be.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.counts.values().sum();
        let took = self.took.as_secs();
        writeln!(f, "seed {}, {took} s, {}: {total} rows", self.plan.seed, self.plan.how())?;
        let mut operations: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((operation, word), count) in &self.counts {
            operations.entry(operation).or_default().push(format!("{word} {count}"));
        }
        for (operation, words) in operations {
            writeln!(f, "  {operation:<16} {}", words.join(", "))?;
        }
        for (why, count) in &self.reasons {
            writeln!(f, "  not written, {count} times: {why}")?;
        }
        for (name, value) in &self.cache {
            writeln!(f, "  cache: {name} {value}")?;
        }
        writeln!(f, "  cache: evicted {}", self.evicted)?;
        for (fault, count) in &self.faults {
            writeln!(f, "  fault: {fault}: {count}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM: {problem}")?;
        }
        for violation in self.violations.iter().take(5) {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "the nodes' logs, and the rows: {}", kept.display())?;
        }
        write!(f, "{} violations, {} problems", self.violations.len(), self.problems.len())
    }
}
