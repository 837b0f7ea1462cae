//! The allow-list: what has been compared with real Spark. Data, beside the cases that prove it.

use std::collections::BTreeSet;

use serde::Deserialize;

const ALLOWED: &str = include_str!("../../../testdata/spark-parity/allowed.json");

/// What a query may use. Everything in it is proven by a parity case; everything else is refused by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowList {
    /// Scalar functions, as Spark names them.
    pub functions: BTreeSet<String>,
    /// Aggregate functions.
    pub aggregates: BTreeSet<String>,
    /// Functions that need OVER.
    pub windows: BTreeSet<String>,
    /// Operators and expressions with a syntax of their own.
    pub operators: BTreeSet<String>,
    /// Casts, as `from to`; decimals without digits.
    pub casts: BTreeSet<String>,
    /// Clauses, joins and set operations.
    pub clauses: BTreeSet<String>,
}

impl AllowList {
    /// The list that is proven.
    ///
    /// # Errors
    /// If the file is malformed, which a test rules out.
    pub fn proven() -> Result<Self, trivium_engine::Error> {
        serde_json::from_str(ALLOWED)
            .map_err(|error| trivium_engine::Error::Internal(format!("the allow-list: {error}")))
    }

    /// Every entry, with its kind before it: `function upper`, `operator +`.
    pub fn entries(&self) -> BTreeSet<String> {
        let kinds = [
            ("function", &self.functions),
            ("aggregate", &self.aggregates),
            ("window", &self.windows),
            ("operator", &self.operators),
            ("cast", &self.casts),
            ("clause", &self.clauses),
        ];
        kinds
            .into_iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind} {name}")))
            .collect()
    }

    /// The list without an entry (`function upper`), for tests of refusal.
    #[must_use]
    pub fn without(mut self, entry: &str) -> Self {
        if let Some((kind, name)) = entry.split_once(' ') {
            match kind {
                "function" => self.functions.remove(name),
                "aggregate" => self.aggregates.remove(name),
                "window" => self.windows.remove(name),
                "operator" => self.operators.remove(name),
                "cast" => self.casts.remove(name),
                _ => self.clauses.remove(name),
            };
        }
        self
    }
}
