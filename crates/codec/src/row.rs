//! A whole row and its header. Every byte is described in docs/row-format.md.

use std::fmt;

use bytes::Bytes;
use trivium_model::{Lane, Timestamp};

use crate::{
    EmbeddingRef, Error, Fingerprint, FixedSlot, ListRef, Schema, ValueRef,
    schema::{Kind, Slot},
    value::read_u32,
};

/// The format version that encoders write. Readers know it and every earlier one.
pub const FORMAT_VERSION: u8 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 56;
/// The largest row. A store may have a lower limit of its own.
pub const ROW_BYTES_MAX: usize = 16 << 20;

const FLAGS: usize = 1;
const LANE: usize = 2;
const RESERVED: usize = 3;
const ROW_BYTES: usize = 4;
const FINGERPRINT: usize = 8;
const EVENT_TIME: usize = 16;
const REV: usize = 24;
const SEQUENCE: usize = 32;
const WRITE_ID: usize = 40;
const FLAG_DELETED: u8 = 1;

/// What stands before a row's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Grows with every write of the row.
    pub rev: u64,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// Orders rows of one event time.
    pub sequence: u64,
    /// The write that made the row; zero: none.
    pub write_id: u128,
    /// How it arrived.
    pub lane: Lane,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// The schema that its values are laid out by.
    pub fingerprint: Fingerprint,
}

impl Header {
    pub(crate) fn write_to(&self, bytes: &mut [u8; HEADER_BYTES], row_bytes: u32) {
        bytes[0] = FORMAT_VERSION;
        bytes[FLAGS] = if self.deleted { FLAG_DELETED } else { 0 };
        bytes[LANE] = match self.lane {
            Lane::Batch => 0,
            Lane::Stream => 1,
            Lane::Direct => 2,
        };
        bytes[RESERVED] = 0;
        bytes[ROW_BYTES..ROW_BYTES + 4].copy_from_slice(&row_bytes.to_le_bytes());
        bytes[FINGERPRINT..FINGERPRINT + 8].copy_from_slice(&self.fingerprint.0.to_le_bytes());
        patch_stamp(bytes, self.rev, self.event_time, self.sequence, self.write_id);
    }
}

fn patch_stamp(
    bytes: &mut [u8; HEADER_BYTES],
    rev: u64,
    event_time: Timestamp,
    sequence: u64,
    write_id: u128,
) {
    bytes[EVENT_TIME..EVENT_TIME + 8].copy_from_slice(&event_time.0.to_le_bytes());
    bytes[REV..REV + 8].copy_from_slice(&rev.to_le_bytes());
    bytes[SEQUENCE..SEQUENCE + 8].copy_from_slice(&sequence.to_le_bytes());
    bytes[WRITE_ID..WRITE_ID + 16].copy_from_slice(&write_id.to_le_bytes());
}

/// An encoded row. Cheap to clone; its header has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Row(Bytes);

impl fmt::Debug for Row {
    /// The header only: values are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("header", &self.header())
            .field("bytes", &self.0.len())
            .finish_non_exhaustive()
    }
}

