//! `/healthz` (the process runs), `/readyz` (it can serve), `/metrics` (Prometheus).

use std::{
    collections::BTreeMap,
    fmt,
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

/// Asked at every check: why the part cannot serve, or `None`.
type Probe = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Which parts are not ready, and why. Cheap to clone; parts report or are asked, `/readyz` tells.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Parts>);

#[derive(Default)]
struct Parts {
    failing: RwLock<BTreeMap<&'static str, String>>,
    probes: RwLock<Vec<(&'static str, Probe)>>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("failing", &self.0.failing).finish_non_exhaustive()
    }
}

impl Readiness {
    /// Everything is ready until a part says otherwise.
    pub fn new() -> Self {
        Self::default()
    }
    /// The part can serve.
    pub fn ready(&self, part: &'static str) {
        self.0.failing.write().unwrap_or_else(PoisonError::into_inner).remove(part);
    }
    /// The part cannot serve, and why.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.0.failing.write().unwrap_or_else(PoisonError::into_inner).insert(part, why.into());
    }
    /// Asks this at every check, which must be cheap: why the part cannot serve, or `None`.
    pub fn probe(
        &self,
        part: &'static str,
        probe: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        let mut probes = self.0.probes.write().unwrap_or_else(PoisonError::into_inner);
        probes.push((part, Box::new(probe)));
    }
    /// Whether every part can serve.
    pub fn check(&self) -> Result<(), ApiError> {
        let failing = self.0.failing.read().unwrap_or_else(PoisonError::into_inner);
        let probes = self.0.probes.read().unwrap_or_else(PoisonError::into_inner);
        let told = failing.iter().map(|(part, why)| format!("{part}: {why}"));
        let asked =
            probes.iter().filter_map(|(part, probe)| probe().map(|why| format!("{part}: {why}")));
        let parts: Vec<String> = told.chain(asked).collect();
        if parts.is_empty() {
            return Ok(());
        }
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
