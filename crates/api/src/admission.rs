//! Admission of request bodies: what all of them hold together is bounded, not only each by itself.
//!
//! Bytes are counted as they arrive, over HTTP and gRPC alike, and given back when their request has
//! been answered. The body that would go beyond the budget ends in an error, which its reader turns
//! into the answer of every shed request; the others go on. Requests whose bodies do not come at once
//! are counted too: they hold a task each, and whoever sends slowly could hold any number.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes},
    http::{Request, Version, header},
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metrics::{Gauge, counter, gauge};
use tonic::Status;
use trivium_runtime::Kind;

use crate::{ApiError, ServeOptions};

/// The budget where nothing else is configured: eight of the largest messages, sixteen large puts.
pub const BODY_BYTES_UNDER_WAY_MAX: u64 = 256 << 20;
/// So much of each body is counted but never refused: reads and single rows go through while large
/// writes fill the budget. Together it is bounded by the requests under way.
pub const SMALL_BODY_BYTES: u64 = 16 << 10;

/// What is still read, and dropped, of an HTTP/1 body that nobody wants any more: a client that sends
/// on would else have its connection reset, and not see the answer.
const LINGER_BYTES_MAX: usize = 32 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);

/// The budget of one process. Cheap to clone; all clones are one budget.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Inner>);

struct Inner {
    bytes_max: u64,
    bytes: AtomicU64,
    bytes_gauge: Gauge,
    sending_max: usize,
    sending: AtomicUsize,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("bytes", &self.0.bytes).finish_non_exhaustive()
    }
}

impl Admission {
    pub(crate) fn new(options: &ServeOptions) -> Self {
        Self(Arc::new(Inner {
            bytes_max: options.body_bytes_under_way_max,
            bytes: AtomicU64::new(0),
            bytes_gauge: gauge!("trivium_body_bytes_under_way"),
            sending_max: options.requests_sending_max,
            sending: AtomicUsize::new(0),
        }))
    }

    /// The bytes of bodies whose requests are under way.
    #[cfg(test)]
    pub(crate) fn bytes_under_way(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Answers a request, whose body is counted until the answer is there.
    pub(crate) async fn answer<B, F>(
        &self,
        request: Request<B>,
        answer: impl FnOnce(Request<Body>) -> F,
    ) -> F::Output
    where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<BoxError>,
        F: Future,
    {
        // Most reads of pages, and nothing to count.
        if request.body().is_end_stream() {
            return answer(request.map(Body::new)).await;
        }
        let headers = request.headers();
        let is_grpc = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let share = Arc::new(Share {
            admission: self.clone(),
            surface: if is_grpc { "grpc" } else { "http" },
            bytes: AtomicU64::new(0),
        });
        let lingers = request.version() < Version::HTTP_2;
        let expects_continue = headers.contains_key(header::EXPECT);
        // Whoever asks whether the process is well must hear so while it sheds.
        let is_health = request.uri().path().starts_with("/grpc.health.");
        let request = request.map(|inner| {
            Body::new(Counted {
                inner: Some(inner),
                share: Some(Arc::clone(&share)),
                waited: Waited::Never,
                counts_waits: !is_health,
                lingers,
                expects_continue,
            })
        });
        let response = answer(request).await;
        drop(share);
        response
    }
}

/// Says that a request was shed; answered as every request that comes at a time of too much.
pub fn shed(surface: &'static str, reason: &'static str, message: &str) -> ApiError {
    counter!("trivium_shed_requests_total", "surface" => surface, "reason" => reason).increment(1);
    ApiError::new(Kind::ResourceExhausted, message).help("retry later, with growing pauses")
}

/// What one request holds of the budget. Its body and its handler both have it: the bytes live on in
/// what was decoded from them.
struct Share {
    admission: Admission,
    surface: &'static str,
    bytes: AtomicU64,
}

impl Share {
    fn budget(&self) -> &Inner {
        &self.admission.0
    }

