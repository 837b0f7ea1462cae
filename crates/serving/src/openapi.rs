//! The OpenAPI description of the REST surface. Its types only describe: requests are read by
//! `bodies`, answers written by `json_out`; a test holds the two against each other.

#![allow(dead_code)]

use std::collections::BTreeMap;

use serde_json::Value as Json;
use utoipa::{OpenApi, ToSchema};

/// The one shape of errors.
#[derive(ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorShape {
    /// The kind: `INVALID_ARGUMENT`, `NOT_FOUND`, …
    code: String,
    /// What is wrong.
    message: String,
    /// Where, as a path into the request; empty where there is none.
    field: String,
    /// What to do; empty where there is nothing to say.
    help: String,
}

/// What to read. One of `features` and `service`.
#[derive(ToSchema)]
#[schema(as = OnlineGet, example = json!({
    "features": ["flights/carrier_daily@1:flights", "flights/carrier_daily@1:avg_dep_delay"],
    "entities": [{ "carrier": "AA", "origin": "JFK" }, { "carrier": "ZZ", "origin": "JFK" }]
}))]
struct GetRequest {
    /// `namespace/view@version:feature`, or `namespace/view@version` for all of a view. At most 1,000 in all; a feature may stand twice.
    features: Option<Vec<String>>,
    /// `namespace/service@version`.
    service: Option<String>,
    /// Join keys by name; each view takes those that it needs. Inputs of the service may stand beside them. At most 1,000 entities; order and length are kept.
    entities: Vec<BTreeMap<String, Json>>,
    /// Inputs of the service by name, for all entities. One that is given nowhere is null.
    inputs: Option<BTreeMap<String, Json>>,
    /// How fresh the answer must be; `"strong"` if absent.
    consistency: Option<Consistency>,
}

/// How fresh an answer must be.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Consistency {
    /// As the newest acknowledged write left it, whichever node is asked.
    Strong,
    /// May be answered from a copy in the serving node.
    Cached {
        /// A row was the newest at some moment no longer ago than this.
        max_staleness_ms: u64,
    },
}

/// What was read.
#[derive(ToSchema)]
#[schema(as = OnlineGetAnswer)]
struct GetAnswer {
    /// Full names of the features, in the order of each row's values.
    features: Vec<String>,
    /// One for each entity.
    rows: Vec<GetAnswerRow>,
}

/// One entity's values.
#[derive(ToSchema)]
#[schema(as = OnlineRow)]
struct GetAnswerRow {
    /// int64 beyond 2^53 and decimals are strings, NaN and infinities `"NaN"`, `"Infinity"`, `"-Infinity"`, bytes base64, times RFC 3339.
    values: Vec<Json>,
    /// Left out where all values are PRESENT.
    statuses: Option<Vec<ValueStatus>>,
    /// When the row of each view was true; views without a row are left out.
    event_times: Option<BTreeMap<String, String>>,
    /// For `if_rev`; views without a row are left out.
    revs: Option<BTreeMap<String, u64>>,
}

/// What stands behind a value: PRESENT; NULL (the row says null); NOT_FOUND (no row, or unset: the default is shown); EXPIRED (older than the ttl: the default is shown); DENIED; ERROR (the row could not be read).
#[derive(ToSchema)]
#[schema(as = Status)]
#[allow(clippy::upper_case_acronyms, non_camel_case_types)]
enum ValueStatus {
    PRESENT,
    NULL,
    NOT_FOUND,
    EXPIRED,
    DENIED,
    ERROR,
}

/// Rows of one view to set.
#[derive(ToSchema)]
#[schema(as = OnlinePut, example = json!({
    "view": "flights/ground_stop@1",
    "rows": [{ "entity": { "origin": "JFK" }, "values": { "stopped": true },
               "event_time": "2013-12-31T23:00:00Z", "idempotency_key": "stop-17" }]
}))]
struct PutRequest {
    /// `namespace/view@version`.
    view: String,
    /// At most 1,000; each is its own atomic step.
    rows: Vec<PutRow>,
    /// Answer only when searches see the rows' embeddings; false if absent.
    wait_for_search: Option<bool>,
}

/// One row to set.
#[derive(ToSchema)]
#[schema(as = OnlinePutRow)]
struct PutRow {
    /// Join keys by name.
    entity: BTreeMap<String, Json>,
    /// The features to set; the others keep their values. Null sets null.
    values: BTreeMap<String, Json>,
    /// RFC 3339. Left out: the server's data time, or just after the row's own where that is later.
    event_time: Option<String>,
    /// Only where the live row has this rev; 0: only where there is no live row.
    if_rev: Option<u64>,
    /// Names this write, 64 bytes at most: a retry of an applied one is told success.
    idempotency_key: Option<String>,
    /// Orders rows of one event time. Left out: the later call wins.
    sequence: Option<u64>,
}

/// Rows of one view to remove, for every feature of the view.
#[derive(ToSchema)]
#[schema(as = OnlineDelete, example = json!({
    "view": "flights/ground_stop@1", "rows": [{ "entity": { "origin": "JFK" } }]
}))]
struct DeleteRequest {
    /// `namespace/view@version`.
    view: String,
    /// At most 1,000.
    rows: Vec<DeleteRow>,
}

/// One row to remove.
#[derive(ToSchema)]
#[schema(as = OnlineDeleteRow)]
struct DeleteRow {
    /// Join keys by name.
    entity: BTreeMap<String, Json>,
    /// As for a put.
    event_time: Option<String>,
    /// As for a put.
    if_rev: Option<u64>,
    /// As for a put.
    idempotency_key: Option<String>,
    /// As for a put.
    sequence: Option<u64>,
}

