//! Filters of a request, checked against the types of the view's features.

use std::ops::Bound;

use trivium_api::ApiError;
use trivium_model::{DataType, Name, Value, json::value_from_json};
use trivium_proto::{
    v1::{SearchFilter, search_filter::Kind, search_range},
    wire::value_from_wire,
};
use trivium_store::embedding::{Filter, METADATA_TEXT_BYTES_MAX, MetaType, MetaValue};

use super::search::Place;
use crate::{bodies::Entries, definitions::feature_index, json_text::Node};

/// How a filter is written, for messages.
const SHAPE: &str = "a filter is one of `{\"equals\": {\"origin\": \"JFK\"}}`, `{\"range\": \
     {\"price\": {\"gte\": 5, \"lt\": 10}}}` and `{\"all\": [FILTER, …]}`";

/// A feature that can be filtered by.
fn field(place: &Place, name: &str, at: &str) -> Result<(Name, DataType), ApiError> {
    let view = &place.view;
    let field = &view.fields()[feature_index(view, name, at)?];
    if MetaType::of(&field.data_type).is_none() {
        let known = place.feature().spec.metadata.iter().map(|(name, _)| name.as_str());
        let known: Vec<&str> = known.collect();
        let help = match known.as_slice() {
            [] => format!("`{}` has no feature to filter by", view.name),
            some => format!("filter by: {}", some.join(", ")),
        };
        return Err(ApiError::invalid(format!(
            "`{name}` is {}: searches cannot filter by it",
            field.data_type
        ))
        .at(at)
        .help(help));
    }
    Ok((field.name.clone(), field.data_type.clone()))
}

/// A value to compare with.
fn compared(value: Result<Value, String>, at: &str) -> Result<MetaValue, ApiError> {
    let value = value.map_err(|message| ApiError::invalid(message).at(at))?;
    MetaValue::of(&value).ok_or_else(|| {
        let (message, help) = match value {
            Value::Null => ("null is compared with", "a feature that is null passes no filter"),
            Value::String(_) => ("the text is too long to filter by", ""),
            _ => ("the number is not finite", "compare with a finite one"),
        };
        let error = ApiError::invalid(message).at(at);
        match value {
            Value::String(_) => {
                error.help(format!("at most {METADATA_TEXT_BYTES_MAX} bytes are filtered by"))
            }
            _ => error.help(help),
        }
    })
}

fn range(
    field: (Name, DataType),
    from: Bound<MetaValue>,
    to: Bound<MetaValue>,
    at: &str,
) -> Result<Filter, ApiError> {
    let (name, data_type) = field;
    if data_type == DataType::Bool {
        return Err(ApiError::invalid(format!("`{name}` is a bool: it has no ranges"))
            .at(at)
            .help("compare it by `equals`"));
    }
    if matches!((&from, &to), (Bound::Unbounded, Bound::Unbounded)) {
        return Err(ApiError::invalid("the range has no bounds")
            .at(at)
            .help("give `gt` or `gte`, `lt` or `lte`, or both"));
    }
    Ok(Filter::Range { field: name, from, to })
}

/// A filter of a JSON request.
pub(crate) fn of_json(place: &Place, node: Node<'_>, at: &str) -> Result<Filter, ApiError> {
    let wrong = |message: String| ApiError::invalid(message).at(at).help(SHAPE);
    let Node::Object(mut entries) = node else {
        return Err(wrong(format!("expected a filter, found {}", node.word())));
    };
    let (kind, content) = match (entries.pop(), entries.len()) {
        (Some(entry), 0) => entry,
        (None, _) => return Err(wrong("the filter says nothing".to_owned())),
        (Some(_), more) => {
            return Err(wrong(format!("the filter has {} fields instead of one", more + 1)));
        }
    };
    let at = format!("{at}.{kind}");
    match (&*kind, content) {
        ("all", Node::Array(filters)) => {
            let filters = filters.into_iter().enumerate();
            let filters = filters.map(|(n, filter)| of_json(place, filter, &format!("{at}[{n}]")));
            Ok(Filter::All(filters.collect::<Result<_, _>>()?))
        }
        ("equals", Node::Object(fields)) => each(fields, &at, |name, value, at| {
            let (field, data_type) = field(place, name, at)?;
            let value = value.to_json().and_then(|json| value_from_json(&data_type, &json));
            Ok(Filter::Equals { field, value: compared(value, at)? })
        }),
        ("range", Node::Object(fields)) => {
            each(fields, &at, |name, bounds, at| range_of_json(place, name, bounds, at))
        }
        ("all", other) => {
            Err(ApiError::invalid(format!("expected an array, found {}", other.word())).at(at))
        }
        ("equals" | "range", other) => {
            Err(ApiError::invalid(format!("expected an object, found {}", other.word())).at(at))
        }
        (kind, _) => Err(wrong(format!("`{kind}` is no filter"))),
    }
}

