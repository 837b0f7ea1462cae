//! The keys of the state. Numbers are big-endian with their sign turned, so that they sort as numbers.

pub const META: &[u8] = b"m";
const TILE: u8 = b't';
const EXPIRY: u8 = b'x';
const MET: u8 = b'd';
const DUE: u8 = b'w';
const EXPECTED: u8 = b'e';
const NUMBER: usize = 8;

fn number(value: i64) -> [u8; NUMBER] {
    (value as u64 ^ (1 << 63)).to_be_bytes()
}

fn read_number(bytes: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63)) as i64)
}

fn numbered(kind: u8, at: i64, entity: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + NUMBER + entity.len());
    key.push(kind);
    key.extend(number(at));
    key.extend(entity);
    key
}

fn split(key: &[u8]) -> Option<(i64, &[u8])> {
    let (at, entity) = key.get(1..)?.split_at_checked(NUMBER)?;
    Some((read_number(at)?, entity))
}

/// The length stands first: no entity's tiles lie among another's.
pub fn tile(entity: &[u8], end: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 4 + entity.len() + NUMBER);
    key.push(TILE);
    key.extend(u32::try_from(entity.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend(entity);
    key.extend(number(end));
    key
}

/// When the tile of this key ends.
pub fn tile_end(key: &[u8]) -> Option<i64> {
    read_number(key.get(key.len().checked_sub(NUMBER)?..)?)
}

pub fn expiry(end: i64, entity: &[u8]) -> Vec<u8> {
    numbered(EXPIRY, end, entity)
}
/// The first key of tiles that end then.
pub fn expiries(end: i64) -> Vec<u8> {
    numbered(EXPIRY, end, &[])
}
pub fn read_expiry(key: &[u8]) -> Option<(i64, &[u8])> {
    split(key)
}

pub fn met(end: i64, entity: &[u8], hash: u128) -> Vec<u8> {
    let mut key = all_met(end, entity);
    key.extend(hash.to_be_bytes());
    key
}
/// The ids that were met in a tile begin so, and others' do not: the length stands before the entity.
pub fn all_met(end: i64, entity: &[u8]) -> Vec<u8> {
    let mut key =
        numbered(MET, end, &u32::try_from(entity.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend(entity);
    key
}

pub fn due(end: i64, entity: &[u8]) -> Vec<u8> {
    numbered(DUE, end, entity)
}
/// The first key of what is due then.
pub fn dues(end: i64) -> Vec<u8> {
    numbered(DUE, end, &[])
}
pub fn read_due(key: &[u8]) -> Option<(i64, &[u8])> {
    split(key)
}

pub fn expected(entity: &[u8]) -> Vec<u8> {
    let mut key = vec![EXPECTED];
    key.extend(entity);
    key
}

/// The least key that is greater.
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut after = key.to_vec();
    after.push(0);
    after
}

/// The least key that does not begin so.
pub fn beyond(prefix: &[u8]) -> Vec<u8> {
    let mut beyond = prefix.to_vec();
    while let Some(last) = beyond.pop() {
        if last < u8::MAX {
            beyond.push(last + 1);
            break;
        }
    }
    beyond
}
