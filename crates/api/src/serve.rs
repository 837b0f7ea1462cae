//! Serving over HTTP and gRPC until shutdown: the intake stops, what is under way is drained, and
//! after a deadline the rest is cut off.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use futures::TryStreamExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Status, service::Routes, transport::server::TcpIncoming};
use tower::ServiceExt;
use trivium_runtime::{Kind, Shutdown};

use crate::{
    ApiError,
    admission::{Admission, BODY_BYTES_UNDER_WAY_MAX},
    connect,
    gathered::Gathered,
};

/// How to serve. Every wait has an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// How long requests under way may take after shutdown was asked for.
    pub drain: Duration,
    /// How long a client may take to send the head of a request.
    pub header_read: Duration,
    /// How long a request may take until its answer begins: training sets take their time.
    pub request: Duration,
    /// How often an idle HTTP/2 connection is asked whether it lives.
    pub keep_alive: Duration,
    /// Requests under way on one HTTP/2 connection.
    pub streams_max: u32,
    /// Bytes of the bodies of all requests under way, on both surfaces.
    pub body_bytes_under_way_max: u64,
    /// Requests under way whose bodies have not come at once.
    pub requests_sending_max: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            header_read: Duration::from_secs(30),
            request: Duration::from_secs(300),
            keep_alive: Duration::from_secs(30),
            streams_max: 1_000,
            body_bytes_under_way_max: BODY_BYTES_UNDER_WAY_MAX,
            requests_sending_max: 4_096,
        }
    }
}

/// Serves both until `shutdown`, then drains. Pass what [`crate::finish`] and
/// [`crate::grpc::finish_grpc`] gave.
pub async fn serve(
    http: TcpListener,
    router: Router,
    grpc: TcpListener,
    services: Routes,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<()> {
    let on_failure = shutdown.clone();
    let admission = Admission::new(&options);
    let http = async {
        let outcome =
            http_with(http, router, options.clone(), admission.clone(), shutdown.clone()).await;
        // One without the other is half a server.
        on_failure.trigger();
        outcome
    };
    let grpc = async {
        let outcome =
            grpc_with(grpc, services, options.clone(), admission.clone(), shutdown.clone()).await;
        on_failure.trigger();
        outcome
    };
    let (http, grpc) = tokio::join!(http, grpc);
    http.and(grpc)
}

/// Serves HTTP/1 and HTTP/2 until `shutdown`, then drains.
pub async fn serve_http(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<()> {
    let admission = Admission::new(&options);
    http_with(listener, router, options, admission, shutdown).await
}

pub(crate) async fn http_with(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    admission: Admission,
    shutdown: Shutdown,
) -> io::Result<()> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keep_alive)
        .max_concurrent_streams(options.streams_max);
    let graceful = GracefulShutdown::new();
    let request = options.request;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would spin.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = shutdown.wait() => break,
        };
        serve_connection(stream, &builder, router.clone(), request, admission.clone(), &graceful);
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            "HTTP requests were still under way at the end of the drain time and were cut off"
        );
    }
    Ok(())
}

fn serve_connection(
    stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    router: Router,
    request_time: Duration,
    admission: Admission,
    graceful: &GracefulShutdown,
) {
    // Answers are small and whole: waiting to fill a packet only costs time.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let service = tower::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        let (router, admission) = (router.clone(), admission.clone());
        let timed_out = TimedOut::of(&request);
        async move {
            let answer = admission.answer(request, |request| router.oneshot(request));
            match tokio::time::timeout(request_time, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok::<_, Infallible>(timed_out.told()),
            }
        }
    });
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            // A client that went away, or sent no HTTP.
            tracing::debug!(%error, "a connection ended");
        }
    });
}

/// By which protocol a caller is told that its request took too long.
#[derive(Clone, Copy)]
enum TimedOut {
    Rest,
    Grpc,
    Connect,
}

impl TimedOut {
    fn of<B>(request: &axum::http::Request<B>) -> Self {
        let named = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match named {
            Some(named) if named.starts_with(b"application/grpc") => Self::Grpc,
            _ if request.uri().path().starts_with(connect::SERVICE) => Self::Connect,
            _ => Self::Rest,
        }
    }

    fn told(self) -> Response {
        let error = ApiError::new(Kind::DeadlineExceeded, "the request took too long")
            .help("ask for less at once; whether a write was applied is unknown");
        match self {
            Self::Rest => error.into_response(),
            Self::Grpc => Status::from(error).into_http(),
            Self::Connect => connect::refusal(&Status::from(error)),
        }
    }
}

/// Serves gRPC until `shutdown`, then drains.
pub async fn serve_grpc(
    listener: TcpListener,
    services: Routes,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<()> {
    let admission = Admission::new(&options);
    grpc_with(listener, services, options, admission, shutdown).await
}

pub(crate) async fn grpc_with(
    listener: TcpListener,
    services: Routes,
    options: ServeOptions,
    admission: Admission,
    shutdown: Shutdown,
) -> io::Result<()> {
    let admitted = from_fn(move |request: Request, next: Next| {
        let admission = admission.clone();
        async move { admission.answer(request, |request| next.run(request)).await }
    });
    let services = Routes::from(services.into_axum_router().layer(admitted));
    let stopping = shutdown.clone();
    // Without `nodelay` an answer of several packets waits for the client's delayed acknowledgement.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(Gathered::new);
    let server = tonic::transport::Server::builder()
        .timeout(options.request)
        .http2_keepalive_interval(Some(options.keep_alive))
        .max_concurrent_streams(options.streams_max)
        .add_routes(services)
        .serve_with_incoming_shutdown(incoming, async move { stopping.wait().await });
    match until_drained(server, options.drain, &shutdown).await {
        Some(outcome) => outcome.map_err(io::Error::other),
        None => {
            tracing::warn!(
                "gRPC calls were still under way at the end of the drain time and were cut off"
            );
            Ok(())
        }
    }
}

/// The future's answer, or `None` where it is not there `drain` after shutdown.
async fn until_drained<F: Future>(
    server: F,
    drain: Duration,
    shutdown: &Shutdown,
) -> Option<F::Output> {
    let mut server = pin!(server);
    tokio::select! {
        outcome = &mut server => return Some(outcome),
        () = shutdown.wait() => {}
    }
    tokio::time::timeout(drain, server).await.ok()
}
