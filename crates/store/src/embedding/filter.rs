//! Which documents a search may find.

use std::{cmp::Ordering, ops::Bound};

use trivium_model::Name;

use super::{Document, MetaValue};

/// A condition on a document's metadata. A document without the field does not pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one of these; none of them: everything passes.
    All(Vec<Filter>),
    /// The field is this.
    Equals {
        /// A field of the index.
        field: Name,
        /// Of the field's type.
        value: MetaValue,
    },
    /// The field lies between these.
    Range {
        /// A field of the index, not a boolean.
        field: Name,
        /// From here.
        from: Bound<MetaValue>,
        /// To there.
        to: Bound<MetaValue>,
    },
}

impl Filter {
    /// Whether a document passes.
    pub fn passes(&self, document: &Document) -> bool {
        self.holds(&document.metadata)
    }

    /// Whether these values pass.
    pub fn holds(&self, metadata: &[(Name, MetaValue)]) -> bool {
        let value_of =
            |field: &Name| metadata.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.holds(metadata)),
            Self::Equals { field, value } => {
                value_of(field).and_then(|found| compare(found, value)) == Some(Ordering::Equal)
            }
            Self::Range { field, from, to } => value_of(field).is_some_and(|found| {
                let above = match from {
                    Bound::Unbounded => true,
                    Bound::Included(from) => compare(found, from).is_some_and(Ordering::is_ge),
                    Bound::Excluded(from) => compare(found, from).is_some_and(Ordering::is_gt),
                };
                let below = match to {
                    Bound::Unbounded => true,
                    Bound::Included(to) => compare(found, to).is_some_and(Ordering::is_le),
                    Bound::Excluded(to) => compare(found, to).is_some_and(Ordering::is_lt),
                };
                above && below
            }),
        }
    }
}

/// `None` for values of different types.
fn compare(left: &MetaValue, right: &MetaValue) -> Option<Ordering> {
    match (left, right) {
        (MetaValue::Bool(left), MetaValue::Bool(right)) => Some(left.cmp(right)),
        (MetaValue::Int(left), MetaValue::Int(right)) => Some(left.cmp(right)),
        (MetaValue::Float(left), MetaValue::Float(right)) => left.partial_cmp(right),
        (MetaValue::Text(left), MetaValue::Text(right)) => {
            Some(left.as_bytes().cmp(right.as_bytes()))
        }
        _ => None,
    }
}
