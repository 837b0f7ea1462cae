//! An entity in a message: its join keys by name, long ones cut.

use std::fmt::Write as _;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Date32Type, Int64Type, TimestampMicrosecondType},
};
use trivium_model::{FeatureView, KeyType, KeyValue, TimeSpan, Timestamp, json};

use crate::{Period, sequence::period_of};

/// Characters of one join key's value that are shown.
const SHOWN_CHARACTERS: usize = 48;

/// The join keys of a row in the lake's columns, sorted by name.
pub(crate) fn entity_of(view: &FeatureView, rows: &RecordBatch, row: usize) -> Vec<KeyValue> {
    let value = |array: &dyn Array, key_type| match key_type {
        KeyType::String => KeyValue::String(array.as_string::<i32>().value(row).to_owned()),
        KeyType::Int64 => KeyValue::Int64(array.as_primitive::<Int64Type>().value(row)),
        KeyType::Bool => KeyValue::Bool(array.as_boolean().value(row)),
        KeyType::Bytes => KeyValue::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        KeyType::Date => KeyValue::Date(array.as_primitive::<Date32Type>().value(row)),
        KeyType::Timestamp => KeyValue::Timestamp(Timestamp(
            array.as_primitive::<TimestampMicrosecondType>().value(row),
        )),
    };
    let keys = view.sorted_entities();
    keys.iter().zip(rows.columns()).map(|(key, array)| value(array, key.key_type)).collect()
}

/// `carrier "AA", origin "JFK"`.
pub(crate) fn shown(view: &FeatureView, entity: &[KeyValue]) -> String {
    let mut text = String::new();
    for (key, value) in view.sorted_entities().iter().zip(entity) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(text, "{comma}{} {}", key.name, value_text(value));
    }
    text
}

/// `period ds=2013-01-01, entity carrier "AA"`.
pub(crate) fn row_name(view: &FeatureView, sequence: i64, entity: &str) -> String {
    let start = period_of(sequence);
    let every = view.schedule.as_ref().map_or(TimeSpan::DAY, |schedule| schedule.every);
    let period = Period { start, end: start.plus(every) };
    format!("period {}, entity {entity}", period.folder())
}

fn value_text(value: &KeyValue) -> String {
    match value {
        KeyValue::String(text) => format!("{:?}{}", cut(text), dots(text.chars().count())),
        KeyValue::Int64(number) => number.to_string(),
        KeyValue::Bool(flag) => flag.to_string(),
        KeyValue::Bytes(bytes) => {
            let hex: String =
                bytes.iter().take(SHOWN_CHARACTERS / 2).map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}{}", dots(bytes.len() * 2))
        }
        KeyValue::Date(day) => json::day_to_text(*day),
        KeyValue::Timestamp(at) => at.to_string(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}

fn dots(characters: usize) -> &'static str {
    if characters > SHOWN_CHARACTERS { "…" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, view};

    #[test]
    fn long_keys_are_cut() {
        let mut view = view();
        view.entities.push(trivium_model::Entity {
            name: name("badge"),
            key_type: KeyType::Bytes,
            description: None,
        });
        let entity = |bytes: usize, text: &str| {
            shown(&view, &[KeyValue::Bytes(vec![7; bytes]), KeyValue::String(text.to_owned())])
        };
        assert_eq!(entity(1, "A\"A"), r#"badge 0x07, carrier "A\"A""#);
        let long = entity(1000, &"é".repeat(1000));
        assert_eq!(long, format!("badge 0x{}…, carrier \"{}\"…", "07".repeat(24), "é".repeat(48)));
    }
}
