//! What a change of a config means for those who read the feature.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a change reaches, from harmless to refused in place. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// No value changes: allowed in place, audited.
    Cosmetic,
    /// Readers see more, never something else: allowed in place, a new revision.
    Compatible,
    /// Values change their meaning: a version bump is demanded.
    Behaviour,
    /// Readers would break: refused in place; the new version runs beside the old one.
    Breaking,
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosmetic => "cosmetic",
            Self::Compatible => "compatible",
            Self::Behaviour => "behaviour",
            Self::Breaking => "breaking",
        })
    }
}

/// One difference between two configs, or two queries, of the same view or service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// How far it reaches.
    pub class: ChangeClass,
    /// Where: `ttl`, `features.flights.default`, `sql`.
    pub field: String,
    /// What changed and why it is of that class.
    pub what: String,
}
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.class, self.field, self.what)
    }
}
