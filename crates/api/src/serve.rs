//! Serving over HTTP and gRPC until shutdown: the intake stops, what is under way is drained, and
//! after a deadline the rest is cut off.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tonic::{service::Routes, transport::server::TcpIncoming};
use tower::ServiceExt;
use trivium_runtime::Shutdown;

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
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            header_read: Duration::from_secs(30),
            request: Duration::from_secs(300),
            keep_alive: Duration::from_secs(30),
            streams_max: 1_000,
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
    let http = async {
        let outcome = serve_http(http, router, options.clone(), shutdown.clone()).await;
        // One without the other is half a server.
        on_failure.trigger();
        outcome
    };
    let grpc = async {
        let outcome = serve_grpc(grpc, services, options.clone(), shutdown.clone()).await;
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
        serve_connection(stream, &builder, router.clone(), request, &graceful);
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
    graceful: &GracefulShutdown,
) {
    // Answers are small and whole: waiting to fill a packet only costs time.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let service = tower::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        let answer = router.clone().oneshot(request.map(axum::body::Body::new));
        async move {
            match tokio::time::timeout(request_time, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok::<_, Infallible>(timed_out()),
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

fn timed_out() -> axum::response::Response {
    use axum::response::IntoResponse;
    crate::ApiError::new(trivium_runtime::Kind::DeadlineExceeded, "the request took too long")
        .help("ask for less at once; whether a write was applied is unknown")
        .into_response()
}

/// Serves gRPC until `shutdown`, then drains.
pub async fn serve_grpc(
    listener: TcpListener,
    services: Routes,
    options: ServeOptions,
    shutdown: Shutdown,
) -> io::Result<()> {
    let stopping = shutdown.clone();
    let server = tonic::transport::Server::builder()
        .timeout(options.request)
        .http2_keepalive_interval(Some(options.keep_alive))
        .max_concurrent_streams(options.streams_max)
        .add_routes(services)
        // Without it an answer of several packets waits for the client's delayed acknowledgement.
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async move { stopping.wait().await },
        );
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
