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

/// The names of these rows, all in one buffer: a read of a hundred rows makes a hundred of them.
pub(crate) fn rows<'k>(
    epoch: CacheEpoch,
    keys: impl Iterator<Item = &'k RowKey> + Clone,
) -> Vec<Bytes> {
    after(Vec::with_capacity(keys.size_hint().0), epoch, keys)
}

/// The same, with a marker before them: of one server any will do.
pub(crate) fn marked_rows(epoch: CacheEpoch, keys: &[RowKey]) -> Vec<Bytes> {
    let mut names = Vec::with_capacity(keys.len() + 1);
    names.push(marker(epoch, 0));
    after(names, epoch, keys.iter())
}

fn after<'k>(
    mut names: Vec<Bytes>,
    epoch: CacheEpoch,
    keys: impl Iterator<Item = &'k RowKey> + Clone,
) -> Vec<Bytes> {
    let start = start(epoch);
    let mut digits = itoa::Buffer::new();
    // A bucket has three digits at most.
    let room = keys.clone().map(|key| start.len() + 5 + key.as_bytes().len()).sum();
    let mut all = BytesMut::with_capacity(room);
    for key in keys {
        for part in row(&start, digits.format(bucket_of(key)), key) {
            all.put_slice(part);
        }
        names.push(all.split().freeze());
    }
    names
}

/// How the name of every row begins.
pub(crate) fn start(epoch: CacheEpoch) -> String {
    format!("{PREFIX}{}:{{", epoch.number)
}
/// A row's name: its start, its bucket's digits, and so on.
pub(crate) fn row<'a>(start: &'a str, bucket: &'a str, key: &'a RowKey) -> [&'a [u8]; 4] {
    [start.as_bytes(), bucket.as_bytes(), b"}:", key.as_bytes()]
}

/// Markers of one number stand beside each other: of two nodes that try to enable, the one that loses
/// must not spoil the winner's.
pub(crate) fn marker(epoch: CacheEpoch, bucket: u16) -> Bytes {
    format!("{PREFIX}{}:{{{bucket}}}:marker-{:032x}", epoch.number, epoch.marker).into()
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
    if is_cluster {
        for (place, key) in keys.enumerate() {
            groups.entry(bucket_of(key)).or_default().push(place);
        }
    } else {
        groups.insert(0, (0..keys.count()).collect());
    }
    let split = |(bucket, places): (u16, Vec<usize>)| {
        let parts: Vec<Vec<usize>> = places.chunks(limit).map(<[usize]>::to_vec).collect();
        parts.into_iter().map(move |part| (bucket, part))
    };
    groups.into_iter().flat_map(split).collect()
}
