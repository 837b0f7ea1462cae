//! What the registry is told of a published partition: the pointer's facts, and where its columns
//! come from by the SQL that made it.

use std::collections::BTreeMap;

use trivium_model::{
    Aggregate, ColumnStatistics, FeatureView, Timestamp, view::rollup_feature_name,
};
use trivium_registry::partition::{CheckOutcome, ColumnLineage, PartitionRecord, SourceColumn};
use trivium_sql::AuthorQuery;
use uuid::Uuid;

use crate::{
    Error, Partition,
    columns::{align, arrow_schema, published_columns},
    lake::read_whole,
    run::sha256,
    statistics,
};

/// The checks that find how many rows there are of a kind; others find values that are some row's.
const COUNTING: [&str; 5] = ["row_count", "not_null", "unique", "accepted_values", "null_fraction"];

/// What only the scheduler knows of a run.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Its name; the lake's own if absent.
    pub run: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended; when the partition was written if absent.
    pub finished: Option<Timestamp>,
}

/// The hash by which pointers name the author's SQL.
pub fn sql_sha256(sql: &str) -> String {
    sha256(sql.as_bytes())
}

/// The record of a partition. `query` is the SQL that made it; without it nothing is said of where
/// its columns come from. Pointers of older releases have no statistics: those are made from the files.
pub fn record_of(
    view: &FeatureView,
    query: Option<&AuthorQuery>,
    partition: &Partition,
    facts: &RunFacts,
) -> Result<PartitionRecord, Error> {
    let pointer = &partition.pointer;
    let has_persons = view.subject.is_some();
    let statistics = if pointer.statistics.is_empty() {
        let rows = read_whole(&partition.files())?;
        let rows = align(&rows, &arrow_schema(&published_columns(view)))
            .map_err(|message| Error::corrupt(&partition.folder, message))?;
        statistics::of(view, &rows)?
    } else {
        pointer.statistics.clone()
    };
    Ok(PartitionRecord {
        view: view.reference(),
        start: partition.period.start,
        end: partition.period.end,
        revision: pointer.sequence,
        content_hash: pointer.content_hash.clone(),
        rows: pointer.rows,
        engine: pointer.source.engine.clone(),
        sql_sha256: pointer.source.sql_sha256.clone(),
        inputs_sha256: pointer.source.inputs_sha256.clone(),
        quality: pointer
            .quality
            .iter()
            .map(|check| CheckOutcome {
                check: check.check.clone(),
                severity: check.severity,
                passed: check.passed,
                found: check.found.clone().filter(|_| !has_persons || counts(&check.check)),
                expected: check.expected.clone(),
            })
            .collect(),
        statistics: if has_persons {
            statistics.into_iter().map(without_persons).collect()
        } else {
            statistics
        },
        tables: query.map(|query| query.tables().to_vec()).unwrap_or_default(),
        lineage: query.map(|query| lineage(view, query)).unwrap_or_default(),
        started: facts.started,
        finished: facts.finished.unwrap_or_else(|| written_at(partition)),
        run: facts.run.clone().unwrap_or_else(|| pointer.run.clone()),
    })
}

/// Whether a check, as it is worded in pointers, only counts rows.
fn counts(check: &str) -> bool {
    COUNTING.contains(&check.split('(').next().unwrap_or_default())
}

/// Statistics without what may be one row's. What an erasure takes out of the lake would stay in the
/// registry, whose records are kept for ever, and in catalogues, whose copies nobody counts.
fn without_persons(one: ColumnStatistics) -> ColumnStatistics {
    // Of one value the mean is that value.
    let is_shared = one.distinct.is_none_or(|distinct| distinct.count > 1);
    ColumnStatistics {
        min: None,
        max: None,
        quantiles: BTreeMap::new(),
        lengths: None,
        mean: one.mean.filter(|_| is_shared),
        ..one
    }
}

/// Where the published columns come from; a window from what the features do that it is merged from.
/// `carried_from` is the platform's own.
pub fn lineage(view: &FeatureView, query: &AuthorQuery) -> Vec<ColumnLineage> {
    let sources = |name: &str| -> Vec<SourceColumn> {
        query
            .output_columns()
            .iter()
            .filter(|column| column.name.eq_ignore_ascii_case(name))
            .flat_map(|column| &column.sources)
            .map(|source| SourceColumn {
                table: source.table.clone(),
                column: source.column.clone().unwrap_or_else(|| "*".to_owned()),
            })
            .collect()
    };
    let mut columns: Vec<ColumnLineage> = crate::columns::author_columns(view)
        .into_iter()
        .map(|column| ColumnLineage { sources: sources(&column.name), column: column.name })
        .collect();
    if let Some(rollup) = &view.rollup {
        for (feature, aggregate) in &rollup.features {
            let merged = match aggregate {
                Aggregate::Mean { sum, count } => vec![sum, count],
                Aggregate::ApproxDistinct { sketch } => vec![sketch],
                Aggregate::Sum | Aggregate::Count | Aggregate::Min | Aggregate::Max => {
                    vec![feature]
                }
            };
            let mut from: Vec<SourceColumn> =
                merged.into_iter().flat_map(|name| sources(name.as_str())).collect();
            from.sort();
            from.dedup();
            columns.extend(rollup.windows.iter().map(|window| ColumnLineage {
                column: rollup_feature_name(feature, *window),
                sources: from.clone(),
            }));
        }
    }
    columns
}

/// When the partition was written: its run's name holds it.
fn written_at(partition: &Partition) -> Timestamp {
    let run = partition.pointer.run.strip_prefix("run-");
    let at = run.and_then(|run| Uuid::try_parse(run).ok()).and_then(|uuid| uuid.get_timestamp());
    at.and_then(|at| {
        let (seconds, nanos) = at.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        micros.checked_add(i64::from(nanos / 1_000)).map(Timestamp)
    })
    .unwrap_or(partition.period.end)
}

#[cfg(test)]
mod tests;
