//! Row keys: readable, injective, and such that one entity's views are neighbours.
//!
//! ```text
//! partition  namespace#entity-type#entity-id        flights#carrier+origin#s:AA|s:JFK
//! sort       view#version                           carrier_daily#1
//! ```
//! In one buffer a NUL stands between the two. The entity id has one part for each join key, in the
//! order of the sorted join key names, separated by `|`; its letter says the type:
//! `s:` text, `i:` int64, `b:` `0` or `1`, `x:` base64url without padding, `d:` a day, `t:`
//! microseconds. In text, `%`, `#`, `|` and the ASCII control characters stand as `%XX`.

use std::{
    cell::Cell,
    cmp::Ordering,
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use trivium_model::{FeatureView, KeyType, KeyValue, Name, Timestamp, ViewRef};
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// The longest partition, in bytes (DynamoDB's limit of a partition key).
pub const PARTITION_BYTES_MAX: usize = 2048;

const SEPARATOR: char = '\0';
/// Stands where a row's key has its view.
const ENTITY_SORT: &str = "*#0";

/// Names one row: one entity's row of one view version. Cheap to clone.
#[derive(Clone)]
pub struct RowKey {
    text: Arc<str>,
    partition_bytes: u32,
    /// Of the text: maps and lock shards take it instead of hashing again.
    hash: u64,
}

impl RowKey {
    fn new(text: &str, partition_bytes: usize) -> Self {
        Self {
            text: Arc::from(text),
            // Checked by the callers: at most PARTITION_BYTES_MAX.
            partition_bytes: partition_bytes as u32,
            hash: xxh3_64(text.as_bytes()),
        }
    }

    /// `namespace#entity-type#entity-id`.
    pub fn partition(&self) -> &str {
        &self.text[..self.partition_bytes as usize]
    }
    /// `view#version`.
    pub fn sort(&self) -> &str {
        &self.text[self.partition_bytes as usize + SEPARATOR.len_utf8()..]
    }
    /// Partition, NUL, sort.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
    /// `namespace#entity-type`.
    pub fn entity_type(&self) -> &str {
        let partition = self.partition();
        partition.match_indices('#').nth(1).map_or(partition, |(end, _)| &partition[..end])
    }
    /// The same entity's row of another view, given as [`RowKey::sort`] gives it.
    pub fn sibling(&self, sort: &str) -> Self {
        let partition = self.partition();
        let mut text = String::with_capacity(partition.len() + sort.len() + SEPARATOR.len_utf8());
        text.push_str(partition);
        text.push(SEPARATOR);
        text.push_str(sort);
        Self::new(&text, partition.len())
    }
    /// What stands for the whole entity in a cache. No view has such a name.
    pub fn entity(&self) -> Self {
        self.sibling(ENTITY_SORT)
    }
    /// Whether this is such a key, not a row's.
    pub fn is_entity(&self) -> bool {
        self.sort() == ENTITY_SORT
    }
    /// A stable hash of the key: the same in every process and version.
    pub fn stable_hash(&self) -> u64 {
        self.hash
    }

    /// The key that [`RowKey::as_bytes`] gave. Checks the shape, not the entity: see
    /// [`KeyShape::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::KeyMalformed("not UTF-8"))?;
        let (partition, sort) =
            text.split_once(SEPARATOR).ok_or(Error::KeyMalformed("no separator"))?;
        if partition.len() > PARTITION_BYTES_MAX {
            return Err(Error::KeyTooLong { bytes: partition.len() });
        }
        if partition.split('#').count() != 3 {
            return Err(Error::KeyMalformed("the partition is not `namespace#type#id`"));
        }
        if sort.contains(SEPARATOR) || sort.split('#').count() != 2 {
            return Err(Error::KeyMalformed("the sort key is not `view#version`"));
        }
        Ok(Self::new(text, partition.len()))
    }
}

impl PartialEq for RowKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}
impl Eq for RowKey {}
impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for RowKey {
    /// The order of the bytes.
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.partition(), self.sort())
    }
}

/// The value of a join key, borrowed. Never null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValueRef<'a> {
    /// Text.
    String(&'a str),
    /// 64-bit signed integer.
    Int64(i64),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// An instant.
    Timestamp(Timestamp),
}

impl<'a> From<&'a KeyValue> for KeyValueRef<'a> {
    fn from(value: &'a KeyValue) -> Self {
        match value {
            KeyValue::String(value) => Self::String(value),
            KeyValue::Int64(value) => Self::Int64(*value),
            KeyValue::Bool(value) => Self::Bool(*value),
            KeyValue::Bytes(value) => Self::Bytes(value),
            KeyValue::Date(value) => Self::Date(*value),
            KeyValue::Timestamp(value) => Self::Timestamp(*value),
        }
    }
}

