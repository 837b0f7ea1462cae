//! The embedding index's port: documents beside the rows, found by key and by nearness.
//!
//! A document is found under (row key, rev) and never changes; a row names the document that belongs to it
//! ([`DocumentRef`]), so a document that no row names does not exist for any reader. Why, and who removes
//! what is left over: `docs/decisions/0008-embeddings.md`. An index knows nothing of rows.
//!
//! * Batches keep order and length; missing is `None`; every document has its own result.
//! * [`put`](EmbeddingIndex::put) decides an id once; [`get`](EmbeddingIndex::get) sees it from then on.
//! * [`nearest`](EmbeddingIndex::nearest) and [`list`](EmbeddingIndex::list) see a put or a delete after
//!   the index's next refresh, which [`refresh`](EmbeddingIndex::refresh) brings about.
//! * Every call may be repeated: a repeated one ends as the first did. A put or delete that ended with
//!   `Unknown` may have been done.
//! * What was acknowledged survives the death of the process, except in [`MemoryIndex`].

mod check;
mod filter;
mod leftovers;
mod memory;
mod moving;
mod named;
mod reference;
mod score;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use trivium_codec::RowKey;
use trivium_model::{DataType, Distance, Name, Timestamp, Value, ViewRef};

pub use check::{
    COMPONENT_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX, K_MAX, METADATA_TEXT_BYTES_MAX,
    check_document, check_id, check_nearest, check_spec, check_vector,
};
pub use filter::Filter;
pub use leftovers::{Owner, Owners, Swept, delete_subject, sweep, sweep_subject};
pub use memory::MemoryIndex;
pub use moving::{
    Check, Checked, IndexCompared, IndexCopied, MovingIndex, compare_index, copy_index,
    copy_index_with,
};
pub use named::{Found, nearest_named};
pub use reference::DocumentRef;
pub use score::{Direction, by_nearness, dot, norm, score, unit};

use crate::Error;

/// How the graph of a feature's index is built and searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hnsw {
    /// Neighbours that a document is linked with.
    pub m: u16,
    /// Candidates looked at when a document is added.
    pub ef_construction: u16,
    /// Candidates looked at in a search; more finds better ones, slower.
    pub ef_search: u16,
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { m: 16, ef_construction: 100, ef_search: 100 }
    }
}

/// Which index, and what it holds: an embedding feature of one view version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// The view.
    pub view: ViewRef,
    /// The embedding feature.
    pub feature: Name,
    /// Components of every vector.
    pub dimension: u32,
    /// What near means.
    pub metric: Distance,
    /// The graph.
    pub hnsw: Hnsw,
    /// What stands beside the vectors to filter by: features of the same view.
    pub metadata: Vec<(Name, MetaType)>,
}

impl fmt::Display for IndexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature)
    }
}

/// The type of a field to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaType {
    /// True or false; has no ranges.
    Bool,
    /// int32, int64, date (days) and timestamp (microseconds).
    Int,
    /// float32 and float64.
    Float,
    /// Text, ordered by its UTF-8 bytes.
    Text,
}

impl MetaType {
    /// What a feature of this type can be filtered as; `None`: not at all.
    pub const fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Bool => Some(Self::Bool),
            DataType::Int32 | DataType::Int64 | DataType::Timestamp | DataType::Date => {
                Some(Self::Int)
            }
            DataType::Float32 | DataType::Float64 => Some(Self::Float),
            DataType::String => Some(Self::Text),
            DataType::Bytes
            | DataType::Decimal { .. }
            | DataType::List(_)
            | DataType::Embedding { .. } => None,
        }
    }
}

/// A value to filter by. Null is the absence of one, and passes no filter.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaValue {
    /// See [`MetaType::Bool`].
    Bool(bool),
    /// See [`MetaType::Int`].
    Int(i64),
    /// See [`MetaType::Float`]; finite. -0.0 is 0.0.
    Float(f64),
    /// See [`MetaType::Text`].
    Text(Arc<str>),
}

impl MetaValue {
    /// What a feature's value is filtered as; `None` where it cannot be: null, not a finite number, too
    /// long a text, or a type without filters.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int32(value) | Value::Date(value) => Some(Self::Int(i64::from(*value))),
            Value::Int64(value) => Some(Self::Int(*value)),
            Value::Timestamp(value) => Some(Self::Int(value.0)),
            Value::Float32(value) => Self::finite(f64::from(*value)),
            Value::Float64(value) => Self::finite(*value),
            Value::String(value) => (value.len() <= METADATA_TEXT_BYTES_MAX)
                .then(|| Self::Text(Arc::from(value.as_str()))),
            Value::Null
            | Value::Bytes(_)
            | Value::Decimal(_)
            | Value::List(_)
            | Value::Embedding(_) => None,
        }
    }

    fn finite(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(value))
    }

    /// The type it is a value of.
    pub const fn meta_type(&self) -> MetaType {
        match self {
            Self::Bool(_) => MetaType::Bool,
            Self::Int(_) => MetaType::Int,
            Self::Float(_) => MetaType::Float,
            Self::Text(_) => MetaType::Text,
        }
    }
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The row it belongs to; of the index's view.
    pub key: RowKey,
    /// The rev by which a row names it.
    pub rev: u64,
}

/// What an index holds. Documents are equal where all of it is, except the time of writing.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it is found.
    pub id: DocumentId,
    /// The embedding, bit by bit as it was put.
    pub vector: Arc<[f32]>,
    /// Whose data it is.
    pub subject: Option<Arc<str>>,
    /// Values to filter by, each of a field of the index, at most one a field.
    pub metadata: Vec<(Name, MetaValue)>,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// When the writer put it, by its wall clock: how old a leftover is.
    pub written: Timestamp,
}

