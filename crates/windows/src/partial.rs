//! Partial aggregates of a tile, and what becomes of several of them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use trivium_model::{Timestamp, Value, types::DECIMAL_PRECISION_MAX};
use trivium_sketch::{LG_K_DEFAULT, Sketch, Union};

use crate::{
    Error,
    scalar::Scalar,
    sums::{Float, Whole},
};

/// How a feature is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Count,
    IntegerSum,
    FloatSum,
    DecimalSum,
    FloatMean,
    /// Of whole numbers and decimals.
    WholeMean {
        scale: u8,
    },
    Min,
    Max,
    Last,
    Distinct,
}

/// What is known of one feature's values in a tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Partial {
    Count(u64),
    Whole {
        sum: Whole,
        count: u64,
    },
    Float {
        sum: Float,
        count: u64,
    },
    /// The value that is the least, the largest or the newest.
    Best(Option<Best>),
    /// A sketch's bytes, in the form that its values alone decide.
    Distinct(Vec<u8>),
}

/// A value, and where it was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    time: i64,
    offset: u64,
    value: Scalar,
}

/// Partials on their way: a sketch is opened once.
#[derive(Debug, Clone)]
pub(crate) enum Open {
    Plain(Partial),
    Sketch(Box<Sketch>),
}

/// Where an event was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub time: Timestamp,
    pub offset: u64,
}

fn empty_sketch() -> Result<Sketch, Error> {
    Sketch::new(i64::from(LG_K_DEFAULT)).map_err(Error::corrupt)
}

impl Open {
    pub fn new(kind: Kind) -> Result<Self, Error> {
        Ok(Self::Plain(match kind {
            Kind::Count => Partial::Count(0),
            Kind::IntegerSum | Kind::DecimalSum | Kind::WholeMean { .. } => {
                Partial::Whole { sum: Whole::default(), count: 0 }
            }
            Kind::FloatSum | Kind::FloatMean => Partial::Float { sum: Float::default(), count: 0 },
            Kind::Min | Kind::Max | Kind::Last => Partial::Best(None),
            Kind::Distinct => return Ok(Self::Sketch(Box::new(empty_sketch()?))),
        }))
    }

    pub fn of(partial: Partial) -> Result<Self, Error> {
        Ok(match partial {
            Partial::Distinct(bytes) => {
                Self::Sketch(Box::new(Sketch::read(&bytes).map_err(Error::corrupt)?))
            }
            plain => Self::Plain(plain),
        })
    }

    pub fn close(&self) -> Partial {
        match self {
            Self::Plain(partial) => partial.clone(),
            Self::Sketch(sketch) => Partial::Distinct(sketch.canonical()),
        }
    }

    /// Takes a value in; none: the event itself is counted. Null is passed over.
    pub fn add(&mut self, kind: Kind, value: Option<&Value>, place: Place) {
        match (self, value) {
            (_, Some(Value::Null)) => {}
            (Self::Plain(Partial::Count(count)), _) => *count += 1,
            (Self::Plain(Partial::Whole { sum, count }), Some(value)) => {
                let Some(value) = whole(value) else { return };
                sum.add(value);
                *count += 1;
            }
            (Self::Plain(Partial::Float { sum, count }), Some(value)) => {
                let value = match value {
                    Value::Float32(value) => f64::from(*value),
                    Value::Float64(value) => *value,
                    _ => return,
                };
                sum.add(value);
                *count += 1;
            }
            (Self::Plain(Partial::Best(best)), Some(value)) => {
                let Some(value) = Scalar::of(value) else { return };
                take(kind, best, Best { time: place.time.0, offset: place.offset, value });
            }
            (Self::Sketch(sketch), Some(value)) => match value {
                Value::Int32(value) | Value::Date(value) => sketch.add_integer(i64::from(*value)),
                Value::Int64(value) => sketch.add_integer(*value),
                Value::Timestamp(at) => sketch.add_integer(at.0),
                Value::String(text) => sketch.add_bytes(text.as_bytes()),
                Value::Bytes(bytes) => sketch.add_bytes(bytes),
                _ => {}
            },
            (Self::Plain(_) | Self::Sketch(_), _) => {}
        }
    }