/// Near what, and among which. One of `vector` and `entity`.
#[derive(ToSchema)]
#[schema(as = OnlineSearch, example = json!({
    "feature": "shop/products@1:picture", "vector": [0.1, 0.9], "k": 10,
    "filter": { "all": [{ "equals": { "color": "red" } }, { "range": { "price": { "gte": 5, "lt": 20 } } }] },
    "min_score": 0.5, "features": ["shop/products@1:price"]
}))]
struct SearchRequest {
    /// An embedding feature, `namespace/view@version:feature`.
    feature: String,
    /// As many numbers as the feature has dimensions.
    vector: Option<Vec<f32>>,
    /// Join keys by name: near this entity's own embedding. The entity itself is left out.
    entity: Option<BTreeMap<String, Json>>,
    /// How many hits, 1 to 1,000.
    k: u32,
    /// Only entities whose features pass: `{"equals": {FEATURE: VALUE, …}}`, `{"range": {FEATURE: {"gt" or "gte": VALUE, "lt" or "lte": VALUE}, …}}` or `{"all": [FILTER, …]}`. Features of the same view, values of their types; null and unset pass none.
    filter: Option<BTreeMap<String, Json>>,
    /// Only hits with at least this score.
    min_score: Option<f32>,
    /// What to show beside each hit: features of the same view, or all of it, named as in a get.
    features: Option<Vec<String>>,
}

/// What was found.
#[derive(ToSchema)]
#[schema(as = OnlineSearchAnswer)]
struct SearchAnswer {
    /// Full names of the features that were asked for, in the order of each hit's values.
    features: Vec<String>,
    /// Nearest first.
    hits: Vec<SearchHit>,
    /// Documents that were found and belong to no row as it is now: uncommitted, superseded, deleted or expired.
    dropped: u64,
    /// Whether so many were dropped that farther hits may be missing.
    is_cut_off: bool,
    /// What a search sees, in words.
    freshness: String,
}

/// An entity that was found.
#[derive(ToSchema)]
#[schema(as = OnlineHit)]
struct SearchHit {
    /// Join keys by name.
    entity: BTreeMap<String, Json>,
    /// Larger is nearer. Cosine: -1 to 1. Dot: the inner product. L2: 1 / (1 + squared distance).
    score: f32,
    /// The row's; for `if_rev`.
    rev: u64,
    /// When the row was true.
    event_time: String,
    /// Of the row that made it a hit. Left out where no features were asked for.
    values: Option<Vec<Json>>,
    /// Left out where all values are PRESENT.
    statuses: Option<Vec<ValueStatus>>,
}

/// How each row's write ended, in the order of the request.
#[derive(ToSchema)]
#[schema(as = OnlineWriteAnswer)]
struct WriteAnswer {
    /// One for each row.
    results: Vec<WriteResult>,
}

/// How one row's write ended.
#[derive(ToSchema)]
#[schema(as = OnlineWriteResult)]
struct WriteResult {
    /// Of what happened.
    outcome: WriteOutcome,
    /// The row's rev as it is now; 0 without a live row. Left out where the write failed.
    rev: Option<u64>,
    /// The row's event time as it is now.
    event_time: Option<String>,
    /// Why it failed.
    error: Option<ErrorShape>,
}

/// APPLIED; SUPERSEDED (a row at least as new stands there; not an error); CONFLICT (`if_rev` does not hold); ERASED (the row's subject has been erased up to `event_time`, and the write is not newer; not an error); FAILED (see `error`).
#[derive(ToSchema)]
#[schema(as = Outcome)]
#[allow(clippy::upper_case_acronyms)]
enum WriteOutcome {
    APPLIED,
    SUPERSEDED,
    CONFLICT,
    ERASED,
    FAILED,
}

/// Features of many entities: the newest row of each, with defaults where there is none.
#[utoipa::path(
    post, path = "/v1/features/online/get", tag = "online",
    request_body = GetRequest,
    responses(
        (status = 200, body = GetAnswer, description = "every entity, in the order of the request"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
fn get() {}

/// Sets features. The whole request is checked before any row is written; then each row has its own outcome.
#[utoipa::path(
    post, path = "/v1/features/online/put", tag = "online",
    request_body = PutRequest,
    responses(
        (status = 200, body = WriteAnswer, description = "an outcome for every row"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape; nothing was written"),
    ),
)]
fn put() {}

/// Removes rows. What is older than the delete stays away.
#[utoipa::path(
    post, path = "/v1/features/online/delete", tag = "online",
    request_body = DeleteRequest,
    responses(
        (status = 200, body = WriteAnswer, description = "an outcome for every row"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape; nothing was written"),
    ),
)]
fn delete() {}

/// The entities whose embeddings are nearest. Sees a write after the index's next refresh.
#[utoipa::path(
    post, path = "/v1/features/online/search", tag = "online",
    request_body = SearchRequest,
    responses(
        (status = 200, body = SearchAnswer, description = "the hits, nearest first"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
fn search() {}

#[derive(OpenApi)]
#[openapi(paths(get, put, delete, search))]
struct Described;

/// What this crate serves over REST, to be merged with the other crates' descriptions.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Described::openapi();
    document.merge(crate::erase::openapi::Described::openapi());
    document
}
