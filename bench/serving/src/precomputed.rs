//! The handler that does nothing but return bytes: what axum and tonic themselves cost.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Result;
use axum::{Router, http, routing::post};
use bytes::{Buf, BufMut, Bytes};
use tokio::net::TcpListener;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{NamedService, UnaryService},
    transport::server::TcpIncoming,
};

/// One answer, and the path's last part that it stands under.
pub struct Answers {
    /// `/{name}` over REST, `/message/{name}` for the message by HTTP/1.1, `/bench.Precomputed/{name}`
    /// over gRPC.
    pub name: String,
    /// JSON.
    pub rest: Bytes,
    /// A message.
    pub grpc: Bytes,
}

/// Serves them.
pub async fn serve(http: TcpListener, grpc: TcpListener, all: Vec<Answers>) -> Result<()> {
    let mut router = Router::new();
    let mut answers = HashMap::new();
    for Answers { name, rest, grpc } in all {
        let handler = move |_: Bytes| {
            let rest = rest.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/json")], rest) }
        };
        let message = grpc.clone();
        let with_message = move |_: Bytes| {
            let message = message.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/proto")], message) }
        };
        router = router
            .route(&format!("/{name}"), post(handler))
            .route(&format!("/message/{name}"), post(with_message));
        answers.insert(format!("/{}/{name}", Precomputed::NAME), grpc);
    }
    let precomputed = Precomputed(Arc::new(answers));
    let grpc = tonic::transport::Server::builder()
        .add_service(precomputed)
        .serve_with_incoming(TcpIncoming::from(grpc).with_nodelay(Some(true)));
    let http = async move {
        let listener = axum::serve::ListenerExt::tap_io(http, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await
    };
    let (http, grpc) = tokio::join!(http, grpc);
    http?;
    Ok(grpc?)
}

/// Returns the bytes that stand for the path, whatever was asked.
#[derive(Clone)]
struct Precomputed(Arc<HashMap<String, Bytes>>);

impl NamedService for Precomputed {
    const NAME: &'static str = "bench.Precomputed";
}

impl tower::Service<http::Request<tonic::body::Body>> for Precomputed {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let answer = self.0.get(request.uri().path()).cloned().unwrap_or_default();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(BytesCodec);
            Ok(grpc.unary(Answer(answer), request).await)
        })
    }
}

struct Answer(Bytes);

impl UnaryService<Bytes> for Answer {
    type Response = Bytes;
    type Future = std::future::Ready<Result<tonic::Response<Bytes>, Status>>;
    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}
impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}
impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
