//! The OpenAPI description of the REST surface.

use utoipa::{OpenApi, ToSchema};

use crate::{erasure, partitions, rest};

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

#[derive(OpenApi)]
#[openapi(paths(
    rest::plan,
    rest::apply,
    rest::list_views,
    rest::get_view,
    rest::list_services,
    rest::get_service,
    rest::list_audit,
    rest::snapshot,
    erasure::leave_order,
    erasure::list_orders,
    partitions::record_partitions,
    partitions::list_partitions
))]
struct Described;

/// What this crate serves over REST, to be merged with the other crates' descriptions.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
