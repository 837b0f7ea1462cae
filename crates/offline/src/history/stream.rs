//! Rows of stream views, from the log of their files.

use trivium_engine::Source;
use trivium_lake_log::{FileEntry, Shape, StreamLog};
use trivium_model::{FeatureView, Timestamp};

use crate::{Error, Lake};

/// The rows that count after the log's last commit, of files with an event time between these two; none
/// where nothing is wanted.
pub(super) fn rows(
    lake: &Lake,
    view: &FeatureView,
    wanted: Option<(Timestamp, Timestamp)>,
) -> Result<Source, Error> {
    let shape = Shape::new(view)?;
    let log = StreamLog::new(lake.root(), shape.view());
    let state = log.load()?;
    let files: Vec<&FileEntry> = state
        .files
        .values()
        .filter(|file| {
            wanted.is_some_and(|(oldest, newest)| {
                file.event_time_max_micros >= oldest && file.event_time_min_micros <= newest
            })
        })
        .collect();
    let columns = shape.columns_id();
    if !files.is_empty() && files.iter().all(|file| file.columns == columns) {
        return Ok(Source::Parquet(
            files.iter().map(|file| log.folder().join(&file.path)).collect(),
        ));
    }
    // Some are older than the view's present form: the engine wants all with the same columns.
    let mut batches = Vec::new();
    for file in files {
        batches.extend(log.read(file, shape.columns())?);
    }
    Ok(Source::Batches { schema: shape.columns().clone(), batches })
}

impl From<trivium_lake_log::Error> for Error {
    fn from(error: trivium_lake_log::Error) -> Self {
        match error {
            trivium_lake_log::Error::Io { doing, path, source } => Self::Io { doing, path, source },
            trivium_lake_log::Error::Corrupt { path, message } => Self::Corrupt { path, message },
            other => Self::Internal(other.to_string()),
        }
    }
}
