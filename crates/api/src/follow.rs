//! Requests that are followed: a span each, told of by the names of routes and methods that there are. Nothing
//! of what a caller wrote is told: no path, no query, no method that is not known, no request id.

use std::borrow::Cow;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method},
    middleware::Next,
    response::Response,
};
use tonic::{Code, Status};
use trivium_runtime::trace::{self, Followed, KeyValue};

use crate::Caller;

/// What orchestrators ask again and again.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Runs the rest of a REST request.
pub(crate) async fn http(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    if route.is_some_and(|route| PROBES.contains(&route.as_str())) {
        return next.run(request).await;
    }
    let Some(followed) = begin(request.headers()) else { return next.run(request).await };
    let route = request.extensions().get::<MatchedPath>().cloned();
    let path = route.as_ref().map(MatchedPath::as_str);
    let method = known(request.method());
    followed.name(path.map_or(Cow::Borrowed(method), |path| format!("{method} {path}").into()));
    followed.tell("http.request.method", method);
    if let Some(path) = path {
        followed.tell("http.route", path.to_owned());
    }
    let response = followed.run(next.run(request)).await;
    let status = response.status();
    followed.tell("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        followed.failed(status.as_str().to_owned());
    }
    response
}

/// Runs the rest of a gRPC call.
pub(crate) async fn grpc(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/grpc.") {
        return next.run(request).await;
    }
    let Some(followed) = begin(request.headers()) else { return next.run(request).await };
    let path = request.uri().path().to_owned();
    let response = followed.run(next.run(request)).await;
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    followed.tell("rpc.system", "grpc");
    followed.tell("rpc.grpc.status_code", i64::from(code as i32));
    // One that is not there may have any name.
    if !matches!(code, Code::Unimplemented | Code::Unauthenticated)
        && let Some((service, method)) = path.trim_start_matches('/').split_once('/')
    {
        followed.name(format!("{service}/{method}"));
        followed.tell("rpc.service", service.to_owned());
        followed.tell("rpc.method", method.to_owned());
    }
    if is_fault(code) {
        followed.failed(format!("{code:?}"));
    }
    response
}

/// Tells who calls: the name in the operator's file of keys.
pub(crate) fn caller(caller: &Caller) {
    trace::tell(|| [KeyValue::new("trivium.caller", caller.0.to_string())]);
}

fn begin(headers: &HeaderMap) -> Option<Followed> {
    trace::request(|name| headers.get(name).and_then(|value| value.to_str().ok()))
}

/// A method is any word that a caller likes.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    const NAMES: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    let at = KNOWN.iter().position(|known| known == method);
    at.and_then(|at| NAMES.get(at)).copied().unwrap_or("_OTHER")
}

/// Which codes are the server's fault, by the conventions.
const fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
