//! A value in a datum as one of a column's type.

use serde_json::Value as Json;
use trivium_model::{DataType, TimeUnit, Timestamp, Value};

use super::{
    datum::{Cursor, Datum},
    schema::{Kind, Meaning, Schema, TypeId},
};
use crate::leaf::Reading;

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl Reading {
    pub(crate) fn of_avro(&self, data_type: &DataType, datum: &Datum<'_>) -> Result<Value, String> {
        self.next(data_type, datum.schema, datum.id, &mut Cursor::new(datum.bytes))
    }

    fn next(
        &self,
        data_type: &DataType,
        schema: &Schema,
        id: TypeId,
        cursor: &mut Cursor<'_>,
    ) -> Result<Value, String> {
        let of = schema.get(id);
        let wrong = || format!("expected {data_type}, found {}", of.kind.word());
        match &of.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Bool => self.of_json(data_type, &Json::Bool(cursor.bool()?)),
            Kind::Int => self.whole(data_type, of.meaning, i64::from(cursor.int()?)),
            Kind::Long => self.whole(data_type, of.meaning, cursor.long()?),
            Kind::Float => {
                let value = f32::from_le_bytes(cursor.array()?);
                self.real(data_type, f64::from(value)).ok_or_else(wrong)?
            }
            Kind::Double => {
                let value = f64::from_le_bytes(cursor.array()?);
                self.real(data_type, value).ok_or_else(wrong)?
            }
            Kind::Bytes => of_bytes(data_type, of.meaning, cursor.block()?).ok_or_else(wrong)?,
            Kind::Fixed(size) => {
                of_bytes(data_type, of.meaning, cursor.take(*size)?).ok_or_else(wrong)?
            }
            Kind::Text => {
                let text = std::str::from_utf8(cursor.block()?).map_err(|_| {
                    format!("expected {data_type}, found a string that is no UTF-8")
                })?;
                match data_type {
                    DataType::String => Ok(Value::String(text.to_owned())),
                    // What JSON has no other way to write than as text.
                    DataType::Timestamp | DataType::Date | DataType::Decimal { .. } => {
                        self.of_json(data_type, &Json::String(text.to_owned()))
                    }
                    _ => Err(wrong()),
                }
            }
            Kind::Enum(symbols) => match data_type {
                DataType::String => Ok(Value::String(cursor.symbol(symbols)?.to_owned())),
                _ => Err(wrong()),
            },
            Kind::Union(variants) => {
                let variant = cursor.variant(variants)?;
                self.next(data_type, schema, variant, cursor)
            }
            Kind::Array(item) => self.array(data_type, schema, *item, cursor),
            Kind::Map(_) | Kind::Record(_) => Err(wrong()),
        }
    }

    fn array(
        &self,
        data_type: &DataType,
        schema: &Schema,
        item: TypeId,
        cursor: &mut Cursor<'_>,
    ) -> Result<Value, String> {
        match data_type {
            DataType::List(item_type) => {
                let mut values = Vec::new();
                cursor.items(|cursor| {
                    let value = self.next(item_type, schema, item, cursor);
                    values.push(value.map_err(|wrong| format!("item {}: {wrong}", values.len()))?);
                    Ok::<_, String>(())
                })?;
                Ok(Value::List(values))
            }
            DataType::Embedding { dimension, .. } => {
                let mut components = Vec::new();
                let mut count = 0_usize;
                cursor.items(|cursor| {
                    match self.next(&DataType::Float32, schema, item, cursor)? {
                        Value::Float32(value) if value.is_finite() => {
                            // One more than the dimension shows that there are too many.
                            if components.len() <= *dimension as usize {
                                components.push(value);
                            }
                        }
                        _ => return Err(format!("component {count}: expected a finite float32")),
                    }
                    count += 1;
                    Ok(())
                })?;
                if count != *dimension as usize {
                    return Err(format!("expected {data_type}, found an array of {count} numbers"));
                }
                Ok(Value::Embedding(components))
            }
            _ => Err(format!("expected {data_type}, found an array")),
        }
    }

    /// Of a whole number, which in columns of numbers is the number that it is.
    fn whole(&self, data_type: &DataType, meaning: Meaning, count: i64) -> Result<Value, String> {
        let far = |unit: &str| format!("expected {data_type}, found the number {count} of {unit}");
        let micros = |unit: TimeUnit| unit.micros(count).ok_or_else(|| far(unit.word()));
        match (data_type, meaning) {
            (DataType::Timestamp, Meaning::Instant(unit)) => {
                Ok(Value::Timestamp(Timestamp(micros(unit)?)))
            }
            (DataType::Timestamp, Meaning::Local(unit)) => Ok(self.local(micros(unit)?)),
            // Its midnight, as of a day in text.
            (DataType::Timestamp, Meaning::Day) => {
                let micros = count.checked_mul(MICROS_PER_DAY).ok_or_else(|| far("days"))?;
                Ok(self.local(micros))
            }
            (DataType::Date, Meaning::Day) => {
                i32::try_from(count).map(Value::Date).map_err(|_| far("days"))
            }
            (DataType::Date, Meaning::Instant(_) | Meaning::Local(_)) => {
                Err("expected date, found an instant".to_owned())
            }
            (DataType::Float32, _) if !is_exact::<24>(count) => Err(inexact(data_type, count)),
            (DataType::Float64, _) if !is_exact::<53>(count) => Err(inexact(data_type, count)),
            _ => self.of_json(data_type, &Json::from(count)),
        }
    }

    /// Of a number with a fraction; none where the column is no such.
    fn real(&self, data_type: &DataType, value: f64) -> Option<Result<Value, String>> {
        let json = match serde_json::Number::from_f64(value) {
            Some(number) => Json::Number(number),
            None if value.is_nan() => Json::from("NaN"),
            None if value > 0.0 => Json::from("Infinity"),
            None => Json::from("-Infinity"),
        };
        matches!(data_type, DataType::Float32 | DataType::Float64)
            .then(|| self.of_json(data_type, &json))
    }
}

