//! The OpenAPI description of the REST surface.

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::{json::HistoricalRequest, rest};

/// The one shape of errors, as the description names it.
#[derive(ToSchema)]
#[schema(as = Error)]
#[allow(dead_code)] // Only described here; answered by the `api` crate.
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

/// Features of each entity at its time.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)] // Only described here; written straight from the batches.
pub(crate) struct HistoricalAnswer {
    /// Full names, in the order of `values`.
    features: Vec<String>,
    /// One for each entity, in the request's order.
    rows: Vec<HistoricalRow>,
}

/// Features of one entity.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)]
pub(crate) struct HistoricalRow {
    /// Null where no row matches, or where the row has null.
    #[schema(value_type = Vec<Object>)]
    values: Vec<serde_json::Value>,
}

#[derive(OpenApi)]
#[openapi(paths(rest::historical), components(schemas(HistoricalRequest)))]
struct Described;

/// What this crate serves over REST, to be merged with the other crates' descriptions.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