    /// Takes those of a later tile in.
    pub fn merge(&mut self, kind: Kind, other: &Partial) -> Result<(), Error> {
        match (&mut *self, other) {
            (Self::Plain(Partial::Count(count)), Partial::Count(more)) => *count += more,
            (
                Self::Plain(Partial::Whole { sum, count }),
                Partial::Whole { sum: other, count: more },
            ) => {
                sum.merge(other);
                *count += more;
            }
            (
                Self::Plain(Partial::Float { sum, count }),
                Partial::Float { sum: other, count: more },
            ) => {
                sum.merge(other);
                *count += more;
            }
            (Self::Plain(Partial::Best(best)), Partial::Best(other)) => {
                if let Some(other) = other {
                    take(kind, best, other.clone());
                }
            }
            (Self::Sketch(sketch), Partial::Distinct(bytes)) => {
                let other = Sketch::read(bytes).map_err(Error::corrupt)?;
                let mut union = Union::of(sketch).map_err(Error::corrupt)?;
                union.add(&other, false).map_err(Error::corrupt)?;
                **sketch = union.sketch();
            }
            _ => return Err(Error::corrupt("a tile of other features")),
        }
        Ok(())
    }

    /// The feature's value.
    pub fn result(self, kind: Kind) -> Result<Value, Error> {
        Ok(match (self, kind) {
            (Self::Plain(Partial::Count(count)), _) => {
                Value::Int64(i64::try_from(count).unwrap_or(i64::MAX))
            }
            (Self::Plain(Partial::Whole { count: 0, .. } | Partial::Float { count: 0, .. }), _) => {
                Value::Null
            }
            (Self::Plain(Partial::Whole { sum, .. }), Kind::IntegerSum) => {
                let total = sum.total().and_then(|total| i64::try_from(total).ok());
                total.map_or(Value::Null, Value::Int64)
            }
            (Self::Plain(Partial::Whole { sum, .. }), Kind::DecimalSum) => {
                let most = 10_u128.pow(u32::from(DECIMAL_PRECISION_MAX));
                let total = sum.total().filter(|total| total.unsigned_abs() < most);
                total.map_or(Value::Null, Value::Decimal)
            }
            (Self::Plain(Partial::Whole { sum, count }), Kind::WholeMean { scale }) => {
                let whole = sum.float() / count as f64;
                Value::Float64(whole / 10_f64.powi(i32::from(scale)))
            }
            (Self::Plain(Partial::Float { sum, .. }), Kind::FloatSum) => {
                Value::Float64(sum.total())
            }
            (Self::Plain(Partial::Float { sum, count }), Kind::FloatMean) => {
                Value::Float64(sum.total() / count as f64)
            }
            (Self::Plain(Partial::Best(best)), _) => {
                best.map_or(Value::Null, |best| best.value.value())
            }
            (Self::Sketch(sketch), _) => {
                // By the values alone: as merged, it would also tell in which order they came.
                let sketch = Sketch::read(&sketch.canonical()).map_err(Error::corrupt)?;
                Value::Int64(sketch.estimate())
            }
            (Self::Plain(_), _) => return Err(Error::corrupt("a tile of other features")),
        })
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int32(value) => Some(i128::from(*value)),
        Value::Int64(value) => Some(i128::from(*value)),
        Value::Decimal(unscaled) => Some(*unscaled),
        _ => None,
    }
}

/// Of equal ones the least and the largest are the first met, the last is the last one.
fn take(kind: Kind, best: &mut Option<Best>, new: Best) {
    let is_better = match best {
        None => true,
        Some(old) => match kind {
            Kind::Min => new.value.compare(&old.value) == Ordering::Less,
            Kind::Max => new.value.compare(&old.value) == Ordering::Greater,
            _ => (new.time, new.offset) > (old.time, old.offset),
        },
    };
    if is_better {
        *best = Some(new);
    }
}