impl Row {
    /// Takes bytes for a row after a look at the header: version, flags, lane, length.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Error> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(match bytes.first() {
                Some(&version) if version != FORMAT_VERSION => Error::FormatVersion(version),
                _ => Error::Corrupt("the row is shorter than a header"),
            });
        };
        if header[0] != FORMAT_VERSION {
            return Err(Error::FormatVersion(header[0]));
        }
        if header[FLAGS] & !FLAG_DELETED != 0 || header[RESERVED] != 0 {
            return Err(Error::Corrupt("a reserved bit of the header is set"));
        }
        if header[LANE] > 2 {
            return Err(Error::Corrupt("the header names no lane"));
        }
        if read_u32(header, ROW_BYTES).map(|length| length as usize) != Some(bytes.len()) {
            return Err(Error::Corrupt("the row's length is not the one in its header"));
        }
        if header[FLAGS] & FLAG_DELETED != 0 && bytes.len() != HEADER_BYTES {
            return Err(Error::Corrupt("a tombstone has values"));
        }
        Ok(Self(bytes))
    }

    /// Only for bytes that an encoder of this crate has just made.
    pub(crate) fn trusted(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// A tombstone: the header alone, `deleted` whatever it says.
    pub fn tombstone(header: &Header) -> Self {
        let mut bytes = [0; HEADER_BYTES];
        Header { deleted: true, ..*header }.write_to(&mut bytes, HEADER_BYTES as u32);
        Self(Bytes::copy_from_slice(&bytes))
    }

    /// The whole row, header included.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
    /// The whole row, header included.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The same row, in memory of its own: others share theirs with the answer that they came in, and
    /// keep all of it.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    #[inline]
    fn head(&self) -> &[u8; HEADER_BYTES] {
        // Every constructor has seen that the header is there.
        self.0.first_chunk().unwrap_or(&[0; HEADER_BYTES])
    }
    #[inline]
    fn head_u64(&self, at: usize) -> u64 {
        self.head()[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What stands before the values.
    pub fn header(&self) -> Header {
        let write_id = &self.head()[WRITE_ID..];
        Header {
            rev: self.rev(),
            event_time: self.event_time(),
            sequence: self.head_u64(SEQUENCE),
            write_id: write_id.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes)),
            lane: match self.head()[LANE] {
                0 => Lane::Batch,
                1 => Lane::Stream,
                _ => Lane::Direct,
            },
            deleted: self.is_deleted(),
            fingerprint: self.fingerprint(),
        }
    }
    /// Whether this is a tombstone.
    #[inline]
    pub fn is_deleted(&self) -> bool {
        self.head()[FLAGS] & FLAG_DELETED != 0
    }
    /// When the fact was true.
    #[inline]
    pub fn event_time(&self) -> Timestamp {
        Timestamp(self.head_u64(EVENT_TIME).cast_signed())
    }
    /// Grows with every write of the row.
    #[inline]
    pub fn rev(&self) -> u64 {
        self.head_u64(REV)
    }
    /// The schema that the values are laid out by.
    #[inline]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.head_u64(FINGERPRINT))
    }

    /// The row with a store's stamp in its header. Patches the bytes where nobody else holds them,
    /// copies them otherwise.
    pub fn with_stamp(
        self,
        rev: u64,
        event_time: Timestamp,
        sequence: u64,
        write_id: u128,
    ) -> Self {
        let mut bytes = match self.0.try_into_mut() {
            Ok(unique) => unique,
            Err(shared) => {
                // An exact copy: a slice of something larger would keep all of it alive in a cache.
                let mut copy = shared.to_vec();
                if let Some(header) = copy.first_chunk_mut() {
                    patch_stamp(header, rev, event_time, sequence, write_id);
                }
                return Self(Bytes::from(copy));
            }
        };
        if let Some(header) = bytes.first_chunk_mut() {
            patch_stamp(header, rev, event_time, sequence, write_id);
        }
        Self(bytes.freeze())
    }

    /// Reads values under the schema that the row was written under.
    #[inline]
    pub fn reader<'a>(&'a self, schema: &'a Schema) -> Result<RowReader<'a>, Error> {
        if self.fingerprint() != schema.fingerprint() || self.is_deleted() {
            return Err(self.not_readable(schema));
        }
        const SHORT: Error = Error::Corrupt("the row ends before its schema does");
        let layout = &*schema.0;
        let body = &self.0[HEADER_BYTES..];
        let (nulls, rest) = body.split_at_checked(layout.bitmap_bytes).ok_or(SHORT)?;
        let (unset, rest) = rest.split_at_checked(layout.bitmap_bytes).ok_or(SHORT)?;
        let (fixed, rest) = rest.split_at_checked(layout.fixed_bytes).ok_or(SHORT)?;
        let (ends, data) = rest.split_at_checked(layout.variable_count * 4).ok_or(SHORT)?;
        Ok(RowReader { schema, nulls, unset, fixed, ends, data })
    }

    #[cold]
    fn not_readable(&self, schema: &Schema) -> Error {
        if self.is_deleted() {
            return Error::Deleted;
        }
        Error::OtherSchema { row: self.fingerprint(), schema: schema.fingerprint() }
    }
}

/// Reads the values of one row.
#[derive(Debug, Clone, Copy)]
pub struct RowReader<'a> {
    schema: &'a Schema,
    nulls: &'a [u8],
    unset: &'a [u8],
    fixed: &'a [u8],
    ends: &'a [u8],
    data: &'a [u8],
}

