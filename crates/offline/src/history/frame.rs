//! The entity frame: held against the views' join keys, brought to the lake's types.
//!
//! Only join keys and the event time go to the engine. Further columns are nobody's business: they
//! wait here and come back as they are, whatever their types.

use std::{fs::File, ops::Range, path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, new_empty_array},
    compute::{CastOptions, cast_with_options, concat, max, min},
    datatypes::{DataType as Arrow, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
    record_batch::RecordBatch,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use trivium_engine::Source;
use trivium_model::{DataType, KeyType, Timestamp, ViewRef};

use crate::{
    Error,
    columns::{ZONE, arrow_type, cast_exact, is_exact, timestamp_type, type_word},
    lake::read_batches,
};

/// A frame that fits the views.
#[derive(Debug)]
pub(super) struct Frame {
    /// The columns that the join needs.
    pub(super) source: Source,
    /// All columns, in the frame's order.
    pub(super) schema: SchemaRef,
    pub(super) further: Further,
    /// First and last event time; `None` without rows.
    pub(super) times: Option<(Timestamp, Timestamp)>,
}

/// The columns that the join does not need.
#[derive(Debug)]
pub(super) struct Further {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Further {
    /// These rows of a column; `None` if the column is none of these.
    pub(super) fn column(
        &self,
        name: &str,
        rows: Range<usize>,
    ) -> Result<Option<ArrayRef>, ArrowError> {
        let Ok(index) = self.schema.index_of(name) else { return Ok(None) };
        let mut first = 0;
        let mut parts = Vec::new();
        for batch in &self.batches {
            let end = first + batch.num_rows();
            let (from, until) = (rows.start.max(first), rows.end.min(end));
            if from < until {
                parts.push(batch.column(index).slice(from - first, until - from));
            }
            first = end;
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        match parts.as_slice() {
            [] => Ok(Some(new_empty_array(self.schema.field(index).data_type()))),
            parts => concat(parts).map(Some),
        }
    }
}

/// Checks the frame; `keys` are the join keys with their types and a view that needs them, `inputs` columns that
/// something is computed from, with their types.
pub(super) fn prepare(
    source: Source,
    event_timestamp: &str,
    keys: &[(String, KeyType, ViewRef)],
    inputs: &[(String, DataType)],
) -> Result<Frame, Error> {
    let schema = schema_of(&source)?;
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (index, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
            return Err(Error::invalid(
                "entities",
                format!("the frame has two columns named `{}`", field.name()),
                "rename one",
            ));
        }
    }
    for (name, key_type, view) in keys {
        let Some((index, field)) = schema.column_with_name(name) else {
            return Err(Error::invalid(
                format!("entities.{name}"),
                format!("the frame has no column `{name}`, which {view} is joined by"),
                "add it to the frame",
            ));
        };
        let wanted = arrow_type(&key_type.data_type());
        // A null type is a column of nothing but nulls, which matches nothing.
        if !is_exact(field.data_type(), &wanted) {
            return Err(Error::invalid(
                format!("entities.{name}"),
                format!(
                    "the frame's `{name}` is {}, but the join key of {view} is {key_type}",
                    type_word(field.data_type())
                ),
                "cast the frame's column: keys of different types never match",
            ));
        }
        fields[index] = Field::new(name, wanted, true);
    }
    let Some((time_index, field)) = schema.column_with_name(event_timestamp) else {
        return Err(Error::invalid(
            "event_timestamp",
            format!("the frame has no event time column `{event_timestamp}`"),
            "add it, or say which column it is",
        ));
    };
    if !matches!(field.data_type(), Arrow::Timestamp(..) | Arrow::Date32) {
        return Err(Error::invalid(
            format!("entities.{event_timestamp}"),
            format!(
                "the frame's `{event_timestamp}` is {}, not a timestamp",
                type_word(field.data_type())
            ),
            "cast it to a timestamp; a time without zone is UTC",
        ));
    }
    fields[time_index] = Field::new(event_timestamp, timestamp_type(), true);
    let mut instants = vec![time_index];
    for (name, data_type) in inputs {
        let index = input(&schema, name, data_type)?;
        if *data_type == DataType::Timestamp {
            instants.push(index);
        }
        fields[index] = Field::new(name, arrow_type(data_type), true);
    }
    let target: SchemaRef = Arc::new(Schema::new(fields));

    let is_needed =
        |name: &String| name == event_timestamp || keys.iter().any(|(key, _, _)| key == name);
    let (needed, further): (Vec<usize>, Vec<usize>) =
        (0..target.fields().len()).partition(|index| is_needed(target.field(*index).name()));
    for index in &further {
        let field = target.field(*index);
        if is_nested(field.data_type()) {
            return Err(Error::invalid(
                format!("entities.{}", field.name()),
                format!(
                    "the frame's `{}` has columns of its own (a struct or a map)",
                    field.name()
                ),
                "give each of them a column, or leave it out",
            ));
        }
    }
    let mut times = Times::default();
    let mut joined = Vec::new();
    let mut kept = Further { schema: Arc::new(target.project(&further)?), batches: Vec::new() };
    let mut add = |batch: &RecordBatch| -> Result<(), Error> {
        let batch = conform(batch, &target, &instants)?;
        times.add(batch.column(time_index), event_timestamp)?;
        joined.push(batch.project(&needed)?);
        if !further.is_empty() {
            kept.batches.push(batch.project(&further)?);
        }
        Ok(())
    };
    match source {
        Source::Parquet(paths) => {
            for path in &paths {
                for batch in read_batches(path, None)? {
                    add(&batch?)?;
                }
            }
        }
        Source::Batches { batches, .. } => {
            for batch in &batches {
                add(batch)?;
            }
        }
        Source::Csv { .. } => return Err(csv()),
    }
    let source = Source::Batches { schema: Arc::new(target.project(&needed)?), batches: joined };
    Ok(Frame { source, schema: target, further: kept, times: times.bounds })
}

/// The place of an input's column, whose values become the input's without loss.
fn input(schema: &Schema, name: &str, data_type: &DataType) -> Result<usize, Error> {
    let Some((index, field)) = schema.column_with_name(name) else {
        return Err(Error::invalid(
            format!("entities.{name}"),
            format!("the frame has no column `{name}`, an input of the service"),
            "add it to the frame; where it was not known, null",
        ));
    };
    // Instants are brought to microseconds value by value, as event times are.
    let is_instant =
        *data_type == DataType::Timestamp && matches!(field.data_type(), Arrow::Timestamp(..));
    if is_instant || is_exact(field.data_type(), &arrow_type(data_type)) {
        return Ok(index);
    }
    Err(Error::invalid(
        format!("entities.{name}"),
        format!(
            "the frame's `{name}` is {}, but the service's input is {data_type}",
            type_word(field.data_type())
        ),
        "cast the frame's column",
    ))
}

/// Whether a column has columns of its own, which no surface of a training set has a place for.
fn is_nested(data_type: &Arrow) -> bool {
    match data_type {
        Arrow::Struct(_) | Arrow::Map(..) | Arrow::Union(..) => true,
        Arrow::List(item)
        | Arrow::LargeList(item)
        | Arrow::ListView(item)
        | Arrow::LargeListView(item)
        | Arrow::FixedSizeList(item, _) => is_nested(item.data_type()),
        Arrow::Dictionary(_, values) => is_nested(values),
        Arrow::RunEndEncoded(_, values) => is_nested(values.data_type()),
        _ => false,
    }
}

#[derive(Default)]
struct Times {
    rows: usize,
    bounds: Option<(Timestamp, Timestamp)>,
}

impl Times {
    fn add(&mut self, column: &ArrayRef, name: &str) -> Result<(), Error> {
        if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
            return Err(Error::invalid(
                format!("entities[{}].{name}", self.rows + row),
                format!("row {} of the frame has no `{name}`", self.rows + row),
                "give every row an event time",
            ));
        }
        self.rows += column.len();
        let times = column.as_primitive::<TimestampMicrosecondType>();
        if let (Some(first), Some(last)) = (min(times), max(times)) {
            let (first, last) = (Timestamp(first), Timestamp(last));
            self.bounds = Some(match self.bounds {
                None => (first, last),
                Some((known_first, known_last)) => (known_first.min(first), known_last.max(last)),
            });
        }
        Ok(())
    }
}

fn csv() -> Error {
    Error::invalid(
        "entities",
        "the entity frame is a CSV file, in which nothing has a type",
        "write it as Parquet",
    )
}

fn schema_of(source: &Source) -> Result<SchemaRef, Error> {
    match source {
        Source::Batches { schema, .. } => Ok(Arc::clone(schema)),
        Source::Csv { .. } => Err(csv()),
        Source::Parquet(paths) => {
            let mut known: Option<(SchemaRef, &PathBuf)> = None;
            for path in paths {
                let file = File::open(path).map_err(Error::io("read", path))?;
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| {
                    Error::invalid(
                        "entities",
                        format!("{} is no Parquet file: {error}", path.display()),
                        "write the entity frame as Parquet",
                    )
                })?;
                match &known {
                    None => known = Some((Arc::clone(builder.schema()), path)),
                    Some((schema, _)) if schema.fields() == builder.schema().fields() => {}
                    Some((_, first)) => {
                        return Err(Error::invalid(
                            "entities",
                            format!(
                                "{} and {} have different columns",
                                first.display(),
                                path.display()
                            ),
                            "give all files of the frame the same columns",
                        ));
                    }
                }
            }
            known.map(|(schema, _)| schema).ok_or_else(|| {
                Error::invalid("entities", "the entity frame has no file", "name one")
            })
        }
    }
}

