//! Traces: which requests are followed, and what is told of them.
//!
//! Only a request that is sampled has a span, made by [`request`] or [`chore`]; what it asks of stores is
//! told by [`call`], which finds the request's span in the task's context. Where traces are off, or a request
//! is not sampled, there is no context, and all of it comes to a look at a static and at a thread's own
//! variable: nothing is allocated or formatted.
//!
//! What a span may say: names that operators and authors gave (routes, views, services, tables, callers),
//! counts, kinds of errors. Never what callers send: no value, no entity key, no subject, no path or message
//! that may hold one. Log lines are no part of traces, so nothing else gets there.
//!
//! This module knows the API of OpenTelemetry only; `trivium-traces` sends spans somewhere.

use std::{borrow::Cow, sync::OnceLock};

use opentelemetry::{
    Context,
    global::{BoxedSpan, BoxedTracer},
    trace::{
        FutureExt as _, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status,
        TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    },
};
use tracing::Instrument as _;

pub use opentelemetry::{Array, KeyValue, StringValue, Value};

/// The target of the span that puts a trace's id into log lines; logged whatever `TRIVIUM_LOG` says.
pub(crate) const LOG_TARGET: &str = "trivium::trace";

/// What spans are made by. Not there: traces are off.
static TRACING: OnceLock<Tracing> = OnceLock::new();

struct Tracing {
    tracer: BoxedTracer,
    sample_ratio: f64,
}

/// Turns traces on for this process. Of requests that come without a parent this share is followed;
/// `tracer` has to take all that it is given. A second call does nothing.
pub fn start(tracer: BoxedTracer, sample_ratio: f64) {
    // Already started, by a test or an embedding program: theirs stays.
    drop(TRACING.set(Tracing { tracer, sample_ratio }));
}

/// A request that is followed. Its span ends when this is dropped.
pub struct Followed(Context);

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Followed").field(self.0.span().span_context()).finish()
    }
}

/// Begins to follow a request that came in, if its caller follows it (W3C `traceparent`) or, where the
/// caller does not say, if it is one of the sample. `header` finds a header's value.
pub fn request<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<Followed> {
    let tracing = TRACING.get()?;
    let parent = match header("traceparent").and_then(parse_parent) {
        Some(parent) if !parent.flags.is_sampled() => return None,
        Some(parent) => {
            // One that cannot be read is left out, as the standard asks.
            let state = header("tracestate").and_then(|text| text.parse::<TraceState>().ok());
            let state = state.unwrap_or_default();
            let parent =
                SpanContext::new(parent.trace, parent.span, TraceFlags::SAMPLED, true, state);
            Context::new().with_remote_span_context(parent)
        }
        None if tracing.is_drawn() => Context::new(),
        None => return None,
    };
    Some(tracing.follow("request", SpanKind::Server, &parent))
}

/// Begins to follow a piece of work that nobody asked for, if it is one of the sample.
pub fn chore(name: &'static str) -> Option<Followed> {
    let tracing = TRACING.get().filter(|tracing| tracing.is_drawn())?;
    Some(tracing.follow(name, SpanKind::Internal, &Context::new()))
}

impl Tracing {
    fn is_drawn(&self) -> bool {
        rand::random::<f64>() < self.sample_ratio
    }

    fn follow(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Followed {
        let span = SpanBuilder::from_name(name).with_kind(kind);
        Followed(parent.with_span(self.tracer.build_with_context(span, parent)))
    }
}

impl Followed {
    /// Does the request's work, so that the calls it makes are its span's children, and its log lines have
    /// the trace's id.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        let trace = self.0.span().span_context().trace_id();
        let lines = tracing::info_span!(target: LOG_TARGET, "trace", id = %trace);
        // On the heap: whoever is not followed does not carry the place for it.
        Box::pin(work.with_context(self.0.clone()).instrument(lines)).await
    }

    /// Names the span.
    pub fn name(&self, name: impl Into<Cow<'static, str>>) {
        self.0.span().update_name(name);
    }

    /// Tells something of the request. See above for what may be told.
    pub fn tell(&self, key: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(key, value));
    }

    /// It failed, in this way: the name of a kind, never a message.
    pub fn failed(&self, kind: impl Into<StringValue>) {
        self.tell("error.type", kind.into());
        self.0.span().set_status(Status::error(""));
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // Work that was left behind may hold the span for longer.
        self.0.span().end();
    }
}

