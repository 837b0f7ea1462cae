//! `/healthz` (the process runs, and what its parts report), `/readyz` (it can serve), `/metrics`
//! (Prometheus).

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

/// Asked at every look at `/healthz`: how the part is.
type Report = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// Which parts are not ready, and why. Cheap to clone; parts report or are asked, `/readyz` tells.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Parts>);

#[derive(Default)]
struct Parts {
    failing: RwLock<BTreeMap<&'static str, String>>,
    probes: RwLock<Vec<(&'static str, Probe)>>,
    reports: RwLock<Vec<(&'static str, Report)>>,
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
    /// Shows this on `/healthz` under the part's name; it must be cheap. What it says makes nothing
    /// unready: that the registry is away, say, while the last definitions serve.
    pub fn report(
        &self,
        part: &'static str,
        report: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) {
        let mut reports = self.0.reports.write().unwrap_or_else(PoisonError::into_inner);
        reports.push((part, Box::new(report)));
    }
    fn health(&self) -> Response {
        let mut health = serde_json::Map::new();
        health.insert("status".to_owned(), "ok".into());
        for (part, report) in self.0.reports.read().unwrap_or_else(PoisonError::into_inner).iter() {
            health.insert((*part).to_owned(), report());
        }
        axum::Json(health).into_response()
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
    let health = readiness.clone();
    let router =
        Router::new().route("/healthz", get(move || async move { health.health() })).route(
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
