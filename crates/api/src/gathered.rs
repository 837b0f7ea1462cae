//! A connection whose small writes are gathered into large ones.
//!
//! An HTTP/2 server writes each frame by itself: an answer of 40 KB is four writes, each of which goes
//! through the whole TCP stack and wakes the client. Here they only fill a buffer. What is in it is sent
//! when the task that serves the connection has nothing more to write for now: it is told to come again at
//! once, behind what else is ready to run, and begins by reading, as every such server does. So answers
//! to several calls on one connection go out together, too.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// More than that is sent before more is taken.
const GATHERED_BYTES_MAX: usize = 64 << 10;
/// The buffer of a first write up to this size; larger ones are followed by more.
const SMALL_BYTES: usize = 4 << 10;

/// See the module.
pub(crate) struct Gathered<S> {
    stream: S,
    /// Taken, and not sent yet. Empty, it holds no memory: most connections are idle.
    waiting: BytesMut,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waiting: BytesMut::new() }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(sent);
        }
        self.waiting = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Makes room, takes what fits, and sees to it that it will be sent.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= GATHERED_BYTES_MAX {
            ready!(self.poll_send(cx))?;
        }
        if self.waiting.is_empty() {
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let capacity = if offered > SMALL_BYTES { GATHERED_BYTES_MAX } else { SMALL_BYTES };
            self.waiting = BytesMut::with_capacity(capacity);
            cx.waker().wake_by_ref();
        }
        let before = self.waiting.len();
        for slice in slices {
            let room = GATHERED_BYTES_MAX - self.waiting.len();
            self.waiting.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Where the client does not take it now, the connection is polled again when it does; meanwhile
        // it goes on reading.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_take(cx, &[IoSlice::new(bytes)])
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_take(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    /// Says that it is done although it is only begun: an HTTP/2 server flushes after each frame. What
    /// waits is sent by the next read, or by shutdown.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Connected> Connected for Gathered<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests;
