//! `/healthz` (the process runs), `/readyz` (it can serve), `/metrics` (Prometheus).

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use trivium_runtime::Kind;

use crate::ApiError;

/// Which parts are not ready, and why. Cheap to clone; parts report, `/readyz` asks.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Everything is ready until a part says otherwise.
    pub fn new() -> Self {
        Self::default()
    }
    /// The part can serve.
    pub fn ready(&self, part: &'static str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(part);
    }
    /// The part cannot serve, and why.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(part, why.into());
    }
    /// Whether every part can serve.
    pub fn check(&self) -> Result<(), ApiError> {
        let failing = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if failing.is_empty() {
            return Ok(());
        }
        let parts: Vec<String> =
            failing.iter().map(|(part, why)| format!("{part}: {why}")).collect();
        Err(ApiError::new(Kind::Unavailable, format!("not ready: {}", parts.join("; "))))
    }
}

/// `/healthz`, `/readyz` and, with a recorder, `/metrics`.
pub fn ops_router(readiness: Readiness, metrics: Option<PrometheusHandle>) -> Router {
    let router =
        Router::new().route("/healthz", get(|| async { json(r#"{"status":"ok"}"#) })).route(
            "/readyz",
            get(move || {
                let answer = readiness.check().map(|()| json(r#"{"status":"ready"}"#));
                async move { answer }
            }),
        );
    let Some(handle) = metrics else { return router };
    router.route(
        "/metrics",
        get(move || {
            // Old samples of histograms are folded in at each scrape.
            handle.run_upkeep();
            let page = handle.render();
            async move {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
            }
        }),
    )
}

fn json(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
