//! Bytes of documents and specs, as the engine keeps them.
//!
//! ```text
//! key     <index name> NUL <rev, 8 bytes big-endian> <row key>
//! value   <length of the head, 4 bytes little-endian> <head, JSON> <components, float32 little-endian>
//! ```
//! Keys sort by index, rev, row key: the order of listings.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trivium_codec::RowKey;
use trivium_model::{Distance, Name, Timestamp, ViewRef};
use trivium_store::embedding::{Document, DocumentId, Hnsw, IndexSpec, MetaType, MetaValue};

#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Arc<str>>,
    event_time: i64,
    written: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<(Name, Meta)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Meta {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Bool,
    Int,
    Float,
    Text,
}

#[derive(Serialize, Deserialize)]
struct Spec {
    namespace: Name,
    view: Name,
    version: u32,
    feature: Name,
    dimension: u32,
    metric: Distance,
    m: u16,
    ef_construction: u16,
    ef_search: u16,
    metadata: Vec<(Name, Type)>,
}

/// The beginning of the keys of an index's documents.
pub fn prefix(index: &str) -> Vec<u8> {
    [index.as_bytes(), &[0]].concat()
}

/// A document's key.
pub fn key(index: &str, id: &DocumentId) -> Vec<u8> {
    [index.as_bytes(), &[0], &id.rev.to_be_bytes(), id.key.as_bytes()].concat()
}

/// The index's name and the id in a document's key.
pub fn read_key(key: &[u8]) -> Option<(&str, DocumentId)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let (index, rest) = (std::str::from_utf8(&key[..end]).ok()?, &key[end + 1..]);
    let (rev, row) = rest.split_first_chunk::<8>()?;
    let id = DocumentId { key: RowKey::from_bytes(row).ok()?, rev: u64::from_be_bytes(*rev) };
    Some((index, id))
}

/// A document's value.
pub fn write(document: &Document) -> Result<Vec<u8>, serde_json::Error> {
    let meta = |(field, value): &(Name, MetaValue)| {
        let value = match value {
            MetaValue::Bool(value) => Meta::Bool(*value),
            MetaValue::Int(value) => Meta::Int(*value),
            MetaValue::Float(value) => Meta::Float(*value),
            MetaValue::Text(value) => Meta::Text(Arc::clone(value)),
        };
        (field.clone(), value)
    };
    let head = serde_json::to_vec(&Head {
        subject: document.subject.clone(),
        event_time: document.event_time.0,
        written: document.written.0,
        metadata: document.metadata.iter().map(meta).collect(),
    })?;
    let mut bytes = Vec::with_capacity(4 + head.len() + 4 * document.vector.len());
    // A head is some texts of limited length: far below 4 GiB.
    bytes.extend((head.len() as u32).to_le_bytes());
    bytes.extend(head);
    bytes.extend(document.vector.iter().flat_map(|component| component.to_le_bytes()));
    Ok(bytes)
}

/// The document in a value; `None` where the bytes are none.
pub fn read(id: DocumentId, dimension: u32, bytes: &[u8]) -> Option<Document> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (head, vector) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let (components, odd) = vector.as_chunks::<4>();
    if !odd.is_empty() || components.len() != dimension as usize {
        return None;
    }
    let meta = |(field, value): (Name, Meta)| {
        let value = match value {
            Meta::Bool(value) => MetaValue::Bool(value),
            Meta::Int(value) => MetaValue::Int(value),
            Meta::Float(value) => MetaValue::Float(value),
            Meta::Text(value) => MetaValue::Text(value),
        };
        (field, value)
    };
    Some(Document {
        id,
        vector: components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        subject: head.subject,
        metadata: head.metadata.into_iter().map(meta).collect(),
        event_time: Timestamp(head.event_time),
        written: Timestamp(head.written),
    })
}

/// A spec's value.
pub fn write_spec(spec: &IndexSpec) -> Result<Vec<u8>, serde_json::Error> {
    let field = |(name, meta_type): &(Name, MetaType)| {
        let meta_type = match meta_type {
            MetaType::Bool => Type::Bool,
            MetaType::Int => Type::Int,
            MetaType::Float => Type::Float,
            MetaType::Text => Type::Text,
        };
        (name.clone(), meta_type)
    };
    serde_json::to_vec(&Spec {
        namespace: spec.view.namespace.clone(),
        view: spec.view.view.clone(),
        version: spec.view.version,
        feature: spec.feature.clone(),
        dimension: spec.dimension,
        metric: spec.metric,
        m: spec.hnsw.m,
        ef_construction: spec.hnsw.ef_construction,
        ef_search: spec.hnsw.ef_search,
        metadata: spec.metadata.iter().map(field).collect(),
    })
}

/// The spec in a value.
pub fn read_spec(bytes: &[u8]) -> Option<IndexSpec> {
    let spec: Spec = serde_json::from_slice(bytes).ok()?;
    let field = |(name, meta_type): (Name, Type)| {
        let meta_type = match meta_type {
            Type::Bool => MetaType::Bool,
            Type::Int => MetaType::Int,
            Type::Float => MetaType::Float,
            Type::Text => MetaType::Text,
        };
        (name, meta_type)
    };
    Some(IndexSpec {
        view: ViewRef { namespace: spec.namespace, view: spec.view, version: spec.version },
        feature: spec.feature,
        dimension: spec.dimension,
        metric: spec.metric,
        hnsw: Hnsw { m: spec.m, ef_construction: spec.ef_construction, ef_search: spec.ef_search },
        metadata: spec.metadata.into_iter().map(field).collect(),
    })
}
