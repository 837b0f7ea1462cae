//! What is written from the tables (JSON Schemas, the page of codes) is true and up to date.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use super::{SERVICE, SERVICE_PATH, VIEW, VIEW_PATH};
use crate::config::shape::{
    DISTANCES, Field, KEY_TYPES, Kind, LANES, SCALARS, SERVICE as SERVICE_SHAPE, SEVERITIES, Shape,
    VIEW as VIEW_SHAPE, Word,
};
use crate::config::{
    CODES, ConfigKind, check_project, parse_service, parse_view, schema_json, schema_text,
};
use crate::{DataType, Distance, KeyType, Lane, Severity};

/// Compares a checked-in file with what is generated; `UPDATE_SCHEMAS=1` writes it.
fn check_file(relative: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == generated,
        "{relative} is out of date: run `UPDATE_SCHEMAS=1 cargo test -p trivium-model generated`"
    );
}

#[test]
fn schemas_are_up_to_date() {
    for kind in [ConfigKind::View, ConfigKind::Service] {
        check_file(&format!("schemas/{}", kind.schema_file_name()), &schema_text(kind));
    }
}

#[test]
fn codes_are_distinct() {
    let distinct: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(distinct.len(), CODES.len());
}

/// Every code is shown by some case of the tables, so that none is documented in vain.
#[test]
fn every_code_has_a_case() {
    let tables = [
        include_str!("bad_batches.rs"),
        include_str!("bad_columns.rs"),
        include_str!("bad_fields.rs"),
        include_str!("bad_services.rs"),
        include_str!("bad_syntax.rs"),
        include_str!("bad_words.rs"),
        include_str!("good.rs"),
        include_str!("jobs.rs"),
        include_str!("limits.rs"),
        include_str!("sources.rs"),
        include_str!("windows.rs"),
    ]
    .concat();
    for code in CODES {
        assert!(tables.contains(&format!("[{}]", code.code)), "no case shows {}", code.code);
    }
}

struct Sample {
    kind: ConfigKind,
    path: &'static str,
    json: Json,
    validator: jsonschema::Validator,
}

impl Sample {
    fn parses(&self, json: &Json) -> bool {
        let text = json.to_string();
        match self.kind {
            ConfigKind::View => parse_view(self.path, &text).is_ok(),
            ConfigKind::Service => parse_service(self.path, &text).is_ok(),
        }
    }
}

fn samples() -> Vec<Sample> {
    let sample = |kind, path, text: &str| Sample {
        kind,
        path,
        json: serde_json::from_str(text).unwrap(),
        validator: jsonschema::draft202012::new(&schema_json(kind)).unwrap(),
    };
    vec![
        sample(ConfigKind::View, VIEW_PATH, VIEW),
        sample(ConfigKind::Service, SERVICE_PATH, SERVICE),
    ]
}

/// JSON pointers of every value below the root.
pub(super) fn pointers(json: &Json, at: String, found: &mut Vec<String>) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(pointer.clone());
                pointers(value, pointer, found);
            }
        }
        Json::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                let pointer = format!("{at}/{index}");
                found.push(pointer.clone());
                pointers(value, pointer, found);
            }
        }
        _ => {}
    }
}

#[test]
fn samples_pass_the_schema_and_the_reader() {
    for sample in samples() {
        if let Err(error) = sample.validator.validate(&sample.json) {
            panic!("{}: {error} at {}", sample.path, error.instance_path());
        }
        assert!(sample.parses(&sample.json));
    }
}

/// The repository's own configs.
#[test]
fn checked_in_configs_pass_the_schema_and_the_reader() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let validators = [ConfigKind::View, ConfigKind::Service]
        .map(|kind| (kind, jsonschema::draft202012::new(&schema_json(kind)).unwrap()));
    let mut views = Vec::new();
    let mut services = Vec::new();
    for namespace in std::fs::read_dir(root.join("configs")).unwrap() {
        let namespace = namespace.unwrap().path();
        for file in std::fs::read_dir(&namespace).into_iter().flatten() {
            let path = file.unwrap().path().to_str().unwrap().to_owned();
            let Some(kind) = ConfigKind::of_path(&path) else { continue };
            let text = std::fs::read_to_string(&path).unwrap();
            let json = serde_json::from_str(&text).unwrap();
            let (_, validator) = validators.iter().find(|(known, _)| *known == kind).unwrap();
            assert!(validator.is_valid(&json), "{path} does not pass the schema");
            match kind {
                ConfigKind::View => views.push((path.clone(), parse_view(&path, &text).unwrap())),
                ConfigKind::Service => {
                    services.push((path.clone(), parse_service(&path, &text).unwrap()));
                }
            }
        }
    }
    assert!(!views.is_empty());
    assert_eq!(check_project(&views, &services), []);
}

/// Whether the schema and the reader agree, at every object of the samples, on which fields may
/// be absent and that no other field may be there.
#[test]
fn schema_and_reader_accept_the_same_fields() {
    for sample in samples() {
        let mut objects = vec![String::new()];
        pointers(&sample.json, String::new(), &mut objects);
        for pointer in objects {
            let Some(Json::Object(object)) = sample.json.pointer(&pointer) else { continue };
            // The map of a rollup takes any feature's name.
            if !pointer.ends_with("/rollup/features") {
                let mut edited = sample.json.clone();
                edited.pointer_mut(&pointer).unwrap()["surprise"] = Json::Bool(true);
                assert!(!sample.validator.is_valid(&edited), "schema: surprise at {pointer}");
                assert!(!sample.parses(&edited), "reader: surprise at {pointer}");
            }
            for key in object.keys() {
                let mut edited = sample.json.clone();
                let map = edited.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
                map.shift_remove(key);
                let by_schema = sample.validator.is_valid(&edited);
                let by_reader = sample.parses(&edited);
                // What the schema cannot say: a batch view needs a schedule.
                let more = pointer.is_empty() && key == "schedule";
                assert_eq!(by_schema && !more, by_reader, "without {key} at {pointer}");
            }
        }
    }
}