impl KeyValueRef<'_> {
    /// The type this value has.
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::String(_) => KeyType::String,
            Self::Int64(_) => KeyType::Int64,
            Self::Bool(_) => KeyType::Bool,
            Self::Bytes(_) => KeyType::Bytes,
            Self::Date(_) => KeyType::Date,
            Self::Timestamp(_) => KeyType::Timestamp,
        }
    }
    /// The value, owned.
    pub fn to_owned(self) -> KeyValue {
        match self {
            Self::String(value) => KeyValue::String(value.to_owned()),
            Self::Int64(value) => KeyValue::Int64(value),
            Self::Bool(value) => KeyValue::Bool(value),
            Self::Bytes(value) => KeyValue::Bytes(value.to_vec()),
            Self::Date(value) => KeyValue::Date(value),
            Self::Timestamp(value) => KeyValue::Timestamp(value),
        }
    }
}

thread_local! {
    /// Where a key is put together before it gets its one exact allocation.
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
}

/// Makes the keys of one view version.
#[derive(Debug, Clone)]
pub struct KeyShape {
    /// `namespace#entity-type#`
    prefix: String,
    /// NUL, then `view#version`.
    suffix: String,
    names: Vec<Name>,
    types: Vec<KeyType>,
}

impl KeyShape {
    /// The shape of a view's keys.
    pub fn new(view: &FeatureView) -> Self {
        let keys = view.sorted_entities().into_iter().map(|key| (key.name.clone(), key.key_type));
        Self::from_parts(&view.reference(), keys)
    }

    /// The same, from the parts that matter; join keys in any order.
    pub fn from_parts(view: &ViewRef, keys: impl IntoIterator<Item = (Name, KeyType)>) -> Self {
        let mut keys: Vec<(Name, KeyType)> = keys.into_iter().collect();
        keys.sort();
        let (names, types): (Vec<Name>, Vec<KeyType>) = keys.into_iter().unzip();
        let entity_type = names.iter().map(Name::as_str).collect::<Vec<_>>().join("+");
        Self {
            prefix: format!("{}#{entity_type}#", view.namespace),
            suffix: format!("{SEPARATOR}{}#{}", view.view, view.version),
            names,
            types,
        }
    }

    /// What [`RowKey::entity_type`] says of its keys.
    pub fn entity_type(&self) -> &str {
        self.prefix.strip_suffix('#').unwrap_or(&self.prefix)
    }
    /// What [`RowKey::sort`] says of its keys.
    pub fn sort(&self) -> &str {
        self.suffix.strip_prefix(SEPARATOR).unwrap_or(&self.suffix)
    }

    /// The join keys' names, sorted: the order of the values.
    pub fn key_names(&self) -> &[Name] {
        &self.names
    }
    /// The join keys' types, in the same order.
    pub fn key_types(&self) -> &[KeyType] {
        &self.types
    }

    /// The key of an entity's row; values in the order of [`KeyShape::key_names`].
    pub fn encode(&self, values: &[KeyValue]) -> Result<RowKey, Error> {
        self.encode_iter(values.iter().map(KeyValueRef::from))
    }

    /// The same from borrowed values, for the hot path.
    pub fn encode_ref(&self, values: &[KeyValueRef<'_>]) -> Result<RowKey, Error> {
        self.encode_iter(values.iter().copied())
    }

    /// The same from an iterator, so that columns need not be gathered into rows first.
    pub fn encode_iter<'v>(
        &self,
        values: impl ExactSizeIterator<Item = KeyValueRef<'v>>,
    ) -> Result<RowKey, Error> {
        if values.len() != self.types.len() {
            return Err(self.wrong_count(values.len()));
        }
        let mut text = SCRATCH.take();
        text.clear();
        text.push_str(&self.prefix);
        let mut result = Ok(());
        for (index, value) in values.enumerate() {
            let Some(&key_type) = self.types.get(index) else { break };
            if value.key_type() != key_type {
                result = Err(self.wrong_type(index, value.key_type()));
                break;
            }
            if index > 0 {
                text.push('|');
            }
            push_part(&mut text, value);
        }
        let partition_bytes = text.len();
        if result.is_ok() && partition_bytes > PARTITION_BYTES_MAX {
            result = Err(Error::KeyTooLong { bytes: partition_bytes });
        }
        let key = result.map(|()| {
            text.push_str(&self.suffix);
            RowKey::new(&text, partition_bytes)
        });
        text.shrink_to(2 * PARTITION_BYTES_MAX);
        SCRATCH.set(text);
        key
    }

