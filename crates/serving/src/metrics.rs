//! Metrics of serving, by view. A series is made when there is something to count: of ten thousand
//! views most are idle, and each would be ten lines of every scrape, and half a kilobyte each.

use std::sync::OnceLock;

use metrics::{Counter, counter};

/// How the read of one row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowRead {
    Found,
    NotFound,
    Expired,
    Error,
}

/// How the write of one row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowWritten {
    Applied,
    Superseded,
    Conflict,
    Erased,
    Failed,
}

const READ: [&str; 4] = ["found", "not_found", "expired", "error"];
const WRITTEN: [&str; 5] = ["applied", "superseded", "conflict", "erased", "failed"];

/// One view's metrics: `trivium_online_rows_read_total{view,status}` and
/// `trivium_online_rows_written_total{view,outcome}`.
pub(crate) struct ViewMetrics {
    view: Box<str>,
    read: [OnceLock<Counter>; 4],
    written: [OnceLock<Counter>; 5],
}

impl std::fmt::Debug for ViewMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ViewMetrics")
    }
}

impl ViewMetrics {
    pub(crate) fn new(view: &str) -> Self {
        Self { view: view.into(), read: Default::default(), written: Default::default() }
    }
    pub(crate) fn read(&self, rows: [u64; 4]) {
        for ((made, status), rows) in self.read.iter().zip(READ).zip(rows) {
            if rows > 0 {
                let make = || counter!("trivium_online_rows_read_total", "view" => self.view.to_string(), "status" => status);
                made.get_or_init(make).increment(rows);
            }
        }
    }
    pub(crate) fn written(&self, rows: [u64; 5]) {
        for ((made, outcome), rows) in self.written.iter().zip(WRITTEN).zip(rows) {
            if rows > 0 {
                let make = || counter!("trivium_online_rows_written_total", "view" => self.view.to_string(), "outcome" => outcome);
                made.get_or_init(make).increment(rows);
            }
        }
    }
    pub(crate) fn merge_retried(&self) {
        counter!("trivium_online_merge_retries_total", "view" => self.view.to_string())
            .increment(1);
    }
}
