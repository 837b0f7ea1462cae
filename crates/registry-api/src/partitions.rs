//! What is known of published partitions, over both surfaces: recorded at the end of a run, listed by
//! people and catalogues.

use std::sync::Arc;

use axum::{Json as JsonAnswer, extract::State};
use serde::{Deserialize, Serialize};
use trivium_api::{ApiError, Json as JsonBody};
use trivium_model::{ColumnStatistics, Distinct, Lengths, Severity, Timestamp, ViewRef};
use trivium_proto::v1::{self, record_partitions_response::Outcome as WireOutcome};
use trivium_registry::{
    PartitionFilter, PartitionRecord, Partitions, RecordOutcome, Recorded,
    partition::{CheckOutcome, ColumnLineage, PARTITIONS_LIMIT_MAX, Place, SourceColumn},
};
use trivium_runtime::Kind;
use utoipa::ToSchema;

use crate::{
    RegistryApi,
    error::of_registry,
    limits::REQUEST_BYTES_MAX,
    openapi::ErrorShape,
    rest::{Answer, Pairs, number, parameters},
};

/// Partitions in one answer, where nothing is said.
const LIMIT_DEFAULT: u32 = 50;
/// Where a page ends, in bytes of its records' JSON: clients of gRPC refuse messages of more than 4 MiB,
/// and a record has up to one.
const PAGE_BYTES: usize = 2 << 20;

impl RegistryApi {
    /// Keeps records of partitions too.
    #[must_use]
    pub fn with_partitions(mut self, partitions: Arc<dyn Partitions>) -> Self {
        self.partitions = Some(partitions);
        self
    }

    fn partitions(&self) -> Result<&dyn Partitions, ApiError> {
        self.partitions.as_deref().ok_or_else(|| {
            ApiError::new(Kind::Unimplemented, "records of partitions are not kept here")
                .help("ask the registry itself; a serving node keeps nothing")
        })
    }

    pub(crate) async fn record(
        &self,
        records: &[PartitionRecord],
        author: &str,
    ) -> Result<Vec<RecordOutcome>, ApiError> {
        let at = Timestamp(self.wall_clock.now_micros());
        let kept = self.partitions()?.record(records, author, at).await;
        let outcomes = kept.map_err(|error| of_registry(&error))?;
        tracing::info!(records = records.len(), "partitions recorded");
        Ok(outcomes)
    }

    /// A page, and the place of the next.
    pub(crate) async fn list_partitions_of(
        &self,
        filter: PartitionFilter,
    ) -> Result<(Vec<Recorded>, Option<Place>), ApiError> {
        if !(1..=PARTITIONS_LIMIT_MAX).contains(&filter.limit) {
            let message = format!("a limit is 1 to {PARTITIONS_LIMIT_MAX}");
            return Err(ApiError::invalid(message).at("limit").help("go on with `after`"));
        }
        let view = self.registry.view_history(&filter.view).await;
        view.map_err(|error| of_registry(&error))?;
        let found = self.partitions()?.partitions(&filter).await;
        let found = found.map_err(|error| of_registry(&error))?;
        let full = found.len() >= filter.limit as usize;
        let (page, is_cut) = page(found)?;
        let next = page.last().filter(|_| full || is_cut).map(|last| last.partition.place());
        Ok((page, next))
    }
}

