//! Feature views: what an author's JSON says, checked.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{
    DataType, KeyType, Name, StreamJob, StreamSource, StreamWindow, TimeSpan, Timestamp, Value,
    ViewRef,
};

/// How a view's rows arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// SQL over the lake, by period.
    Batch,
    /// From Kafka or Kinesis.
    Stream,
    /// Put by services.
    Direct,
}

/// Who answers for a view or service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The team.
    pub team: String,
    /// Where to reach it.
    pub contact: String,
}

/// One join key of a view's entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The join key's name: one name has one type in a namespace.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub key_type: KeyType,
    /// What it identifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One typed column of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The feature's name.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it means, with the unit.
    pub description: String,
    /// Shown where no row is, where it is unset, or where it has expired; null if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Where it differs from the view's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// When a batch view runs: periods `[start + k·every, start + (k+1)·every)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Length of a period.
    pub every: TimeSpan,
    /// First instant of the first period.
    pub start: Timestamp,
}

/// What an entity keeps when a period brings no new row for it.
///
/// A carried row takes the new period's end as its event time, so that it does not expire while
/// it is carried: an entity is last served `max_periods` periods plus the ttl after its last own
/// row. The reserved column `carried_from` says which period it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Carryover {
    /// Nothing: the row is absent from that period.
    #[default]
    None,
    /// Its newest row, for at most so many periods.
    LastValue {
        /// Periods without a row until the entity goes; at least 1.
        max_periods: u32,
    },
}

/// How per-period values are merged into a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Sum of the periods' values.
    Sum,
    /// Sum of the periods' counts.
    Count,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Sum column over count column: means of means are wrong.
    Mean {
        /// The feature that holds each period's sum.
        sum: Name,
        /// The feature that holds each period's count.
        count: Name,
    },
    /// About how many distinct values, from sketches: counts of distinct values cannot be added.
    ApproxDistinct {
        /// The feature that holds each period's sketch, as `hll_sketch_agg` makes it.
        sketch: Name,
    },
}

/// Windows merged from per-period partial aggregates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// Lengths, each a multiple of the period. A 7d window of period D covers D−6 … D.
    pub windows: Vec<TimeSpan>,
    /// What each feature is merged by. `flights` over `7d` is the feature `flights_7d`.
    pub features: IndexMap<Name, Aggregate>,
}

/// What a failed check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is published.
    #[default]
    Error,
    /// Published, and recorded.
    Warn,
}

/// One check on a partition before it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityCheck {
    /// What must hold.
    #[serde(flatten)]
    pub rule: QualityRule,
    /// What a failure does.
    #[serde(default)]
    pub severity: Severity,
}

/// What must hold of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum QualityRule {
    /// The number of rows lies in [min, max].
    RowCount {
        /// At least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<u64>,
        /// At most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u64>,
    },
    /// No null in the column.
    NotNull {
        /// The column.
        column: Name,
    },
    /// No two rows have the same values in these columns.
    Unique {
        /// The columns.
        columns: Vec<Name>,
    },
    /// Every value that is not null lies in [min, max]; NaN does not.
    Between {
        /// The column.
        column: Name,
        /// At least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// At most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// Every value that is not null is one of these.
    AcceptedValues {
        /// The column.
        column: Name,
        /// The values, of the column's type.
        values: Vec<Value>,
    },
    /// The newest event time is at most this much before the period's end.
    Freshness {
        /// How old it may be.
        max_age: TimeSpan,
    },
    /// The share of nulls in the column is at most this.
    NullFraction {
        /// The column.
        column: Name,
        /// 0 to 1.
        max: f64,
    },
}

