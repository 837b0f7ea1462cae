//! How rows are stored where embeddings live in an index: each embedding's place holds the reference to
//! its document, as `bytes`. Rows from before there was an index hold the embedding itself and stay
//! readable: their schema is the view's own. The two cannot be mixed up: a feature that is an embedding
//! was never `bytes` in the same version of a view.

use trivium_codec::{EmbeddingRef, LayoutReader, Layouts, Row, Schema, ValueRef};
use trivium_model::DataType;
use trivium_store::{Error, embedding::DocumentRef};

use crate::definitions::{EmbeddingFeature, ViewDefinition};

/// The layouts of stored rows; `None`: no embeddings, so the view's own.
pub(crate) fn stored_layouts(
    schema: &Schema,
    older: &[Schema],
) -> Result<Option<Layouts>, trivium_codec::Error> {
    let is_embedding = |data_type: &DataType| matches!(data_type, DataType::Embedding { .. });
    if !schema.fields().iter().any(|field| is_embedding(&field.data_type)) {
        return Ok(None);
    }
    let stored = |schema: &Schema| {
        Schema::new(schema.fields().iter().map(|field| {
            let is_named = is_embedding(&field.data_type);
            let data_type = if is_named { DataType::Bytes } else { field.data_type.clone() };
            (field.name.clone(), data_type)
        }))
    };
    let older = older.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    Layouts::new(stored(schema)?, older).map(Some)
}

/// What a row holds in the place of an embedding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'a> {
    Unset,
    Null,
    /// A document of the index.
    Named(DocumentRef),
    /// The embedding itself, from before there was an index.
    Inline(EmbeddingRef<'a>),
}

impl Held<'_> {
    /// What stands at a field of a row.
    pub(crate) fn of<'a>(reader: &LayoutReader<'a>, field: usize) -> Result<Held<'a>, Error> {
        Ok(match reader.get(field).map_err(|error| corrupt(&error))? {
            None => Held::Unset,
            Some(ValueRef::Null) => Held::Null,
            Some(ValueRef::Embedding(vector)) => Held::Inline(vector),
            Some(ValueRef::Bytes(bytes)) => match DocumentRef::from_bytes(bytes) {
                Some(reference) => Held::Named(reference),
                None => return Err(Error::Corrupt("a row names no document it could".to_owned())),
            },
            Some(other) => {
                return Err(Error::Corrupt(format!(
                    "a row holds {} in the place of an embedding",
                    other.type_word()
                )));
            }
        })
    }
}

pub(crate) fn corrupt(error: &trivium_codec::Error) -> Error {
    Error::Corrupt(format!("a row cannot be read: {error}"))
}

impl ViewDefinition {
    /// Reads a row, whichever of the schemas it was written under, with references in the place of
    /// embeddings where it names documents.
    #[inline]
    pub(crate) fn reader<'a>(
        &'a self,
        row: &'a Row,
    ) -> Result<LayoutReader<'a>, trivium_codec::Error> {
        match &self.stored {
            Some(stored) if stored.knows(row.fingerprint()) => stored.reader(row),
            _ => self.layouts.reader(row),
        }
    }

    /// Whether a row's bytes are of the stored form. The public one has all that it shows in itself.
    pub(crate) fn is_stored_form(&self, row: &Row) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.knows(row.fingerprint()))
    }

    /// The document that a live row names for a feature.
    pub(crate) fn named(
        &self,
        row: &Row,
        feature: &EmbeddingFeature,
    ) -> Result<Option<DocumentRef>, Error> {
        if row.is_deleted() {
            return Ok(None);
        }
        let reader = self.reader(row).map_err(|error| corrupt(&error))?;
        Ok(match Held::of(&reader, feature.field)? {
            Held::Named(reference) => Some(reference),
            Held::Unset | Held::Null | Held::Inline(_) => None,
        })
    }
}
