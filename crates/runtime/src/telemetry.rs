//! Logs and metrics. Logs go to standard error, so that a command's output stays its own.
//!
//! Neither feature values nor entity keys nor subjects are ever logged, whatever `TRIVIUM_LOG` says. Our own
//! lines are written so; other crates' are cut off below [`OTHERS_LEVEL_MAX`], because clients of stores and
//! HTTP libraries log whole requests and answers there.

use std::{ffi::OsStr, io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, prelude::*};

use crate::{Shutdown, trace};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; `TRIVIUM_LOG` says what (`info`, `trivium_serving=debug`), `default` otherwise.
/// A second call does nothing.
pub fn init_logs(default: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("TRIVIUM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // What puts a trace's id into lines is there for every line that is logged.
    let filter = match format!("{}=info", trace::LOG_TARGET).parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    let started = match format {
        LogFormat::Text => {
            let colours =
                coloured(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
            let lines = fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
    };
    // Already started, by a test or an embedding program: theirs stays.
    drop(started);
}

/// The most talkative level at which crates that are not ours are logged.
const OTHERS_LEVEL_MAX: Level = Level::INFO;

fn may_be_logged(line: &Metadata<'_>) -> bool {
    line.target().starts_with("trivium") || *line.level() <= OTHERS_LEVEL_MAX
}

/// Colours are for a terminal whose owner wants them: in a file they are noise.
fn coloured(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Bounds of latency histograms, in seconds: 50 µs to 10 s.
const LATENCY_SECONDS: [f64; 16] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 10.0,
];

/// Histograms of ages: how long ago something happened, and not how long a call took. By their whole names,
/// which the exporter looks at before endings.
const AGES: [&str; 1] = ["trivium_ingest_freshness_seconds"];
/// Bounds of ages, in seconds: 5 ms to a week. Of a lane that is behind by hours one wants to see by how many.
const AGE_SECONDS: [f64; 20] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3_600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0,
];

/// Bounds of everything else, which is how many of something there are: messages of a batch. What configs
/// have as the most is about 1,000, and may be set higher.
const COUNTS: [f64; 14] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
    100_000.0,
];

/// Starts the process's metrics; the handle renders the scrape page. Fails if already started.
pub fn init_metrics() -> Result<PrometheusHandle, BuildError> {
    builder()?.install_recorder()
}

/// Without bounds a histogram would be shown as a summary, with quantiles of one process that nobody can
/// add up: so there are some for every name.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_SECONDS)?;
    for name in AGES {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &AGE_SECONDS)?;
    }
    Ok(builder)
}

/// How often samples of histograms are folded in.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Folds samples of histograms in until the shutdown: a server that nobody scrapes would keep each of
/// them.
pub async fn keep_metrics(metrics: PrometheusHandle, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => metrics.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests;
