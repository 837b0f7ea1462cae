//! Training sets: features as they were at given times.
//!
//! The *entity frame* has the join keys, an event time and any further columns. Each of its rows
//! comes back once, in its place, with the frame's columns and then the features in the order asked
//! for: the values of the newest published row with `event_ts - ttl <= feature_ts <= event_ts`. A
//! feature is null where no row matches: defaults are for serving, a model's training should see
//! what was not known. Event times in the frame are brought to microseconds UTC; join keys to the
//! config's types where that loses nothing.
//!
//! Of a service, what it derives comes after what it lists, computed as it is online: from columns of the frame that
//! have the names of its inputs, and from features that are null where no row matches.
//!
//! A feature's column is named `<view>__<feature>` (`carrier_daily__flights_7d`), or by its full
//! reference with [`HistoryQuery::full_names`].
//!
//! Only partitions that can hold a matching row are read: those whose event times meet
//! `[first frame time - ttl, last frame time]`. Of stream views the same holds of the files that count after the
//! last commit of their log (`trivium_lake_log`), and where the newest row is a delete, nothing is seen.

mod computed;
mod frame;
mod output;
mod selection;
mod stream;

pub use computed::column_of;
pub use output::{write_ipc, write_parquet};
pub use selection::Selection;

use std::{ops::Range, sync::Arc};

