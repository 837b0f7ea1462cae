//! The config as it is written.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use trivium_api::{ApiError, ServeOptions};
use trivium_model::Timestamp;
use trivium_node::{
    Field, Shape,
    config::{log_format, wrong as wrong_in},
    registry::RegistrySection,
};

use super::{Config, Keys};
use crate::{index, run, store};

/// Every field there is. A test holds this list, the sample and docs/serving.md together.
pub(super) const FIELDS: &[Field] = &[
    ("listen", "http", Shape::Text),
    ("listen", "grpc", Shape::Text),
    ("listen", "announce_ms", Shape::Whole),
    ("listen", "drain_ms", Shape::Whole),
    ("registry", "url", Shape::Text),
    ("registry", "poll_ms", Shape::Whole),
    ("registry", "state_file", Shape::Text),
    ("dynamodb", "table", Shape::Text),
    ("dynamodb", "region", Shape::Text),
    ("dynamodb", "endpoint", Shape::Text),
    ("dynamodb", "connect_timeout_ms", Shape::Whole),
    ("dynamodb", "attempt_timeout_ms", Shape::Whole),
    ("dynamodb", "limit_ms", Shape::Whole),
    ("dynamodb", "requests_in_flight_max", Shape::Whole),
    ("dynamodb", "grace_seconds", Shape::Whole),
    ("dynamodb.moving_to", "table", Shape::Text),
    ("dynamodb.moving_to", "region", Shape::Text),
    ("dynamodb.moving_to", "endpoint", Shape::Text),
    ("valkey", "servers", Shape::List),
    ("valkey", "cluster", Shape::Flag),
    ("valkey", "connections", Shape::Whole),
    ("valkey", "read_connections", Shape::Whole),
    ("valkey", "connect_timeout_ms", Shape::Whole),
    ("valkey", "command_timeout_ms", Shape::Whole),
    ("valkey", "lease_ttl_ms", Shape::Whole),
    ("valkey", "value_ttl_seconds", Shape::Whole),
    ("valkey", "fence_writes_max", Shape::Whole),
    ("opensearch", "endpoint", Shape::Text),
    ("opensearch", "prefix", Shape::Text),
    ("opensearch", "engine", Shape::Text),
    ("opensearch", "shards", Shape::Whole),
    ("opensearch", "replicas", Shape::Whole),
    ("opensearch", "refresh_ms", Shape::Whole),
    ("opensearch", "attempt_timeout_ms", Shape::Whole),
    ("opensearch", "requests_in_flight_max", Shape::Whole),
    ("opensearch.moving_to", "endpoint", Shape::Text),
    ("opensearch.moving_to", "prefix", Shape::Text),
    ("opensearch.moving_to", "engine", Shape::Text),
    ("opensearch.moving_to", "shards", Shape::Whole),
    ("opensearch.moving_to", "replicas", Shape::Whole),
    ("opensearch.moving_to", "complete", Shape::Flag),
    ("sweep", "every_ms", Shape::Whole),
    ("sweep", "age_min_ms", Shape::Whole),
    ("coherence", "lease_ms", Shape::Whole),
    ("coherence", "renew_every_ms", Shape::Whole),
    ("coherence", "write_window_ms", Shape::Whole),
    ("coherence", "pause_ms_max", Shape::Whole),
    ("coherence", "hold_off_ms", Shape::Whole),
    ("coherence", "hold_off_ms_max", Shape::Whole),
    ("limits", "requests_under_way_max", Shape::Whole),
    ("limits", "body_bytes_under_way_max", Shape::Whole),
    ("limits", "store_time_ms_max", Shape::Whole),
    ("limits", "future_ms_max", Shape::Whole),
    ("limits", "request_ms_max", Shape::Whole),
    ("limits", "header_read_ms_max", Shape::Whole),
    ("limits", "streams_max", Shape::Whole),
    ("limits", "near_bytes_max", Shape::Whole),
    ("erasure", "index_lag_ms", Shape::Whole),
    ("erasure", "wait_ms_max", Shape::Whole),
    ("erasure", "lease_ms", Shape::Whole),
    ("erasure", "resume_every_ms", Shape::Whole),
    ("erasure", "at_once_max", Shape::Whole),
    ("erasure", "in_hand_max", Shape::Whole),
    ("auth", "keys_file", Shape::Text),
    ("auth", "reload_ms", Shape::Whole),
    ("clock", "data", Shape::Text),
    ("log", "format", Shape::Text),
    ("traces", "otlp_endpoint", Shape::Text),
    ("traces", "protocol", Shape::Text),
    ("traces", "sample_ratio", Shape::Share),
    ("traces", "service_name", Shape::Text),
    ("traces", "headers_file", Shape::Text),
    ("traces", "export_ms_max", Shape::Whole),
    ("traces", "queue_spans_max", Shape::Whole),
    ("traces", "flush_ms_max", Shape::Whole),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    listen: Listen,
    registry: RegistrySection,
    dynamodb: trivium_store_dynamodb::Options,
    valkey: Option<trivium_cache_valkey::Options>,
    opensearch: Option<trivium_index_opensearch::Options>,
    #[serde(default)]
    sweep: Sweep,
    #[serde(default)]
    coherence: Coherence,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    erasure: trivium_serving::ErasureOptions,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    clock: ClockSection,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    traces: trivium_traces::Options,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    http: SocketAddr,
    grpc: SocketAddr,
    announce_ms: u64,
    drain_ms: u64,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 7400)),
            grpc: SocketAddr::from(([127, 0, 0, 1], 7401)),
            announce_ms: 0,
            drain_ms: 10_000,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sweep {
    every_ms: u64,
    age_min_ms: u64,
}