/// One condition for each field of an object.
fn each(
    fields: Entries<'_>,
    at: &str,
    condition: impl Fn(&str, Node<'_>, &str) -> Result<Filter, ApiError>,
) -> Result<Filter, ApiError> {
    let conditions = fields
        .into_iter()
        .map(|(name, node)| condition(&name, node, &format!("{at}.{name}")))
        .collect::<Result<Vec<_>, _>>()?;
    match <[Filter; 1]>::try_from(conditions) {
        Ok([one]) => Ok(one),
        Err(some) if some.is_empty() => {
            Err(ApiError::invalid("no feature is named").at(at).help(SHAPE))
        }
        Err(some) => Ok(Filter::All(some)),
    }
}

fn range_of_json(place: &Place, name: &str, node: Node<'_>, at: &str) -> Result<Filter, ApiError> {
    let (name, data_type) = field(place, name, at)?;
    let Node::Object(bounds) = node else {
        return Err(ApiError::invalid(format!("expected an object, found {}", node.word()))
            .at(at)
            .help(SHAPE));
    };
    let (mut from, mut to) = (Bound::Unbounded, Bound::Unbounded);
    for (word, node) in bounds {
        let at = format!("{at}.{word}");
        let side = match &*word {
            "gt" | "gte" => &mut from,
            "lt" | "lte" => &mut to,
            _ => {
                return Err(ApiError::invalid(format!("`{word}` is no bound"))
                    .at(at)
                    .help("bounds are `gt`, `gte`, `lt` and `lte`"));
            }
        };
        if !matches!(side, Bound::Unbounded) {
            return Err(ApiError::invalid("the range has two bounds on this side").at(at));
        }
        let value = node.to_json().and_then(|json| value_from_json(&data_type, &json));
        let value = compared(value, &at)?;
        *side = if word.ends_with('e') { Bound::Included(value) } else { Bound::Excluded(value) };
    }
    range((name, data_type), from, to, at)
}

/// A filter of a gRPC request.
pub(crate) fn of_proto(place: &Place, filter: SearchFilter, at: &str) -> Result<Filter, ApiError> {
    let Some(kind) = filter.kind else {
        return Err(ApiError::invalid("the filter says nothing").at(at));
    };
    let typed = |data_type: &DataType, value: Option<trivium_proto::v1::Value>, at: &str| {
        let value = value.ok_or_else(|| format!("expected {data_type}, found no value"));
        compared(value.and_then(|value| value_from_wire(data_type, value)), at)
    };
    match kind {
        Kind::All(all) => {
            let filters = all.filters.into_iter().enumerate();
            let filters =
                filters.map(|(n, filter)| of_proto(place, filter, &format!("{at}.all[{n}]")));
            Ok(Filter::All(filters.collect::<Result<_, _>>()?))
        }
        Kind::Equals(equals) => {
            let at = format!("{at}.equals.{}", equals.feature);
            let (field, data_type) = field(place, &equals.feature, &at)?;
            Ok(Filter::Equals { field, value: typed(&data_type, equals.value, &at)? })
        }
        Kind::Range(bounds) => {
            let at = format!("{at}.range.{}", bounds.feature);
            let field = field(place, &bounds.feature, &at)?;
            let value = |value, word: &str| typed(&field.1, Some(value), &format!("{at}.{word}"));
            let from = match bounds.from {
                None => Bound::Unbounded,
                Some(search_range::From::Gt(from)) => Bound::Excluded(value(from, "gt")?),
                Some(search_range::From::Gte(from)) => Bound::Included(value(from, "gte")?),
            };
            let to = match bounds.to {
                None => Bound::Unbounded,
                Some(search_range::To::Lt(to)) => Bound::Excluded(value(to, "lt")?),
                Some(search_range::To::Lte(to)) => Bound::Included(value(to, "lte")?),
            };
            range(field, from, to, &at)
        }
    }
}
