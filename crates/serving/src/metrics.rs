//! Metrics of serving, by view. Handles are made once for each set of definitions.

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

/// One view's metrics: `trivium_online_rows_read_total{view,status}` and
/// `trivium_online_rows_written_total{view,outcome}`.
pub(crate) struct ViewMetrics {
    read: [Counter; 4],
    written: [Counter; 5],
    merge_retries: Counter,
}

impl std::fmt::Debug for ViewMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ViewMetrics")
    }
}

impl ViewMetrics {
    pub(crate) fn new(view: &str) -> Self {
        let read = ["found", "not_found", "expired", "error"].map(|status| {
            counter!("trivium_online_rows_read_total", "view" => view.to_owned(), "status" => status)
        });
        let written = ["applied", "superseded", "conflict", "erased", "failed"].map(|outcome| {
            counter!("trivium_online_rows_written_total", "view" => view.to_owned(), "outcome" => outcome)
        });
        let merge_retries =
            counter!("trivium_online_merge_retries_total", "view" => view.to_owned());
        Self { read, written, merge_retries }
    }
    pub(crate) fn read(&self, rows: [u64; 4]) {
        for (counter, rows) in self.read.iter().zip(rows) {
            if rows > 0 {
                counter.increment(rows);
            }
        }
    }
    pub(crate) fn written(&self, rows: [u64; 5]) {
        for (counter, rows) in self.written.iter().zip(rows) {
            if rows > 0 {
                counter.increment(rows);
            }
        }
    }
    pub(crate) fn merge_retried(&self) {
        self.merge_retries.increment(1);
    }
}
