//! Messages that the Kinesis Producer Library has put together into one record.
//!
//! Such a record is `F3 89 9A C2`, a protobuf message, and the message's MD5:
//!
//! ```text
//! message AggregatedRecord {
//!   repeated string partition_key_table = 1;
//!   repeated string explicit_hash_key_table = 2;
//!   repeated Record records = 3;
//! }
//! message Record {
//!   required uint64 partition_key_index = 1;
//!   optional uint64 explicit_hash_key_index = 2;
//!   required bytes data = 3;
//!   repeated Tag tags = 4;
//! }
//! ```

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod fuzzing;

use bytes::Bytes;
use md5::{Digest as _, Md5};

pub(crate) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST: usize = 16;
/// More messages than a well-meant record has: each costs memory that its two bytes do not show.
pub(crate) const MESSAGES_MAX: usize = 10_000;

/// A message of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub key: Bytes,
    pub data: Bytes,
}

/// The messages of an aggregate; none where the record is none, as any bytes may begin with the four.
/// An error where it is one and cannot be read.
pub(crate) fn parts(record: &Bytes) -> Result<Option<Vec<Part>>, String> {
    if !record.starts_with(&MAGIC) || record.len() < MAGIC.len() + DIGEST {
        return Ok(None);
    }
    let message = record.slice(MAGIC.len()..record.len() - DIGEST);
    let digest = &record[record.len() - DIGEST..];
    if Md5::digest(&message)[..] != *digest {
        return Ok(None);
    }
    let broken =
        |why: &str| format!("it is an aggregate of the Kinesis Producer Library, and {why}");
    let (mut keys, mut records) = (Vec::new(), Vec::new());
    let mut fields = Fields(message);
    while let Some((number, field)) = fields.next().map_err(broken)? {
        match (number, field) {
            (1, Field::Bytes(key)) => keys.push(key),
            (3, Field::Bytes(record)) => records.push(record),
            _ => {}
        }
        if keys.len().max(records.len()) > MESSAGES_MAX {
            return Err(broken(&format!("has more than {MESSAGES_MAX} messages")));
        }
    }
    if records.is_empty() {
        return Err(broken("has no messages"));
    }
    let parts = records.into_iter().map(|record| part(record, &keys)).collect::<Result<_, _>>();
    parts.map(Some).map_err(broken)
}

fn part(record: Bytes, keys: &[Bytes]) -> Result<Part, &'static str> {
    let (mut key, mut data) = (None, None);
    let mut fields = Fields(record);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Number(index)) => key = Some(index),
            (3, Field::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    let index = key.ok_or("one of its messages has no partition key")?;
    let key = usize::try_from(index).ok().and_then(|index| keys.get(index));
    Ok(Part {
        key: key
            .cloned()
            .ok_or("one of its messages names a partition key that it does not have")?,
        data: data.ok_or("one of its messages has no data")?,
    })
}

enum Field {
    Number(u64),
    Bytes(Bytes),
    Other,
}

/// The fields of a protobuf message.
struct Fields(Bytes);

impl Fields {
    fn next(&mut self) -> Result<Option<(u64, Field)>, &'static str> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            _ => return Err("it is no protobuf message"),
        };
        Ok(Some((tag >> 3, field)))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("it is no protobuf message")
    }

    fn take(&mut self, count: u64) -> Result<Bytes, &'static str> {
        match usize::try_from(count) {
            Ok(count) if count <= self.0.len() => Ok(self.0.split_to(count)),
            _ => Err("it is cut short"),
        }
    }
}