/// Whether the number is one of a float with so many digits, in base 2.
const fn is_exact<const DIGITS: u32>(count: i64) -> bool {
    let count = count.unsigned_abs();
    count == 0 || 64 - count.leading_zeros() - count.trailing_zeros() <= DIGITS
}

fn inexact(data_type: &DataType, count: i64) -> String {
    format!("expected {data_type}, found {count}, which is none exactly")
}

/// None where bytes of this meaning are nothing in such a column.
fn of_bytes(data_type: &DataType, meaning: Meaning, bytes: &[u8]) -> Option<Result<Value, String>> {
    Some(match (data_type, meaning) {
        (DataType::Bytes, Meaning::Plain | Meaning::Uuid) => Ok(Value::Bytes(bytes.to_vec())),
        (DataType::String, Meaning::Uuid) => Ok(Value::String(uuid(bytes))),
        (DataType::Decimal { precision, scale }, Meaning::Decimal(from)) => {
            let value = unscaled(bytes)
                .and_then(|digits| rescaled(digits, from, u32::from(*scale)))
                .filter(|digits| {
                    digits.unsigned_abs() < 10_u128.saturating_pow(u32::from(*precision))
                });
            value.map(Value::Decimal).ok_or_else(|| {
                format!("expected {data_type}, found a decimal that does not fit exactly")
            })
        }
        _ => return None,
    })
}

/// The number that the bytes are, big end first; none if they are too many, or none.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let fill = if *bytes.first()? < 0x80 { 0 } else { 0xff };
    let extra = bytes.len().saturating_sub(16);
    let (over, low) = bytes.split_at(extra);
    let mut whole = [fill; 16];
    whole[16 - low.len()..].copy_from_slice(low);
    let number = i128::from_be_bytes(whole);
    let is_same = over.iter().all(|byte| *byte == fill) && (number < 0) == (fill == 0xff);
    is_same.then_some(number)
}

/// The same decimal with another number of digits after the point; none if it is not the same.
fn rescaled(digits: i128, from: u32, to: u32) -> Option<i128> {
    if digits == 0 || from == to {
        return Some(digits);
    }
    let power = 10_i128.checked_pow(from.abs_diff(to))?;
    if to > from {
        return digits.checked_mul(power);
    }
    (digits % power == 0).then(|| digits / power)
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}
