//! The JSON Schema (draft 2020-12) of configs, written from `shape`.
//!
//! It says everything about the form; what fields say together (a ttl against a schedule, a check
//! against a column's type) only the reader knows.

use serde_json::{Map, Value as Json, json};

use super::ConfigKind;
use super::limits::{SPAN_DAYS_MAX, TAG_CHARACTERS_MAX};
use super::shape::{Field, Kind, Shape, Word};
use crate::name::NAME_BYTES_MAX;

/// The JSON Schema of a kind of config, as `schemas/` holds it.
pub fn schema_json(kind: ConfigKind) -> Json {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    let shape = kind.shape();
    schema.insert("title".into(), json!(upper_first(shape.what)));
    if let Json::Object(object) = object_schema(shape, None) {
        schema.extend(object);
    }
    Json::Object(schema)
}

/// The schema as the text of its file.
pub fn schema_text(kind: ConfigKind) -> String {
    format!("{:#}\n", schema_json(kind))
}

fn object_schema(shape: &Shape, tag: Option<(&str, &str)>) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some((tag, word)) = tag {
        properties.insert(tag.to_owned(), json!({ "const": word }));
        required.push(json!(tag));
    }
    for field in shape.fields {
        properties.insert(field.name.to_owned(), field_schema(field));
        if field.required {
            required.push(json!(field.name));
        }
    }
    json!({
        "type": "object",
        "description": shape.description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn field_schema(field: &Field) -> Json {
    let inner = kind_schema(&field.kind);
    let mut schema = Map::new();
    schema.insert("description".into(), json!(field.description));
    let open = matches!(field.kind, Kind::Any);
    if field.required || open {
        if let Json::Object(inner) = inner {
            for (key, value) in inner {
                schema.entry(key).or_insert(value);
            }
        }
    } else {
        schema.insert("anyOf".into(), json!([inner, { "type": "null" }]));
    }
    // Examples are constants of `shape`; a test reads each of them.
    if let Ok(example) = serde_json::from_str::<Json>(field.example) {
        schema.insert("examples".into(), json!([example]));
    }
    Json::Object(schema)
}

fn kind_schema(kind: &Kind) -> Json {
    match kind {
        Kind::Text { characters_max } => {
            json!({ "type": "string", "pattern": "\\S", "maxLength": characters_max })
        }
        Kind::Tag => json!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9_.:-]*$",
            "maxLength": TAG_CHARACTERS_MAX,
        }),
        Kind::Name(of) => {
            let mut schema = json!({ "type": "string", "pattern": name_pattern("^", "$") });
            let reserved = of.reserved();
            if let (false, Some(schema)) = (reserved.is_empty(), schema.as_object_mut()) {
                schema.insert("not".into(), json!({ "enum": reserved }));
            }
            schema
        }
        Kind::FeaturePath => {
            let name = name_pattern("", "");
            json!({ "type": "string", "pattern": format!("^{name}@[1-9][0-9]{{0,9}}:{name}$") })
        }
        Kind::MessagePath => json!({
            "type": "string",
            "pattern": "^(\\$key(\\.[^.]+)*|\\$header\\..+|\\$time|\\$event(\\.[^.]+)+|[^$.][^.]*(\\.[^.]+)*)$",
            "maxLength": crate::source::PATH_BYTES_MAX,
        }),
        Kind::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Kind::Number => json!({ "type": "number" }),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "oneOf": word_schemas(words) }),
        Kind::Span => json!({
            "type": "string",
            "pattern": "^[1-9][0-9]{0,8}[smhdw]$",
            "$comment": format!("At most {SPAN_DAYS_MAX} days."),
        }),
        Kind::Instant => json!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$",
        }),
        Kind::Zone => json!({ "type": "string", "pattern": "^[A-Za-z0-9_+/-]+$" }),
        Kind::Any => json!({}),
        Kind::Object(shape) => object_schema(shape, None),
        Kind::List { item, min, max } => json!({
            "type": "array",
            "items": kind_schema(item),
            "minItems": min,
            "maxItems": max,
        }),
        Kind::Map { key, value, max } => json!({
            "type": "object",
            "propertyNames": kind_schema(&Kind::Name(*key)),
            "additionalProperties": kind_schema(value),
            "minProperties": 1,
            "maxProperties": max,
        }),
        Kind::Tagged { tag, variants } => {
            let variants: Vec<Json> = variants
                .iter()
                .map(|(word, shape)| object_schema(shape, Some((tag, word))))
                .collect();
            json!({ "type": "object", "required": [tag], "oneOf": variants })
        }
        Kind::Choice { words, fields, .. } => {
            let mut choices = word_schemas(words);
            for field in *fields {
                choices.push(json!({
                    "type": "object",
                    "description": field.description,
                    "properties": { field.name: kind_schema(&field.kind) },
                    "required": [field.name],
                    "additionalProperties": false,
                }));
            }
            json!({ "oneOf": choices })
        }
    }
}

fn word_schemas(words: &[Word]) -> Vec<Json> {
    words
        .iter()
        .map(|word| json!({ "const": word.word, "description": word.description }))
        .collect()
}

fn name_pattern(start: &str, end: &str) -> String {
    format!("{start}[a-z][a-z0-9_]{{0,{}}}{end}", NAME_BYTES_MAX - 1)
}

/// "a feature view" → "Feature view".
fn upper_first(what: &str) -> String {
    let words = what.split_once(' ').map_or(what, |(_, words)| words);
    let mut characters = words.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
