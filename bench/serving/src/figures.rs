//! What was measured, and the line that is kept of it.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// What was measured of one contestant in one case, over all its turns.
pub struct Sample {
    /// Requests answered.
    pub requests: u64,
    /// Time they took.
    pub seconds: f64,
    /// CPU of the server's process.
    pub cpu_seconds: f64,
    /// Nanoseconds of each.
    pub latency: Histogram<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        // Three digits always are a valid precision.
        #[allow(clippy::expect_used)]
        let latency = Histogram::new(3).expect("a histogram of three digits");
        Self { requests: 0, seconds: 0.0, cpu_seconds: 0.0, latency }
    }
}

impl Sample {
    /// Another turn of the same.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        // Same precision on both sides, resizing: it cannot fail.
        let _ = self.latency.add(&other.latency);
    }
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1e-9)
    }
    /// A quantile of the latency.
    pub fn micros(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
    /// CPU of a request in the server.
    pub fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests.max(1) as f64
    }
}

/// Where one line a case goes.
pub struct Lines {
    file: File,
    bench: &'static str,
    load1: f64,
}

impl Lines {
    /// Appends to a file.
    pub fn append(bench: &'static str, out: &Path) -> Result<Self> {
        if let Some(folder) = out.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(out)?;
        Ok(Self { file, bench, load1: load1()? })
    }

    /// The machine's load when this was opened.
    pub fn load1(&self) -> f64 {
        self.load1
    }

    /// Ours beside what it is compared with.
    pub fn line(
        &mut self,
        case: &str,
        against: &str,
        own: f64,
        theirs: f64,
        unit: &str,
    ) -> Result<()> {
        let line = serde_json::json!({
            "bench": self.bench, "case": case, "against": against,
            "ours": rounded(own), "theirs": rounded(theirs), "unit": unit,
            "ratio": rounded(own / theirs), "load1": self.load1,
        });
        Ok(writeln!(self.file, "{line}")?)
    }
}

fn load1() -> Result<f64> {
    fs::read_to_string("/proc/loadavg")?
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok())
        .context("/proc/loadavg")
}

/// Four digits are more than such a measurement is good for.
fn rounded(value: f64) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}