/// As many records as one answer takes, at least one, and whether that leaves some out.
fn page(mut found: Vec<Recorded>) -> Result<(Vec<Recorded>, bool), ApiError> {
    let mut bytes = 0;
    for (index, one) in found.iter().enumerate() {
        bytes += one.partition.to_text().map_err(|error| of_registry(&error))?.len();
        if index > 0 && bytes > PAGE_BYTES {
            found.truncate(index);
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// Partitions to record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordPartitions)]
pub(crate) struct RecordRequest {
    /// At most 100.
    partitions: Vec<PartitionShape>,
    /// Who records.
    author: String,
}

/// What is known of a published partition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Partition)]
pub struct PartitionShape {
    /// `flights/carrier_daily@1`.
    pub view: String,
    /// Microseconds since 1970: the first instant of the period.
    pub start_micros: i64,
    /// The first instant after it.
    pub end_micros: i64,
    /// From 1: grows with each change of the partition's rows.
    pub revision: u64,
    /// SHA-256 over its rows, small hexadecimal digits.
    pub content_hash: String,
    /// Rows.
    pub rows: u64,
    /// What ran the SQL.
    pub engine: String,
    /// SHA-256 of the author's SQL.
    pub sql_sha256: String,
    /// SHA-256 over what it was published from; may be empty.
    #[serde(default)]
    pub inputs_sha256: String,
    /// The quality checks: `check`, `severity`, `passed`, `found`, `expected`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub quality: Vec<CheckOutcome>,
    /// Of each column: counts, edges, mean, quantiles, lengths.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub statistics: Vec<ColumnStatistics>,
    /// The tables that the SQL reads.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Of each column its `sources`: `table` and `column`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub lineage: Vec<ColumnLineage>,
    /// When its run began, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_micros: Option<i64>,
    /// When it was published.
    pub finished_micros: i64,
    /// The run that made it.
    pub run: String,
    /// Who recorded it; ignored in requests.
    #[serde(default)]
    pub author: String,
    /// When; ignored in requests.
    #[serde(default)]
    pub at_micros: i64,
}

impl From<Recorded> for PartitionShape {
    fn from(Recorded { partition, author, at }: Recorded) -> Self {
        Self { author, at_micros: at.0, ..Self::from(partition) }
    }
}

impl From<PartitionRecord> for PartitionShape {
    fn from(record: PartitionRecord) -> Self {
        Self {
            view: record.view.to_string(),
            start_micros: record.start.0,
            end_micros: record.end.0,
            revision: record.revision,
            content_hash: record.content_hash,
            rows: record.rows,
            engine: record.engine,
            sql_sha256: record.sql_sha256,
            inputs_sha256: record.inputs_sha256,
            quality: record.quality,
            statistics: record.statistics,
            tables: record.tables,
            lineage: record.lineage,
            started_micros: record.started.map(|at| at.0),
            finished_micros: record.finished.0,
            run: record.run,
            author: String::new(),
            at_micros: 0,
        }
    }
}

impl PartitionShape {
    /// As the registry keeps it.
    pub fn into_record(self, field: &str) -> Result<PartitionRecord, ApiError> {
        Ok(PartitionRecord {
            view: view_ref(&self.view, &format!("{field}.view"))?,
            start: Timestamp(self.start_micros),
            end: Timestamp(self.end_micros),
            revision: self.revision,
            content_hash: self.content_hash,
            rows: self.rows,
            engine: self.engine,
            sql_sha256: self.sql_sha256,
            inputs_sha256: self.inputs_sha256,
            quality: self.quality,
            statistics: self.statistics,
            tables: self.tables,
            lineage: self.lineage,
            started: self.started_micros.map(Timestamp),
            finished: Timestamp(self.finished_micros),
            run: self.run,
        })
    }
}

fn view_ref(text: &str, field: &str) -> Result<ViewRef, ApiError> {
    text.parse().map_err(|error: trivium_model::NameError| {
        ApiError::invalid(error.to_string())
            .at(field)
            .help("name a view version, as in `flights/carrier_daily@1`")
    })
}

/// What became of records.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RecordedPartitions)]
pub struct RecordAnswer {
    /// One a partition, in the order of the request: `RECORDED`, `UNCHANGED`, `SUPERSEDED`.
    pub outcomes: Vec<String>,
}

/// What is known of a view's partitions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Partitions)]
pub struct PartitionsAnswer {
    /// Newest period first.
    pub partitions: Vec<PartitionShape>,
    /// `after` of the next page; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Keeps what is known of published partitions, all of the request or none. A revision that is known changes nothing; an older one never takes a newer one's place.
#[utoipa::path(
    post, path = "/v1/partitions", tag = "registry",
    request_body = RecordRequest,
    responses(
        (status = 200, body = RecordAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn record_partitions(
    State(api): State<RegistryApi>,
    query: Pairs,
    JsonBody(request): JsonBody<RecordRequest, REQUEST_BYTES_MAX>,
) -> Answer<RecordAnswer> {
    let [] = parameters(query, [])?;
    let records = request.partitions.into_iter().enumerate();
    let records: Vec<PartitionRecord> = records
        .map(|(index, shape)| shape.into_record(&format!("partitions[{index}]")))
        .collect::<Result<_, _>>()?;
    let outcomes = api.record(&records, &request.author).await?;
    let outcomes = outcomes.into_iter().map(|one| wire_outcome(one).as_str_name().to_owned());
    Ok(JsonAnswer(RecordAnswer { outcomes: outcomes.collect() }))
}

/// What is known of a view's partitions, newest period first.
#[utoipa::path(
    get, path = "/v1/partitions", tag = "registry",
    params(
        ("view" = String, Query, description = "a view version, such as `flights/carrier_daily@1`"),
        ("from" = Option<String>, Query, description = "periods that begin at or after this day or instant"),
        ("to" = Option<String>, Query, description = "periods that begin before this day or instant"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("all_revisions" = Option<bool>, Query, description = "all revisions, not only the newest of each period"),
        ("limit" = Option<u32>, Query, description = "at most so many, 1 to 100; 50 if absent; fewer where they are long"),
    ),
    responses(
        (status = 200, body = PartitionsAnswer, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn list_partitions(
    State(api): State<RegistryApi>,
    query: Pairs,
) -> Answer<PartitionsAnswer> {
    let [view, from, to, after, all_revisions, limit] =
        parameters(query, ["view", "from", "to", "after", "all_revisions", "limit"])?;
    let instant = |field: &'static str, text: Option<String>| {
        let read = |text: String| {
            Timestamp::parse(&text).ok_or_else(|| {
                ApiError::invalid(format!("`{text}` is no day and no instant"))
                    .at(field)
                    .help("write `2013-01-31` or `2013-01-31T05:00:00Z`")
            })
        };
        text.map(read).transpose()
    };
    let all_revisions = match all_revisions.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(ApiError::invalid(format!("`{other}` is neither `true` nor `false`"))
                .at("all_revisions"));
        }
    };
    let filter = PartitionFilter {
        view: view_ref(&view.unwrap_or_default(), "view")?,
        from: instant("from", from)?,
        to: instant("to", to)?,
        after: place(after.as_deref().unwrap_or_default())?,
        all_revisions,
        limit: limit.map(|text| number("limit", &text)).transpose()?.unwrap_or(LIMIT_DEFAULT),
    };
    let (found, next) = api.list_partitions_of(filter).await?;
    let partitions = found.into_iter().map(PartitionShape::from).collect();
    Ok(JsonAnswer(PartitionsAnswer { partitions, next: next.map(|place| place.to_string()) }))
}

fn place(text: &str) -> Result<Option<Place>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|message: String| {
        ApiError::invalid(message).at("after").help("give `next` of the page before as it is")
    })
}

const fn wire_outcome(outcome: RecordOutcome) -> WireOutcome {
    match outcome {
        RecordOutcome::Recorded => WireOutcome::Recorded,
        RecordOutcome::Unchanged => WireOutcome::Unchanged,
        RecordOutcome::Superseded => WireOutcome::Superseded,
    }
}

/// gRPC's call.
pub(crate) async fn record_of_wire(
    api: &RegistryApi,
    request: v1::RecordPartitionsRequest,
) -> Result<v1::RecordPartitionsResponse, ApiError> {
    let records = request.partitions.into_iter().enumerate();
    let records: Vec<PartitionRecord> = records
        .map(|(index, wire)| of_wire(wire, &format!("partitions[{index}]")))
        .collect::<Result<_, _>>()?;
    let outcomes = api.record(&records, &request.author).await?;
    let outcomes = outcomes.into_iter().map(|one| wire_outcome(one).into()).collect();
    Ok(v1::RecordPartitionsResponse { outcomes })
}

/// gRPC's call.
pub(crate) async fn list_of_wire(
    api: &RegistryApi,
    request: v1::ListPartitionsRequest,
) -> Result<v1::ListPartitionsResponse, ApiError> {
    let filter = PartitionFilter {
        view: view_ref(&request.view, "view")?,
        from: request.from_micros.map(Timestamp),
        to: request.to_micros.map(Timestamp),
        after: place(&request.after)?,
        all_revisions: request.all_revisions,
        // Protobuf cannot tell 0 from absent.
        limit: if request.limit == 0 { LIMIT_DEFAULT } else { request.limit },
    };
    let (found, next) = api.list_partitions_of(filter).await?;
    Ok(v1::ListPartitionsResponse {
        partitions: found.into_iter().map(to_wire).collect(),
        next: next.map(|place| place.to_string()).unwrap_or_default(),
    })
}

fn of_wire(wire: v1::Partition, field: &str) -> Result<PartitionRecord, ApiError> {
    let quality = wire.quality.into_iter().map(|check| {
        let severity = match check.severity.as_str() {
            "error" => Severity::Error,
            "warn" => Severity::Warn,
            other => {
                return Err(ApiError::invalid(format!("`{other}` is no severity"))
                    .at(format!("{field}.quality"))
                    .help("write `error` or `warn`"));
            }
        };
        let v1::CheckOutcome { check, severity: _, passed, found, expected } = check;
        Ok(CheckOutcome { check, severity, passed, found, expected })
    });
    let statistics = wire.statistics.into_iter().map(|one| statistics_of_wire(one, field));
    let lineage = wire.lineage.into_iter().map(|one| ColumnLineage {
        column: one.column,
        sources: one
            .sources
            .into_iter()
            .map(|source| SourceColumn { table: source.table, column: source.column })
            .collect(),
    });
    Ok(PartitionRecord {
        view: view_ref(&wire.view, &format!("{field}.view"))?,
        start: Timestamp(wire.start_micros),
        end: Timestamp(wire.end_micros),
        revision: wire.revision,
        content_hash: wire.content_hash,
        rows: wire.rows,
        engine: wire.engine,
        sql_sha256: wire.sql_sha256,
        inputs_sha256: wire.inputs_sha256,
        quality: quality.collect::<Result<_, _>>()?,
        statistics: statistics.collect::<Result<_, _>>()?,
        tables: wire.tables,
        lineage: lineage.collect(),
        started: wire.started_micros.map(Timestamp),
        finished: Timestamp(wire.finished_micros),
        run: wire.run,
    })
}

fn statistics_of_wire(
    one: v1::ColumnStatistics,
    field: &str,
) -> Result<ColumnStatistics, ApiError> {
    let json = |text: &str| {
        serde_json::from_str(text).map_err(|_| {
            ApiError::invalid(format!("`{text}` is no JSON")).at(format!("{field}.statistics"))
        })
    };
    let some = |text: Option<String>| text.as_deref().map(json).transpose();
    Ok(ColumnStatistics {
        column: one.column,
        data_type: one.r#type,
        count: one.count,
        null_count: one.null_count,
        null_fraction: one.null_fraction,
        nan_count: one.nan_count,
        distinct: one.distinct_count.map(|count| Distinct { count, exact: one.distinct_exact }),
        min: some(one.min_json)?,
        max: some(one.max_json)?,
        mean: some(one.mean_json)?,
        quantiles: one
            .quantiles_json
            .into_iter()
            .map(|(share, text)| Ok((share, json(&text)?)))
            .collect::<Result<_, ApiError>>()?,
        lengths: one.lengths.map(|l| Lengths { min: l.min, max: l.max, mean: l.mean }),
    })
}

fn to_wire(Recorded { partition, author, at }: Recorded) -> v1::Partition {
    let quality = partition.quality.into_iter().map(|check| v1::CheckOutcome {
        check: check.check,
        severity: match check.severity {
            Severity::Error => "error",
            Severity::Warn => "warn",
        }
        .to_owned(),
        passed: check.passed,
        found: check.found,
        expected: check.expected,
    });
    let statistics = partition.statistics.into_iter().map(|one| v1::ColumnStatistics {
        column: one.column,
        r#type: one.data_type,
        count: one.count,
        null_count: one.null_count,
        null_fraction: one.null_fraction,
        nan_count: one.nan_count,
        distinct_count: one.distinct.map(|distinct| distinct.count),
        distinct_exact: one.distinct.is_some_and(|distinct| distinct.exact),
        min_json: one.min.map(|json| json.to_string()),
        max_json: one.max.map(|json| json.to_string()),
        mean_json: one.mean.map(|json| json.to_string()),
        quantiles_json: one
            .quantiles
            .into_iter()
            .map(|(share, json)| (share, json.to_string()))
            .collect(),
        lengths: one.lengths.map(|l| v1::column_statistics::Lengths {
            min: l.min,
            max: l.max,
            mean: l.mean,
        }),
    });
    let lineage = partition.lineage.into_iter().map(|one| v1::ColumnLineage {
        column: one.column,
        sources: one
            .sources
            .into_iter()
            .map(|source| v1::SourceColumn { table: source.table, column: source.column })
            .collect(),
    });
    v1::Partition {
        view: partition.view.to_string(),
        start_micros: partition.start.0,
        end_micros: partition.end.0,
        revision: partition.revision,
        content_hash: partition.content_hash,
        rows: partition.rows,
        engine: partition.engine,
        sql_sha256: partition.sql_sha256,
        inputs_sha256: partition.inputs_sha256,
        quality: quality.collect(),
        statistics: statistics.collect(),
        tables: partition.tables,
        lineage: lineage.collect(),
        started_micros: partition.started.map(|at| at.0),
        finished_micros: partition.finished.0,
        run: partition.run,
        author,
        at_micros: at.0,
    }
}