impl Document {
    /// Whether a put of one is a repetition of a put of the other.
    pub fn is_same(&self, other: &Self) -> bool {
        let bits = |document: &Self| -> Vec<u32> {
            document.vector.iter().map(|component| component.to_bits()).collect()
        };
        let fields = |document: &Self| {
            let mut fields = document.metadata.clone();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            fields
        };
        self.id == other.id
            && self.subject == other.subject
            && self.event_time == other.event_time
            && fields(self) == fields(other)
            && bits(self) == bits(other)
    }
}

/// How a put of one document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The document is there, now or since an earlier put of the same one.
    Stored,
    /// Another one has the id; nothing changed. Take another rev.
    Taken,
}

/// When a put has to be seen by searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visible {
    /// With the index's next refresh.
    #[default]
    Later,
    /// Before the put is acknowledged; it waits for a refresh.
    Now,
}

/// What [`EmbeddingIndex::ensure`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// There was no index; now there is.
    Created,
    /// It was there; fields that it lacked were added.
    Present,
}

/// A question for the nearest documents.
#[derive(Debug, Clone)]
pub struct Nearest {
    /// Near what.
    pub vector: Arc<[f32]>,
    /// How many, at most [`K_MAX`].
    pub k: usize,
    /// Only documents that pass.
    pub filter: Option<Filter>,
    /// Only documents with at least this score.
    pub score_min: Option<f32>,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Which.
    pub id: DocumentId,
    /// How near: see [`score()`].
    pub score: f32,
}

/// Which documents to list; all where it says nothing.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Of this subject.
    pub subject: Option<Arc<str>>,
    /// With a rev below this one.
    pub rev_below: Option<u64>,
    /// Put before this time, by the writers' clocks. Revs count a row's writes: they tell no age.
    pub written_before: Option<Timestamp>,
}

/// Some of the documents that were asked for.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// Which, by rev, then key.
    pub ids: Vec<DocumentId>,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

/// An index of embeddings. See the module's header for what holds of every call.
#[async_trait]
pub trait EmbeddingIndex: Send + Sync {
    /// Makes the index, or checks that the one that is there is such a one: another dimension, metric or
    /// type of a field is `Invalid`, and says which. Changed graph parameters are not: they are for the
    /// next rebuild.
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error>;

    /// Removes the index with all that is in it. Fine where there is none.
    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error>;

    /// Puts documents where nothing has their ids yet. Of two different ones with one id in a batch,
    /// either may be stored.
    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>>;

    /// Documents as they are now, in the order of the ids.
    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>>;

    /// Deletes documents; tells of each whether it was there.
    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>>;

    /// The nearest documents, nearest first; equal scores by key, then rev. Approximate: a near document
    /// may be missed, but scores and filters are exact.
    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error>;

    /// Documents a page at a time; `after` is the `next` of the page before. What is put or deleted
    /// meanwhile may be seen or not; everything else comes exactly once.
    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error>;

    /// Makes everything acknowledged so far visible to searches and listings.
    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error>;
}

/// What is left until a deadline, at most `limit`. An error where it has passed.
pub fn time_left(deadline: Option<Instant>, limit: Duration) -> Result<Duration, Error> {
    crate::check_deadline(deadline)?;
    Ok(deadline.map_or(limit, |deadline| {
        deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), limit)
    }))
}

impl IndexSpec {
    /// The spec of an index that was made by `self` and is asked for by `wanted`: with the fields of
    /// both. `Invalid` where one cannot serve as the other.
    pub fn updated(&self, wanted: &Self) -> Result<Self, Error> {
        let differs = |what: &str, found: &dyn fmt::Display, asked: &dyn fmt::Display| {
            Err(Error::Invalid(format!(
                "the embedding index of {wanted} has {what} {found}, the view says {asked}; a changed \
                 embedding is a new version of the view, or remove the index and load it again"
            )))
        };
        if self.dimension != wanted.dimension {
            return differs("dimension", &self.dimension, &wanted.dimension);
        }
        if self.metric != wanted.metric {
            return differs("metric", &self.metric, &wanted.metric);
        }
        let mut metadata = wanted.metadata.clone();
        for (name, found) in &self.metadata {
            match wanted.metadata.iter().find(|(other, _)| other == name) {
                Some((_, asked)) if asked != found => {
                    return differs(
                        &format!("the field `{name}` of type"),
                        &format!("{found:?}"),
                        &format!("{asked:?}"),
                    );
                }
                Some(_) => {}
                None => metadata.push((name.clone(), *found)),
            }
        }
        Ok(Self { metadata, ..wanted.clone() })
    }
}

impl DocumentId {
    /// Where a listing goes on after this document.
    pub fn to_token(&self) -> String {
        format!("{}:{}", self.rev, String::from_utf8_lossy(self.key.as_bytes()))
    }

    /// The id that [`to_token`](Self::to_token) was made of.
    pub fn from_token(token: &str) -> Result<Self, Error> {
        let malformed =
            || Error::Invalid("`after` is not what a page before gave as `next`".to_owned());
        let (rev, key) = token.split_once(':').ok_or_else(malformed)?;
        let rev = rev.parse().map_err(|_| malformed())?;
        let key = RowKey::from_bytes(key.as_bytes()).map_err(|_| malformed())?;
        Ok(Self { key, rev })
    }
}

impl Listing {
    /// Whether a document is one of those asked for.
    pub fn wants(&self, document: &Document) -> bool {
        self.subject.as_ref().is_none_or(|subject| document.subject.as_ref() == Some(subject))
            && self.rev_below.is_none_or(|rev| document.id.rev < rev)
            && self.written_before.is_none_or(|time| document.written < time)
    }
}

#[cfg(test)]
mod moving_tests;
#[cfg(test)]
mod tests;