use arrow::{
    array::ArrayRef,
    datatypes::{Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use futures::StreamExt;
use trivium_engine::{BatchStream, HistoryEngine, HistoryRequest, HistoryView, Source};
use trivium_lake_log::DELETED_COLUMN;
use trivium_model::{
    DataType, FeatureRef, FeatureService, FeatureView, Lane, ServiceRef, Timestamp, ViewRef,
};
use trivium_registry::Snapshot;

use crate::{
    Error, Lake, Layer,
    columns::{SEQUENCE_COLUMN, align, arrow_type, published_schema},
    lake::{Partition, read_batches},
    run::blocking,
};
use computed::Computing;
use frame::Further;

/// The name of the frame's event time column where the caller names none.
pub const EVENT_TIMESTAMP: &str = "event_timestamp";

/// A training set to make.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Which features, in the order of the answer's columns.
    pub selection: Selection,
    /// The entity frame: Parquet files or rows in memory.
    pub frame: Source,
    /// The frame's event time column.
    pub event_timestamp: String,
    /// Name columns `namespace/view@version:feature`.
    pub full_names: bool,
}

/// A training set, as it comes.
pub struct TrainingSet {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, in the frame's order.
    pub rows: BatchStream,
    /// The features, in the order of their columns; a derived one as if its service were its view.
    pub features: Vec<FeatureRef>,
    /// Their types.
    pub types: Vec<DataType>,
    /// Columns of the frame, before those of the features.
    pub frame_columns: usize,
}

impl std::fmt::Debug for TrainingSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainingSet").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Makes training sets of what one registry snapshot names.
#[derive(Clone)]
pub struct History {
    engine: Arc<dyn HistoryEngine>,
    lake: Lake,
    snapshot: Arc<Snapshot>,
}

/// One view and what is asked of it.
struct Asked {
    view: Arc<FeatureView>,
    /// Feature and column.
    features: Vec<(String, String)>,
}

impl History {
    /// Joins on this engine what this lake holds of the snapshot's views.
    pub fn new(engine: Arc<dyn HistoryEngine>, lake: Lake, snapshot: Arc<Snapshot>) -> Self {
        Self { engine, lake, snapshot }
    }

    /// The features that a selection names, checked.
    pub fn resolve(&self, selection: &Selection) -> Result<Vec<FeatureRef>, Error> {
        selection.resolve(&self.snapshot)
    }

    /// What a frame may have beside join keys and event time for a service to compute from: the inputs that its
    /// config declares, with their types.
    pub fn inputs(&self, selection: &Selection) -> Vec<(String, DataType)> {
        let inputs = self.service(selection).into_iter().flat_map(|service| &service.inputs);
        inputs.map(|input| (input.name.to_string(), input.data_type.clone())).collect()
    }

    /// How many features a service computes.
    pub fn computed(&self, selection: &Selection) -> usize {
        self.service(selection).map_or(0, |service| service.derived.len())
    }

    fn service(&self, selection: &Selection) -> Option<&FeatureService> {
        let service: ServiceRef = selection.service.as_ref()?.parse().ok()?;
        self.snapshot.services.get(&service).map(|stored| &stored.service)
    }

    /// Makes a training set.
    pub async fn join(&self, query: HistoryQuery) -> Result<TrainingSet, Error> {
        let mut features = self.resolve(&query.selection)?;
        let mut asked: Vec<Asked> = Vec::new();
        let mut columns: Vec<Field> = Vec::new();
        let mut types: Vec<DataType> = Vec::new();
        let name_of = |feature: &FeatureRef| {
            if query.full_names {
                feature.to_string()
            } else {
                format!("{}__{}", feature.view.view, feature.feature)
            }
        };
        for feature in &features {
            let view = self.view(&feature.view)?;
            let column = name_of(feature);
            check_name(&columns, &column, feature)?;
            let served = view.served_features();
            let Some(served) = served.iter().find(|served| served.name == feature.feature) else {
                return Err(Error::Internal(format!("{feature} was resolved but is not there")));
            };
            types.push(served.data_type.clone());
            columns.push(Field::new(&column, arrow_type(&served.data_type), true));
            let of_view = (feature.feature.to_string(), column);
            match asked.iter_mut().find(|one| one.view.reference() == feature.view) {
                Some(known) => known.features.push(of_view),
                None => asked.push(Asked { view, features: vec![of_view] }),
            }
        }

        let computing = match self.service(&query.selection) {
            Some(service) => Computing::new(service, &types, name_of)?,
            None => None,
        };
        let (mut inputs, mut all_types) = (Vec::new(), types.clone());
        if let Some(computing) = &computing {
            for (feature, field) in computing.features.iter().zip(&computing.fields) {
                check_name(&columns, field.name(), feature)?;
                columns.push(field.clone());
            }
            features.extend(computing.features.iter().cloned());
            all_types.extend(computing.types());
            inputs = computing.inputs();
        }

        let prepared = blocking({
            let (lake, event_timestamp) = (self.lake.clone(), query.event_timestamp.clone());
            let frame = query.frame;
            move || prepare(&lake, frame, event_timestamp, asked, &columns, &inputs)
        })
        .await?;
        let Prepared { request, schema, further, frame_columns } = prepared;
        let rows = self.engine.point_in_time(request).await.map_err(engine_error)?;
        let whole = Arc::clone(&schema);
        let mut done = 0;
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let range = done..done + batch.num_rows();
            done = range.end;
            let mut columns = complete(&batch, &whole, &further, range, computing.as_ref())?;
            if let Some(computing) = &computing {
                let rows = batch.num_rows();
                let computed = computing.compute(&whole, &columns, frame_columns, &types, rows);
                columns.extend(computed.map_err(trivium_engine::Error::Internal)?);
            }
            RecordBatch::try_new(Arc::clone(&whole), columns)
                .map_err(|error| trivium_engine::Error::Internal(error.to_string()))
        });
        Ok(TrainingSet { schema, rows: Box::pin(rows), features, types: all_types, frame_columns })
    }

    fn view(&self, reference: &ViewRef) -> Result<Arc<FeatureView>, Error> {
        let stored = self.snapshot.views.get(reference).ok_or_else(|| {
            Error::invalid(
                "features",
                format!("{reference} is not in the registry"),
                "apply it first",
            )
        })?;
        if stored.view.lane == Lane::Direct {
            return Err(Error::invalid(
                "features",
                format!(
                    "{reference} has no history: its rows are written by calls, and the newest kept"
                ),
                "take features of batch and stream views",
            ));
        }
        Ok(Arc::new(stored.view.clone()))
    }
}

/// Refuses a second column of a name.
fn check_name(columns: &[Field], column: &str, feature: &FeatureRef) -> Result<(), Error> {
    if columns.iter().all(|known| known.name() != column) {
        return Ok(());
    }
    Err(Error::invalid(
        "features",
        format!("two features would be named `{column}`, one of them {feature}"),
        "name each feature once; for two versions of a view ask for full names",
    ))
}

pub(crate) fn engine_error(source: trivium_engine::Error) -> Error {
    Error::History { source }
}

struct Prepared {
    request: HistoryRequest,
    schema: SchemaRef,
    further: Further,
    frame_columns: usize,
}

/// Rows of the join, with the frame's further columns in their places, up to what is computed from them.
fn complete(
    batch: &RecordBatch,
    schema: &SchemaRef,
    further: &Further,
    rows: Range<usize>,
    computing: Option<&Computing>,
) -> Result<Vec<ArrayRef>, trivium_engine::Error> {
    use trivium_engine::Error::Internal;
    let internal = |error: arrow::error::ArrowError| Internal(error.to_string());
    let computed = computing.map_or(0, |computing| computing.fields.len());
    let joined = schema.fields().len().saturating_sub(computed);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields().iter().take(joined) {
        if let Some(column) = further.column(field.name(), rows.clone()).map_err(internal)? {
            columns.push(column);
            continue;
        }
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| Internal("a column of the join is missing".to_owned()))?;
        columns.push(crate::columns::cast_exact(column, field.data_type()).map_err(Internal)?);
    }
    Ok(columns)
}

