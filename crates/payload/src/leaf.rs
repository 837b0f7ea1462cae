//! A column's value as it stands in a message, and what it is as a value of the column's type.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use serde_json::Value as Json;
use trivium_model::{
    DataType, FeatureView, TimeUnit, Timestamp, Value,
    json::{day_from_text, decimal_from_text, value_from_json},
};

use crate::avro::Datum;

/// A column's value as it stands in a message.
#[derive(Debug, Clone, Default)]
pub(crate) enum Leaf<'m> {
    /// It does not.
    #[default]
    Absent,
    /// Of a JSON document.
    Json(Json),
    /// Of an Avro datum.
    Avro(Datum<'m>),
    /// A key as a whole, or a header.
    Raw(&'m [u8]),
    /// The message's own time.
    Instant(Timestamp),
}

impl Leaf<'_> {
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub fn is_null(&self) -> bool {
        match self {
            Self::Json(json) => json.is_null(),
            Self::Avro(datum) => datum.is_null(),
            Self::Absent | Self::Raw(_) | Self::Instant(_) => false,
        }
    }

    /// The text, where the document has text there.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Json(json) => json.as_str(),
            Self::Avro(datum) => datum.text(),
            Self::Absent | Self::Raw(_) | Self::Instant(_) => None,
        }
    }
}

/// What a view says of its messages' values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// What whole numbers in columns of instants count.
    pub time_unit: Option<TimeUnit>,
    /// The zone of times that name none.
    pub zone: Option<Tz>,
    /// Whether days may be whole numbers: Debezium writes them so.
    pub numbered_days: bool,
}

impl Reading {
    pub fn of(view: &FeatureView) -> Self {
        let source = view.row_source();
        Self {
            time_unit: source.as_ref().and_then(|source| source.time_unit),
            // Checked when the config was read.
            zone: view.time_zone.as_deref().and_then(|zone| zone.parse().ok()),
            numbered_days: source.as_ref().is_some_and(|source| source.format.is_change_event()),
        }
    }

    /// The value; none where the column is not in the message. The error says what was expected.
    pub fn value(&self, data_type: &DataType, leaf: Leaf<'_>) -> Result<Option<Value>, String> {
        Ok(Some(match leaf {
            Leaf::Absent => return Ok(None),
            Leaf::Instant(at) => match data_type {
                DataType::Timestamp => Value::Timestamp(at),
                DataType::Int64 => Value::Int64(at.0),
                other => return Err(format!("expected {other}, found an instant")),
            },
            Leaf::Json(json) => self.of_json(data_type, &json)?,
            Leaf::Avro(datum) => self.of_avro(data_type, &datum)?,
            Leaf::Raw(bytes) => self.of_bytes(data_type, bytes)?,
        }))
    }

    pub(crate) fn of_json(&self, data_type: &DataType, json: &Json) -> Result<Value, String> {
        match (data_type, json) {
            // Of each item as of a column.
            (DataType::List(item_type), Json::Array(items)) => {
                let values = items.iter().enumerate().map(|(index, item)| {
                    let value = self.of_json(item_type, item);
                    value.map_err(|wrong| format!("item {index}: {wrong}"))
                });
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            (DataType::Timestamp, Json::Number(number)) => {
                let Some(unit) = self.time_unit else {
                    return Err(format!(
                        "expected timestamp, found the number {number}, whose unit nobody says: set `source.time_unit`"
                    ));
                };
                let micros = number.as_i64().and_then(|count| unit.micros(count));
                let micros = micros.ok_or_else(|| {
                    format!("expected a whole number of {}, found {number}", unit.word())
                })?;
                Ok(Value::Timestamp(Timestamp(micros)))
            }
            (DataType::Timestamp, Json::String(text)) if self.zone.is_some() => {
                self.instant(text).map_or_else(|| value_from_json(data_type, json), Ok)
            }
            (DataType::Date, Json::Number(number)) if self.numbered_days => {
                let days = number.as_i64().and_then(|days| i32::try_from(days).ok());
                days.map(Value::Date)
                    .ok_or_else(|| format!("expected a number of days, found {number}"))
            }
            _ => value_from_json(data_type, json),
        }
    }

    /// Of text: what would be a number in JSON is its digits here.
    fn of_bytes(&self, data_type: &DataType, bytes: &[u8]) -> Result<Value, String> {
        if *data_type == DataType::Bytes {
            return Ok(Value::Bytes(bytes.to_vec()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| format!("expected {data_type} as text, found bytes that are no UTF-8"))?;
        let wrong = || format!("expected {data_type} as text");
        Ok(match data_type {
            DataType::String => Value::String(text.to_owned()),
            DataType::Bool => Value::Bool(text.parse().map_err(|_| wrong())?),
            DataType::Int32 => Value::Int32(text.parse().map_err(|_| wrong())?),
            DataType::Int64 => Value::Int64(text.parse().map_err(|_| wrong())?),
            DataType::Float32 => Value::Float32(text.parse().map_err(|_| wrong())?),
            DataType::Float64 => Value::Float64(text.parse().map_err(|_| wrong())?),
            DataType::Date => Value::Date(day_from_text(text).ok_or_else(wrong)?),
            DataType::Timestamp => match (text.parse::<i64>(), self.time_unit) {
                (Ok(count), Some(unit)) => {
                    Value::Timestamp(Timestamp(unit.micros(count).ok_or_else(wrong)?))
                }
                _ => match self.instant(text) {
                    Some(value) => value,
                    None => Value::Timestamp(Timestamp::parse(text).ok_or_else(wrong)?),
                },
            },
            DataType::Decimal { precision, scale } => {
                Value::Decimal(decimal_from_text(text, *precision, *scale).ok_or_else(wrong)?)
            }
            DataType::List(_) | DataType::Embedding { .. } => {
                let json = serde_json::from_str(text).map_err(|_| wrong())?;
                self.of_json(data_type, &json)?
            }
            DataType::Bytes => return Err(wrong()),
        })
    }

    /// A time that names no zone, in the view's; none where it is no such time.
    fn instant(&self, text: &str) -> Option<Value> {
        let zone = self.zone?;
        let utc = Timestamp::parse(text)?;
        // What chrono takes without a zone has none.
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .or_else(day)?;
        // Cut, as parsing without a zone does.
        let below = utc.0 - local.and_utc().timestamp_micros();
        Some(Value::Timestamp(Timestamp(in_zone(zone, local)? + below)))
    }

    /// The instant at which clocks in the view's zone show this, counted as if it were UTC.
    pub(crate) fn local(&self, micros: i64) -> Value {
        // Where chrono has no such time it is beyond the calendar, and refused for that.
        let at = self
            .zone
            .and_then(|zone| in_zone(zone, DateTime::from_timestamp_micros(micros)?.naive_utc()));
        Value::Timestamp(Timestamp(at.unwrap_or(micros)))
    }
}

/// When clocks in the zone show this, in microseconds.
fn in_zone(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    let at = match zone.from_local_datetime(&local) {
        // Spark's choices: the earlier of two, and past a gap as much as it was in it.
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at,
        LocalResult::None => {
            // At the ends of what chrono can tell there is no such time either.
            let before = local.checked_sub_signed(TimeDelta::hours(3))?;
            let before = zone.from_local_datetime(&before).earliest()?;
            before.checked_add_signed(TimeDelta::hours(3))?
        }
    };
    Some(at.timestamp_micros())
}
