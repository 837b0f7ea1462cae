//! The batch engine port: run a period's query, join features point in time. Arrow in, Arrow out.
//!
//! SQL that crosses this port is Spark's dialect, already rendered (no parameters). An engine
//! either gives Spark's answer or refuses by name; it never answers differently. The lake's layout,
//! quality, carryover and rollup are not its business: `offline` writes those as SQL and sends it here.

use std::{path::PathBuf, pin::Pin};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use async_trait::async_trait;
use futures::Stream;
use trivium_model::TimeSpan;

/// A table that a query may name.
#[derive(Debug, Clone)]
pub struct Table {
    /// As the SQL names it (`flights`, `weather`); compared as Spark compares: without case.
    pub name: String,
    /// Where its rows are.
    pub source: Source,
    /// IANA zone of its zone-less times; UTC if absent.
    pub time_zone: Option<String>,
}

/// Where a table's rows are.
#[derive(Debug, Clone)]
pub enum Source {
    /// Parquet files, all with the same columns.
    Parquet(Vec<PathBuf>),
    /// CSV files with a header line.
    Csv {
        /// The files.
        paths: Vec<PathBuf>,
        /// The text that stands for null, such as `NA`; empty fields are null too.
        null: Option<String>,
    },
    /// Rows in memory.
    Batches {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        batches: Vec<RecordBatch>,
    },
}

/// Rows, as they come.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, Error>> + Send>>;

/// What an engine can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SQL is wrong (unknown table or column, types that do not fit).
    #[error("{message}")]
    Invalid {
        /// What is wrong and what to do.
        message: String,
        /// Where in the SQL, from 1, if known.
        position: Option<(u32, u32)>,
    },
    /// The SQL is Spark's, but this engine has not been shown to answer it as Spark does.
    #[error("{what} is not proven equal to Spark on this engine; {help}")]
    Unsupported {
        /// The function, operator or cast.
        what: String,
        /// What to do, such as `--engine spark`.
        help: String,
        /// Where in the SQL, from 1, if known.
        position: Option<(u32, u32)>,
    },
    /// The query failed on the data, as Spark would in ANSI mode (overflow, bad cast, division by zero).
    #[error("the query failed on the data: {0}")]
    Data(String),
    /// A source file cannot be read.
    #[error("cannot read {path}: {message}")]
    Source {
        /// The file or table.
        path: String,
        /// Why.
        message: String,
    },
    /// A source file can be read, and holds something else than its format says.
    #[error("cannot make sense of {}: {message}", self.file().unwrap_or_default())]
    Malformed {
        /// The file or table.
        path: String,
        /// The line, from 1, if the format has any and the reader knows it.
        line: Option<u64>,
        /// What is wrong with it.
        message: String,
    },
    /// Memory or another limit was reached.
    #[error("the engine ran out of {0}")]
    Resources(String),
    /// A fault of the engine itself.
    #[error("the engine failed: {0}")]
    Internal(String),
}

impl Error {
    /// The file that it is about, and the line of it, if it is about one.
    pub fn file(&self) -> Option<String> {
        match self {
            Self::Malformed { path, line: Some(line), .. } => Some(format!("{path}:{line}")),
            Self::Malformed { path, .. } | Self::Source { path, .. } => Some(path.clone()),
            _ => None,
        }
    }
}

/// Runs SELECTs.
#[async_trait]
pub trait QueryEngine: Send + Sync {
    /// The columns that the SQL would give; reads no more than the tables' schemas.
    async fn describe(&self, sql: &str, tables: &[Table]) -> Result<SchemaRef, Error>;
    /// Runs the SQL. Timestamps come back as microseconds UTC.
    async fn query(&self, sql: &str, tables: &[Table]) -> Result<BatchStream, Error>;
}

/// One view in a point-in-time join.
#[derive(Debug, Clone)]
pub struct HistoryView {
    /// Its published rows.
    pub rows: Source,
    /// Join key columns, as named in both the entity frame and the view.
    pub keys: Vec<String>,
    /// The view's event time column.
    pub event_timestamp: String,
    /// The column that breaks ties, before `sequence`; null is lowest.
    pub created_timestamp: Option<String>,
    /// The column that breaks what ties remain.
    pub sequence: Option<String>,
    /// The column that says of a row that from it on the entity has none: where the newest row says so,
    /// no row is seen, and no older one either. Never null.
    pub deleted: Option<String>,
    /// How long a row counts; unlimited if absent.
    pub ttl: Option<TimeSpan>,
    /// Column of the view → column of the result.
    pub features: Vec<(String, String)>,
}

/// A training set to make.
#[derive(Debug, Clone)]
pub struct HistoryRequest {
    /// The entity frame: join keys, an event time and any further columns. Its rows are never
    /// dropped, duplicated or reordered.
    pub frame: Source,
    /// The frame's event time column.
    pub event_timestamp: String,
    /// The views.
    pub views: Vec<HistoryView>,
}

/// Joins features point in time.
#[async_trait]
pub trait HistoryEngine: Send + Sync {
    /// The frame's columns, then each view's features in order: per row the values of the newest
    /// view row with `event_ts - ttl <= feature_ts <= event_ts`; null where there is none.
    async fn point_in_time(&self, request: HistoryRequest) -> Result<BatchStream, Error>;
}
