//! A document as it stands in OpenSearch.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize as _;
use serde_json::{Map, Value, json};
use trivium_model::{Distance, Name, Timestamp};
use trivium_store::{
    Error,
    embedding::{Document, DocumentId, IndexSpec, MetaType, MetaValue, unit},
};

use crate::{failure::WHO, names};

/// The vector that is indexed and searched with: of unit length under cosine, since squares of tiny
/// components would vanish in float32.
pub(crate) fn indexed(spec: &IndexSpec, vector: &[f32]) -> Vec<f32> {
    let direction = (spec.metric == Distance::Cosine).then(|| unit(vector)).flatten();
    direction.map_or_else(|| vector.to_vec(), |direction| direction.0)
}

/// The value as JSON. -0.0 is 0.0: Lucene would tell them apart.
pub(crate) fn value(value: &MetaValue) -> Value {
    match value {
        MetaValue::Bool(value) => json!(value),
        MetaValue::Int(value) => json!(value),
        MetaValue::Float(value) => json!(value + 0.0),
        MetaValue::Text(value) => json!(&**value),
    }
}

/// Appends the two lines of a bulk that create the document.
pub(crate) fn write_creation(
    into: &mut Vec<u8>,
    spec: &IndexSpec,
    document: &Document,
) -> Result<(), Error> {
    let bits: Vec<u8> =
        document.vector.iter().flat_map(|component| component.to_le_bytes()).collect();
    let meta: Map<String, Value> =
        document.metadata.iter().map(|(field, found)| (field.to_string(), value(found))).collect();
    let mut source = json!({
        "vector": indexed(spec, &document.vector),
        "bits": STANDARD.encode(bits),
        "key": document.id.key.partition(),
        "rev": document.id.rev,
        "event_time": document.event_time.0,
        "written": document.written.0,
        "meta": meta,
    });
    if let Some(subject) = &document.subject {
        source["subject"] = json!(&**subject);
    }
    let action = json!({ "create": { "_id": names::id(&document.id) } });
    for line in [action, source] {
        line.serialize(&mut serde_json::Serializer::new(&mut *into))
            .map_err(|error| Error::Invalid(format!("{WHO}: {error}")))?;
        into.push(b'\n');
    }
    Ok(())
}

/// The document in a `_source` that was found under an id.
pub(crate) fn read(spec: &IndexSpec, id: &DocumentId, source: &Value) -> Result<Document, Error> {
    let corrupt = |what: &str| Error::Corrupt(format!("{WHO}: {spec}: a document: {what}"));
    if source["key"] != id.key.partition() || source["rev"] != id.rev {
        return Err(corrupt("another row's document has this id"));
    }
    let bits = source["bits"].as_str().and_then(|bits| STANDARD.decode(bits).ok());
    let bits = bits.ok_or_else(|| corrupt("`bits` is missing or no base64"))?;
    let (components, rest) = bits.as_chunks::<4>();
    if !rest.is_empty() || components.len() != spec.dimension as usize {
        return Err(corrupt("`bits` has not the bytes of a vector of this dimension"));
    }
    let time = |field: &str| {
        let micros = source[field].as_i64();
        micros.map(Timestamp).ok_or_else(|| corrupt(&format!("`{field}` is no time")))
    };
    let mut metadata = Vec::new();
    for (field, found) in source["meta"].as_object().into_iter().flatten() {
        // A field of a newer definition than ours is nobody's business here.
        let Some((name, meta_type)) = spec.metadata.iter().find(|(name, _)| name.as_str() == field)
        else {
            continue;
        };
        let found = match meta_type {
            MetaType::Bool => found.as_bool().map(MetaValue::Bool),
            MetaType::Int => found.as_i64().map(MetaValue::Int),
            MetaType::Float => found.as_f64().map(MetaValue::Float),
            MetaType::Text => found.as_str().map(|text| MetaValue::Text(Arc::from(text))),
        };
        let found = found.ok_or_else(|| corrupt(&format!("`{field}` is not {meta_type:?}")))?;
        metadata.push((Name::clone(name), found));
    }
    Ok(Document {
        id: id.clone(),
        vector: components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        subject: source["subject"].as_str().map(Arc::from),
        metadata,
        event_time: time("event_time")?,
        written: time("written")?,
    })
}
