//! Values written as JSON straight into the answer's buffer, by the rules of `trivium_model::json`
//! (a test holds the two together): no tree of values is built in between.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use trivium_codec::ValueRef;
use trivium_model::{DataType, Timestamp, json::EXACT_INTEGER_MAX};

/// What each byte of a string becomes: 0 itself, `u` an escape by number, else a short escape.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// A string with its quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        out.push(b'\\');
        out.push(escape);
        if escape == b'u' {
            out.extend_from_slice(b"00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
        written = at + 1;
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// A value of a feature.
pub(crate) fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>, data_type: &DataType) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int32(value) => write_integer(out, value),
        ValueRef::Int64(value) => write_int64(out, value),
        ValueRef::Float32(value) => {
            if value.is_finite() {
                out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            } else {
                write_not_finite(out, f64::from(value));
            }
        }
        ValueRef::Float64(value) => {
            if value.is_finite() {
                out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            } else {
                write_not_finite(out, value);
            }
        }
        ValueRef::String(text) => write_string(out, text),
        ValueRef::Bytes(bytes) => write_base64(out, bytes),
        ValueRef::Timestamp(at) => write_instant(out, at),
        ValueRef::Date(days) => {
            out.push(b'"');
            out.extend_from_slice(trivium_model::json::day_to_text(days).as_bytes());
            out.push(b'"');
        }
        ValueRef::Decimal(unscaled) => {
            let scale = if let DataType::Decimal { scale, .. } = data_type { *scale } else { 0 };
            out.push(b'"');
            let text = trivium_model::json::decimal_to_text(unscaled, scale);
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        ValueRef::List(items) => {
            let item_type = if let DataType::List(item) = data_type { item } else { data_type };
            write_array(out, items.iter(), |out, item| write_value(out, item, item_type));
        }
        ValueRef::Embedding(components) => {
            write_array(out, components.iter(), |out, component| {
                write_value(out, ValueRef::Float32(component), &DataType::Float32);
            });
        }
    }
}

fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

pub(crate) fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Beyond 2^53 as a string: many readers of JSON would round the number.
pub(crate) fn write_int64(out: &mut Vec<u8>, value: i64) {
    if value.unsigned_abs() > EXACT_INTEGER_MAX.unsigned_abs() {
        out.push(b'"');
        write_integer(out, value);
        out.push(b'"');
    } else {
        write_integer(out, value);
    }
}

/// A rev, by the same rule.
pub(crate) fn write_rev(out: &mut Vec<u8>, rev: u64) {
    match i64::try_from(rev) {
        Ok(rev) => write_int64(out, rev),
        Err(_) => {
            out.push(b'"');
            write_integer(out, rev);
            out.push(b'"');
        }
    }
}

#[cold]
fn write_not_finite(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\"".as_slice()
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    // A third more, and padding; what is not used is cut off again.
    let room = bytes.len().div_ceil(3) * 4;
    out.resize(start + room, 0);
    let used = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + used);
    out.push(b'"');
}

/// RFC 3339 in UTC with as many fractional digits as it needs: none, three or six.
pub(crate) fn write_instant(out: &mut Vec<u8>, at: Timestamp) {
    const DAY: i64 = 86_400_000_000;
    out.push(b'"');
    let (year, month, day) = civil_from_days(at.0.div_euclid(DAY));
    if (1..=9999).contains(&year) {
        let micros = at.0.rem_euclid(DAY);
        let (second, fraction) = (micros / 1_000_000, micros % 1_000_000);
        push_two(out, year / 100);
        push_two(out, year % 100);
        out.push(b'-');
        push_two(out, month);
        out.push(b'-');
        push_two(out, day);
        out.push(b'T');
        push_two(out, second / 3_600);
        out.push(b':');
        push_two(out, second / 60 % 60);
        out.push(b':');
        push_two(out, second % 60);
        if fraction != 0 {
            out.push(b'.');
            push_two(out, fraction / 10_000);
            push_two(out, fraction / 100 % 100);
            push_two(out, fraction % 100);
            if fraction % 1_000 == 0 {
                out.truncate(out.len() - 3);
            }
        }
        out.push(b'Z');
    } else {
        out.extend_from_slice(at.to_string().as_bytes());
    }
    out.push(b'"');
}

/// Two digits; 0 to 99.
fn push_two(out: &mut Vec<u8>, number: i64) {
    // In range by the callers' divisions.
    out.push(b'0' + (number / 10) as u8);
    out.push(b'0' + (number % 10) as u8);
}

/// Year, month, day of days since 1970-01-01 (Howard Hinnant's algorithm).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
