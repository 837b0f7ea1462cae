//! `KEY=VALUE` of the command line as JSON, typed by the definitions: `5` is a number where the key
//! is an int64 and a text where it is a string.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use trivium_api::{ApiError, suggest};
use trivium_model::{DataType, FeatureService, FeatureView, KeyType};

use crate::{args::Pair, failure::Failure};

/// The entity of the views, as the JSON of a request.
pub fn entity(pairs: &[Pair], views: &[&FeatureView]) -> Result<Map<String, Json>, Failure> {
    let mut types: BTreeMap<&str, KeyType> = BTreeMap::new();
    for view in views {
        types.extend(view.entities.iter().map(|entity| (entity.name.as_str(), entity.key_type)));
    }
    let mut entity = Map::new();
    for Pair { key, value } in pairs {
        let at = format!("--entity {key}");
        let Some(key_type) = types.get(key.as_str()) else {
            let known: Vec<&str> = types.keys().copied().collect();
            return Err(ApiError::invalid(format!("`{key}` is no join key here"))
                .at(at)
                .help(suggest::hint(key, known.iter().copied()))
                .into());
        };
        let json = key_json(*key_type, value).map_err(|message| {
            let example = example(&key_type.data_type());
            ApiError::invalid(message)
                .at(&at)
                .help(format!("{key_type} is written as in `--entity {key}={example}`"))
        })?;
        if entity.insert(key.clone(), json).is_some() {
            return Err(ApiError::invalid(format!("`{key}` is given twice"))
                .at(at)
                .help("give each join key once")
                .into());
        }
    }
    let missing: Vec<&str> =
        types.keys().filter(|key| !entity.contains_key(**key)).copied().collect();
    if let Some(first) = missing.first() {
        return Err(ApiError::invalid(format!("the entity has no `{}`", missing.join("`, `")))
            .at("--entity")
            .help(format!("add `--entity {first}=…`"))
            .into());
    }
    Ok(entity)
}

/// A value of a join key, as JSON.
pub fn key_json(key_type: KeyType, text: &str) -> Result<Json, String> {
    let json = match key_type {
        KeyType::Int64 => {
            let number: i64 = text.parse().map_err(|_| format!("`{text}` is not an int64"))?;
            // Beyond 2^53, JSON spells them as strings.
            if number.unsigned_abs() > 1 << 53 {
                Json::String(text.to_owned())
            } else {
                number.into()
            }
        }
        KeyType::Bool => Json::Bool(text.parse().map_err(|_| format!("`{text}` is not a bool"))?),
        KeyType::String | KeyType::Bytes | KeyType::Date | KeyType::Timestamp => {
            Json::String(text.to_owned())
        }
    };
    // The same check as a server's, so that the message names the flag.
    trivium_model::json::key_from_json(key_type, &json)?;
    Ok(json)
}

/// How a value of the type is written on the command line.
fn example(data_type: &DataType) -> String {
    match data_type {
        DataType::Bool => "true".to_owned(),
        DataType::Int32 | DataType::Int64 => "42".to_owned(),
        DataType::Float32 | DataType::Float64 => "0.5".to_owned(),
        DataType::Decimal { scale: 0, .. } => "4".to_owned(),
        DataType::Decimal { .. } => "0.5".to_owned(),
        DataType::String => "text".to_owned(),
        DataType::Bytes => "AAEC".to_owned(),
        DataType::Timestamp => "2013-01-31T05:00:00Z".to_owned(),
        DataType::Date => "2013-01-31".to_owned(),
        DataType::Embedding { dimension, .. } => format!("[0.5, …] ({dimension} numbers)"),
        DataType::List(item) => {
            let item = match &**item {
                DataType::String | DataType::Bytes | DataType::Timestamp | DataType::Date => {
                    format!("\"{}\"", example(item))
                }
                other => example(other),
            };
            format!("[{item}, …]")
        }
    }
}

/// The value of one pair as JSON, for a flag of this name.
pub fn value(flag: &str, pair: &Pair, view: &FeatureView) -> Result<Json, Failure> {
    let Pair { key, value } = pair;
    let at = format!("{flag} {key}");
    let served = view.served_features();
    let Some(feature) = served.iter().find(|feature| feature.name == *key.as_str()) else {
        let known = served.iter().map(|feature| feature.name.as_str());
        return Err(ApiError::invalid(format!("{} has no feature `{key}`", view.reference()))
            .at(at)
            .help(suggest::hint(key, known))
            .into());
    };
    let json = value_json(&feature.data_type, value);
    trivium_model::json::value_from_json(&feature.data_type, &json).map_err(|message| {
        let example = example(&feature.data_type);
        ApiError::invalid(message)
            .at(&at)
            .help(format!("{} is written as in `{flag} '{key}={example}'`", feature.data_type))
    })?;
    Ok(json)
}

/// The inputs of a read as the JSON of a request. `None` reads features, which take none.
pub fn inputs(
    pairs: &[Pair],
    service: Option<&FeatureService>,
) -> Result<Map<String, Json>, Failure> {
    let known = service.map_or(&[][..], |service| &service.inputs);
    let mut inputs = Map::new();
    for Pair { key, value } in pairs {
        let at = format!("--input {key}");
        let Some(input) = known.iter().find(|input| *input.name == *key.as_str()) else {
            let help = if known.is_empty() {
                "only services whose config has `inputs` take any".to_owned()
            } else {
                suggest::hint(key, known.iter().map(|input| input.name.as_str()))
            };
            let message = format!("`{key}` is no input of what is read");
            return Err(ApiError::invalid(message).at(at).help(help).into());
        };
        let json = value_json(&input.data_type, value);
        trivium_model::json::value_from_json(&input.data_type, &json).map_err(|message| {
            let example = example(&input.data_type);
            ApiError::invalid(message)
                .at(&at)
                .help(format!("{} is written as in `--input '{key}={example}'`", input.data_type))
        })?;
        if inputs.insert(key.clone(), json).is_some() {
            return Err(ApiError::invalid(format!("`{key}` is given twice"))
                .at(at)
                .help("give each input once")
                .into());
        }
    }
    Ok(inputs)
}

/// The values to set, as the JSON of a request.
pub fn values(pairs: &[Pair], view: &FeatureView) -> Result<Map<String, Json>, Failure> {
    let mut values = Map::new();
    for pair in pairs {
        let key = &pair.key;
        if values.insert(key.clone(), value("--set", pair, view)?).is_some() {
            return Err(ApiError::invalid(format!("`{key}` is given twice"))
                .at(format!("--set {key}"))
                .help("give each feature once")
                .into());
        }
    }
    Ok(values)
}

/// JSON where it is JSON, the bare text otherwise. For a string feature only `null` and what is
/// quoted is JSON: `--set reason=5` is the text.
fn value_json(data_type: &DataType, text: &str) -> Json {
    if *data_type == DataType::String && text != "null" && !text.starts_with('"') {
        return Json::String(text.to_owned());
    }
    let json = serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()));
    match (data_type, &json) {
        // Numbers that JSON cannot carry exactly go as text.
        (DataType::Decimal { .. }, Json::Number(_)) => Json::String(text.to_owned()),
        (DataType::Int64, Json::Number(number))
            if number.as_i64().is_some_and(|number| number.unsigned_abs() > 1 << 53) =>
        {
            Json::String(text.to_owned())
        }
        _ => json,
    }
}
