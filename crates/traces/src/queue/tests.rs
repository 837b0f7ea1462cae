//! A collector that takes everything, one that never answers, and the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor as _},
};
use trivium_runtime::Shutdown;

use super::{BATCH_SPANS_MAX, Queue, queue, send};

fn span() -> SpanData {
    SpanData {
        span_context: SpanContext::empty_context(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "span".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

#[derive(Debug, Clone, Default)]
struct Collector {
    taken: Arc<AtomicUsize>,
    largest: Arc<AtomicUsize>,
    hangs: bool,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.largest.fetch_max(batch.len(), Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.taken.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(())
    }
}

fn end_spans(queue: &Queue, count: usize) {
    for _ in 0..count {
        queue.on_end(span());
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_is_queued_at_the_end_is_sent_in_batches() {
    let (collector, stop) = (Collector::default(), Shutdown::new());
    let (queue, spans) = queue(5_000);
    end_spans(&queue, 1_300);
    let sending =
        tokio::spawn(send(spans, collector.clone(), Duration::from_secs(1), stop.clone()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(collector.taken.load(Ordering::SeqCst), 1_300);
    end_spans(&queue, 1_300);
    stop.trigger();
    sending.await.unwrap();
    assert_eq!(collector.taken.load(Ordering::SeqCst), 2_600);
    assert_eq!(collector.largest.load(Ordering::SeqCst), BATCH_SPANS_MAX);
    // Too late, and nobody's trouble.
    end_spans(&queue, 1);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_given_up_and_holds_no_more_than_a_queue() {
    let (collector, stop) = (Collector { hangs: true, ..Collector::default() }, Shutdown::new());
    let (queue, spans) = queue(10);
    let limit = Duration::from_secs(3);
    let sending = tokio::spawn(send(spans, collector.clone(), limit, stop.clone()));
    // Returns at once, each time.
    end_spans(&queue, 1_000);
    assert_eq!(queue.spans.capacity(), 0);
    let began = tokio::time::Instant::now();
    stop.trigger();
    sending.await.unwrap();
    assert!(began.elapsed() <= limit * 2, "{:?}", began.elapsed());
    assert_eq!(collector.largest.load(Ordering::SeqCst), 10);
}
