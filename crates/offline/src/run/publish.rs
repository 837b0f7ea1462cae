//! Published rows from raw ones: carryover and windows.

use std::ops::Range;

use arrow::{compute::concat_batches, record_batch::RecordBatch};
use futures::TryStreamExt;
use trivium_engine::{Source, Table};
use trivium_model::{FeatureView, Timestamp};

use super::{
    RawRows, Runner,
    extract::{engine_error, sql_period},
    sha256, sketches,
    values::Values,
};
use crate::{
    Error, Lake, Layer, Period, canonical,
    columns::{align, arrow_schema, conform, published_columns, raw_schema},
    lake::{Pointer, read_whole},
};

/// The raw partitions whose periods begin in the range, oldest first.
pub(super) fn read_raw(
    lake: &Lake,
    view: &FeatureView,
    starts: Range<Timestamp>,
) -> Result<Vec<RawRows>, Error> {
    let schema = raw_schema(view);
    lake.partitions(&view.reference(), Layer::Raw, starts)?
        .into_iter()
        .map(|partition| {
            let rows = read_whole(&partition.files())?;
            let rows = align(&rows, &schema)
                .map_err(|message| Error::corrupt(&partition.folder, message))?;
            let Pointer { content_hash, quality, .. } = partition.pointer;
            Ok(RawRows { period: partition.period, rows, content_hash, quality })
        })
        .collect()
}

impl Runner {
    /// The hash of what a period's published rows are made from, and the rows; `None` where the
    /// partition was made from the same.
    pub(super) async fn publish(
        &self,
        view: &FeatureView,
        period: Period,
        window: &[RawRows],
        known_inputs: Option<&str>,
    ) -> Result<(String, Option<RecordBatch>), Error> {
        let sql = trivium_sql::publish_sql(view, &sql_period(period)?);
        let hashes = window.iter().map(|raw| (raw.period, raw.content_hash.as_str()));
        let inputs = inputs_hash(&sql, hashes);
        if known_inputs == Some(inputs.as_str()) {
            return Ok((inputs, None));
        }
        let raw = Table {
            name: trivium_sql::RAW.to_owned(),
            source: Source::Batches {
                schema: raw_schema(view),
                batches: window.iter().map(|raw| raw.rows.clone()).collect(),
            },
            time_zone: None,
        };
        let failed = |source| {
            let unmergeable = match &source {
                trivium_engine::Error::Data(_) => sketches::unmergeable(view, window),
                _ => None,
            };
            unmergeable.unwrap_or_else(|| {
                engine_error(view, period, "carryover and rollup failed", source)
            })
        };
        let batches: Vec<RecordBatch> = self
            .engine
            .query(&sql, &[raw])
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        let rows = accept(view, period, &batches)?;
        Ok((inputs, Some(rows)))
    }
}

/// The hash of all that a published partition is made from: the SQL, and the raw partitions that it
/// looks back on, oldest first.
pub(super) fn inputs_hash<'a>(sql: &str, raw: impl Iterator<Item = (Period, &'a str)>) -> String {
    let mut inputs = sql.to_owned();
    for (period, content_hash) in raw {
        inputs.push_str(&format!("\n{} {content_hash}", period.start.0));
    }
    sha256(inputs.as_bytes())
}

/// What the publish SQL gave for a period, in canonical order.
pub(super) fn accept(
    view: &FeatureView,
    period: Period,
    batches: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let columns = published_columns(view);
    let conformed: Result<Vec<RecordBatch>, _> =
        batches.iter().map(|batch| conform(batch, &columns)).collect();
    // The platform's own SQL gave them: not the author's mistake.
    let conformed = conformed.map_err(|misfit| {
        Error::Internal(format!("{}: publish SQL: {}", view.reference(), misfit.message))
    })?;
    let rows = concat_batches(&arrow_schema(&columns), &conformed)?;
    // Windows make rows longer, and raw partitions may be older than the check.
    Values { view, period, columns: &columns, rows: &rows }.check()?;
    canonical::sort(&rows)
}
