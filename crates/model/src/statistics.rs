//! What is known of a column of a published partition: counts, edges, quantiles. Only the shape;
//! `offline` calculates it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One column of one partition. Values are written as JSON spells values of the column's type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The column.
    pub column: String,
    /// Its type, as the config words it.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Rows, nulls among them.
    pub count: u64,
    /// Nulls.
    pub null_count: u64,
    /// Nulls by rows; 0 where there are no rows.
    pub null_fraction: f64,
    /// Of floats: NaNs. They are no nulls, and are left out of everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nan_count: Option<u64>,
    /// How many different values there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Distinct>,
    /// The smallest number, instant or day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Json>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Json>,
    /// The mean of numbers, a float64 whatever their type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Json>,
    /// Of numbers, by share: each the smallest value that at least this share of values does not
    /// exceed, so it is a value of the column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quantiles: BTreeMap<String, Json>,
    /// Of strings their characters, of bytes their bytes, of lists their items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
}

/// A number of different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct {
    /// How many.
    pub count: u64,
    /// Whether they were counted; else it is an estimate.
    pub exact: bool,
}

/// How long values are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: f64,
}
