//! The point-in-time join: for each row of the frame, the newest row of each view that was true then.
//!
//! A view is read once, batch by batch, and only rows whose key is in the frame are kept; they are sorted
//! by (key, event time, created time, sequence), and each frame row finds its own by binary search. Memory
//! therefore grows with the frame and with the views' rows of the frame's entities, not with the views.
//! No SQL is involved: column names cannot collide, and no cast happens that is not written here.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array},
    compute::{SortOptions, cast, concat_batches, filter_record_batch, take},
    datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType},
    row::{OwnedRow, RowConverter, Rows, SortField},
};
use async_trait::async_trait;
use datafusion::{
    datasource::{TableProvider, provider_as_source},
    logical_expr::LogicalPlanBuilder,
};
use futures::{StreamExt, TryStreamExt};
use trivium_engine::{BatchStream, Error, HistoryEngine, HistoryRequest, HistoryView, Source};

use crate::{
    engine::{DataFusionEngine, run},
    error::from_datafusion,
    types::{common_type, spark_name, timestamp_type},
};

/// Rows of an answer's batches.
const BATCH_ROWS: usize = 8192;
/// The most rows of a frame: row numbers are 32 bits wide.
const FRAME_ROWS_MAX: usize = u32::MAX as usize - 1;

fn invalid(message: impl Into<String>) -> Error {
    Error::Invalid { message: message.into(), position: None }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal(error.to_string())
}

/// Where a column is, whatever the case of its name.
fn find(schema: &Schema, name: &str, whose: &str) -> Result<usize, Error> {
    let wanted = name.to_lowercase();
    schema.fields().iter().position(|field| field.name().to_lowercase() == wanted).ok_or_else(
        || {
            let known: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            invalid(format!("{whose} has no column `{name}`; it has: {}", known.join(", ")))
        },
    )
}

/// The event times of a column, or why it has none.
fn times(column: &ArrayRef, name: &str, whose: &str) -> Result<ArrayRef, Error> {
    match column.data_type() {
        DataType::Timestamp(..) => Ok(Arc::clone(column)),
        DataType::Date32 => cast(column, &timestamp_type()).map_err(internal),
        other => Err(invalid(format!(
            "`{name}` of {whose} must be a timestamp or a date, not {}",
            spark_name(other)
        ))),
    }
}

/// Whether any column is null in a row.
fn any_null(columns: &[ArrayRef], row: usize) -> bool {
    columns.iter().any(|column| column.is_null(row))
}

/// The frame's distinct keys of one view, numbered.
struct Keys {
    converter: RowConverter,
    types: Vec<DataType>,
    numbers: HashMap<OwnedRow, u32>,
    /// The number of each frame row's key; `None` if a part of it is null.
    of_frame: Vec<Option<u32>>,
}

impl Keys {
    fn new(frame: &RecordBatch, view: &HistoryView, view_schema: &Schema) -> Result<Self, Error> {
        if view.keys.is_empty() {
            return Err(invalid("a view needs at least one join key"));
        }
        let mut types = Vec::with_capacity(view.keys.len());
        let mut columns = Vec::with_capacity(view.keys.len());
        for key in &view.keys {
            let column = frame.column(find(frame.schema_ref(), key, "the entity frame")?);
            let theirs = view_schema.field(find(view_schema, key, "the view")?).data_type();
            let common = common_type(column.data_type(), theirs).ok_or_else(|| {
                invalid(format!(
                    "the join key `{key}` is {} in the entity frame and {} in the view",
                    spark_name(column.data_type()),
                    spark_name(theirs)
                ))
            })?;
            columns.push(cast(column, &common).map_err(internal)?);
            types.push(common);
        }
        let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
        let converter = RowConverter::new(fields).map_err(internal)?;
        let rows = converter.convert_columns(&columns).map_err(internal)?;
        let mut numbers: HashMap<OwnedRow, u32> = HashMap::new();
        let mut of_frame = Vec::with_capacity(frame.num_rows());
        for row in 0..frame.num_rows() {
            if any_null(&columns, row) {
                of_frame.push(None);
                continue;
            }
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            of_frame.push(Some(*numbers.entry(rows.row(row).owned()).or_insert(next)));
        }
        Ok(Self { converter, types, numbers, of_frame })
    }

    /// The numbers of a view batch's keys; `None` for keys that the frame does not have.
    fn of_view(&self, columns: &[ArrayRef]) -> Result<Vec<Option<u32>>, Error> {
        let columns = columns
            .iter()
            .zip(&self.types)
            .map(|(column, data_type)| cast(column, data_type).map_err(internal))
            .collect::<Result<Vec<_>, _>>()?;
        let rows: Rows = self.converter.convert_columns(&columns).map_err(internal)?;
        Ok((0..rows.num_rows())
            .map(|row| {
                if any_null(&columns, row) {
                    None
                } else {
                    self.numbers.get(&rows.row(row).owned()).copied()
                }
            })
            .collect())
    }
}

