//! The author's SQL for one period: run, held against the config, checked.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch, TimestampMicrosecondArray},
    compute::concat_batches,
    datatypes::{DataType as Arrow, Float64Type, Int64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use trivium_engine::{Source, Table};
use trivium_model::{FeatureView, Severity, TimeSpan, Timestamp};
use trivium_sql::{QualityQuery, quality::Number};

use super::{RawRows, RunRequest, Runner, sketches, values::Values};
use crate::{
    CheckResult, Error, Period, canonical,
    columns::{Misfit, ZONE, arrow_schema, author_columns, check_schema, conform, raw_schema},
};

/// The oldest event time: what is older is a unit mistaken, not a fact.
const EVENT_TIME_MIN: Timestamp = Timestamp(-70 * 365 * TimeSpan::DAY.micros());

impl Runner {
    /// Refuses SQL whose columns do not fit before anything runs.
    pub(super) async fn describe(&self, request: &RunRequest, first: Period) -> Result<(), Error> {
        let sql = render(request, first)?;
        let schema = self.engine.describe(&sql, &request.tables).await.map_err(|source| {
            engine_error(&request.view, first, "the author's SQL cannot be run", source)
        })?;
        check_schema(&schema, &author_columns(&request.view))
            .map_err(|misfit| rows_error(&request.view, first, misfit))
    }

    /// Runs one period.
    pub(super) async fn extract(
        &self,
        request: &RunRequest,
        period: Period,
    ) -> Result<RawRows, Error> {
        let view = &*request.view;
        let rows = self.author_rows(request, period).await?;
        let quality = self.check_quality(view, period, &rows).await?;
        raw_rows(view, period, &rows, quality)
    }

    /// The rows of one period, held against the config, in canonical order.
    pub(super) async fn author_rows(
        &self,
        request: &RunRequest,
        period: Period,
    ) -> Result<RecordBatch, Error> {
        let view = &*request.view;
        let sql = render(request, period)?;
        let failed = |source| engine_error(view, period, "the author's SQL failed", source);
        let batches: Vec<RecordBatch> = self
            .engine
            .query(&sql, &request.tables)
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        accept(view, period, &batches)
    }

    /// Runs the checks; a failed `error` one is an error with all results.
    pub(super) async fn check_quality(
        &self,
        view: &FeatureView,
        period: Period,
        rows: &RecordBatch,
    ) -> Result<Vec<CheckResult>, Error> {
        let query = trivium_sql::quality_sql(view, &sql_period(period)?);
        let staged = Table {
            name: trivium_sql::STAGED.to_owned(),
            source: Source::Batches { schema: rows.schema(), batches: vec![rows.clone()] },
            time_zone: None,
        };
        let failed =
            |source| engine_error(view, period, "the quality checks failed to run", source);
        let batches: Vec<RecordBatch> = self
            .engine
            .query(&query.sql, &[staged])
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        judge(view, period, &query, &batches)
    }
}

/// What the author's SQL gave for a period, held against the config, in canonical order.
pub(super) fn accept(
    view: &FeatureView,
    period: Period,
    batches: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let columns = author_columns(view);
    let conformed: Result<Vec<RecordBatch>, Misfit> =
        batches.iter().map(|batch| conform(batch, &columns)).collect();
    let conformed = conformed.map_err(|misfit| rows_error(view, period, misfit))?;
    let rows = concat_batches(&arrow_schema(&columns), &conformed)?;
    check_event_times(view, period, &rows)?;
    let rows = sketches::normalised(view, period, rows)?;
    Values { view, period, columns: &columns, rows: &rows }.check()?;
    canonical::sort(&rows)
}

/// What the row of the quality query means; a failed `error` check is an error with all results.
pub(super) fn judge(
    view: &FeatureView,
    period: Period,
    query: &QualityQuery,
    batches: &[RecordBatch],
) -> Result<Vec<CheckResult>, Error> {
    let row = batches
        .iter()
        .find(|batch| batch.num_rows() == 1)
        .ok_or_else(|| Error::Internal("the quality query did not give one row".to_owned()))?;
    let numbers: Result<Vec<Option<Number>>, Error> =
        row.columns().iter().map(|column| number(&**column)).collect();
    let results = trivium_sql::evaluate(query, &numbers?)
        .map_err(|error| Error::Internal(error.to_string()))?;
    let results: Vec<CheckResult> = results.iter().map(CheckResult::from).collect();
    if results.iter().any(|one| !one.passed && one.severity == Severity::Error) {
        return Err(Error::Quality { view: view.reference(), period: period.folder(), results });
    }
    Ok(results)
}

/// Accepted rows as those of a raw partition.
pub(super) fn raw_rows(
    view: &FeatureView,
    period: Period,
    rows: &RecordBatch,
    quality: Vec<CheckResult>,
) -> Result<RawRows, Error> {
    let periods = TimestampMicrosecondArray::from_value(period.start.0, rows.num_rows());
    let mut arrays = rows.columns().to_vec();
    arrays.push(Arc::new(periods.with_timezone(ZONE)));
    let rows = RecordBatch::try_new(raw_schema(view), arrays)?;
    let content_hash = canonical::content_hash(&rows)?;
    Ok(RawRows { period, rows, content_hash, quality })
}

/// The first value of a column of the quality query.
fn number(column: &dyn Array) -> Result<Option<Number>, Error> {
    if column.is_null(0) || column.data_type() == &Arrow::Null {
        return Ok(None);
    }
    Ok(Some(match column.data_type() {
        Arrow::Int64 => Number::Integer(column.as_primitive::<Int64Type>().value(0)),
        Arrow::Float64 => Number::Float(column.as_primitive::<Float64Type>().value(0)),
        Arrow::Timestamp(..) => match column.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(array) => Number::Integer(array.value(0)),
            None => {
                return Err(Error::Internal("a timestamp that is not in microseconds".to_owned()));
            }
        },
        other => {
            return Err(Error::Internal(format!("the quality query gave a column of {other}")));
        }
    }))
}

