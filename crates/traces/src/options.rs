//! Where spans go, and which: the config's section, and the variables that OpenTelemetry's users know, which
//! count where the section says nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::Error;

/// What the process is called where nobody says.
pub(crate) const SERVICE_NAME: &str = "trivium-serving";
/// The share of requests without a parent that is followed where nobody says: a hundredth shows what is slow, and
/// a node with ten thousand requests a second sends a collector what it can bear.
const SAMPLE_RATIO: f64 = 0.01;
/// The largest file of headers, in bytes.
const HEADERS_BYTES_MAX: u64 = 1 << 16;

/// How to talk to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// OTLP over gRPC; port 4317 by custom.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP, in protobuf; port 4318 by custom.
    #[serde(rename = "http/protobuf")]
    Http,
}

/// What a config says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The collector: `http://127.0.0.1:4317`. None, there and in the environment: traces are off.
    pub otlp_endpoint: Option<String>,
    /// gRPC, if nobody says.
    pub protocol: Option<Protocol>,
    /// The share, 0 to 1, of requests that is followed where their caller does not say.
    pub sample_ratio: Option<f64>,
    /// What traces call the process.
    pub service_name: Option<String>,
    /// Lines `name: value`, sent with every batch: where a collector wants a key.
    pub headers_file: Option<PathBuf>,
    /// How long one batch may take.
    pub export_ms_max: u64,
    /// Spans that wait at most; more are dropped.
    pub queue_spans_max: usize,
    /// How long the end of the process waits for the last batches.
    pub flush_ms_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            protocol: None,
            sample_ratio: None,
            service_name: None,
            headers_file: None,
            export_ms_max: 10_000,
            queue_spans_max: 2_048,
            flush_ms_max: 2_000,
        }
    }
}

/// Where spans go, with everything decided.
#[derive(Clone, PartialEq)]
pub struct Target {
    pub(crate) endpoint: String,
    pub(crate) protocol: Protocol,
    pub(crate) sample_ratio: f64,
    pub(crate) service_name: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) export_max: Duration,
    pub(crate) queue_spans_max: usize,
    pub(crate) flush_max: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the headers: they are secrets.
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("sample_ratio", &self.sample_ratio)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// What these options and these variables come to; `None`: traces are off. Reads the file of headers.
    pub fn target(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Target>, Error> {
        let variable = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        self.check()?;
        let is = |name: &str, word: &str| {
            variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let protocol = match self.protocol {
            Some(protocol) => protocol,
            None => protocol(&variable)?,
        };
        let Some(endpoint) = self.endpoint(protocol, &variable)? else { return Ok(None) };
        Ok(Some(Target {
            endpoint,
            protocol,
            sample_ratio: match self.sample_ratio {
                Some(ratio) => ratio,
                None => sample_ratio(&variable)?,
            },
            service_name: self.service_name.clone().or_else(|| variable("OTEL_SERVICE_NAME")),
            headers: self.headers_file.as_deref().map_or(Ok(Vec::new()), headers)?,
            export_max: Duration::from_millis(self.export_ms_max),
            queue_spans_max: self.queue_spans_max,
            flush_max: Duration::from_millis(self.flush_ms_max),
        }))
    }

    /// Whether they make sense by themselves. [`target`](Self::target) looks at the rest, too.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(endpoint) = &self.otlp_endpoint {
            is_address(endpoint, "otlp_endpoint")?;
        }
        if let Some(ratio) = self.sample_ratio {
            is_share(ratio, "sample_ratio")?;
        }
        let small = [
            ("export_ms_max", self.export_ms_max == 0),
            ("queue_spans_max", self.queue_spans_max == 0),
        ];
        match small.iter().find(|(_, is_zero)| *is_zero) {
            Some((field, _)) => Err(Error { field, why: "it is 0; give at least 1".to_owned() }),
            None => Ok(()),
        }
    }

    /// The whole address: what stands for all signals is where they have a path each, over HTTP.
    fn endpoint(
        &self,
        protocol: Protocol,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, Error> {
        const PATH: &str = "/v1/traces";
        const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let base = match (&self.otlp_endpoint, variable(OF_TRACES), variable(OF_ALL)) {
            // Looked at already.
            (Some(base), _, _) => base.clone(),
            (None, Some(whole), _) => {
                is_address(&whole, OF_TRACES)?;
                return Ok(Some(whole));
            }
            (None, None, Some(base)) => {
                is_address(&base, OF_ALL)?;
                base
            }
            (None, None, None) => return Ok(None),
        };
        let base = base.trim_end_matches('/');
        Ok(Some(match protocol {
            Protocol::Http if !base.ends_with(PATH) => format!("{base}{PATH}"),
            _ => base.to_owned(),
        }))
    }
}

fn is_address(text: &str, field: &'static str) -> Result<(), Error> {
    if text.strip_prefix("http://").is_some_and(|rest| !rest.trim_matches('/').is_empty()) {
        return Ok(());
    }
    let why = format!(
        "`{text}` is no `http://HOST:PORT`; for a collector behind HTTPS run an agent beside the node"
    );
    Err(Error { field, why })
}

fn protocol(variable: &impl Fn(&str) -> Option<String>) -> Result<Protocol, Error> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match variable(name).as_deref() {
            None => {}
            Some("grpc") => return Ok(Protocol::Grpc),
            Some("http/protobuf") => return Ok(Protocol::Http),
            Some(other) => {
                let why = format!("`{other}` is not spoken here; write `grpc` or `http/protobuf`");
                return Err(Error { field: name, why });
            }
        }
    }
    Ok(Protocol::Grpc)
}

/// All samplers honour the parent's decision here.
fn sample_ratio(variable: &impl Fn(&str) -> Option<String>) -> Result<f64, Error> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(sampler) = variable(SAMPLER) else { return Ok(SAMPLE_RATIO) };
    match sampler.trim_start_matches("parentbased_") {
        "always_on" => Ok(1.0),
        "always_off" => Ok(0.0),
        "traceidratio" => {
            let Some(text) = variable(ARGUMENT) else { return Ok(1.0) };
            is_share(text.parse().unwrap_or(f64::NAN), ARGUMENT)
        }
        _ => {
            let why = format!("`{sampler}` is no sampler here; write `parentbased_traceidratio`");
            Err(Error { field: SAMPLER, why })
        }
    }
}

fn is_share(ratio: f64, field: &'static str) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&ratio) {
        return Ok(ratio);
    }
    Err(Error { field, why: "it is no share: give a number from 0 to 1".to_owned() })
}

fn headers(file: &Path) -> Result<Vec<(String, String)>, Error> {
    const FIELD: &str = "headers_file";
    let failed = |why: String| Error { field: FIELD, why: format!("{}: {why}", file.display()) };
    let size = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if size > HEADERS_BYTES_MAX {
        return Err(failed(format!("it has more than {HEADERS_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let lines = text.lines().enumerate().map(|(index, line)| (index, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| match line.split_once(':') {
            Some((name, value)) => Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned())),
            // Never the line itself: it may be a key.
            None => Err(failed(format!("line {} is not `name: value`", index + 1))),
        })
        .collect()
}

#[cfg(test)]
mod tests;
