//! A period as a run would leave it, without a trace: nothing is locked, staged or switched.

use arrow::record_batch::RecordBatch;

use super::{RunRequest, Runner, blocking, extract::raw_rows, publish};
use crate::{CheckResult, Error, Period};

/// What a run of one period would give.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Rows that the author's SQL gave.
    pub raw_rows: usize,
    /// All checks; a failed one does not end a preview.
    pub quality: Vec<CheckResult>,
    /// The published rows, in the columns of [`crate::columns::published_columns`]: with carryover
    /// and windows over what the lake has of the periods before.
    pub published: RecordBatch,
    /// How many partitions of periods before were looked back on.
    pub looked_back_on: usize,
    /// Why what the lake has could not be looked back on, if so.
    pub without_lake: Option<String>,
}

impl Runner {
    /// Runs the SQL, the checks and the publication of one period and gives what they gave. The
    /// request's range is not looked at. Rows that no run would take are an error, as in a run.
    pub async fn preview(&self, request: &RunRequest, period: Period) -> Result<Preview, Error> {
        let view = &request.view;
        self.describe(request, period).await?;
        let rows = self.author_rows(request, period).await?;
        let quality = match self.check_quality(view, period, &rows).await {
            Err(Error::Quality { results, .. }) => results,
            other => other?,
        };
        let raw = raw_rows(view, period, &rows, quality)?;
        let quality = raw.quality.clone();
        let raw_count = raw.rows.num_rows();
        let lookback = i64::from(trivium_sql::publish::lookback_periods(view));
        let read = blocking({
            let (lake, view) = (self.lake.clone(), view.clone());
            move || {
                let starts = period.shifted(-lookback).start..period.start;
                publish::read_raw(&lake, &view, starts)
            }
        })
        .await;
        // The working tree may have other columns than what is in the lake; a run of a version
        // that is accepted never does.
        let (mut window, without_lake) = match read {
            Ok(window) => (window, None),
            Err(Error::Corrupt { message, .. }) => (Vec::new(), Some(message)),
            Err(error) => return Err(error),
        };
        let looked_back_on = window.len();
        window.push(raw);
        let (_, published) = self.publish(view, period, &window, None).await?;
        let published = published.ok_or_else(|| {
            Error::Internal("a publication without known inputs was skipped".to_owned())
        })?;
        Ok(Preview { raw_rows: raw_count, quality, published, looked_back_on, without_lake })
    }
}