/// The rows of a view that may be asked for, in order.
struct Kept {
    /// Key numbers, ascending; within one, rows by time and tie-breakers.
    keys: Vec<u32>,
    times: Vec<i64>,
    /// Where each of them is in `features`.
    rows: Vec<u32>,
    /// Which of them, in the order of `features`, say that there is no row.
    deleted: Option<BooleanArray>,
    features: Vec<ArrayRef>,
}

impl DataFusionEngine {
    async fn table(&self, source: &Source) -> Result<Arc<dyn TableProvider>, Error> {
        let sources = Arc::clone(self.sources());
        let source = source.clone();
        tokio::task::spawn_blocking(move || sources.provider(&source, None))
            .await
            .map_err(|error| Error::Internal(error.to_string()))?
    }

    async fn scan(
        &self,
        table: Arc<dyn TableProvider>,
        columns: Option<Vec<usize>>,
    ) -> Result<BatchStream, Error> {
        let plan = LogicalPlanBuilder::scan("rows", provider_as_source(table), columns)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        run(self.state(), plan).await
    }

    async fn keep(
        &self,
        view: &HistoryView,
        table: Arc<dyn TableProvider>,
        keys: &Keys,
    ) -> Result<Kept, Error> {
        let schema = table.schema();
        let mut wanted: Vec<usize> = Vec::new();
        let mut want = |name: &str| -> Result<usize, Error> {
            let at = find(&schema, name, "the view")?;
            // A scan gives each column once, in the order asked for.
            Ok(wanted.iter().position(|other| *other == at).unwrap_or_else(|| {
                wanted.push(at);
                wanted.len() - 1
            }))
        };
        let key_columns = view.keys.iter().map(|key| want(key)).collect::<Result<Vec<_>, _>>()?;
        let time_column = want(&view.event_timestamp)?;
        let created = view.created_timestamp.as_deref().map(&mut want).transpose()?;
        let sequence = view.sequence.as_deref().map(&mut want).transpose()?;
        let deleted = view.deleted.as_deref().map(&mut want).transpose()?;
        let feature_columns =
            view.features.iter().map(|(name, _)| want(name)).collect::<Result<Vec<_>, _>>()?;
        times(
            &arrow::array::new_empty_array(schema.field(wanted[time_column]).data_type()),
            &view.event_timestamp,
            "the view",
        )?;

        let mut stream = self.scan(Arc::clone(&table), Some(wanted.clone())).await?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut numbers: Vec<u32> = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let columns: Vec<ArrayRef> =
                key_columns.iter().map(|at| Arc::clone(batch.column(*at))).collect();
            let found = keys.of_view(&columns)?;
            let mask: BooleanArray = found
                .iter()
                .enumerate()
                .map(|(row, number)| {
                    Some(number.is_some() && batch.column(time_column).is_valid(row))
                })
                .collect();
            if mask.true_count() == 0 {
                continue;
            }
            numbers.extend(
                found
                    .iter()
                    .zip(mask.iter())
                    .filter(|(_, kept)| *kept == Some(true))
                    .filter_map(|(number, _)| *number),
            );
            batches.push(filter_record_batch(&batch, &mask).map_err(internal)?);
        }
        let projected: SchemaRef = Arc::new(schema.project(&wanted).map_err(internal)?);
        let all = match batches.first() {
            Some(first) => concat_batches(&first.schema(), &batches).map_err(internal)?,
            None => RecordBatch::new_empty(projected),
        };
        drop(batches);
        let deleted = match (deleted, &view.deleted) {
            (Some(at), Some(name)) => Some(
                all.column(at)
                    .as_boolean_opt()
                    .cloned()
                    .ok_or_else(|| invalid(format!("`{name}` of the view must be a boolean")))?,
            ),
            _ => None,
        };
        let event_times = times(all.column(time_column), &view.event_timestamp, "the view")?;
        let event_times = event_times.as_primitive::<TimestampMicrosecondType>().values();
        // Tie-breakers as bytes that sort like them, nulls lowest.
        let breakers: Vec<ArrayRef> =
            created.iter().chain(&sequence).map(|at| Arc::clone(all.column(*at))).collect();
        let ties = if breakers.is_empty() {
            None
        } else {
            let order = SortOptions { descending: false, nulls_first: true };
            let fields = breakers
                .iter()
                .map(|column| SortField::new_with_options(column.data_type().clone(), order))
                .collect();
            Some(
                RowConverter::new(fields)
                    .and_then(|converter| converter.convert_columns(&breakers))
                    .map_err(internal)?,
            )
        };
        let count = u32::try_from(all.num_rows()).map_err(|_| {
            Error::Resources("rows: at most 2^32 of a view can match a frame".to_owned())
        })?;
        let mut order: Vec<u32> = (0..count).collect();
        // Stable: of rows that are equal in everything, the last one read wins.
        order.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            numbers[a].cmp(&numbers[b]).then(event_times[a].cmp(&event_times[b])).then_with(|| {
                match &ties {
                    Some(ties) => ties.row(a).cmp(&ties.row(b)),
                    None => std::cmp::Ordering::Equal,
                }
            })
        });
        Ok(Kept {
            keys: order.iter().map(|row| numbers[*row as usize]).collect(),
            times: order.iter().map(|row| event_times[*row as usize]).collect(),
            features: feature_columns.iter().map(|at| Arc::clone(all.column(*at))).collect(),
            rows: order,
            deleted,
        })
    }
}

