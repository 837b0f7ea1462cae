//! Unary gRPC calls over one HTTP/2 connection, by the protocol itself: a client library with its
//! queues and layers would cost more than many a server.

use anyhow::{Context as _, Result, ensure};
use axum::http::{Method, Request, Uri, header};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use tokio::{net::TcpStream, task::JoinHandle};

/// Answers are never held back by flow control.
const WINDOW_BYTES: u32 = 16 << 20;
/// Before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// A connection.
pub struct Unary {
    send: SendRequest<Bytes>,
    method: Uri,
    connection: JoinHandle<()>,
    answer: BytesMut,
}

impl Unary {
    /// To `host:port`, for calls of one method.
    pub async fn connect(address: &str, method: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(stream)
            .await?;
        let connection = tokio::spawn(async move {
            // Its end is seen by the calls.
            let _ = connection.await;
        });
        let method = format!("http://{address}{method}").parse()?;
        Ok(Self { send, method, connection, answer: BytesMut::new() })
    }

    /// Sends a message; the answer's stays until the next call.
    pub async fn call(&mut self, message: &[u8]) -> Result<&[u8]> {
        let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len())?);
        body.put_slice(message);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.method.clone())
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(())?;
        let (answer, mut stream) = self.send.send_request(request, false)?;
        stream.send_data(body.freeze(), true)?;
        let answer = answer.await?;
        ensure!(!answer.headers().contains_key("grpc-status"), "{:?}", answer.headers());
        let mut body = answer.into_body();
        self.answer.clear();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            self.answer.put(part);
        }
        let trailers = body.trailers().await?.context("no trailers")?;
        ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "{trailers:?}");
        let (prefix, answer) =
            self.answer.split_first_chunk::<PREFIX_BYTES>().context("no message")?;
        ensure!((&prefix[1..]).get_u32() as usize == answer.len(), "not one message");
        Ok(answer)
    }
}

impl Drop for Unary {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
