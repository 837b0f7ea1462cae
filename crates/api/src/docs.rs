//! The OpenAPI document at `/openapi.json`, and `/docs`, a page that renders it with nothing from
//! the network.

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use bytes::Bytes;

const PAGE: &str = include_str!("docs.html");

/// Serves the document and its page.
pub fn docs_router(openapi_json: String) -> Router {
    let document = Bytes::from(openapi_json);
    Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let document = document.clone();
                async move { ([(header::CONTENT_TYPE, "application/json")], document).into_response() }
            }),
        )
        .route("/docs", get(|| async { Html(PAGE) }))
}
