//! Writing rows.

use bytes::Bytes;
use trivium_model::{DataType, Lane, Timestamp};

use crate::{
    Error, Field, HEADER_BYTES, Header, ListRef, ROW_BYTES_MAX, Row, Schema, ValueRef, schema::Kind,
};

/// Encodes rows of one schema. Keeps its buffer between rows: each row costs one allocation of its
/// exact size.
#[derive(Debug)]
pub struct RowEncoder<'s> {
    schema: &'s Schema,
    buffer: Vec<u8>,
}

impl<'s> RowEncoder<'s> {
    /// An encoder of this schema.
    pub fn new(schema: &'s Schema) -> Self {
        Self { schema, buffer: Vec::new() }
    }

    /// The schema that it writes.
    pub fn schema(&self) -> &'s Schema {
        self.schema
    }

    /// Encodes a row, one value for each field in order, `None` where it is unset. Rev, event time,
    /// sequence and write id are zero: the store sets them ([`Row::with_stamp`]).
    pub fn encode(&mut self, lane: Lane, values: &[Option<ValueRef<'_>>]) -> Result<Row, Error> {
        let layout = &*self.schema.0;
        if values.len() != layout.fields.len() {
            return Err(Error::ValueCount { given: values.len(), expected: layout.fields.len() });
        }
        let unset_at = HEADER_BYTES + layout.bitmap_bytes;
        let fixed_at = unset_at + layout.bitmap_bytes;
        let ends_at = fixed_at + layout.fixed_bytes;
        let data_at = ends_at + layout.variable_count * 4;
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.resize(data_at, 0);

        for (index, (value, slot)) in values.iter().zip(&layout.slots).enumerate() {
            let field = &layout.fields[index];
            let position = slot.position as usize;
            let bit = 1_u8 << (index % 8);
            let at = fixed_at + position;
            match (slot.kind, value) {
                (_, None) => buffer[unset_at + index / 8] |= bit,
                (_, Some(ValueRef::Null)) => buffer[HEADER_BYTES + index / 8] |= bit,
                (Kind::Bool, Some(ValueRef::Bool(value))) => buffer[at] = u8::from(*value),
                (Kind::Int32, Some(ValueRef::Int32(value)))
                | (Kind::Date, Some(ValueRef::Date(value))) => put(buffer, at, value.to_le_bytes()),
                (Kind::Int64, Some(ValueRef::Int64(value)))
                | (Kind::Timestamp, Some(ValueRef::Timestamp(Timestamp(value)))) => {
                    put(buffer, at, value.to_le_bytes());
                }
                (Kind::Float32, Some(ValueRef::Float32(value))) => {
                    put(buffer, at, value.to_le_bytes());
                }
                (Kind::Float64, Some(ValueRef::Float64(value))) => {
                    put(buffer, at, value.to_le_bytes());
                }
                (Kind::Decimal, Some(ValueRef::Decimal(value)))
                    if fits(*value, &field.data_type) =>
                {
                    put(buffer, at, value.to_le_bytes());
                }
                (Kind::String, Some(ValueRef::String(value))) => {
                    append(buffer, value.as_bytes())?;
                }
                (Kind::Bytes, Some(ValueRef::Bytes(value))) => append(buffer, value)?,
                (Kind::Embedding, Some(ValueRef::Embedding(components)))
                    if components.len() == slot.dimension as usize =>
                {
                    append_with(buffer, components.len() * 4, |buffer| {
                        components.iter().for_each(|c| buffer.extend_from_slice(&c.to_le_bytes()));
                    })?;
                }
                (Kind::List(_), Some(ValueRef::List(items))) => {
                    append_list(buffer, field, *items)?;
                }
                (_, Some(value)) => return Err(wrong_type(field, value)),
            }
            if slot.kind.is_variable() {
                // Below ROW_BYTES_MAX, so that it fits.
                let end = (buffer.len() - data_at) as u32;
                put(buffer, ends_at + position * 4, end.to_le_bytes());
            }
        }

        let header = Header {
            rev: 0,
            event_time: Timestamp(0),
            sequence: 0,
            write_id: 0,
            lane,
            deleted: false,
            fingerprint: layout.fingerprint,
        };
        if buffer.len() > ROW_BYTES_MAX {
            return Err(Error::RowTooLarge { bytes: buffer.len() });
        }
        let row_bytes = buffer.len() as u32;
        if let Some(head) = buffer.first_chunk_mut() {
            header.write_to(head, row_bytes);
        }
        let row = Row::trusted(Bytes::copy_from_slice(buffer));
        // One huge row must not make the encoder huge for good.
        buffer.shrink_to(64 << 10);
        Ok(row)
    }
}

