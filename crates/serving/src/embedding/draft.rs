//! What a put will leave: the row's values, and for each embedding where its document comes from.

use std::sync::Arc;

use trivium_codec::{LayoutReader, Row, RowEncoder, ValueRef};
use trivium_model::{Lane, Name, Timestamp, Value};
use trivium_store::{
    DoorError,
    embedding::{DocumentRef, IndexSpec, MetaValue, check_vector},
};

use super::stored::{Held, corrupt};
use crate::{definitions::ViewDefinition, limits::ROW_BYTES_MAX, write::Op};

/// One embedding of the row to be.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Unset,
    Null,
    /// The row names this document already, and it is right as it is.
    Kept(DocumentRef),
    /// The same vector as of this document, beside scalars that have changed.
    Copied(DocumentRef),
    /// A vector that has no document yet.
    New(Arc<[f32]>),
    /// A vector's document, written for this row.
    Written(DocumentRef),
}

impl Part {
    /// The document that the row will name.
    pub(crate) fn named(&self) -> Option<DocumentRef> {
        match self {
            Self::Kept(reference) | Self::Written(reference) => Some(*reference),
            Self::Unset | Self::Null | Self::Copied(_) | Self::New(_) => None,
        }
    }
}

/// A row to be, before its documents are written.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) lane: Lane,
    /// By field; embeddings are in `parts`.
    slots: Vec<Option<ValueRef<'a>>>,
    /// By the view's embeddings.
    pub(crate) parts: Vec<Part>,
    /// The row as it is was read at this rev, tombstones included; 0: there is none.
    pub(crate) rev: u64,
    /// What the row will carry, as far as its store does not decide otherwise.
    pub(crate) event_time: Timestamp,
}

impl<'a> Draft<'a> {
    /// The row that `op` leaves of the live row `base`.
    pub(crate) fn new(
        view: &'a ViewDefinition,
        lane: Lane,
        op: &'a Op,
        base: Option<&'a Row>,
        rev: u64,
        event_time: Timestamp,
    ) -> Result<Self, DoorError> {
        let count = view.fields().len();
        let unset = || vec![None; count];
        let is_embedding = |field: usize| view.embeddings.iter().any(|known| known.field == field);
        let mut draft = Self {
            lane,
            slots: unset(),
            parts: vec![Part::Unset; view.embeddings.len()],
            rev,
            event_time,
        };
        match op {
            Op::Delete => {}
            Op::Row(row) => {
                draft.lane = row.header().lane;
                let reader = view.layouts.reader(row).map_err(|error| of_base(&error))?;
                for field in (0..count).filter(|field| !is_embedding(*field)) {
                    draft.slots[field] = reader.get(field).map_err(|error| of_base(&error))?;
                }
                for (part, embedding) in view.embeddings.iter().enumerate() {
                    draft.parts[part] = carried(&reader, embedding.field)?;
                }
            }
            Op::Values(values) => {
                let mut before = unset();
                // A put of everything takes the place of a row that cannot be read, too.
                if let Some(row) = base.filter(|_| values.len() < count) {
                    let reader = view.reader(row).map_err(|error| of_base(&error))?;
                    for field in (0..count).filter(|field| !is_embedding(*field)) {
                        before[field] = reader.get(field).map_err(|error| of_base(&error))?;
                    }
                    for (part, embedding) in view.embeddings.iter().enumerate() {
                        draft.parts[part] = carried(&reader, embedding.field)?;
                    }
                }
                draft.slots.clone_from(&before);
                for (field, value) in values {
                    match view.embeddings.iter().position(|known| known.field == *field) {
                        Some(part) => draft.parts[part] = given(value),
                        None => draft.slots[*field] = Some(ValueRef::from(value)),
                    }
                }
                for (part, embedding) in view.embeddings.iter().enumerate() {
                    let fields =
                        |slots: &[Option<ValueRef<'_>>]| metadata(view, &embedding.spec, slots);
                    // A filter would match values that the row no longer has.
                    if let Part::Kept(reference) = draft.parts[part]
                        && fields(&before) != fields(&draft.slots)
                    {
                        draft.parts[part] = Part::Copied(reference);
                    }
                }
            }
        }
        for (part, embedding) in draft.parts.iter().zip(&view.embeddings) {
            if let Part::New(vector) = part {
                check_vector(&embedding.spec, vector).map_err(|error| DoorError::Invalid {
                    message: said(&error),
                    field: format!("values.{}", embedding.spec.feature),
                    help: "give a vector that can be searched for, or null".to_owned(),
                })?;
            }
        }
        Ok(draft)
    }

    /// What searches of a feature filter by.
    pub(crate) fn metadata(
        &self,
        view: &ViewDefinition,
        spec: &IndexSpec,
    ) -> Vec<(Name, MetaValue)> {
        metadata(view, spec, &self.slots)
    }

    /// The row in its stored form; every part has its document by now.
    pub(crate) fn encode(&self, view: &ViewDefinition) -> Result<Row, DoorError> {
        let references: Vec<Option<[u8; DocumentRef::BYTES]>> =
            self.parts.iter().map(|part| part.named().map(DocumentRef::to_bytes)).collect();
        let mut slots = self.slots.clone();
        for (part, embedding) in view.embeddings.iter().enumerate() {
            slots[embedding.field] = match (&self.parts[part], &references[part]) {
                (_, Some(reference)) => Some(ValueRef::Bytes(reference)),
                (Part::Null, None) => Some(ValueRef::Null),
                _ => None,
            };
        }
        let invalid = |message: String, help: &str| DoorError::Invalid {
            message,
            field: "values".to_owned(),
            help: help.to_owned(),
        };
        let layouts = view.stored.as_ref().unwrap_or(&view.layouts);
        let row = RowEncoder::new(layouts.current())
            .encode(self.lane, &slots)
            .map_err(|error| invalid(error.to_string(), ""))?;
        if row.as_bytes().len() > ROW_BYTES_MAX {
            return Err(invalid(
                format!(
                    "the row would take {} bytes, more than the limit of {ROW_BYTES_MAX}",
                    row.as_bytes().len()
                ),
                "shorten its strings, bytes or lists",
            ));
        }
        Ok(row)
    }
}

/// What an embedding of an existing or encoded row becomes where nothing else is said.
fn carried(reader: &LayoutReader<'_>, field: usize) -> Result<Part, DoorError> {
    Ok(match Held::of(reader, field)? {
        Held::Unset => Part::Unset,
        Held::Null => Part::Null,
        Held::Named(reference) => Part::Kept(reference),
        Held::Inline(vector) => Part::New(vector.iter().collect()),
    })
}

fn given(value: &Value) -> Part {
    match value {
        Value::Embedding(vector) => Part::New(Arc::from(vector.as_slice())),
        _ => Part::Null,
    }
}

fn metadata(
    view: &ViewDefinition,
    spec: &IndexSpec,
    slots: &[Option<ValueRef<'_>>],
) -> Vec<(Name, MetaValue)> {
    let schema = view.layouts.current();
    let value_of = |name: &Name| {
        let value = (*slots.get(schema.index_of(name)?)?)?;
        MetaValue::of(&value.to_owned())
    };
    let fields = spec.metadata.iter();
    fields.filter_map(|(name, _)| Some((name.clone(), value_of(name)?))).collect()
}

fn of_base(error: &trivium_codec::Error) -> DoorError {
    DoorError::Store(corrupt(error))
}

/// An index's refusal without the words that every store's has.
pub(crate) fn said(error: &trivium_store::Error) -> String {
    match error {
        trivium_store::Error::Invalid(message) => message.clone(),
        other => other.to_string(),
    }
}
