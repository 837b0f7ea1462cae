//! What every HTTP answer has: a request id, metrics, and the one error shape for unknown paths.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri},
    middleware::{Next, from_fn},
    response::Response,
};
use metrics::{Counter, Histogram};

use crate::{ApiError, deadline, follow};

/// The header that names a request: taken from the caller if it is well-formed, else made here,
/// and always answered.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken from a caller, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// The last step of every router that is served: request ids, metrics by route, and unknown paths
/// and methods in the one error shape.
pub fn finish(router: Router) -> Router {
    let routes = Arc::new(Routes::default());
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn(move |request, next| observe(routes.clone(), request, next)))
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at `{}`", uri.path()))
        .help("`/openapi.json` lists what there is")
}

async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    ApiError::invalid(format!("`{}` does not take {method}", uri.path()))
        .help("the `allow` header names the methods that it takes")
        .with_http_status(StatusCode::METHOD_NOT_ALLOWED)
}

async fn observe(routes: Arc<Routes>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.to_str().is_ok())
        .cloned()
        .unwrap_or_else(new_request_id);
    // Unknown paths share one label: callers must not be able to make new time series.
    let route =
        routes.of(request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str));
    let mut response = deadline::http(request, |request| follow::http(request, next)).await;
    route.seconds.record(start.elapsed().as_secs_f64());
    route.count(response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Unlikely to be given twice, across processes too.
fn new_request_id() -> HeaderValue {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = *PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::from_str(&format!("{process:016x}-{number:x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Handles of the metrics of each route, so that a request does not look them up by labels.
#[derive(Debug, Default)]
pub(crate) struct Routes(RwLock<HashMap<String, Arc<RouteMetrics>>>);

pub(crate) struct RouteMetrics {
    route: String,
    counts: &'static str,
    label: &'static str,
    pub(crate) seconds: Histogram,
    by_status: RwLock<Vec<(u16, Counter)>>,
}

impl std::fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteMetrics").field("route", &self.route).finish_non_exhaustive()
    }
}

impl Routes {
    fn of(&self, route: &str) -> Arc<RouteMetrics> {
        self.named(route, "trivium_http_requests_total", "trivium_http_request_seconds", "status")
    }

    pub(crate) fn named(
        &self,
        route: &str,
        counts: &'static str,
        seconds: &'static str,
        label: &'static str,
    ) -> Arc<RouteMetrics> {
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            return found.clone();
        }
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routes
            .entry(route.to_owned())
            .or_insert_with(|| {
                Arc::new(RouteMetrics {
                    route: route.to_owned(),
                    counts,
                    label,
                    seconds: metrics::histogram!(seconds, "route" => route.to_owned()),
                    by_status: RwLock::default(),
                })
            })
            .clone()
    }
}

impl RouteMetrics {
    pub(crate) fn count(&self, status: u16) {
        let find = |counters: &Vec<(u16, Counter)>| {
            counters.iter().find(|(known, _)| *known == status).map(|(_, counter)| counter.clone())
        };
        let found = find(&self.by_status.read().unwrap_or_else(PoisonError::into_inner));
        let counter = found.unwrap_or_else(|| {
            let counter = metrics::counter!(
                self.counts, "route" => self.route.clone(), self.label => status.to_string()
            );
            let mut counters = self.by_status.write().unwrap_or_else(PoisonError::into_inner);
            find(&counters).unwrap_or_else(|| {
                counters.push((status, counter.clone()));
                counter
            })
        });
        counter.increment(1);
    }
}