#[inline]
fn put<const N: usize>(buffer: &mut [u8], at: usize, bytes: [u8; N]) {
    buffer[at..at + N].copy_from_slice(&bytes);
}

/// Refuses before it copies: the limit also bounds the memory of a hostile request.
fn append_with(
    buffer: &mut Vec<u8>,
    length: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Error> {
    match buffer.len().checked_add(length) {
        Some(bytes) if bytes <= ROW_BYTES_MAX => {
            write(buffer);
            Ok(())
        }
        bytes => Err(Error::RowTooLarge { bytes: bytes.unwrap_or(usize::MAX) }),
    }
}

fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    append_with(buffer, bytes.len(), |buffer| buffer.extend_from_slice(bytes))
}

fn append_list(buffer: &mut Vec<u8>, field: &Field, items: ListRef<'_>) -> Result<(), Error> {
    let DataType::List(item_type) = &field.data_type else { return Ok(()) };
    let count = items.len();
    // The bitmap and at least a byte an item: bounds `count` before anything is reserved.
    if count > ROW_BYTES_MAX {
        return Err(Error::RowTooLarge { bytes: count });
    }
    append(buffer, &(count as u32).to_le_bytes())?;
    let nulls_at = buffer.len();
    append_with(buffer, count.div_ceil(8), |buffer| {
        buffer.resize(nulls_at + count.div_ceil(8), 0);
    })?;
    let varies = matches!(**item_type, DataType::String | DataType::Bytes);
    let ends_at = buffer.len();
    if varies {
        append_with(buffer, count * 4, |buffer| buffer.resize(ends_at + count * 4, 0))?;
    }
    let data_at = buffer.len();
    for (index, value) in items.iter().enumerate() {
        match (&**item_type, value) {
            (_, ValueRef::Null) => {
                buffer[nulls_at + index / 8] |= 1 << (index % 8);
                let zeros: usize = match **item_type {
                    DataType::Bool => 1,
                    DataType::Int32 | DataType::Float32 | DataType::Date => 4,
                    DataType::Int64 | DataType::Float64 | DataType::Timestamp => 8,
                    DataType::Decimal { .. } => 16,
                    _ => 0,
                };
                append(buffer, &[0; 16][..zeros])?;
            }
            (DataType::Bool, ValueRef::Bool(value)) => append(buffer, &[u8::from(value)])?,
            (DataType::Int32, ValueRef::Int32(value)) | (DataType::Date, ValueRef::Date(value)) => {
                append(buffer, &value.to_le_bytes())?;
            }
            (DataType::Int64, ValueRef::Int64(value))
            | (DataType::Timestamp, ValueRef::Timestamp(Timestamp(value))) => {
                append(buffer, &value.to_le_bytes())?;
            }
            (DataType::Float32, ValueRef::Float32(value)) => append(buffer, &value.to_le_bytes())?,
            (DataType::Float64, ValueRef::Float64(value)) => append(buffer, &value.to_le_bytes())?,
            (DataType::Decimal { .. }, ValueRef::Decimal(value)) if fits(value, item_type) => {
                append(buffer, &value.to_le_bytes())?;
            }
            (DataType::String, ValueRef::String(value)) => append(buffer, value.as_bytes())?,
            (DataType::Bytes, ValueRef::Bytes(value)) => append(buffer, value)?,
            (_, value) => {
                return Err(Error::ValueType {
                    field: format!("{}[{index}]", field.name),
                    expected: item_type.to_string(),
                    given: describe(&value),
                });
            }
        }
        if varies {
            let end = (buffer.len() - data_at) as u32;
            put(buffer, ends_at + index * 4, end.to_le_bytes());
        }
    }
    Ok(())
}

fn fits(unscaled: i128, data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal { precision, .. } => 10_u128
            .checked_pow(u32::from(*precision))
            .is_none_or(|limit| unscaled.unsigned_abs() < limit),
        _ => true,
    }
}

fn describe(value: &ValueRef<'_>) -> String {
    match value {
        ValueRef::Embedding(components) => format!("an embedding of {}", components.len()),
        ValueRef::Decimal(_) => "a decimal with more digits".to_owned(),
        other => other.type_word().to_owned(),
    }
}

#[cold]
fn wrong_type(field: &Field, value: &ValueRef<'_>) -> Error {
    Error::ValueType {
        field: field.name.as_str().to_owned(),
        expected: field.data_type.to_string(),
        given: match (value, &field.data_type) {
            (ValueRef::Decimal(_), DataType::Decimal { .. }) | (ValueRef::Embedding(_), _) => {
                describe(value)
            }
            _ => value.type_word().to_owned(),
        },
    }
}
