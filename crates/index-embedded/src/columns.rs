//! Metadata by field, so that a filter reads what it asks about and nothing else: fetching each document's
//! own list costs more than comparing its vector.

use std::{
    collections::HashMap,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use trivium_model::Name;
use trivium_store::embedding::{Filter, MetaValue};

/// The values of one field by slot; as long as the last slot that has one.
#[derive(Debug)]
enum Column {
    Bool(Vec<Option<bool>>),
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Text(Vec<Option<Arc<str>>>),
}

fn set<T: Clone>(values: &mut Vec<Option<T>>, slot: usize, value: T) {
    if values.len() <= slot {
        values.resize(slot + 1, None);
    }
    values[slot] = Some(value);
}

fn clear<T>(values: &mut [Option<T>], slot: usize) {
    if let Some(value) = values.get_mut(slot) {
        *value = None;
    }
}

/// The metadata of an index's documents.
#[derive(Debug, Default)]
pub(crate) struct Columns(HashMap<Name, Column>);

impl Columns {
    /// Fills a slot that is empty.
    pub(crate) fn set(&mut self, slot: usize, metadata: &[(Name, MetaValue)]) {
        for (field, value) in metadata {
            let column = self.0.entry(field.clone()).or_insert_with(|| match value {
                MetaValue::Bool(_) => Column::Bool(Vec::new()),
                MetaValue::Int(_) => Column::Int(Vec::new()),
                MetaValue::Float(_) => Column::Float(Vec::new()),
                MetaValue::Text(_) => Column::Text(Vec::new()),
            });
            match (column, value) {
                (Column::Bool(values), MetaValue::Bool(value)) => set(values, slot, *value),
                (Column::Int(values), MetaValue::Int(value)) => set(values, slot, *value),
                (Column::Float(values), MetaValue::Float(value)) => set(values, slot, *value),
                (Column::Text(values), MetaValue::Text(value)) => {
                    set(values, slot, Arc::clone(value));
                }
                // A field keeps its type for as long as there is the index: `IndexSpec::updated`.
                _ => {}
            }
        }
    }

    /// Empties a slot.
    pub(crate) fn clear(&mut self, slot: usize) {
        for column in self.0.values_mut() {
            match column {
                Column::Bool(values) => clear(values, slot),
                Column::Int(values) => clear(values, slot),
                Column::Float(values) => clear(values, slot),
                Column::Text(values) => clear(values, slot),
            }
        }
    }

    /// The filter, with the columns that it asks about.
    pub(crate) fn test<'a>(&'a self, filter: &'a Filter) -> Test<'a> {
        match filter {
            Filter::All(filters) => {
                Test::All(filters.iter().map(|filter| self.test(filter)).collect())
            }
            Filter::Equals { field, value } => {
                self.between(field, Bound::Included(value), Bound::Included(value))
            }
            Filter::Range { field, from, to } => self.between(field, from.as_ref(), to.as_ref()),
        }
    }

    fn between<'a>(
        &'a self,
        field: &Name,
        from: Bound<&'a MetaValue>,
        to: Bound<&'a MetaValue>,
    ) -> Test<'a> {
        /// `None`: a bound of another type, which nothing can be compared with.
        fn bounds<'a, T: ?Sized>(
            from: Bound<&'a MetaValue>,
            to: Bound<&'a MetaValue>,
            value: impl Fn(&'a MetaValue) -> Option<&'a T>,
        ) -> Option<(Bound<&'a T>, Bound<&'a T>)> {
            let bound = |bound| {
                Some(match bound {
                    Bound::Included(found) => Bound::Included(value(found)?),
                    Bound::Excluded(found) => Bound::Excluded(value(found)?),
                    Bound::Unbounded => Bound::Unbounded,
                })
            };
            Some((bound(from)?, bound(to)?))
        }
        let test = match self.0.get(field) {
            None => None,
            Some(Column::Bool(values)) => bounds(from, to, |value| match value {
                MetaValue::Bool(value) => Some(value),
                _ => None,
            })
            .map(|bounds| Test::Bool(values, bounds)),
            Some(Column::Int(values)) => bounds(from, to, |value| match value {
                MetaValue::Int(value) => Some(value),
                _ => None,
            })
            .map(|bounds| Test::Int(values, bounds)),
            Some(Column::Float(values)) => bounds(from, to, |value| match value {
                MetaValue::Float(value) => Some(value),
                _ => None,
            })
            .map(|bounds| Test::Float(values, bounds)),
            Some(Column::Text(values)) => bounds(from, to, |value| match value {
                MetaValue::Text(value) => Some(&**value),
                _ => None,
            })
            .map(|bounds| Test::Text(values, bounds)),
        };
        test.unwrap_or(Test::Never)
    }
}

type Bounds<'a, T> = (Bound<&'a T>, Bound<&'a T>);

/// A filter on slots; says what [`Filter::holds`] says of the documents in them.
#[derive(Debug)]
pub(crate) enum Test<'a> {
    All(Vec<Test<'a>>),
    /// No document has the field.
    Never,
    Bool(&'a [Option<bool>], Bounds<'a, bool>),
    Int(&'a [Option<i64>], Bounds<'a, i64>),
    Float(&'a [Option<f64>], Bounds<'a, f64>),
    Text(&'a [Option<Arc<str>>], Bounds<'a, str>),
}

impl Test<'_> {
    /// Whether the document in a slot passes.
    pub(crate) fn passes(&self, slot: usize) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.passes(slot)),
            Self::Never => false,
            Self::Bool(values, bounds) => within(values, slot, bounds),
            Self::Int(values, bounds) => within(values, slot, bounds),
            Self::Float(values, bounds) => within(values, slot, bounds),
            Self::Text(values, bounds) => {
                let value = values.get(slot).and_then(Option::as_deref);
                value.is_some_and(|value| RangeBounds::<str>::contains(bounds, value))
            }
        }
    }
}

fn within<T: PartialOrd>(values: &[Option<T>], slot: usize, bounds: &Bounds<'_, T>) -> bool {
    let value = values.get(slot).and_then(Option::as_ref);
    value.is_some_and(|value| RangeBounds::<T>::contains(bounds, value))
}
