//! Windows over the events of a stream: a view whose rows are computed from them.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};

use crate::{
    DataType, Feature, FeatureView, Name, PayloadFormat, StreamJob, StreamSource, StreamSystem,
    TimeSpan, types::DECIMAL_PRECISION_MAX,
};

/// A typed column of the events, which rows need not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventColumn {
    /// Its name; features may have the same.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// What it means, with the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How a feature is computed from the events of a window. Nulls do not count, as in SQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WindowAggregate {
    /// How many events; of a column, how many that are not null there.
    Count(Option<Name>),
    /// Their sum; null where it is beyond its type.
    Sum(Name),
    /// The smallest.
    Min(Name),
    /// The largest.
    Max(Name),
    /// The mean, as a float64.
    Mean(Name),
    /// The value of the newest event, by event time and, of one time, by position.
    Last(Name),
    /// About how many distinct values there are.
    ApproxDistinct(Name),
}

/// Windows `[end - size, end)` over event times, whose ends are multiples of `slide` since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamWindow {
    /// Length of a window.
    pub size: TimeSpan,
    /// From a window's end to the next one's; without it windows do not overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide: Option<TimeSpan>,
    /// How far the newest event may be beyond a window's end, and it is still corrected; without it not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<TimeSpan>,
    /// The events' columns, beside join keys and event time.
    pub columns: Vec<EventColumn>,
    /// The column that says which events are the same one: of those of an entity in one slide the first counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Name>,
    /// An expression over join keys, event time and columns: only events of which it is true count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How each feature is computed.
    pub features: IndexMap<Name, WindowAggregate>,
    /// The topic that rows go into, as payloads.
    pub payload_topic: String,
    /// How the Flink job runs that computes the windows; without it the worker computes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<StreamJob>,
}

impl WindowAggregate {
    /// The word used in configs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Count(_) => "count",
            Self::Sum(_) => "sum",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Mean(_) => "mean",
            Self::Last(_) => "last",
            Self::ApproxDistinct(_) => "approx_distinct",
        }
    }

    /// The column that it is computed of.
    pub const fn column(&self) -> Option<&Name> {
        match self {
            Self::Count(column) => column.as_ref(),
            Self::Sum(column)
            | Self::Min(column)
            | Self::Max(column)
            | Self::Mean(column)
            | Self::Last(column)
            | Self::ApproxDistinct(column) => Some(column),
        }
    }

    /// The type of the feature over a column of this type; none: it has no meaning for such columns.
    pub fn output_type(&self, input: Option<&DataType>) -> Option<DataType> {
        let Some(input) = input else {
            return matches!(self, Self::Count(_)).then_some(DataType::Int64);
        };
        match (self, input) {
            (_, DataType::List(_) | DataType::Embedding { .. }) => None,
            (Self::Count(_), _) => Some(DataType::Int64),
            (Self::Sum(_), DataType::Int32 | DataType::Int64) => Some(DataType::Int64),
            (Self::Sum(_), DataType::Float32 | DataType::Float64) => Some(DataType::Float64),
            (Self::Sum(_), DataType::Decimal { scale, .. }) => {
                Some(DataType::Decimal { precision: DECIMAL_PRECISION_MAX, scale: *scale })
            }
            (Self::Sum(_), _) => None,
            (Self::Mean(_), _) => crate::config::is_numeric(input).then_some(DataType::Float64),
            (Self::Min(_) | Self::Max(_) | Self::Last(_), _) => Some(input.clone()),
            // What Spark's sketches are made of, and what is a whole number inside.
            (
                Self::ApproxDistinct(_),
                DataType::Int32
                | DataType::Int64
                | DataType::String
                | DataType::Bytes
                | DataType::Timestamp
                | DataType::Date,
            ) => Some(DataType::Int64),
            (Self::ApproxDistinct(_), _) => None,
        }
    }
}

impl StreamWindow {
    /// From a window's end to the next one's: the length of the tiles that windows are put together from.
    pub fn tile(&self) -> TimeSpan {
        self.slide.unwrap_or(self.size)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&EventColumn> {
        self.columns.iter().find(|column| column.name == *name)
    }
}

impl FeatureView {
    /// The source that messages of rows come from; without one they come as payloads. A source with
    /// windows over it gives events instead: [`FeatureView::events`]. Where Flink computes the windows, it writes
    /// rows as JSON.
    pub fn row_source(&self) -> Option<Cow<'_, StreamSource>> {
        let source = self.source.as_ref()?;
        let Some(window) = &self.window else { return Some(Cow::Borrowed(source)) };
        window.job.as_ref().map(|_| {
            Cow::Owned(StreamSource {
                format: PayloadFormat::Json,
                system: StreamSystem::Kafka,
                topic: window.payload_topic.clone(),
                columns: IndexMap::new(),
                time_unit: None,
                filter: None,
                filter_columns: Vec::new(),
            })
        })
    }

    /// The events that its windows are over, as a view of the same name whose rows they are.
    pub fn events(&self) -> Option<Self> {
        let window = self.window.as_ref()?;
        let feature = |column: &EventColumn| Feature {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            description: column.description.clone().unwrap_or_default(),
            default: None,
            owner: None,
            tags: Vec::new(),
        };
        Some(Self {
            features: window.columns.iter().map(feature).collect(),
            window: None,
            ttl: None,
            ..self.clone()
        })
    }
}

impl Serialize for WindowAggregate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(column) = self.column() else { return serializer.serialize_str(self.word()) };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.word(), column)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for WindowAggregate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Of(IndexMap<String, Name>),
        }
        let unknown = |word: &str| de::Error::custom(format!("`{word}` is no aggregate"));
        let of = match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "count" => return Ok(Self::Count(None)),
            Written::Word(word) => return Err(unknown(&word)),
            Written::Of(of) => of,
        };
        let mut entries = of.into_iter();
        let (Some((word, column)), None) = (entries.next(), entries.next()) else {
            return Err(de::Error::custom("an aggregate is an object with one field"));
        };
        Ok(match word.as_str() {
            "count" => Self::Count(Some(column)),
            "sum" => Self::Sum(column),
            "min" => Self::Min(column),
            "max" => Self::Max(column),
            "mean" => Self::Mean(column),
            "last" => Self::Last(column),
            "approx_distinct" => Self::ApproxDistinct(column),
            _ => return Err(unknown(&word)),
        })
    }
}
