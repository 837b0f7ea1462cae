//! The index that a feature needs, and whether the one that is there is such a one.

use serde_json::{Map, Value, json};
use trivium_model::{Distance, Name};
use trivium_store::{
    Error,
    embedding::{IndexSpec, MetaType},
};

use crate::{Options, failure::WHO};

const fn space(metric: Distance) -> &'static str {
    match metric {
        Distance::Cosine => "cosinesimil",
        Distance::L2 => "l2",
        Distance::Dot => "innerproduct",
    }
}

const fn field_type(meta_type: MetaType) -> &'static str {
    match meta_type {
        MetaType::Bool => "boolean",
        MetaType::Int => "long",
        MetaType::Float => "double",
        MetaType::Text => "keyword",
    }
}

/// Of the fields to filter by.
pub(crate) fn fields(spec: &IndexSpec) -> Value {
    let field = |(name, meta_type): &(Name, MetaType)| {
        (name.to_string(), json!({ "type": field_type(*meta_type) }))
    };
    Value::Object(spec.metadata.iter().map(field).collect::<Map<_, _>>())
}

/// The body that makes the index, with its alias.
pub(crate) fn creation(options: &Options, alias: &str, spec: &IndexSpec) -> Value {
    json!({
        "aliases": { alias: {} },
        "settings": { "index": {
            "knn": true,
            "number_of_shards": options.shards,
            "number_of_replicas": options.replicas,
            // Said explicitly, or an index that nobody searches stops refreshing.
            "refresh_interval": format!("{}ms", options.refresh_ms),
        } },
        "mappings": {
            "dynamic": "strict",
            "_source": { "excludes": ["vector"] },
            "properties": {
                "vector": {
                    "type": "knn_vector",
                    "dimension": spec.dimension,
                    "method": {
                        "name": "hnsw",
                        "engine": options.engine.name(),
                        "space_type": space(spec.metric),
                        "parameters": {
                            "m": spec.hnsw.m,
                            "ef_construction": spec.hnsw.ef_construction,
                        },
                    },
                },
                "bits": { "type": "binary" },
                "key": { "type": "keyword" },
                "rev": { "type": "long" },
                "event_time": { "type": "long" },
                "written": { "type": "long" },
                "subject": { "type": "keyword" },
                "meta": { "type": "object", "dynamic": "strict", "properties": fields(spec) },
            },
        },
    })
}

/// Compares the mapping of the index that is there; whether fields have to be added.
pub(crate) fn compare(index: &str, found: &Value, spec: &IndexSpec) -> Result<bool, Error> {
    let properties = &found["properties"];
    let vector = &properties["vector"];
    let differs = |what: &str, found: &Value, wanted: &str| {
        Err(Error::Invalid(format!(
            "{WHO}: `{index}` has {what} {}, {spec} needs {wanted}; if the index is not ours, set another \
             prefix; if it is, a changed embedding is a new version of the view, or remove the index and \
             load it again",
            found.as_str().map_or_else(|| found.to_string(), str::to_owned)
        )))
    };
    if vector["type"] != "knn_vector" {
        return differs("a field `vector` of type", &vector["type"], "knn_vector");
    }
    if vector["dimension"] != spec.dimension {
        return differs("dimension", &vector["dimension"], &spec.dimension.to_string());
    }
    let by_method = &vector["method"]["space_type"];
    let found_space = if by_method.is_null() { &vector["space_type"] } else { by_method };
    if *found_space != space(spec.metric) {
        return differs("the metric (space_type)", found_space, space(spec.metric));
    }
    if found["_source"]["excludes"] != json!(["vector"]) {
        return differs("`_source` as", &found["_source"], "{\"excludes\":[\"vector\"]}");
    }
    for (field, wanted) in [
        ("bits", "binary"),
        ("key", "keyword"),
        ("rev", "long"),
        ("event_time", "long"),
        ("written", "long"),
        ("subject", "keyword"),
    ] {
        if properties[field]["type"] != wanted {
            return differs(
                &format!("a field `{field}` of type"),
                &properties[field]["type"],
                wanted,
            );
        }
    }
    let mut missing = false;
    for (name, meta_type) in &spec.metadata {
        let found = &properties["meta"]["properties"][name.as_str()]["type"];
        let wanted = field_type(*meta_type);
        if found.is_null() {
            missing = true;
        } else if found != wanted {
            return differs(&format!("the field `{name}` of type"), found, wanted);
        }
    }
    Ok(missing)
}