impl Default for Sweep {
    fn default() -> Self {
        let options = trivium_serving::SweepOptions::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { every_ms: ms(options.every), age_min_ms: ms(options.age_min) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Coherence {
    lease_ms: u64,
    renew_every_ms: u64,
    write_window_ms: u64,
    pause_ms_max: u64,
    hold_off_ms: u64,
    hold_off_ms_max: u64,
}

impl Default for Coherence {
    fn default() -> Self {
        let options = trivium_coherence::Options::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            lease_ms: ms(options.lease),
            renew_every_ms: ms(options.renew_every),
            write_window_ms: ms(options.write_window),
            pause_ms_max: ms(options.pause_max),
            hold_off_ms: ms(options.hold_off),
            hold_off_ms_max: ms(options.hold_off_max),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    requests_under_way_max: usize,
    body_bytes_under_way_max: u64,
    store_time_ms_max: u64,
    future_ms_max: i64,
    request_ms_max: u64,
    header_read_ms_max: u64,
    streams_max: u32,
    near_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let serving = trivium_serving::Options::default();
        let serve = ServeOptions::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            requests_under_way_max: serving.requests_under_way_max,
            body_bytes_under_way_max: serve.body_bytes_under_way_max,
            store_time_ms_max: serving.store_time_ms_max,
            future_ms_max: serving.future_micros_max / 1_000,
            // Reads and writes of rows only: training sets, which take their time, are not here.
            request_ms_max: 30_000,
            header_read_ms_max: ms(serve.header_read),
            streams_max: serve.streams_max,
            near_bytes_max: 32 << 20,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    keys_file: Option<PathBuf>,
    reload_ms: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self { keys_file: None, reload_ms: 1_000 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClockSection {
    data: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    format: Option<String>,
}

const HELP: &str = "correct the config, or the variable over it; docs/serving.md lists every field";

impl Document {
    /// What the types alone do not hold. Relative paths are beside the file.
    pub(super) fn check(self, file: &Path) -> Result<Config, ApiError> {
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let wrong = |field: &str, message: String, help: &str| wrong_in(file, field, message, help);
        let Self {
            listen,
            registry,
            dynamodb,
            valkey,
            opensearch,
            sweep,
            coherence,
            limits,
            erasure,
            auth,
            clock,
            log,
            mut traces,
        } = self;
        traces.headers_file = traces.headers_file.map(|path| base.join(path));
        for (field, value) in [
            ("auth.reload_ms", auth.reload_ms),
            ("sweep.every_ms", sweep.every_ms),
            ("coherence.lease_ms", coherence.lease_ms),
            ("coherence.renew_every_ms", coherence.renew_every_ms),
            ("coherence.write_window_ms", coherence.write_window_ms),
            ("limits.requests_under_way_max", limits.requests_under_way_max as u64),
            ("limits.body_bytes_under_way_max", limits.body_bytes_under_way_max),
            ("limits.store_time_ms_max", limits.store_time_ms_max),
            ("limits.request_ms_max", limits.request_ms_max),
            ("limits.header_read_ms_max", limits.header_read_ms_max),
            ("limits.streams_max", u64::from(limits.streams_max)),
            ("erasure.lease_ms", erasure.lease_ms),
            ("erasure.resume_every_ms", erasure.resume_every_ms),
            ("erasure.at_once_max", erasure.at_once_max as u64),
            ("erasure.in_hand_max", erasure.in_hand_max as u64),
        ] {
            if value == 0 {
                return Err(wrong(field, "it is 0".to_owned(), "give at least 1"));
            }
        }
        // Everything that the file says is looked at before anybody is asked: a mistake in one section
        // must not wait until the store of another is there.
        let beside = |error: ApiError| {
            let place = format!("{}: {}", file.display(), error.field);
            let help = match &*error.help {
                "" => HELP.to_owned(),
                help => help.to_owned(),
            };
            error.at(place).help(help)
        };
        dynamodb.check().map_err(|error| beside(store::of_table(&error)))?;
        if let Some(valkey) = &valkey {
            valkey.check().map_err(|error| beside(store::of_cache(&error)))?;
        }
        if let Some(opensearch) = &opensearch {
            opensearch.check().map_err(|error| beside(index::of_index(&error)))?;
        }
        traces.check().map_err(|error| beside(run::of_traces(error)))?;
        if coherence.renew_every_ms >= coherence.lease_ms {
            return Err(wrong(
                "coherence.renew_every_ms",
                format!("a lease of {} ms runs out before it is renewed", coherence.lease_ms),
                "renew at least twice in a lease",
            ));
        }
        if coherence.write_window_ms <= limits.store_time_ms_max {
            return Err(wrong(
                "coherence.write_window_ms",
                format!(
                    "a write may take {} ms, and would be taken for dead before",
                    limits.store_time_ms_max
                ),
                "make it longer than limits.store_time_ms_max",
            ));
        }
        if sweep.age_min_ms <= limits.store_time_ms_max {
            return Err(wrong(
                "sweep.age_min_ms",
                format!(
                    "a write may take {} ms, and would be swept from under before",
                    limits.store_time_ms_max
                ),
                "make it longer than limits.store_time_ms_max",
            ));
        }
        if erasure.wait_ms_max >= limits.request_ms_max {
            return Err(wrong(
                "erasure.wait_ms_max",
                format!("a request is cut off after {} ms", limits.request_ms_max),
                "make it shorter than limits.request_ms_max: the erasure goes on all the same",
            ));
        }
        // A row that stays in the cache for longer than its tombstone in the table would come back.
        let window = Duration::from_millis(coherence.write_window_ms).as_secs() + 1;
        if let Some(valkey) = &valkey
            && let longest = valkey.value_ttl_seconds.saturating_add(valkey.value_ttl_seconds / 4)
            && longest.saturating_add(window) >= dynamodb.grace_seconds
        {
            return Err(wrong(
                "valkey.value_ttl_seconds",
                format!(
                    "a cached row may live for {longest} s, and tombstones in the table for {} s only",
                    dynamodb.grace_seconds
                ),
                "make it shorter, or dynamodb.grace_seconds longer",
            ));
        }
        let registry = registry.check(file)?;
        let data_clock = match clock.data.as_deref() {
            None | Some("system") => None,
            Some(text) => Some(Timestamp::parse(text).ok_or_else(|| {
                wrong(
                    "clock.data",
                    format!("`{text}` is no instant"),
                    "write `system`, a day (`2014-01-01`) or an instant (`2014-01-01T05:00:00Z`)",
                )
            })?),
        };
        let log = log_format(file, log.format.as_deref())?;
        let ms = Duration::from_millis;
        Ok(Config {
            http: listen.http,
            grpc: listen.grpc,
            announce: ms(listen.announce_ms),
            registry,
            dynamodb,
            valkey,
            opensearch,
            sweep: trivium_serving::SweepOptions {
                every: ms(sweep.every_ms),
                age_min: ms(sweep.age_min_ms),
            },
            coherence: trivium_coherence::Options {
                lease: ms(coherence.lease_ms),
                renew_every: ms(coherence.renew_every_ms),
                write_window: ms(coherence.write_window_ms),
                pause_max: ms(coherence.pause_ms_max),
                hold_off: ms(coherence.hold_off_ms),
                hold_off_max: ms(coherence.hold_off_ms_max),
                ..trivium_coherence::Options::default()
            },
            near_bytes_max: limits.near_bytes_max,
            serving: trivium_serving::Options {
                store_time_ms_max: limits.store_time_ms_max,
                future_micros_max: limits.future_ms_max.saturating_mul(1_000),
                requests_under_way_max: limits.requests_under_way_max,
                erasure,
            },
            serve: ServeOptions {
                drain: ms(listen.drain_ms),
                header_read: ms(limits.header_read_ms_max),
                request: ms(limits.request_ms_max),
                streams_max: limits.streams_max,
                body_bytes_under_way_max: limits.body_bytes_under_way_max,
                requests_sending_max: limits.requests_under_way_max,
                ..ServeOptions::default()
            },
            keys: auth
                .keys_file
                .map(|path| Keys { file: base.join(path), reload: ms(auth.reload_ms) }),
            data_clock,
            log,
            traces,
        })
    }
}
