//! Rows of one entity, kept together: what a reader of several views asks for in one key instead of
//! several. Only a cache keeps them so; each row itself stays where it is.

use std::{collections::BTreeMap, sync::LazyLock};

use bytes::BufMut as _;
use trivium_codec::{Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, Lane, Name};

/// The most that is kept together: a key of a cache is read as a whole.
pub const TOGETHER_BYTES_MAX: usize = 1 << 20;

/// Which views of an entity are read together, by the entity's type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Together(BTreeMap<Box<str>, Vec<Box<str>>>);

impl Together {
    /// These views, each with the type of its entity: [`RowKey::entity_type`], [`RowKey::sort`]. What is
    /// alone of its type is left out: nothing is gained.
    pub fn new<'k>(views: impl IntoIterator<Item = (&'k str, &'k str)>) -> Self {
        let mut all: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        for (entity_type, sort) in views {
            let views = all.entry(entity_type.into()).or_default();
            if !views.iter().any(|view| **view == *sort) {
                views.push(sort.into());
            }
        }
        all.retain(|_, views| views.len() > 1);
        all.values_mut().for_each(|views| views.sort());
        Self(all)
    }

    /// Whether nothing is read together.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this row is one of them.
    pub fn holds(&self, key: &RowKey) -> bool {
        self.views_of(key).iter().any(|view| **view == *key.sort())
    }

    /// The keys of all rows that are read together with this one, itself included.
    pub fn with(&self, key: &RowKey) -> Vec<RowKey> {
        self.views_of(key).iter().map(|view| key.sibling(view)).collect()
    }

    fn views_of(&self, key: &RowKey) -> &[Box<str>] {
        self.0.get(key.entity_type()).map_or(&[], Vec::as_slice)
    }
}

/// What joined rows stand in, for a cache that takes rows.
static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(|| {
    let name = Name::new("rows").ok()?;
    Schema::new([(name, DataType::Bytes)]).ok()
});

/// Rows as one; `None`: they are too long for that. (u32 length of the view, view, u32 length of the
/// row, row; little-endian.)
pub fn join<'r>(rows: impl IntoIterator<Item = (&'r RowKey, &'r Row)>) -> Option<Row> {
    let mut joined = Vec::new();
    for (key, row) in rows {
        for part in [key.sort().as_bytes(), row.as_bytes()] {
            joined.put_u32_le(u32::try_from(part.len()).ok()?);
            joined.put_slice(part);
        }
    }
    if joined.len() > TOGETHER_BYTES_MAX {
        return None;
    }
    let mut encoder = RowEncoder::new(SCHEMA.as_ref()?);
    encoder.encode(Lane::Direct, &[Some(ValueRef::Bytes(&joined))]).ok()
}

/// The rows of these views, out of joined ones; shares their bytes. `None` where it is not there, or
/// cannot be read.
pub fn parted<'k>(
    joined: &Row,
    keys: impl Iterator<Item = &'k RowKey>,
) -> impl Iterator<Item = Option<Row>> {
    let parts = parts(joined).unwrap_or_default();
    keys.map(move |key| {
        let (_, row) = parts.iter().find(|(view, _)| *view == key.sort().as_bytes())?;
        Row::from_bytes(joined.as_bytes().slice_ref(row)).ok()
    })
}

/// Views and rows.
type Parts<'r> = Vec<(&'r [u8], &'r [u8])>;

fn parts(joined: &Row) -> Option<Parts<'_>> {
    let Some(ValueRef::Bytes(mut rest)) = joined.reader(SCHEMA.as_ref()?).ok()?.get(0).ok()? else {
        return None;
    };
    let mut next = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after;
        Some(part)
    };
    let mut parts = Vec::new();
    while let Some(view) = next() {
        parts.push((view, next()?));
    }
    Some(parts)
}

#[cfg(test)]
mod tests;