fn check_event_times(view: &FeatureView, period: Period, rows: &RecordBatch) -> Result<(), Error> {
    let times = rows.column(view.entities.len()).as_primitive::<TimestampMicrosecondType>();
    let outside = |at: i64| at > period.end.0 || at < EVENT_TIME_MIN.0;
    let Some(wrong) = times.values().iter().find(|at| outside(**at)) else { return Ok(()) };
    let count = times.values().iter().filter(|at| outside(**at)).count();
    let at = Timestamp(*wrong);
    let (message, help) = if *wrong > period.end.0 {
        (
            format!(
                "{count} rows have a `{}` after the period's end ({}), such as {at}",
                view.event_timestamp, period.end
            ),
            "a fact that is known only later would leak into training sets: give it to a later \
             period, and give aggregates the period's end",
        )
    } else {
        (
            format!("{count} rows have a `{}` before 1900, such as {at}", view.event_timestamp),
            "is the unit right? event times are timestamps",
        )
    };
    Err(Error::Rows {
        view: view.reference(),
        period: period.folder(),
        message,
        help: help.to_owned(),
    })
}

pub(super) fn sql_period(period: Period) -> Result<trivium_sql::Period, Error> {
    trivium_sql::Period::new(period.start, period.end, None).map_err(|error| {
        Error::invalid("from", error.to_string(), "run periods that calendars name")
    })
}

fn render(request: &RunRequest, period: Period) -> Result<String, Error> {
    Ok(request.query.render(&sql_period(period)?))
}

pub(super) fn engine_error(
    view: &FeatureView,
    period: Period,
    doing: &'static str,
    source: trivium_engine::Error,
) -> Error {
    let source = Box::new(source);
    Error::Engine { view: view.reference(), period: period.folder(), doing, source }
}

fn rows_error(view: &FeatureView, period: Period, misfit: Misfit) -> Error {
    Error::Rows {
        view: view.reference(),
        period: period.folder(),
        message: misfit.message,
        help: misfit.help,
    }
}
