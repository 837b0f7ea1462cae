//! What every gRPC answer has: metrics, and the one error shape also where the transport refuses a
//! call before our code sees it.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use tonic::{Code, Status, service::Routes as GrpcRoutes};
use tower::ServiceExt;
use trivium_runtime::Kind;

use crate::{ApiError, connect, deadline, follow, http::Routes};

/// gRPC on the HTTP address too, so that one address is enough for every client, and the same calls
/// by the Connect protocol ([`connect`]). `services` have
/// been through [`finish_grpc`].
pub fn with_grpc(router: Router, services: Router) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let services = services.clone();
        async move {
            let content_type = request.headers().get(header::CONTENT_TYPE);
            let is_grpc =
                content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
            if is_grpc {
                services.oneshot(request).await.into_response()
            } else if connect::is_call(&request) {
                connect::answer(services, request).await
            } else {
                next.run(request).await
            }
        }
    }))
}

/// The last step of every set of gRPC services that is served.
pub fn finish_grpc(services: GrpcRoutes) -> GrpcRoutes {
    let routes = Arc::new(Routes::default());
    let router = services
        .into_axum_router()
        .layer(from_fn(move |request, next| observe(routes.clone(), request, next)));
    GrpcRoutes::from(router)
}

async fn observe(routes: Arc<Routes>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let path = request.uri().path();
    // Only services of ours and of gRPC itself make time series; a caller cannot invent more.
    let known = path.starts_with("/trivium.v1.") || path.starts_with("/grpc.");
    let name = if known { path.to_owned() } else { "unknown".to_owned() };
    let mut response = deadline::grpc(request, |request| follow::grpc(request, next)).await;
    // An error known before the first message stands in the headers; a success in the trailers.
    let status = Status::from_header_map(response.headers());
    let code = status.as_ref().map_or(Code::Ok, Status::code);
    let name = match code {
        Code::Unimplemented => "unknown",
        // Told before anybody looked whether there is such a method.
        Code::Unauthenticated => "unauthenticated",
        _ => name.as_str(),
    };
    let route =
        routes.named(name, "trivium_grpc_requests_total", "trivium_grpc_request_seconds", "code");
    route.seconds.record(start.elapsed().as_secs_f64());
    route.count(code as u16);
    if let Some(status) = status
        && code != Code::Ok
        && status.details().is_empty()
    {
        reword(response.headers_mut(), &status);
    }
    response
}

/// Puts an error of the transport into our shape. Bytes that are no message, or too many of them,
/// are the caller's mistake, not a fault of ours.
fn reword(headers: &mut HeaderMap, status: &Status) {
    let message = status.message();
    let error = match status.code() {
        Code::OutOfRange => {
            ApiError::new(Kind::TooLarge, message).help("send fewer rows in one request")
        }
        // A fault of ours would have its details: without them it is the transport that speaks, of a
        // message that is missing, cut off, or of another encoding.
        Code::Internal => {
            ApiError::invalid(format!("the message is not of the contract: {message}"))
        }
        Code::Unimplemented => ApiError::new(Kind::Unimplemented, "there is no such method here")
            .help("the server's reflection lists its services"),
        _ => return,
    };
    let reworded = Status::from(error);
    let mut fresh = HeaderMap::new();
    if reworded.add_header(&mut fresh).is_ok() {
        for (name, value) in fresh {
            if let Some(name) = name {
                headers.insert(name, value);
            }
        }
    }
    headers.entry("content-type").or_insert(HeaderValue::from_static("application/grpc"));
}