impl<'a> RowReader<'a> {
    /// The schema that it reads under.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// The value of a field; `None`: unset. Touches the field's bytes only (and its two bits).
    #[inline]
    pub fn get(&self, index: usize) -> Result<Option<ValueRef<'a>>, Error> {
        let Some(&slot) = self.schema.0.slots.get(index) else {
            return Err(Error::NoSuchField { index, fields: self.schema.len() });
        };
        let (byte, bit) = (index / 8, 1_u8 << (index % 8));
        // In bounds whenever the slot is: the bitmaps have a bit for every field.
        let null = self.nulls[byte] & bit != 0;
        let unset = self.unset[byte] & bit != 0;
        if null | unset {
            return match (null, unset) {
                (true, true) => Err(Error::Corrupt("a value is both null and unset")),
                (true, false) => Ok(Some(ValueRef::Null)),
                _ => Ok(None),
            };
        }
        let position = slot.position as usize;
        macro_rules! fixed {
            ($number:ty) => {
                match self.fixed.get(position..).and_then(|bytes| bytes.first_chunk()) {
                    Some(bytes) => <$number>::from_le_bytes(*bytes),
                    None => return Err(Error::Corrupt("the row ends before its schema does")),
                }
            };
        }
        Ok(Some(match slot.kind {
            Kind::Int64 => ValueRef::Int64(fixed!(i64)),
            Kind::Float64 => ValueRef::Float64(fixed!(f64)),
            Kind::Int32 => ValueRef::Int32(fixed!(i32)),
            Kind::Float32 => ValueRef::Float32(fixed!(f32)),
            Kind::Timestamp => ValueRef::Timestamp(Timestamp(fixed!(i64))),
            Kind::Date => ValueRef::Date(fixed!(i32)),
            Kind::Decimal => ValueRef::Decimal(fixed!(i128)),
            Kind::Bool => match fixed!(u8) {
                0 => ValueRef::Bool(false),
                1 => ValueRef::Bool(true),
                _ => return Err(Error::Corrupt("a bool is neither 0 nor 1")),
            },
            _ => return self.get_variable(slot).map(Some),
        }))
    }

    /// The bytes of a value of this very schema that is neither null nor unset.
    #[inline]
    pub(crate) fn fixed<const WIDTH: usize>(&self, slot: &FixedSlot) -> Option<[u8; WIDTH]> {
        if (self.nulls.get(slot.byte)? | self.unset.get(slot.byte)?) & slot.bit != 0 {
            return None;
        }
        self.fixed.get(slot.position..)?.first_chunk().copied()
    }

    /// The section of values of fixed width, where no value is null or unset.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&'a [u8]> {
        let marked = self.nulls.iter().chain(self.unset).fold(0, |marked, byte| marked | byte);
        (marked == 0).then_some(self.fixed)
    }

    fn variable_bytes(&self, number: usize) -> Result<&'a [u8], Error> {
        const OUTSIDE: Error = Error::Corrupt("a value lies outside of the row");
        let start = match number {
            0 => 0,
            _ => read_u32(self.ends, (number - 1) * 4).ok_or(OUTSIDE)? as usize,
        };
        let end = read_u32(self.ends, number * 4).ok_or(OUTSIDE)? as usize;
        self.data.get(start..end).ok_or(OUTSIDE)
    }

    fn get_variable(&self, slot: Slot) -> Result<ValueRef<'a>, Error> {
        let bytes = self.variable_bytes(slot.position as usize)?;
        Ok(match slot.kind {
            Kind::String => ValueRef::String(
                std::str::from_utf8(bytes).map_err(|_| Error::Corrupt("a string is not UTF-8"))?,
            ),
            Kind::List(item) => ValueRef::List(ListRef::decode(item, bytes)?),
            Kind::Embedding => ValueRef::Embedding(EmbeddingRef::decode(bytes, slot.dimension)?),
            _ => ValueRef::Bytes(bytes),
        })
    }

    /// Reads everything: for rows from outside, before they are stored. What passes can be read
    /// field by field without an error.
    pub fn verify(&self) -> Result<(), Error> {
        for index in 0..self.schema.len() {
            self.get(index)?;
        }
        let mut start = 0;
        for number in 0..self.schema.0.variable_count {
            start += self.variable_bytes(number)?.len();
        }
        if start != self.data.len() {
            return Err(Error::Corrupt("the row goes on after its last value"));
        }
        let used = self.schema.len() % 8;
        if used != 0 {
            let spare = !0_u8 << used;
            let last = self.schema.0.bitmap_bytes - 1;
            if (self.nulls[last] | self.unset[last]) & spare != 0 {
                return Err(Error::Corrupt("a bitmap has bits without a field"));
            }
        }
        Ok(())
    }
}