fn prepare(
    lake: &Lake,
    frame: Source,
    event_timestamp: String,
    asked: Vec<Asked>,
    columns: &[Field],
    inputs: &[(String, DataType)],
) -> Result<Prepared, Error> {
    let mut keys: Vec<(String, trivium_model::KeyType, ViewRef)> = Vec::new();
    for one in &asked {
        for entity in &one.view.entities {
            if !keys.iter().any(|(name, _, _)| *name == *entity.name) {
                keys.push((entity.name.to_string(), entity.key_type, one.view.reference()));
            }
        }
    }
    let frame = frame::prepare(frame, &event_timestamp, &keys, inputs)?;
    for column in columns {
        if frame.schema.column_with_name(column.name()).is_some() {
            return Err(Error::invalid(
                "features",
                format!("the frame has a column `{}` already", column.name()),
                "rename it, or ask for full names",
            ));
        }
    }
    let mut fields: Vec<Field> =
        frame.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let frame_columns = fields.len();
    fields.extend(columns.iter().cloned());
    let schema = Arc::new(Schema::new(fields));

    let views = asked
        .into_iter()
        .map(|one| {
            let is_stream = one.view.lane == Lane::Stream;
            let rows = view_rows(lake, &one.view, frame.times)?;
            Ok(HistoryView {
                rows,
                keys: one.view.sorted_entities().iter().map(|e| e.name.to_string()).collect(),
                event_timestamp: one.view.event_timestamp.to_string(),
                // Rows of streams are told apart as they are online: by their sequence.
                created_timestamp: (!is_stream)
                    .then(|| one.view.created_timestamp.as_ref().map(ToString::to_string))
                    .flatten(),
                sequence: Some(SEQUENCE_COLUMN.to_owned()),
                deleted: is_stream.then(|| DELETED_COLUMN.to_owned()),
                ttl: one.view.ttl,
                features: one.features,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let request = HistoryRequest { frame: frame.source, event_timestamp, views };
    Ok(Prepared { request, schema, further: frame.further, frame_columns })
}

/// The published rows that a frame with these first and last times can match.
fn view_rows(
    lake: &Lake,
    view: &FeatureView,
    times: Option<(Timestamp, Timestamp)>,
) -> Result<Source, Error> {
    if view.lane == Lane::Stream {
        let wanted = times.map(|(first, last)| (oldest(view, first), last));
        return stream::rows(lake, view, wanted);
    }
    let partitions: Vec<Partition> = match times {
        // No row of the frame, no match.
        None => Vec::new(),
        Some((first, last)) => {
            let oldest = oldest(view, first);
            let mut partitions = lake.all_partitions(&view.reference(), Layer::Published)?;
            partitions.retain(|one| {
                let pointer = &one.pointer;
                pointer.event_time_max_micros.is_some_and(|newest| newest >= oldest)
                    && pointer.event_time_min_micros.is_some_and(|oldest| oldest <= last)
            });
            partitions
        }
    };
    table_of(view, &partitions)
}

/// The oldest event time that the first row of a frame can match.
fn oldest(view: &FeatureView, first: Timestamp) -> Timestamp {
    view.ttl.map_or(Timestamp(i64::MIN), |ttl| first.minus(ttl))
}

/// Published partitions as one table with the columns of the view's present form.
pub fn table_of(view: &FeatureView, partitions: &[Partition]) -> Result<Source, Error> {
    let schema = published_schema(view);
    let is_current = |partition: &Partition| {
        let columns = &partition.pointer.schema;
        columns.len() == schema.fields().len()
            && columns.iter().zip(schema.fields()).all(|(column, field)| {
                column.name == *field.name() && column.data_type == field.data_type().to_string()
            })
    };
    if !partitions.is_empty() && partitions.iter().all(is_current) {
        return Ok(Source::Parquet(partitions.iter().flat_map(Partition::files).collect()));
    }
    // Some are older than the view's present form: the engine wants all with the same columns.
    let mut batches = Vec::new();
    for partition in partitions {
        for path in partition.files() {
            for batch in read_batches(&path, None)? {
                let batch =
                    align(&batch?, &schema).map_err(|message| Error::corrupt(&path, message))?;
                batches.push(batch);
            }
        }
    }
    Ok(Source::Batches { schema, batches })
}

#[cfg(test)]
mod tests;
