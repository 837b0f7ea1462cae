//! What is refused before any index is asked, the same by all of them. Messages name fields, never values:
//! these may be somebody's.

use std::ops::Bound;

use trivium_model::{Distance, Name, types::EMBEDDING_DIMENSION_MAX};

use super::{Document, DocumentId, Filter, IndexSpec, MetaType, MetaValue, Nearest, norm};
use crate::Error;

/// The most hits that a search gives.
pub const K_MAX: usize = 1_000;
/// The largest component, either way: the square of the longest vector still is a float32.
pub const COMPONENT_MAX: f32 = 1e15;
/// The longest text to filter by, in bytes (Lucene's limit of a term is four times this).
pub const METADATA_TEXT_BYTES_MAX: usize = 8_000;
/// Conditions in one filter.
pub const FILTER_TERMS_MAX: usize = 64;
/// Levels of a filter.
pub const FILTER_DEPTH_MAX: usize = 8;
/// Rows' revs are microseconds or counters; beyond this they would not be int64 elsewhere.
const REV_MAX: u64 = i64::MAX as u64;

fn invalid<T>(message: String) -> Result<T, Error> {
    Err(Error::Invalid(message))
}

/// Whether such an index can be.
pub fn check_spec(spec: &IndexSpec) -> Result<(), Error> {
    if !(1..=EMBEDDING_DIMENSION_MAX).contains(&spec.dimension) {
        return invalid(format!(
            "{spec}: dimension {} is not between 1 and {EMBEDDING_DIMENSION_MAX}",
            spec.dimension
        ));
    }
    let hnsw = &spec.hnsw;
    if !(2..=100).contains(&hnsw.m) || hnsw.ef_construction < hnsw.m || hnsw.ef_search == 0 {
        return invalid(format!(
            "{spec}: {hnsw:?} cannot work; m is 2 to 100, ef_construction at least m, ef_search at least 1"
        ));
    }
    let mut names: Vec<&Name> = spec.metadata.iter().map(|(name, _)| name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => invalid(format!("{spec}: the field `{}` stands there twice", pair[0])),
        None => Ok(()),
    }
}

/// Whether an id is one of this index.
pub fn check_id(spec: &IndexSpec, id: &DocumentId) -> Result<(), Error> {
    let sort = format!("{}#{}", spec.view.view, spec.view.version);
    let namespace = id.key.partition().split('#').next();
    if id.key.sort() != sort || namespace != Some(spec.view.namespace.as_str()) {
        return invalid(format!("{spec}: the key is of a row of another view"));
    }
    if id.rev == 0 || id.rev > REV_MAX {
        return invalid(format!("{spec}: rev {} is not between 1 and {REV_MAX}", id.rev));
    }
    Ok(())
}

/// Whether a document can stand in this index.
pub fn check_document(spec: &IndexSpec, document: &Document) -> Result<(), Error> {
    check_id(spec, &document.id)?;
    check_vector(spec, &document.vector)?;
    for (at, (field, value)) in document.metadata.iter().enumerate() {
        check_value(spec, field, value)?;
        if document.metadata[..at].iter().any(|(other, _)| other == field) {
            return invalid(format!("{spec}: the field `{field}` stands in a document twice"));
        }
    }
    Ok(())
}

/// Whether a question can be answered by this index.
pub fn check_nearest(spec: &IndexSpec, query: &Nearest) -> Result<(), Error> {
    check_vector(spec, &query.vector)?;
    if !(1..=K_MAX).contains(&query.k) {
        return invalid(format!("{spec}: k is {}; ask for 1 to {K_MAX}", query.k));
    }
    if query.score_min.is_some_and(f32::is_nan) {
        return invalid(format!("{spec}: the least score is not a number"));
    }
    let Some(filter) = &query.filter else { return Ok(()) };
    let mut terms = 0;
    check_filter(spec, filter, FILTER_DEPTH_MAX, &mut terms)
}

/// Whether a vector can stand in this index, or be asked for.
pub fn check_vector(spec: &IndexSpec, vector: &[f32]) -> Result<(), Error> {
    if vector.len() != spec.dimension as usize {
        return invalid(format!(
            "{spec} has dimension {}, the vector has {} components",
            spec.dimension,
            vector.len()
        ));
    }
    // NaN is in no range.
    let allowed = -COMPONENT_MAX..=COMPONENT_MAX;
    if let Some(at) = vector.iter().position(|component| !allowed.contains(component)) {
        return invalid(format!(
            "{spec}: component {at} is not a number between ±{COMPONENT_MAX:e}"
        ));
    }
    if spec.metric == Distance::Cosine && norm(vector) == 0.0 {
        return invalid(format!("{spec}: the zero vector has no direction, hence no cosine"));
    }
    Ok(())
}

fn check_value(spec: &IndexSpec, field: &Name, value: &MetaValue) -> Result<(), Error> {
    let Some((_, expected)) = spec.metadata.iter().find(|(name, _)| name == field) else {
        let known: Vec<&str> = spec.metadata.iter().map(|(name, _)| name.as_str()).collect();
        return invalid(format!(
            "{spec} has no field `{field}` to filter by; it has: {}",
            known.join(", ")
        ));
    };
    if value.meta_type() != *expected {
        return invalid(format!(
            "{spec}: the field `{field}` is {expected:?}, the value is {:?}",
            value.meta_type()
        ));
    }
    match value {
        MetaValue::Float(number) if !number.is_finite() => {
            invalid(format!("{spec}: `{field}` is not finite; only finite numbers are filtered by"))
        }
        MetaValue::Text(text) if text.len() > METADATA_TEXT_BYTES_MAX => invalid(format!(
            "{spec}: `{field}` has {} bytes; at most {METADATA_TEXT_BYTES_MAX} are filtered by",
            text.len()
        )),
        _ => Ok(()),
    }
}

fn check_filter(
    spec: &IndexSpec,
    filter: &Filter,
    depth: usize,
    terms: &mut usize,
) -> Result<(), Error> {
    *terms += 1;
    if depth == 0 || *terms > FILTER_TERMS_MAX {
        return invalid(format!(
            "{spec}: the filter is too large; at most {FILTER_TERMS_MAX} conditions, {FILTER_DEPTH_MAX} levels"
        ));
    }
    match filter {
        Filter::All(filters) => {
            filters.iter().try_for_each(|filter| check_filter(spec, filter, depth - 1, terms))
        }
        Filter::Equals { field, value } => check_value(spec, field, value),
        Filter::Range { field, from, to } => {
            for bound in [from, to] {
                if let Bound::Included(value) | Bound::Excluded(value) = bound {
                    check_value(spec, field, value)?;
                }
            }
            match spec.metadata.iter().find(|(name, _)| name == field) {
                Some((_, MetaType::Bool)) => {
                    invalid(format!("{spec}: `{field}` is a boolean: it has no ranges"))
                }
                Some(_) => Ok(()),
                None => check_value(spec, field, &MetaValue::Bool(true)),
            }
        }
    }
}
