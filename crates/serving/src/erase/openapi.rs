//! The OpenAPI description of erasures.

#![allow(dead_code)]

use utoipa::OpenApi;

use super::{
    report::Report,
    rest::{EraseBody, GetErasureBody},
};
use crate::openapi::ErrorShape;

/// Erases a person: refuses writes up to now, then deletes every row and embedding, and leaves an order for the offline store. Answers with the report so far where it takes longer than a call may wait; it goes on by itself.
#[utoipa::path(
    post, path = "/v1/subjects/erase", tag = "subjects",
    request_body = EraseBody,
    responses(
        (status = 200, body = Report, description = "begun, or gone on with: `state` says how far it is"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
fn erase() {}

/// What the person's newest erasure did so far.
#[utoipa::path(
    post, path = "/v1/subjects/erasure", tag = "subjects",
    request_body = GetErasureBody,
    responses(
        (status = 200, body = Report, description = "the report"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
fn get_erasure() {}

#[derive(OpenApi)]
#[openapi(paths(erase, get_erasure))]
pub(crate) struct Described;
