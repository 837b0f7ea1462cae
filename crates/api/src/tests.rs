//! The error shape over both wires, bodies, and a server that drains.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
    routing::{get, post},
};
use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use trivium_runtime::{Kind, Shutdown};

use crate::{
    ApiError, Json, Readiness, ServeOptions, body::read_body_within, decode_json, finish, nearest,
    ops_router, serve::serve_http, suggest::hint,
};

#[test]
fn every_kind_survives_both_wires() {
    for kind in Kind::ALL {
        let error = ApiError::new(kind, "what").at("rows[3].values.x").help("do this");
        let status = tonic::Status::from(error.clone());
        assert_eq!(status.code() as i32, kind.grpc());
        assert_eq!(ApiError::from_status(&status), error);
        let body = serde_json::to_vec(&error.body()).unwrap();
        assert_eq!(ApiError::from_http(kind.http(), &body), error);
    }
}

#[test]
fn foreign_errors_become_ours() {
    let status = tonic::Status::unavailable("connection refused");
    assert_eq!(ApiError::from_status(&status).kind, Kind::Unavailable);
    assert_eq!(ApiError::from_http(503, b"<html>").kind, Kind::Unavailable);
    assert_eq!(ApiError::from_http(418, b"").kind, Kind::InvalidArgument);
    assert_eq!(ApiError::from_http(599, b"").kind, Kind::Internal);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Inner {
    count: u32,
    features: Vec<String>,
}

fn check_json(text: &str, expected: Expect) {
    expected.assert_eq(&decode_json::<Inner>(text.as_bytes()).unwrap_err().to_string());
}

#[test]
fn json_errors_say_what_and_where() {
    check_json("", expect![[r#"the request body is empty; send a JSON object"#]]);
    check_json(
        "{\"count\": 1,",
        expect![[r#"the request body is not JSON: EOF while parsing a value at line 1 column 12"#]],
    );
    check_json(
        "{\n  \"cuont\": 1}",
        expect![[r#"cuont: unknown field `cuont` at line 2 column 9; did you mean `count`?"#]],
    );
    check_json(
        r#"{"x": 1}"#,
        expect![[r#"x: unknown field `x` at line 1 column 4; known: `count`, `features`"#]],
    );
    check_json(
        r#"{"count": 1}"#,
        expect![[r#"features: missing field `features` at line 1 column 12"#]],
    );
    check_json(
        r#"{"count": 1, "count": 1}"#,
        expect![[r#"count: field `count` stands twice at line 1 column 20"#]],
    );
    check_json(
        r#"{"count": -1, "features": []}"#,
        expect!["count: invalid value: integer `-1`, expected u32 at line 1 column 12"],
    );
}

#[test]
fn suggestions_are_near_or_a_list() {
    let known = ["flights", "avg_dep_delay", "note"];
    assert_eq!(nearest("flihgts", known), Some("flights"));
    assert_eq!(nearest("departures", known), None);
    assert_eq!(hint("x", known), "known: `flights`, `avg_dep_delay`, `note`");
    assert_eq!(hint("x", []), "");
    assert!(hint("x", ["ab"; 30]).ends_with(", …"));
}

async fn ask(router: &Router, request: Request<Body>) -> (u16, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn surface() -> Router {
    let readiness = Readiness::new();
    readiness.not_ready("store", "opening");
    finish(
        Router::new()
            .route(
                "/count",
                post(|Json(inner): Json<Inner, 64>| async move { inner.count.to_string() }),
            )
            .merge(ops_router(readiness, None)),
    )
}

#[tokio::test]
async fn every_refusal_has_the_one_shape() {
    let router = surface();
    let json = |body: &str| {
        Request::post("/count")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    assert_eq!(ask(&router, json(r#"{"count":3,"features":[]}"#)).await, (200, "3".to_owned()));
    let mut told = String::new();
    for request in [
        json(&format!(r#"{{"count":3,"features":["{}"]}}"#, "x".repeat(64))),
        json("{}"),
        Request::post("/count").body(Body::from("{}")).unwrap(),
        Request::post("/count")
            .header(header::CONTENT_TYPE, "text/csv")
            .body(Body::empty())
            .unwrap(),
        Request::get("/count").body(Body::empty()).unwrap(),
        Request::get("/counts").body(Body::empty()).unwrap(),
        Request::get("/readyz").body(Body::empty()).unwrap(),
    ] {
        let (status, body) = ask(&router, request).await;
        told.push_str(&format!("{status} {body}\n"));
    }
    expect![[r#"
        413 {"code":"TOO_LARGE","message":"the request body is larger than 64 bytes","field":"","help":"send fewer rows in one request"}
        400 {"code":"INVALID_ARGUMENT","message":"missing field `count` at line 1 column 2","field":"count","help":""}
        415 {"code":"INVALID_ARGUMENT","message":"the request has no content type","field":"content-type","help":"send JSON with `content-type: application/json`"}
        415 {"code":"INVALID_ARGUMENT","message":"the content type `text/csv` is not taken here","field":"content-type","help":"send JSON with `content-type: application/json`"}
        405 {"code":"INVALID_ARGUMENT","message":"`/count` does not take GET","field":"","help":"the `allow` header names the methods that it takes"}
        404 {"code":"NOT_FOUND","message":"there is nothing at `/counts`","field":"","help":"`/openapi.json` lists what there is"}
        503 {"code":"UNAVAILABLE","message":"not ready: store: opening","field":"","help":""}
    "#]]
    .assert_eq(&told);
}

#[tokio::test]
async fn a_callers_request_id_is_kept() {
    let request =
        Request::get("/healthz").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    let response = surface().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
}

async fn start(
    router: Router,
    options: ServeOptions,
) -> (TcpStream, Shutdown, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let server = tokio::spawn(serve_http(listener, router, options, shutdown.clone()));
    (TcpStream::connect(address).await.unwrap(), shutdown, server)
}

/// What is under way at shutdown is answered; the server ends afterwards.
#[tokio::test]
async fn shutdown_drains() {
    let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    let released = release.clone();
    let router = Router::new().route(
        "/slow",
        get(move || {
            let (entered, released) = (entered.clone(), released.clone());
            async move {
                entered.send(()).await.unwrap();
                released.notified().await;
                "done"
            }
        }),
    );
    let (mut client, shutdown, server) = start(finish(router), ServeOptions::default()).await;
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    has_entered.recv().await.unwrap();
    shutdown.trigger();
    release.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    server.await.unwrap().unwrap();
}

/// A request that never ends is cut off when the drain time is over.
#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
    let router = Router::new().route(
        "/never",
        get(move || {
            let entered = entered.clone();
            async move {
                entered.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        }),
    );
    let options = ServeOptions { drain: Duration::from_millis(20), ..ServeOptions::default() };
    let (mut client, shutdown, server) = start(finish(router), options).await;
    client.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    has_entered.recv().await.unwrap();
    shutdown.trigger();
    server.await.unwrap().unwrap();
}

/// A client that never ends its request's head loses its connection.
#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let options =
        ServeOptions { header_read: Duration::from_millis(20), ..ServeOptions::default() };
    let (mut client, _shutdown, _server) = start(surface(), options).await;
    client.write_all(b"GET /healthz HTTP/1.1\r\nhos").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

/// So does one that is answered too late; each is told by its protocol.
#[tokio::test]
async fn a_slow_request_is_told_so() {
    let router = Router::new().route("/{*path}", post(std::future::pending::<()>));
    for (path, kind, told) in [
        ("/never", "application/json", ["HTTP/1.1 504", "DEADLINE_EXCEEDED"]),
        ("/trivium.v1.Any/Ask", "application/grpc", ["HTTP/1.1 200", "grpc-status: 4"]),
        (
            "/trivium.v1.OnlineService/Get",
            "application/proto",
            ["HTTP/1.1 504", r#"{"code":"deadline_exceeded""#],
        ),
    ] {
        let options =
            ServeOptions { request: Duration::from_millis(20), ..ServeOptions::default() };
        let (mut client, _shutdown, _server) = start(finish(router.clone()), options).await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: 0\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(told[0]) && answer.contains(told[1]), "{answer}");
    }
}

#[test]
fn readiness_names_the_parts_that_report_and_those_that_are_asked() {
    let readiness = Readiness::new();
    let broken = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&broken);
    readiness.probe("store", move || asked.load(Ordering::Relaxed).then(|| "disk full".to_owned()));
    assert!(readiness.check().is_ok());
    broken.store(true, Ordering::Relaxed);
    readiness.not_ready("registry", "gone");
    let error = readiness.check().unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(error.message, "not ready: registry: gone; store: disk full");
    broken.store(false, Ordering::Relaxed);
    readiness.ready("registry");
    assert!(readiness.check().is_ok());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let headers = HeaderMap::from_iter([(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )]);
    let error = read_body_within(&headers, never, 10, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind, Kind::InvalidArgument);
    assert_eq!(error.http_status(), StatusCode::REQUEST_TIMEOUT);
}

/// Frames that are none are the caller's mistake, not a fault of ours.
#[tokio::test]
async fn grpc_frames_that_are_none_are_refused_in_the_one_shape() {
    let (_, health) = tonic_health::server::health_reporter();
    let services = crate::grpc::finish_grpc(tonic::service::Routes::new(health));
    let services = services.into_axum_router();
    for frame in [
        &b""[..],
        b"\x00",
        b"\x00\x00\x00\x00\x05abc",
        b"\x01\x00\x00\x00\x02\x1f\x8b",
        b"\x02\x00\x00\x00\x00",
        b"\x00\x00\x00\x00\x02\x0a\xff",
    ] {
        let request = Request::post("/grpc.health.v1.Health/Check")
            .header(header::CONTENT_TYPE, "application/grpc")
            .body(Body::from(frame))
            .unwrap();
        let response = services.clone().oneshot(request).await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(ApiError::from_status(&status).kind, Kind::InvalidArgument, "{frame:?}");
        assert!(!status.details().is_empty(), "{frame:?}: {status:?}");
    }
}

/// The library's own answer to that would be that the caller has left.
#[tokio::test]
async fn a_call_that_takes_longer_than_its_caller_waits_is_told_so() {
    #[derive(Clone)]
    struct Never;
    impl tonic::server::NamedService for Never {
        const NAME: &'static str = "trivium.v1.Never";
    }
    impl tower::Service<Request<tonic::body::Body>> for Never {
        type Response = axum::http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
            std::future::pending()
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let services = crate::grpc::finish_grpc(tonic::service::Routes::new(Never));
    let shutdown = Shutdown::new();
    let options = ServeOptions::default();
    tokio::spawn(crate::serve::serve_grpc(listener, services, options, shutdown.clone()));
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let mut codes = Vec::new();
    // On a busy machine both may be late, the library first.
    for timeout in ["0n", "1m", "50m", "100m", "200m", "400m", "800m"] {
        let request = Request::post(format!("http://{address}/trivium.v1.Never/Ask"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header("grpc-timeout", timeout)
            .body(http_body_util::Full::new(Bytes::from_static(&[0; 5])))
            .unwrap();
        let answer = send.send_request(request).await.unwrap();
        let status = tonic::Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(ApiError::from_status(&status).kind, Kind::DeadlineExceeded);
        codes.push(status.code());
    }
    assert!(codes.contains(&tonic::Code::DeadlineExceeded), "{codes:?}");
    shutdown.trigger();
}