fn conform(batch: &RecordBatch, target: &SchemaRef, times: &[usize]) -> Result<RecordBatch, Error> {
    let columns = batch
        .columns()
        .iter()
        .zip(target.fields())
        .enumerate()
        .map(|(index, (column, field))| {
            if times.contains(&index) && *column.data_type() != Arrow::Null {
                instants(column, field.name())
            } else {
                cast_exact(column, field.data_type()).map_err(|message| {
                    Error::invalid(format!("entities.{}", field.name()), message, "cast it")
                })
            }
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(RecordBatch::try_new(Arc::clone(target), columns)?)
}

/// Event times as microseconds UTC; finer ones are refused, because rounding would move a row to the
/// other side of a feature's time.
fn instants(column: &ArrayRef, name: &str) -> Result<ArrayRef, Error> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &ArrayRef, to: &Arrow| {
        cast_with_options(column, to, &options).map_err(|error| {
            Error::invalid(
                format!("entities.{name}"),
                error.to_string(),
                "use times that microseconds can name",
            )
        })
    };
    // First the label (without a zone it is UTC), then the unit.
    let labelled = match column.data_type() {
        Arrow::Timestamp(unit, None) => cast(column, &Arrow::Timestamp(*unit, Some(ZONE.into())))?,
        Arrow::Date32 => {
            let midnight = cast(column, &Arrow::Timestamp(TimeUnit::Microsecond, None))?;
            return cast(&midnight, &timestamp_type());
        }
        _ => Arc::clone(column),
    };
    let micros = cast(&labelled, &timestamp_type())?;
    if let Arrow::Timestamp(TimeUnit::Nanosecond, _) = labelled.data_type() {
        let back = cast(&micros, labelled.data_type())?;
        if back.as_ref() != labelled.as_ref() {
            return Err(Error::invalid(
                format!("entities.{name}"),
                format!("the frame's `{name}` has times finer than a microsecond"),
                "round them to microseconds as the model needs it",
            ));
        }
    }
    Ok(micros)
}