    /// Counts bytes that have arrived, or refuses them.
    fn take(&self, bytes: u64) -> Result<(), ApiError> {
        let budget = self.budget();
        let total = budget.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let own = self.bytes.load(Ordering::Relaxed) + bytes;
        if total > budget.bytes_max && own > SMALL_BODY_BYTES {
            budget.bytes.fetch_sub(bytes, Ordering::Relaxed);
            let message = "the bodies of the requests under way hold too many bytes together";
            return Err(shed(self.surface, "body_bytes", message));
        }
        self.bytes.store(own, Ordering::Relaxed);
        budget.bytes_gauge.increment(bytes as f64);
        Ok(())
    }

    /// Counts a sender in whose body has not come at once, or refuses it.
    fn begin_waiting(&self) -> Result<(), ApiError> {
        let budget = self.budget();
        if budget.sending.fetch_add(1, Ordering::Relaxed) < budget.sending_max {
            return Ok(());
        }
        self.end_waiting();
        let message = "too many requests are under way whose bodies are still to come";
        Err(shed(self.surface, "sending", message))
    }

    fn end_waiting(&self) {
        self.budget().sending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.budget().bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget().bytes_gauge.decrement(bytes as f64);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Never,
    /// HTTP/1 reads a body only once somebody has asked for it: the first time is no fault of the sender.
    Once,
    /// And is counted as one who sends.
    Counted,
}

/// A body whose bytes are counted. Without `inner` it has ended.
struct Counted<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static> {
    inner: Option<B>,
    share: Option<Arc<Share>>,
    waited: Waited,
    counts_waits: bool,
    lingers: bool,
    expects_continue: bool,
}

impl<B> Counted<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    fn has_waited(&mut self, waker: &Waker) -> Result<(), ApiError> {
        match self.waited {
            Waited::Never => {
                self.waited = Waited::Once;
                // Looked at again once what is there has been read: who sends nothing wakes nobody.
                waker.wake_by_ref();
            }
            Waited::Once if self.counts_waits => {
                if let Some(share) = &self.share {
                    share.begin_waiting()?;
                    self.waited = Waited::Counted;
                }
            }
            Waited::Once | Waited::Counted => {}
        }
        Ok(())
    }

    /// Nothing more comes out of it.
    fn end(&mut self) -> Option<B> {
        if let Some(share) = self.share.take()
            && self.waited == Waited::Counted
        {
            share.end_waiting();
        }
        self.inner.take()
    }

    /// Ends it in the middle.
    fn give_up(&mut self) {
        let was_asked_for = self.waited != Waited::Never;
        let Some(rest) = self.end() else { return };
        // Reading on would ask a client that waits to be asked to send what nobody wants.
        let is_wanted = self.lingers && (was_asked_for || !self.expects_continue);
        if is_wanted
            && !rest.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER_TIME_MAX, drain(rest)));
        }
    }
}

async fn drain<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) {
    let mut bytes = 0;
    while bytes < LINGER_BYTES_MAX {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else { return };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl<B> HttpBody for Counted<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let counted = match Pin::new(inner).poll_frame(cx) {
            Poll::Pending => this.has_waited(cx.waker()),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                match this.share.as_ref().map_or(Ok(()), |share| share.take(bytes)) {
                    Ok(()) => return Poll::Ready(Some(Ok(frame))),
                    Err(error) => Err(error),
                }
            }
            Poll::Ready(Some(Err(error))) => {
                drop(this.end());
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(None) => {
                drop(this.end());
                return Poll::Ready(None);
            }
        };
        match counted {
            Ok(()) => Poll::Pending,
            Err(error) => {
                this.give_up();
                // What gRPC hands on as it is, and `read_body` knows.
                Poll::Ready(Some(Err(Status::from(error).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B> Drop for Counted<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        self.give_up();
    }
}

/// What a body that was shed says, if it was.
pub(crate) fn shed_of(error: &(dyn std::error::Error + 'static)) -> Option<ApiError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(status) = error.downcast_ref::<Status>() {
            return Some(ApiError::from_status(status));
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
