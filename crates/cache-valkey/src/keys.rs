//! Names of keys.

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes, BytesMut};
use trivium_codec::RowKey;
use trivium_store::CacheEpoch;
use xxhash_rust::xxh3::xxh3_64;

/// Each has a marker of its own in each epoch. Many for each shard of a large cluster, few enough to
/// mark within milliseconds. Another number is another layout: change [`PREFIX`] with it.
pub(crate) const BUCKETS: u16 = 256;
/// The layout. Keys of another begin otherwise.
pub(crate) const PREFIX: &str = "t1:";

/// Where a row lies: by its entity, so that an entity's views are neighbours.
pub(crate) fn bucket_of(key: &RowKey) -> u16 {
    // Below BUCKETS, which is a u16.
    (xxh3_64(key.partition().as_bytes()) % u64::from(BUCKETS)) as u16
}

pub(crate) fn row(epoch: CacheEpoch, key: &RowKey) -> Bytes {
    name(epoch, bucket_of(key), key.as_bytes())
}
/// Markers of one number stand beside each other: of two nodes that try to enable, the one that loses
/// must not spoil the winner's.
pub(crate) fn marker(epoch: CacheEpoch, bucket: u16) -> Bytes {
    name(epoch, bucket, format!("marker-{:032x}", epoch.marker).as_bytes())
}

fn name(epoch: CacheEpoch, bucket: u16, rest: &[u8]) -> Bytes {
    let start = format!("{PREFIX}{}:{{{bucket}}}:", epoch.number);
    let mut name = BytesMut::with_capacity(start.len() + rest.len());
    name.put_slice(start.as_bytes());
    name.put_slice(rest);
    name.freeze()
}

/// The epoch in a key's name; `None`: not one of ours.
pub(crate) fn epoch_of(name: &[u8]) -> Option<u64> {
    let rest = name.strip_prefix(PREFIX.as_bytes())?;
    let end = rest.iter().position(|&byte| byte == b':')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// The row whose key's name this is; `None`: a marker's, or not one of ours.
pub(crate) fn row_of(name: &[u8]) -> Option<RowKey> {
    let rest = name.strip_prefix(PREFIX.as_bytes())?;
    // The epoch and the bucket have no `:`.
    let rest = rest.splitn(3, |&byte| byte == b':').nth(2)?;
    if rest.starts_with(b"marker-") && !rest.contains(&b'#') {
        return None;
    }
    RowKey::from_bytes(rest).ok()
}

/// Places of keys that may share a command: a bucket's in a cluster, all otherwise; at most
/// `limit` of them.
pub(crate) fn groups<'k>(
    keys: impl Iterator<Item = &'k RowKey>,
    is_cluster: bool,
    limit: usize,
) -> Vec<(u16, Vec<usize>)> {
    let mut groups: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (place, key) in keys.enumerate() {
        let bucket = if is_cluster { bucket_of(key) } else { 0 };
        groups.entry(bucket).or_default().push(place);
    }
    let split = |(bucket, places): (u16, Vec<usize>)| {
        let parts: Vec<Vec<usize>> = places.chunks(limit).map(<[usize]>::to_vec).collect();
        parts.into_iter().map(move |part| (bucket, part))
    };
    groups.into_iter().flat_map(split).collect()
}
