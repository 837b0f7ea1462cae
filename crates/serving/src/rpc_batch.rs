//! `BatchGet` over gRPC, with an answer that is encoded already: the generated service would want it
//! as a message of hundreds of vectors, only to write it out.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use trivium_proto::v1::{
    BatchGetRequest, BatchGetResponse,
    online_service_server::{OnlineServiceServer, SERVICE_NAME},
};

use crate::{Serving, limits};

const BATCH_GET: &str = "/trivium.v1.OnlineService/BatchGet";

/// The generated service, but for `BatchGet`.
#[derive(Clone)]
pub(crate) struct EncodedBatches {
    serving: Serving,
    others: OnlineServiceServer<Serving>,
}

impl EncodedBatches {
    pub(crate) fn new(serving: Serving, others: OnlineServiceServer<Serving>) -> Self {
        Self { serving, others }
    }
}

impl NamedService for EncodedBatches {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for EncodedBatches {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != BATCH_GET {
            return self.others.call(request);
        }
        let method = BatchGet(self.serving.clone());
        Box::pin(async move {
            let mut grpc = Grpc::new(EncodedCodec).apply_max_message_size_config(
                Some(limits::GRPC_MESSAGE_BYTES_MAX),
                // As in `Serving::grpc_with_health`.
                Some(2 * limits::RESPONSE_BYTES_MAX),
            );
            Ok(grpc.unary(method, request).await)
        })
    }
}

struct BatchGet(Serving);

impl UnaryService<BatchGetRequest> for BatchGet {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<BatchGetRequest>) -> Self::Future {
        let serving = self.0.clone();
        Box::pin(async move { Ok(Response::new(serving.get_many(request.into_inner()).await?)) })
    }
}

/// Reads messages, writes bytes as they are.
#[derive(Default)]
struct EncodedCodec;

impl Codec for EncodedCodec {
    type Encode = Bytes;
    type Decode = BatchGetRequest;
    type Encoder = EncodedEncoder;
    type Decoder = RequestDecoder;

    fn encoder(&mut self) -> EncodedEncoder {
        EncodedEncoder
    }
    fn decoder(&mut self) -> RequestDecoder {
        RequestDecoder(ProstCodec::<BatchGetResponse, BatchGetRequest>::default().decoder())
    }
}

struct EncodedEncoder;

impl Encoder for EncodedEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, answer: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(answer.len());
        buffer.put(answer);
        Ok(())
    }
}

struct RequestDecoder(<ProstCodec<BatchGetResponse, BatchGetRequest> as Codec>::Decoder);

impl Decoder for RequestDecoder {
    type Item = BatchGetRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<BatchGetRequest>, Status> {
        self.0.decode(buffer)
    }
    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
