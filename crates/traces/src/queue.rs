//! Spans that wait, and the task that sends them.

use std::{fmt, time::Duration};

use metrics::{Counter, counter};
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{sync::mpsc, time::timeout};
use trivium_runtime::Shutdown;

/// Spans sent at once.
const BATCH_SPANS_MAX: usize = 512;
/// How long spans wait for others to be sent with.
const GATHER: Duration = Duration::from_secs(1);

fn counted(outcome: &'static str) -> Counter {
    counter!("trivium_trace_spans_total", "outcome" => outcome)
}

/// Where spans go when they end: in, or away, at once.
pub(crate) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Counter,
}

/// A queue and its end.
pub(crate) fn queue(spans_max: usize) -> (Queue, mpsc::Receiver<SpanData>) {
    let (spans, taken) = mpsc::channel(spans_max);
    (Queue { spans, dropped: counted("dropped") }, taken)
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("room", &self.spans.capacity()).finish_non_exhaustive()
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Full: the collector is away, or slower than we are. Closed: the process ends.
        if self.spans.try_send(span).is_err() {
            self.dropped.increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends spans until the stop, then what is there; one batch at a time, each at most so long.
pub(crate) async fn send(
    mut spans: mpsc::Receiver<SpanData>,
    exporter: impl SpanExporter,
    limit: Duration,
    stop: Shutdown,
) {
    let (exported, failed) = (counted("exported"), counted("failed"));
    let mut was_well = true;
    loop {
        let Some(batch) = gather(&mut spans, &stop).await else { return };
        let count = batch.len() as u64;
        let problem = match timeout(limit, exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", limit.as_millis())),
        };
        // Said once when it begins and once when it ends, not with every batch.
        match &problem {
            None => {
                exported.increment(count);
                if !was_well {
                    tracing::info!("the collector takes spans again");
                }
            }
            Some(problem) => {
                failed.increment(count);
                if was_well {
                    tracing::warn!(problem, "the collector takes no spans; they are lost");
                }
            }
        }
        was_well = problem.is_none();
    }
}

/// A full batch, or what came within a moment of the first; `None` when all is sent after the stop.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, stop: &Shutdown) -> Option<Vec<SpanData>> {
    let mut batch = Vec::new();
    if !stop.is_triggered() {
        tokio::select! {
            _ = spans.recv_many(&mut batch, BATCH_SPANS_MAX) => {}
            () = stop.wait() => {}
        }
        let over = tokio::time::sleep(GATHER);
        tokio::pin!(over);
        while batch.len() < BATCH_SPANS_MAX && !stop.is_triggered() {
            let room = BATCH_SPANS_MAX - batch.len();
            tokio::select! {
                count = spans.recv_many(&mut batch, room) => if count == 0 { break },
                () = &mut over => return Some(batch),
                () = stop.wait() => {}
            }
        }
    }
    if stop.is_triggered() {
        // Nothing comes in any more, and what is there comes out.
        spans.close();
        let room = BATCH_SPANS_MAX.saturating_sub(batch.len());
        if room > 0 {
            spans.recv_many(&mut batch, room).await;
        }
    }
    (!batch.is_empty()).then_some(batch)
}

#[cfg(test)]
mod tests;
