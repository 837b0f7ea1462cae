//! An OpenTelemetry collector: OTLP over gRPC and over HTTP, as the wire has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use prost::Message as _;
use tonic::{Request, Response, Status, service::Routes};

use crate::support::PATIENCE;

/// What came, and by which headers it was let in.
#[derive(Debug, Clone, Default)]
pub struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    /// Name of the process that sent, and the key that it showed.
    senders: Arc<Mutex<Vec<(String, String)>>>,
}

pub struct Collector {
    pub endpoint: String,
    received: Received,
    task: tokio::task::JoinHandle<()>,
}

impl Received {
    fn take(&self, request: ExportTraceServiceRequest, key: &str) {
        for of_process in request.resource_spans {
            let attributes = of_process.resource.unwrap_or_default().attributes;
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let name = name.and_then(|name| name.value).and_then(|name| name.value);
            let Some(Value::StringValue(name)) = name else { panic!("nobody sends") };
            self.senders.lock().unwrap().push((name, key.to_owned()));
            let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let key = request.metadata().get("x-key").map_or("", |key| key.to_str().unwrap());
        let key = key.to_owned();
        self.take(request.into_inner(), &key);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn over_http(
    State(received): State<Received>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Vec<u8> {
    let key = headers.get("x-key").map_or("", |key| key.to_str().unwrap());
    received.take(ExportTraceServiceRequest::decode(body).unwrap(), key);
    ExportTraceServiceResponse::default().encode_to_vec()
}

impl Collector {
    pub async fn start() -> Self {
        let received = Received::default();
        let router = Routes::new(TraceServiceServer::new(received.clone()))
            .into_axum_router()
            .route("/v1/traces", post(over_http).with_state(received.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, received, task }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.spans.lock().unwrap().clone()
    }

    pub fn senders(&self) -> Vec<(String, String)> {
        self.received.senders.lock().unwrap().clone()
    }

    /// Waits until what came is enough.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if holds(&spans) {
                return spans;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A span's attributes, as text.
pub fn attributes(span: &Span) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::ArrayValue(array) => {
            let items = array.values.iter().filter_map(|item| match &item.value {
                Some(Value::StringValue(text)) => Some(text.clone()),
                _ => None,
            });
            items.collect::<Vec<_>>().join(",")
        }
        other => panic!("{other:?}"),
    };
    let attributes = span.attributes.iter();
    let of = |attribute: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        (attribute.key.clone(), value.map(text).unwrap_or_default())
    };
    attributes.map(of).collect()
}

/// `system operation` of a call of a store; empty: it is none.
pub fn call(span: &Span) -> String {
    let attributes = attributes(span);
    match (attributes.get("db.system.name"), attributes.get("db.operation.name")) {
        (Some(system), Some(operation)) => format!("{system} {operation}"),
        _ => String::new(),
    }
}