/// For each frame row, the row of `kept` that it sees.
fn match_rows(
    frame_times: &ArrayRef,
    keys: &Keys,
    kept: &Kept,
    ttl_micros: Option<i64>,
) -> UInt32Array {
    let frame_times = frame_times.as_primitive::<TimestampMicrosecondType>();
    (0..frame_times.len())
        .map(|row| {
            let key = keys.of_frame[row]?;
            let at = frame_times.is_valid(row).then(|| frame_times.value(row))?;
            // The first row after (key, at): the one before it is the newest not later than `at`.
            let mut low = 0;
            let mut high = kept.keys.len();
            while low < high {
                let middle = low + (high - low) / 2;
                if (kept.keys[middle], kept.times[middle]) <= (key, at) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            let newest = low.checked_sub(1)?;
            let alive = ttl_micros.is_none_or(|ttl| kept.times[newest] >= at.saturating_sub(ttl));
            let row = kept.rows[newest];
            let is_deleted =
                kept.deleted.as_ref().is_some_and(|deleted| deleted.value(row as usize));
            (kept.keys[newest] == key && alive && !is_deleted).then_some(row)
        })
        .collect()
}

/// The frame's own column names: the engine's tables have lower-case ones.
fn original_names(source: &Source, lower: &Schema) -> Vec<String> {
    let names: Option<Vec<String>> = match source {
        Source::Batches { schema, .. } => {
            Some(schema.fields().iter().map(|field| field.name().clone()).collect())
        }
        Source::Parquet(paths) => paths.first().and_then(|path| {
            let file = std::fs::File::open(path).ok()?;
            let reader =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                    .ok()?;
            Some(reader.schema().fields().iter().map(|field| field.name().clone()).collect())
        }),
        Source::Csv { .. } => None,
    };
    names
        .filter(|names| names.len() == lower.fields().len())
        .unwrap_or_else(|| lower.fields().iter().map(|field| field.name().clone()).collect())
}

#[async_trait]
impl HistoryEngine for DataFusionEngine {
    async fn point_in_time(&self, request: HistoryRequest) -> Result<BatchStream, Error> {
        let table = self.table(&request.frame).await?;
        let frame_schema = table.schema();
        let batches: Vec<RecordBatch> = self.scan(table, None).await?.try_collect().await?;
        let frame = concat_batches(&frame_schema, &batches).map_err(internal)?;
        if frame.num_rows() > FRAME_ROWS_MAX {
            return Err(Error::Resources(format!(
                "rows of the entity frame: at most {FRAME_ROWS_MAX}"
            )));
        }
        let at = find(&frame_schema, &request.event_timestamp, "the entity frame")?;
        let frame_times = times(frame.column(at), &request.event_timestamp, "the entity frame")?;

        let names = original_names(&request.frame, &frame_schema);
        let mut fields: Vec<Field> = frame_schema
            .fields()
            .iter()
            .zip(names)
            .map(|(field, name)| Field::new(name, field.data_type().clone(), true))
            .collect();
        let mut columns: Vec<ArrayRef> = frame.columns().to_vec();
        for view in &request.views {
            let table = self.table(&view.rows).await?;
            let keys = Keys::new(&frame, view, &table.schema())?;
            let kept = self.keep(view, table, &keys).await?;
            let matched = match_rows(&frame_times, &keys, &kept, view.ttl.map(|ttl| ttl.micros()));
            for ((_, name), feature) in view.features.iter().zip(&kept.features) {
                if fields.iter().any(|field| field.name() == name) {
                    return Err(invalid(format!("the result would have two columns `{name}`")));
                }
                fields.push(Field::new(name, feature.data_type().clone(), true));
                columns.push(take(feature, &matched, None).map_err(internal)?);
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let rows = frame.num_rows();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let all = RecordBatch::try_new_with_options(schema, columns, &options).map_err(internal)?;
        let starts = (0..rows.max(1)).step_by(BATCH_ROWS);
        let parts: Vec<Result<RecordBatch, Error>> =
            starts.map(|start| Ok(all.slice(start, BATCH_ROWS.min(rows - start)))).collect();
        Ok(Box::pin(futures::stream::iter(parts)))
    }
}