/// A named, versioned group of features of one entity, produced together by one lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureView {
    /// The tenant.
    pub namespace: Name,
    /// The view.
    pub name: Name,
    /// From 1.
    pub version: u32,
    /// How its rows arrive.
    pub lane: Lane,
    /// What it is about.
    pub description: String,
    /// Who answers for it.
    pub owner: Owner,
    /// 0 (at once) to 3.
    pub urgency_tier: u8,
    /// The join keys, in the author's order; at least one.
    pub entities: Vec<Entity>,
    /// The column that says when the fact was true.
    pub event_timestamp: Name,
    /// The column that says when the row became known; breaks ties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_timestamp: Option<Name>,
    /// The join key that names a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Name>,
    /// IANA zone of zone-less times; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The features, in the author's order; at least one.
    pub features: Vec<Feature>,
    /// Where a stream view's rows come from; without one they come as envelopes in a payload topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<StreamSource>,
    /// What its SQL reads, and how; without one its rows are read from `source` as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<StreamJob>,
    /// Windows over the source's messages, which then are events: the view's rows are computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<StreamWindow>,
    /// When it runs; batch views have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How long a row counts after its event time; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
    /// What absent entities keep.
    #[serde(default)]
    pub carryover: Carryover,
    /// Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollup: Option<Rollup>,
    /// Whether it is served online.
    pub online: bool,
    /// Checks before publication.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<QualityCheck>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The feature that a rollup of `feature` over `window` makes: `flights_7d`.
pub fn rollup_feature_name(feature: &Name, window: TimeSpan) -> String {
    format!("{feature}_{window}")
}

impl Aggregate {
    /// The type of the window's value. Sums and counts widen, so that a month of int32 cannot overflow.
    pub fn output_type(&self, input: &DataType) -> DataType {
        match (self, input) {
            (Self::Count | Self::ApproxDistinct { .. }, _) => DataType::Int64,
            (Self::Mean { .. }, _) => DataType::Float64,
            (Self::Sum, DataType::Int32) => DataType::Int64,
            (Self::Sum, DataType::Float32) => DataType::Float64,
            (Self::Sum, DataType::Decimal { scale, .. }) => {
                DataType::Decimal { precision: crate::types::DECIMAL_PRECISION_MAX, scale: *scale }
            }
            (Self::Sum | Self::Min | Self::Max, other) => other.clone(),
        }
    }
}

impl Rollup {
    /// The features that hold sketches, each once.
    pub fn sketches(&self) -> Vec<&Name> {
        let mut sketches: Vec<&Name> = Vec::new();
        for aggregate in self.features.values() {
            if let Aggregate::ApproxDistinct { sketch } = aggregate
                && !sketches.contains(&sketch)
            {
                sketches.push(sketch);
            }
        }
        sketches
    }
}

impl FeatureView {
    /// `namespace/name@version`.
    pub fn reference(&self) -> ViewRef {
        ViewRef {
            namespace: self.namespace.clone(),
            view: self.name.clone(),
            version: self.version,
        }
    }

    /// The features that the SQL gives, by name.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == *name)
    }

    /// What readers can ask for, in the order of the row: the author's features, then the windows
    /// of each rollup feature (feature by feature, window by window). Names that a rollup would
    /// make malformed are refused by validation, so here they are skipped.
    pub fn served_features(&self) -> Vec<Feature> {
        let mut served = self.features.clone();
        let Some(rollup) = &self.rollup else { return served };
        for (name, aggregate) in &rollup.features {
            let Some(input) = self.feature(name) else { continue };
            for window in &rollup.windows {
                let Ok(name) = Name::new(&rollup_feature_name(name, *window)) else { continue };
                served.push(Feature {
                    name,
                    data_type: aggregate.output_type(&input.data_type),
                    description: format!("{} Over {window}.", input.description),
                    default: None,
                    owner: input.owner.clone(),
                    tags: input.tags.clone(),
                });
            }
        }
        served
    }

    /// The join keys sorted by name: the order of every stored key, whatever order authors write.
    pub fn sorted_entities(&self) -> Vec<&Entity> {
        let mut sorted: Vec<&Entity> = self.entities.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted
    }

    /// The entity type: the sorted join key names joined by `+`. Views of one entity are neighbours.
    pub fn entity_type(&self) -> String {
        let names: BTreeSet<&str> =
            self.entities.iter().map(|entity| entity.name.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join("+")
    }
}
