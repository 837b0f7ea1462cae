//! What a key holds, as bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use trivium_codec::Row;
use trivium_store::{CacheEntry, CacheError, FenceId, WriteId};

/// Of a write in a fence: its id and deadline.
const WRITE_BYTES: usize = 24;

pub(crate) fn write_bytes(fence: FenceId) -> Bytes {
    let mut bytes = BytesMut::with_capacity(WRITE_BYTES);
    bytes.put_u128_le(fence.id.0);
    bytes.put_u64_le(fence.deadline);
    bytes.freeze()
}

/// What the fence step takes of a write: the same, and a byte where the key's value is to be forgotten.
pub(crate) fn fence_bytes(fence: FenceId, forget: bool) -> Bytes {
    let mut bytes = BytesMut::from(&write_bytes(fence)[..]);
    if forget {
        bytes.put_u8(0);
    }
    bytes.freeze()
}

/// Nothing is taken for a value that isn't whole: it is an error, and the reader goes to the authority.
pub(crate) fn parse(bytes: Option<Bytes>) -> Result<CacheEntry, CacheError> {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(CacheEntry::Missing);
    };
    let corrupt = || CacheError::Refused {
        message: "a key holds what this cache never wrote".to_owned(),
        is_full: false,
    };
    match bytes.first() {
        Some(b'V') => {
            Row::from_bytes(bytes.slice(1..)).map(CacheEntry::Value).map_err(|_| corrupt())
        }
        Some(b'L') if bytes.len() == 17 => Ok(CacheEntry::Lease),
        Some(b'F') => {
            let count = bytes.get(1..5).and_then(|count| count.first_chunk());
            let count =
                count.map(|count| u32::from_le_bytes(*count) as usize).ok_or_else(corrupt)?;
            let writes = bytes.get(5..5 + count * WRITE_BYTES).ok_or_else(corrupt)?;
            Ok(CacheEntry::Fence(writes.chunks_exact(WRITE_BYTES).filter_map(write_of).collect()))
        }
        _ => Err(corrupt()),
    }
}

fn write_of(bytes: &[u8]) -> Option<FenceId> {
    let (id, deadline) = bytes.split_first_chunk::<16>()?;
    Some(FenceId {
        id: WriteId(u128::from_le_bytes(*id)),
        deadline: u64::from_le_bytes(*deadline.first_chunk()?),
    })
}
