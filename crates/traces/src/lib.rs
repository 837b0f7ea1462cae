//! Sends spans to an OpenTelemetry collector, by OTLP over gRPC or HTTP.
//!
//! What is followed is decided, and told, in `trivium_runtime::trace`. Here spans wait in a bounded queue and
//! leave in batches, from a task of their own: a collector that is away or hangs costs spans, which are counted
//! (`trivium_trace_spans_total`), and never a request's time. The SDK has such a queue too, but tells nobody how
//! many spans it lost.

mod options;
mod queue;

use std::time::Duration;

use opentelemetry::{
    InstrumentationScope, KeyValue, global::BoxedTracer, trace::TracerProvider as _,
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider, SpanExporter as _},
};
use tokio::task::JoinHandle;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use trivium_runtime::{Shutdown, trace};

pub use options::{Options, Protocol, Target};

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Error {
    /// The field of [`Options`], or the variable, that says something else than it may.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// Spans on their way. Not finished, what is in the queue is lost.
#[derive(Debug)]
pub struct Exporting {
    stop: Shutdown,
    task: JoinHandle<()>,
    flush_max: Duration,
}

/// Turns traces on for this process, under this version of it. Needs a Tokio runtime; nobody is asked yet.
pub fn start(target: Target, version: &'static str) -> Result<Exporting, Error> {
    let resource = resource(&target, version);
    let mut exporter = exporter(&target)?;
    exporter.set_resource(&resource);
    let (queue, spans) = queue::queue(target.queue_spans_max);
    let stop = Shutdown::new();
    let task = tokio::spawn(queue::send(spans, exporter, target.export_max, stop.clone()));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        // Whoever gets as far as a span has been sampled.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(queue)
        .build();
    let scope = InstrumentationScope::builder("trivium").with_version(version).build();
    let tracer = provider.tracer_with_scope(scope);
    trace::start(BoxedTracer::new(Box::new(tracer)), target.sample_ratio);
    Ok(Exporting { stop, task, flush_max: target.flush_max })
}

impl Exporting {
    /// Sends what is in the queue, as far as that goes within the time that the options give it.
    pub async fn finish(mut self) {
        self.stop.trigger();
        if tokio::time::timeout(self.flush_max, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("spans are left unsent: the collector took too long");
        }
    }
}

/// Who we are. `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(target: &Target, version: &'static str) -> Resource {
    let named = |name: Option<&str>| {
        let resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", version));
        match name {
            Some(name) => resource.with_service_name(name.to_owned()).build(),
            None => resource.build(),
        }
    };
    if target.service_name.is_some() {
        return named(target.service_name.as_deref());
    }
    let resource = named(None);
    let is_named = resource
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if is_named { resource } else { named(Some(options::SERVICE_NAME)) }
}

fn exporter(target: &Target) -> Result<SpanExporter, Error> {
    let built = match target.protocol {
        Protocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&target.endpoint)
            .with_timeout(target.export_max)
            .with_metadata(metadata(&target.headers)?)
            .build(),
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_endpoint(&target.endpoint)
            .with_timeout(target.export_max)
            .with_headers(
                metadata(&target.headers)?
                    .iter()
                    .filter_map(|header| match header {
                        KeyAndValueRef::Ascii(name, value) => {
                            Some((name.to_string(), value.to_str().ok()?.to_owned()))
                        }
                        KeyAndValueRef::Binary(..) => None,
                    })
                    .collect(),
            )
            .build(),
    };
    built.map_err(|error| Error { field: "otlp_endpoint", why: error.to_string() })
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, Error> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        // Never the value: it is a secret.
        let wrong = || Error {
            field: "headers_file",
            why: format!("`{name}` is no header, or its value none"),
        };
        let name = tonic::metadata::AsciiMetadataKey::from_bytes(name.as_bytes());
        metadata.insert(name.map_err(|_| wrong())?, value.parse().map_err(|_| wrong())?);
    }
    Ok(metadata)
}
