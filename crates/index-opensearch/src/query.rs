//! Questions, and what the answers' numbers mean.

use std::ops::Bound;

use serde_json::{Map, Value, json};
use trivium_codec::RowKey;
use trivium_model::Distance;
use trivium_store::{
    Error,
    embedding::{DocumentId, Filter, Hit, IndexSpec, Listing, Nearest},
};

use crate::{document, failure::strange, names};

/// The score of OpenSearch's number.
pub(crate) fn from_raw(metric: Distance, raw: f64) -> f32 {
    let score = match metric {
        Distance::Cosine => (2.0 * raw - 1.0).clamp(-1.0, 1.0),
        Distance::L2 => raw,
        Distance::Dot if raw >= 1.0 => raw - 1.0,
        Distance::Dot => 1.0 - 1.0 / raw,
    };
    score as f32
}

fn filter(filter: &Filter) -> Value {
    match filter {
        Filter::All(filters) => {
            json!({ "bool": { "filter": filters.iter().map(self::filter).collect::<Vec<_>>() } })
        }
        Filter::Equals { field, value } => {
            json!({ "term": { format!("meta.{field}"): document::value(value) } })
        }
        Filter::Range { field, from, to } => {
            let mut bounds = Map::new();
            for (bound, with, without) in [(from, "gte", "gt"), (to, "lte", "lt")] {
                match bound {
                    Bound::Included(value) => {
                        bounds.insert(with.to_owned(), document::value(value));
                    }
                    Bound::Excluded(value) => {
                        bounds.insert(without.to_owned(), document::value(value));
                    }
                    Bound::Unbounded => {}
                }
            }
            let field = format!("meta.{field}");
            // A range without ends still wants the field to be there.
            if bounds.is_empty() {
                return json!({ "exists": { "field": field } });
            }
            json!({ "range": { field: bounds } })
        }
    }
}

/// How hard a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Along the graph.
    Graph,
    /// At every document, where not more than [`EXACT_MAX`] of a segment pass the filter.
    Exact,
}

/// The most that k-NN takes as `k`. Lucene compares every document with the query where no more than
/// `k` pass the filter.
const EXACT_MAX: usize = 10_000;

/// The body of a search.
pub(crate) fn nearest(spec: &IndexSpec, query: &Nearest, effort: Effort) -> Value {
    let mut knn = json!({ "vector": document::indexed(spec, &query.vector) });
    if let Some(condition) = &query.filter {
        knn["filter"] = filter(condition);
    }
    match effort {
        Effort::Graph => {
            knn["k"] = json!(query.k);
            knn["method_parameters"] = json!({ "ef_search": spec.hnsw.ef_search });
        }
        Effort::Exact => {
            knn["k"] = json!(EXACT_MAX);
            if query.filter.is_none() {
                // Every document has one: it is there for Lucene to count what passes.
                knn["filter"] = json!({ "exists": { "field": "rev" } });
            }
        }
    }
    json!({
        "size": query.k,
        "query": { "knn": { "vector": knn } },
        "_source": false,
        "docvalue_fields": ["key", "rev"],
        "track_total_hits": false,
    })
}

/// The hits in an answer, in its order.
pub(crate) fn hits(spec: &IndexSpec, answer: &Value) -> Result<Vec<Hit>, Error> {
    rows(answer)?
        .iter()
        .map(|hit| {
            let fields = &hit["fields"];
            let id = found_id(spec, &fields["rev"][0], &fields["key"][0])?;
            let raw = hit["_score"].as_f64().ok_or_else(|| strange("has a hit without score"))?;
            Ok(Hit { id, score: from_raw(spec.metric, raw) })
        })
        .collect()
}

/// The body of one page of a listing.
pub(crate) fn listing(listing: &Listing, page: usize, after: Option<&DocumentId>) -> Value {
    let mut filters = Vec::new();
    if let Some(subject) = &listing.subject {
        filters.push(json!({ "term": { "subject": &**subject } }));
    }
    if let Some(rev) = listing.rev_below {
        filters.push(json!({ "range": { "rev": { "lt": rev.min(i64::MAX as u64) } } }));
    }
    if let Some(time) = listing.written_before {
        filters.push(json!({ "range": { "written": { "lt": time.0 } } }));
    }
    let mut body = json!({
        "size": page,
        "query": { "bool": { "filter": filters } },
        "sort": [ { "rev": "asc" }, { "key": "asc" } ],
        "_source": false,
        "track_total_hits": false,
    });
    if let Some(after) = after {
        body["search_after"] = json!([after.rev, after.key.partition()]);
    }
    body
}

/// The ids in a listing's answer.
pub(crate) fn listed(spec: &IndexSpec, answer: &Value) -> Result<Vec<DocumentId>, Error> {
    rows(answer)?.iter().map(|hit| found_id(spec, &hit["sort"][0], &hit["sort"][1])).collect()
}

fn rows(answer: &Value) -> Result<&Vec<Value>, Error> {
    if answer["timed_out"] != false || answer["_shards"]["failed"] != 0 {
        let what = format!("is not from all shards: {}", answer["_shards"]);
        return Err(Error::Unavailable(strange(&what).to_string()));
    }
    answer["hits"]["hits"].as_array().ok_or_else(|| strange("has no hits"))
}

fn found_id(spec: &IndexSpec, rev: &Value, key: &Value) -> Result<DocumentId, Error> {
    let rev = rev.as_u64();
    let key: Option<RowKey> = key.as_str().and_then(|partition| names::key(spec, partition));
    match (key, rev) {
        (Some(key), Some(rev)) => Ok(DocumentId { key, rev }),
        _ => Err(strange("names a document that is none of ours")),
    }
}