/// Whether the request that this task works on is followed.
fn is_followed() -> bool {
    TRACING.get().is_some() && Context::map_current(Context::has_active_span)
}

/// Tells something of the request that this task works on, if it is followed. See above for what may be
/// told.
pub fn tell<const N: usize>(attributes: impl FnOnce() -> [KeyValue; N]) {
    if is_followed() {
        Context::map_current(|current| current.span().set_attributes(attributes()));
    }
}

/// Many names as one value, the first of them where there are too many for a span.
pub fn names(names: impl Iterator<Item = String>) -> Value {
    /// More would make spans that nobody reads, and a queue of them that nobody sized.
    const NAMES_MAX: usize = 32;
    Value::Array(Array::String(names.take(NAMES_MAX).map(StringValue::from).collect()))
}

/// One request to a store, in the words of OpenTelemetry's conventions.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `db.system.name`: `aws.dynamodb`.
    pub system: &'static str,
    /// `db.operation.name`: `BatchGetItem`.
    pub operation: &'static str,
    /// `db.collection.name`: the table, the index. Empty: there is none.
    pub collection: &'a str,
}

/// A call that is told of, as long as this is there. Nothing, where the request is not followed.
#[derive(Debug)]
pub struct CallSpan(Option<BoxedSpan>);

/// Begins to tell of a call.
pub fn call<'a>(call: impl FnOnce() -> Call<'a>) -> CallSpan {
    let Some(tracing) = TRACING.get() else { return CallSpan(None) };
    Context::map_current(|current| {
        if !current.has_active_span() {
            return CallSpan(None);
        }
        let Call { system, operation, collection } = call();
        let mut attributes = vec![
            KeyValue::new("db.system.name", system),
            KeyValue::new("db.operation.name", operation),
        ];
        let mut name = Cow::Borrowed(operation);
        if !collection.is_empty() {
            attributes.push(KeyValue::new("db.collection.name", collection.to_owned()));
            name = Cow::Owned(format!("{operation} {collection}"));
        }
        let span =
            SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes);
        CallSpan(Some(tracing.tracer.build_with_context(span, current)))
    })
}

impl CallSpan {
    /// Tells something of the call. See above for what may be told.
    pub fn tell(&mut self, key: &'static str, value: impl FnOnce() -> Value) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value()));
        }
    }

    /// It failed, in this way: the name of a kind, never a message.
    pub fn failed(&mut self, kind: impl FnOnce() -> String) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", kind()));
            span.set_status(Status::error(""));
        }
    }
}

/// Work for a task of its own that belongs to the request of this one.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_current_context()
}

/// The header `traceparent` for whoever is asked on behalf of a request that is followed.
pub fn traceparent() -> Option<String> {
    if !is_followed() {
        return None;
    }
    Context::map_current(|current| {
        let span = current.span();
        let span = span.span_context();
        Some(format!("00-{}-{}-01", span.trace_id(), span.span_id()))
    })
}

struct Parent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

/// `VERSION-TRACE-SPAN-FLAGS`, as W3C Trace Context says; `None` where it is not well-formed, which counts as
/// if it were not there. A version that is not known yet may have more behind the flags.
fn parse_parent(text: &str) -> Option<Parent> {
    let bytes = text.as_bytes();
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let head = bytes.get(..55)?;
    let [version, trace, span, flags] = [&head[..2], &head[3..35], &head[36..52], &head[53..]];
    let dashes = [head[2], head[35], head[52]];
    if dashes != *b"---" || ![version, trace, span, flags].into_iter().all(is_hex) {
        return None;
    }
    let fits = match (version, bytes.get(55)) {
        (b"ff", _) | (b"00", Some(_)) => false,
        (_, after) => after.is_none_or(|byte| *byte == b'-'),
    };
    let parent = Parent {
        trace: TraceId::from_hex(text.get(3..35)?).ok()?,
        span: SpanId::from_hex(text.get(36..52)?).ok()?,
        flags: TraceFlags::new(u8::from_str_radix(text.get(53..55)?, 16).ok()?),
    };
    (fits && parent.trace != TraceId::INVALID && parent.span != SpanId::INVALID).then_some(parent)
}

#[cfg(test)]
mod tests;
