//! Items and what they say.

use std::{collections::HashMap, str::FromStr};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use bytes::Bytes;
use trivium_codec::{Row, RowKey};
use trivium_model::Timestamp;
use trivium_store::{Barrier, Error, Stamp, WriteId, WriteOp};

use crate::people::ERASURES;

/// Attributes of an item by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) const PK: &str = "pk";
pub(crate) const SK: &str = "sk";
pub(crate) const ROW_BYTES: &str = "row_bytes";
pub(crate) const REV: &str = "rev";
pub(crate) const EVENT_TIME: &str = "event_time";
pub(crate) const SEQ: &str = "seq";
pub(crate) const WRITE_ID: &str = "write_id";
pub(crate) const DEAD: &str = "dead";
pub(crate) const BARRIER_EPOCH: &str = "barrier_epoch";
pub(crate) const BARRIER_DEADLINE: &str = "barrier_deadline";
pub(crate) const BARRIER_RAISED: &str = "barrier_raised";
pub(crate) const SUBJECT: &str = "subject";
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// DynamoDB's limit of an item: names and values of its attributes.
pub(crate) const ITEM_BYTES_MAX: usize = 400 * 1024;
/// All of an item but its key, row and subject: names, and numbers at their longest.
const ITEM_BYTES_FIXED: usize = 400;
/// DynamoDB's limit of an index's partition key.
pub(crate) const SUBJECT_BYTES_MAX: usize = 2048;
/// DynamoDB's limit of a sort key.
pub(crate) const SORT_BYTES_MAX: usize = 1024;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}
pub(crate) fn binary(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}
pub(crate) fn write_id(id: WriteId) -> AttributeValue {
    binary(id.0.to_le_bytes())
}

/// The primary key of a row's item.
pub(crate) fn row_key(key: &RowKey) -> Item {
    primary_key(key.partition(), key.sort())
}
pub(crate) fn primary_key(pk: &str, sk: &str) -> Item {
    HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

/// Refuses what DynamoDB would refuse, before it is asked.
pub(crate) fn check_size(
    key: &RowKey,
    row_bytes: usize,
    subject: Option<&str>,
) -> Result<(), Error> {
    let subject_bytes = subject.map_or(0, str::len);
    if subject.is_some_and(str::is_empty) || subject_bytes > SUBJECT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a subject has 1 to {SUBJECT_BYTES_MAX} bytes, this one {subject_bytes}"
        )));
    }
    if key.sort().len() > SORT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "the name of the view makes a sort key of {} bytes; DynamoDB takes {SORT_BYTES_MAX}",
            key.sort().len()
        )));
    }
    let bytes =
        ITEM_BYTES_FIXED + key.partition().len() + key.sort().len() + row_bytes + subject_bytes;
    if bytes > ITEM_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "the row makes an item of {bytes} bytes; DynamoDB takes {ITEM_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// An item of a row, a tombstone, or of nothing but a barrier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    /// `None`: there is no row, not even a tombstone.
    pub(crate) stamp: Option<Stamp>,
    /// The row as it was encoded; `None` for a tombstone.
    bytes: Option<Bytes>,
    /// Of a barrier without a row too: the next row goes on from it. `None`: there is no item.
    pub(crate) rev: Option<u64>,
    pub(crate) barrier: Barrier,
    /// The three numbers as they stand, for pinning.
    pub(crate) raw_barrier: [Option<u64>; 3],
    /// Seconds since 1970.
    pub(crate) expires_at: Option<u64>,
    /// Whose data the row is.
    pub(crate) subject: Option<String>,
    /// How many times they had been erased when it was put.
    pub(crate) erasure: u64,
}

impl Stored {
    pub(crate) fn parse(item: Option<&mut Item>) -> Result<Self, Error> {
        let Some(item) = item else { return Ok(Self::default()) };
        let rev = required(item, REV)?;
        let stamp = match number::<i64>(item, EVENT_TIME)? {
            None => None,
            Some(event_time) => Some(Stamp {
                rev,
                event_time: Timestamp(event_time),
                sequence: required(item, SEQ)?,
                write_id: read_write_id(item)?,
                deleted: item.contains_key(DEAD),
            }),
        };
        let bytes = match item.remove(ROW_BYTES) {
            None => None,
            Some(AttributeValue::B(blob)) => Some(Bytes::from(blob.into_inner())),
            Some(_) => return Err(corrupt(ROW_BYTES)),
        };
        if stamp.is_some_and(|stamp| stamp.deleted) == bytes.is_some() && stamp.is_some() {
            return Err(corrupt(ROW_BYTES));
        }
        let epoch = number(item, BARRIER_EPOCH)?;
        let deadline = number(item, BARRIER_DEADLINE)?;
        let raised = number(item, BARRIER_RAISED)?;
        // A write raises the epoch alone, in one step with the row; the deadline of an older epoch
        // says nothing in the new one.
        let barrier = Barrier {
            epoch: epoch.unwrap_or(0),
            deadline: deadline.filter(|_| raised == epoch).unwrap_or(0),
        };
        let expires_at = number(item, EXPIRES_AT)?;
        let subject = match item.remove(SUBJECT) {
            None => None,
            Some(AttributeValue::S(subject)) => Some(subject),
            Some(_) => return Err(corrupt(SUBJECT)),
        };
        let erasure = number(item, ERASURES)?.unwrap_or(0);
        Ok(Self {
            stamp,
            bytes,
            rev: Some(rev),
            barrier,
            raw_barrier: [epoch, deadline, raised],
            expires_at,
            subject,
            erasure,
        })
    }

    /// The row or tombstone, with its stamp.
    pub(crate) fn into_row(self) -> Result<Option<Row>, Error> {
        let Some(stamp) = self.stamp else { return Ok(None) };
        match self.bytes {
            None => Ok(Some(stamp.apply_to(WriteOp::Delete))),
            Some(bytes) => {
                let row =
                    Row::from_bytes(bytes).map_err(|error| Error::Corrupt(error.to_string()))?;
                Ok(Some(stamp.apply_to(WriteOp::Put(row))))
            }
        }
    }
}

/// The stamp among the attributes that an update has just set.
pub(crate) fn updated_stamp(item: &Item, id: WriteId, deleted: bool) -> Result<Stamp, Error> {
    Ok(Stamp {
        rev: required(item, REV)?,
        event_time: Timestamp(required(item, EVENT_TIME)?),
        sequence: required(item, SEQ)?,
        write_id: id,
        deleted,
    })
}

pub(crate) fn number<T: FromStr>(item: &Item, attribute: &str) -> Result<Option<T>, Error> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| corrupt(attribute)),
        Some(_) => Err(corrupt(attribute)),
    }
}
pub(crate) fn required<T: FromStr>(item: &Item, attribute: &str) -> Result<T, Error> {
    number(item, attribute)?.ok_or_else(|| corrupt(attribute))
}

fn read_write_id(item: &Item) -> Result<WriteId, Error> {
    match item.get(WRITE_ID) {
        None => Ok(WriteId(0)),
        Some(AttributeValue::B(blob)) => match <[u8; 16]>::try_from(blob.as_ref()) {
            Ok(bytes) => Ok(WriteId(u128::from_le_bytes(bytes))),
            Err(_) => Err(corrupt(WRITE_ID)),
        },
        Some(_) => Err(corrupt(WRITE_ID)),
    }
}

#[cold]
pub(crate) fn corrupt(attribute: &str) -> Error {
    Error::Corrupt(format!("an item's attribute `{attribute}` is not what was written"))
}