    /// One join key's value in a key of this shape, as it is spelled there; `None`: another shape, or
    /// no such join key.
    pub fn part<'k>(&self, key: &'k RowKey, index: usize) -> Option<&'k str> {
        let id = key.text.strip_prefix(self.prefix.as_str())?;
        // A `|` inside a value is escaped.
        id.strip_suffix(self.suffix.as_str())?.split('|').nth(index)
    }

    /// The join key values in a key of this shape. Only the one spelling that encoding gives is
    /// taken: two keys never decode to the same values.
    pub fn decode(&self, key: &RowKey) -> Result<Vec<KeyValue>, Error> {
        let id = key
            .text
            .strip_prefix(self.prefix.as_str())
            .and_then(|rest| rest.strip_suffix(self.suffix.as_str()))
            .ok_or(Error::KeyMalformed("a key of another view"))?;
        let parts: Vec<&str> = id.split('|').collect();
        if parts.len() != self.types.len() {
            return Err(self.wrong_count(parts.len()));
        }
        let mut values = Vec::with_capacity(parts.len());
        for (part, key_type) in parts.iter().zip(&self.types) {
            values.push(decode_part(part, *key_type)?);
        }
        if self.encode(&values)? != *key {
            return Err(Error::KeyMalformed("not the spelling that encoding gives"));
        }
        Ok(values)
    }

    #[cold]
    fn wrong_count(&self, given: usize) -> Error {
        let names: Vec<&str> = self.names.iter().map(Name::as_str).collect();
        Error::KeyCount { given, expected: self.names.len(), names: names.join(", ") }
    }
    #[cold]
    fn wrong_type(&self, index: usize, given: KeyType) -> Error {
        Error::KeyType {
            key: self.names[index].as_str().to_owned(),
            expected: self.types[index].word(),
            given: given.word(),
        }
    }
}

fn push_part(text: &mut String, value: KeyValueRef<'_>) {
    match value {
        KeyValueRef::String(value) => {
            text.push_str("s:");
            push_escaped(text, value);
        }
        KeyValueRef::Int64(value) => push_number(text, "i:", value),
        KeyValueRef::Bool(value) => text.push_str(if value { "b:1" } else { "b:0" }),
        KeyValueRef::Bytes(value) => {
            text.push_str("x:");
            URL_SAFE_NO_PAD.encode_string(value, text);
        }
        KeyValueRef::Date(days) => {
            let (year, month, day) = civil_from_days(days);
            // Writing to a String cannot fail.
            let _ = match year {
                0.. => write!(text, "d:{year:04}-{month:02}-{day:02}"),
                _ => write!(text, "d:-{:04}-{month:02}-{day:02}", -year),
            };
        }
        KeyValueRef::Timestamp(at) => push_number(text, "t:", at.0),
    }
}

fn push_number(text: &mut String, prefix: &str, value: i64) {
    let _ = write!(text, "{prefix}{value}");
}

const fn must_escape(byte: u8) -> bool {
    matches!(byte, b'%' | b'#' | b'|' | 0..=0x1f | 0x7f)
}

fn push_escaped(text: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = value;
    // What is escaped is ASCII, so the cuts fall between characters.
    while let Some(at) = rest.bytes().position(must_escape) {
        text.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        text.push('%');
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

fn decode_part(part: &str, key_type: KeyType) -> Result<KeyValue, Error> {
    const WRONG: Error = Error::KeyMalformed("a join key value is not of its type");
    let (letter, rest) = part.split_once(':').ok_or(WRONG)?;
    Ok(match (letter, key_type) {
        ("s", KeyType::String) => KeyValue::String(unescape(rest).ok_or(WRONG)?),
        ("i", KeyType::Int64) => KeyValue::Int64(rest.parse().map_err(|_| WRONG)?),
        ("b", KeyType::Bool) => KeyValue::Bool(rest == "1"),
        ("x", KeyType::Bytes) => KeyValue::Bytes(URL_SAFE_NO_PAD.decode(rest).map_err(|_| WRONG)?),
        ("d", KeyType::Date) => KeyValue::Date(parse_day(rest).ok_or(WRONG)?),
        ("t", KeyType::Timestamp) => {
            KeyValue::Timestamp(Timestamp(rest.parse().map_err(|_| WRONG)?))
        }
        _ => return Err(WRONG),
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = u8::from_str_radix(after.get(..2)?, 16).ok()?;
        plain.push(char::from(Some(byte).filter(u8::is_ascii)?));
        rest = &after[2..];
    }
    plain.push_str(rest);
    Some(plain)
}

fn parse_day(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = digits.split('-');
    let year: i64 = parts.next()?.parse().ok()?;
    let month: i64 = parts.next()?.parse().ok()?;
    let day: i64 = parts.next()?.parse().ok()?;
    // Wide enough for every i32 of days, narrow enough not to overflow below.
    if year.abs() > 6_000_000 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    i32::try_from(days_from_civil(if negative { -year } else { year }, month, day)).ok()
}

/// Year, month, day of a day number in the proleptic Gregorian calendar. (Howard Hinnant's
/// algorithm: total over every i32, which calendar crates are not.)
fn civil_from_days(days: i32) -> (i64, i64, i64) {
    let shifted = i64::from(days) + 719_468;
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

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