/// Whatever value is replaced by another type: what the schema refuses the reader refuses too.
#[test]
fn the_reader_is_at_least_as_strict_as_the_schema() {
    let others =
        ["null", "true", "-1", "0.5", "\"\"", "\"Surprise\"", "[]", "[[]]", "{}", "{\"a\": 1}"];
    for sample in samples() {
        let mut all = Vec::new();
        pointers(&sample.json, String::new(), &mut all);
        for pointer in all {
            for other in others {
                let mut edited = sample.json.clone();
                *edited.pointer_mut(&pointer).unwrap() = serde_json::from_str(other).unwrap();
                if !sample.validator.is_valid(&edited) {
                    assert!(!sample.parses(&edited), "the reader takes {other} at {pointer}");
                }
            }
        }
    }
}

/// Both directions, from the tables: each shape's fields are exactly its schema's properties.
#[test]
fn schemas_name_exactly_the_fields_of_the_tables() {
    fn walk(shape: &Shape, schema: &Json, tag: Option<&str>) {
        let listed = |key: &str| -> BTreeSet<String> {
            match &schema[key] {
                Json::Object(map) => map.keys().cloned().collect(),
                Json::Array(items) => {
                    items.iter().map(|item| item.as_str().unwrap().into()).collect()
                }
                _ => BTreeSet::new(),
            }
        };
        let fields = |required: bool| -> BTreeSet<String> {
            let fields = shape.fields.iter().filter(|field| field.required || !required);
            fields.map(|field| field.name.to_owned()).chain(tag.map(ToOwned::to_owned)).collect()
        };
        assert_eq!(fields(false), listed("properties"), "{}", shape.what);
        assert_eq!(fields(true), listed("required"), "{}", shape.what);
        assert_eq!(schema["additionalProperties"], Json::Bool(false), "{}", shape.what);
        for field in shape.fields {
            let property = &schema["properties"][field.name];
            let inner = if field.required {
                property
            } else {
                property.pointer("/anyOf/0").unwrap_or(property)
            };
            descend(&field.kind, inner);
        }
    }
    fn descend(kind: &Kind, schema: &Json) {
        match kind {
            Kind::Object(shape) => walk(shape, schema, None),
            Kind::List { item, .. } => descend(item, &schema["items"]),
            Kind::Map { value, .. } => descend(value, &schema["additionalProperties"]),
            Kind::Tagged { tag, variants } => {
                for (index, (_, shape)) in variants.iter().enumerate() {
                    walk(shape, &schema["oneOf"][index], Some(tag));
                }
            }
            _ => {}
        }
    }
    walk(&VIEW_SHAPE, &schema_json(ConfigKind::View), None);
    walk(&SERVICE_SHAPE, &schema_json(ConfigKind::Service), None);
}

/// Each field's example passes the field's own schema.
#[test]
fn examples_are_right() {
    fn walk(fields: &[Field], schema: &Json) {
        for field in fields {
            let property = &schema["properties"][field.name];
            let example: Json = serde_json::from_str(field.example).unwrap();
            let validator = jsonschema::draft202012::new(property).unwrap();
            assert!(validator.is_valid(&example), "example of {}: {}", field.name, field.example);
            let inner = if field.required {
                property
            } else {
                property.pointer("/anyOf/0").unwrap_or(property)
            };
            match &field.kind {
                Kind::Object(shape) => walk(shape.fields, inner),
                Kind::List { item: Kind::Object(shape), .. } => walk(shape.fields, &inner["items"]),
                _ => {}
            }
        }
    }
    walk(VIEW_SHAPE.fields, &schema_json(ConfigKind::View));
    walk(SERVICE_SHAPE.fields, &schema_json(ConfigKind::Service));
}

/// The words of the tables are the words of the types.
#[test]
fn words_are_those_of_the_types() {
    fn words<T: serde::Serialize>(values: &[T]) -> Vec<String> {
        values.iter().map(|v| serde_json::to_value(v).unwrap().as_str().unwrap().into()).collect()
    }
    fn of(words: &[Word]) -> Vec<String> {
        words.iter().map(|word| word.word.to_owned()).collect()
    }
    assert_eq!(of(LANES), words(&[Lane::Batch, Lane::Stream, Lane::Direct]));
    assert_eq!(of(SEVERITIES), words(&[Severity::Error, Severity::Warn]));
    assert_eq!(of(DISTANCES), words(&[Distance::Cosine, Distance::L2, Distance::Dot]));
    use KeyType as K;
    let keys = [K::String, K::Int64, K::Bool, K::Bytes, K::Date, K::Timestamp];
    assert_eq!(of(KEY_TYPES), words(&keys));
    use DataType as D;
    let scalars = [
        D::Bool,
        D::Int32,
        D::Int64,
        D::Float32,
        D::Float64,
        D::String,
        D::Bytes,
        D::Timestamp,
        D::Date,
    ];
    assert_eq!(of(SCALARS), words(&scalars));
}
