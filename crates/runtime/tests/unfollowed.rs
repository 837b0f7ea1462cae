//! What a request that is not followed pays for traces: no allocation. In a process of its own, with traces on.

use std::hint::black_box;

use allocation_counter::measure;
use opentelemetry::{
    global::BoxedTracer,
    trace::{TracerProvider as _, noop::NoopTracerProvider},
};
use trivium_runtime::trace::{self, KeyValue};

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// All that is asked on the way of one request, whose caller sends this.
async fn request(traceparent: Option<&str>) {
    let header = |name: &str| traceparent.filter(|_| name == "traceparent");
    assert!(trace::request(header).is_none());
    trace::tell(|| [KeyValue::new("trivium.views", "never made".to_owned())]);
    let mut span = trace::call(|| unreachable!("a call that nobody follows"));
    span.tell("db.operation.batch.size", || unreachable!("likewise"));
    span.failed(|| unreachable!("likewise"));
    assert!(trace::traceparent().is_none());
    trace::carried(async { black_box(()) }).await;
}

#[test]
fn a_request_that_is_not_followed_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tracer = NoopTracerProvider::new().tracer("test");
    trace::start(BoxedTracer::new(Box::new(tracer)), 0.0);
    let parents = [None, Some(UNSAMPLED), Some("nonsense")];
    let allocated = runtime.block_on(async {
        // Once before: the thread's random numbers, and its contexts.
        for parent in parents {
            request(parent).await;
        }
        parents.map(|parent| {
            let mut work = std::pin::pin!(async {
                for _ in 0..1_000 {
                    request(parent).await;
                }
            });
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            measure(|| assert!(work.as_mut().poll(&mut context).is_ready())).count_total
        })
    });
    assert_eq!(allocated, [0, 0, 0]);
    // The measure counts: one that is followed does allocate.
    let header = |name: &str| {
        (name == "traceparent").then_some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    };
    let followed = measure(|| assert!(trace::request(header).is_some())).count_total;
    assert!(followed > 0);
}
