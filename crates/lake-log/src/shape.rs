//! The columns of a view's history, and rows as such columns.
//!
//! In order: join keys (sorted by name), event time, the features (unset ones are null), `_deleted` (the
//! entity has no row any more; features are null) and `_sequence`, which orders rows of one event time as
//! the online store does. A time at which a row became known is no column: online, the sequence decides.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
        Float64Builder, Int32Builder, Int64Builder, ListArray, NullBufferBuilder, RecordBatch,
        StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType as Arrow, Field, Schema as ArrowSchema, SchemaRef},
};
use chrono::NaiveDate;
use trivium_codec::{Fingerprint, Row, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Timestamp, ViewRef};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Error,
    types::{ZONE, arrow_type, timestamp_type},
};

/// Says that the entity has no row from this one on.
pub const DELETED_COLUMN: &str = "_deleted";
/// Orders rows of one event time.
pub const SEQUENCE_COLUMN: &str = "_sequence";

/// A row of a stream, on its way to the files.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// As it is written online.
    pub sequence: u64,
    /// The values; none: the entity's row is deleted.
    pub row: Option<Row>,
}

impl HistoryRow {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        let keys: usize = self
            .entity
            .iter()
            .map(|key| match key {
                KeyValue::String(text) => text.len(),
                KeyValue::Bytes(bytes) => bytes.len(),
                _ => 0,
            })
            .sum();
        std::mem::size_of::<Self>()
            + self.entity.len() * std::mem::size_of::<KeyValue>()
            + keys
            + self.row.as_ref().map_or(0, |row| row.as_bytes().len())
    }
}

/// What the files of a view look like. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shape {
    view: ViewRef,
    schema: Schema,
    columns: SchemaRef,
    keys: usize,
}

impl Shape {
    /// Of a stream view.
    pub fn new(view: &FeatureView) -> Result<Self, Error> {
        let schema = Schema::of_view(view)
            .map_err(|error| Error::Form(format!("{}: {error}", view.reference())))?;
        let mut fields: Vec<Field> = view
            .sorted_entities()
            .iter()
            .map(|key| Field::new(&*key.name, arrow_type(&key.key_type.data_type()), false))
            .collect();
        let keys = fields.len();
        fields.push(Field::new(&*view.event_timestamp, timestamp_type(), false));
        fields.extend(
            schema
                .fields()
                .iter()
                .map(|field| Field::new(&*field.name, arrow_type(&field.data_type), true)),
        );
        fields.push(Field::new(DELETED_COLUMN, Arrow::Boolean, false));
        fields.push(Field::new(SEQUENCE_COLUMN, Arrow::UInt64, false));
        let columns = Arc::new(ArrowSchema::new(fields));
        Ok(Self { view: view.reference(), schema, columns, keys })
    }

    /// The view.
    pub fn view(&self) -> &ViewRef {
        &self.view
    }

    /// The schema that rows are to be encoded under.
    pub fn fingerprint(&self) -> Fingerprint {
        self.schema.fingerprint()
    }

    /// The files' columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// How many join keys there are; the event time follows them.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// What stands for the columns' names and types in [`FileEntry::columns`](crate::FileEntry::columns).
    pub fn columns_id(&self) -> String {
        columns_id(&self.columns)
    }

    /// Rows as columns, by the day of their event time in UTC.
    pub fn batches<'r>(
        &self,
        rows: impl IntoIterator<Item = &'r HistoryRow>,
    ) -> Result<BTreeMap<NaiveDate, RecordBatch>, Error> {
        let mut days: BTreeMap<NaiveDate, Vec<&HistoryRow>> = BTreeMap::new();
        for row in rows {
            let day = row.event_time.to_utc().map(|at| at.date_naive()).ok_or_else(|| {
                Error::Form(format!("{}: an event time outside of the calendar", self.view))
            })?;
            days.entry(day).or_default().push(row);
        }
        days.into_iter().map(|(day, rows)| Ok((day, self.batch(&rows)?))).collect()
    }

    fn batch(&self, rows: &[&HistoryRow]) -> Result<RecordBatch, Error> {
        let mut columns: Vec<Column> =
            self.columns.fields().iter().map(|field| Column::new(field.data_type())).collect();
        let (keys, rest) = columns.split_at_mut(self.keys);
        let (times, rest) = rest.split_at_mut(1);
        let (features, last) = rest.split_at_mut(self.schema.len());
        let wrong = |message: String| Error::Form(format!("{}: {message}", self.view));
        for row in rows {
            if row.entity.len() != keys.len() {
                return Err(wrong(format!("a row has {} join keys", row.entity.len())));
            }
            for (column, key) in keys.iter_mut().zip(&row.entity) {
                column.push(Some(key_ref(key))).map_err(wrong)?;
            }
            times[0].push(Some(ValueRef::Timestamp(row.event_time))).map_err(wrong)?;
            match &row.row {
                None => features.iter_mut().try_for_each(|column| column.push(None)),
                Some(row) => {
                    let reader =
                        row.reader(&self.schema).map_err(|error| wrong(error.to_string()))?;
                    features.iter_mut().enumerate().try_for_each(|(index, column)| {
                        column.push(reader.get(index).map_err(|error| error.to_string())?)
                    })
                }
            }
            .map_err(wrong)?;
            last[0].push(Some(ValueRef::Bool(row.row.is_none()))).map_err(wrong)?;
            last[1].push_sequence(row.sequence);
        }
        let arrays = columns.into_iter().map(Column::finish).collect::<Result<Vec<_>, Error>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.columns), arrays)?)
    }
}

/// What stands for columns' names and types.
pub(crate) fn columns_id(schema: &ArrowSchema) -> String {
    let mut text = String::new();
    for field in schema.fields() {
        text += &format!("{}:{} {};", field.name().len(), field.name(), field.data_type());
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn key_ref(key: &KeyValue) -> ValueRef<'_> {
    match key {
        KeyValue::String(text) => ValueRef::String(text),
        KeyValue::Int64(value) => ValueRef::Int64(*value),
        KeyValue::Bool(value) => ValueRef::Bool(*value),
        KeyValue::Bytes(bytes) => ValueRef::Bytes(bytes),
        KeyValue::Date(days) => ValueRef::Date(*days),
        KeyValue::Timestamp(at) => ValueRef::Timestamp(*at),
    }
}

/// A column as it grows.
enum Column {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Bytes(BinaryBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Decimal(Decimal128Builder, Arrow),
    List {
        item: Arc<Field>,
        items: Box<Column>,
        lengths: Vec<usize>,
        valid: NullBufferBuilder,
    },
    Sequence(UInt64Builder),
    /// Of a type that the lake does not have.
    Unknown(Arrow),
}

impl Column {
    fn new(data_type: &Arrow) -> Self {
        match data_type {
            Arrow::Boolean => Self::Bool(BooleanBuilder::new()),
            Arrow::Int32 => Self::Int32(Int32Builder::new()),
            Arrow::Int64 => Self::Int64(Int64Builder::new()),
            Arrow::Float32 => Self::Float32(Float32Builder::new()),
            Arrow::Float64 => Self::Float64(Float64Builder::new()),
            Arrow::Utf8 => Self::String(StringBuilder::new()),
            Arrow::Binary => Self::Bytes(BinaryBuilder::new()),
            Arrow::Timestamp(..) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(ZONE))
            }
            Arrow::Date32 => Self::Date(Date32Builder::new()),
            Arrow::Decimal128(..) => Self::Decimal(Decimal128Builder::new(), data_type.clone()),
            Arrow::List(item) => Self::List {
                item: Arc::clone(item),
                items: Box::new(Self::new(item.data_type())),
                lengths: Vec::new(),
                valid: NullBufferBuilder::new(0),
            },
            Arrow::UInt64 => Self::Sequence(UInt64Builder::new()),
            other => Self::Unknown(other.clone()),
        }
    }

    fn push_sequence(&mut self, sequence: u64) {
        if let Self::Sequence(builder) = self {
            builder.append_value(sequence);
        }
    }

    /// Null where there is none.
    fn push(&mut self, value: Option<ValueRef<'_>>) -> Result<(), String> {
        let value = value.unwrap_or(ValueRef::Null);
        match (self, value) {
            (Self::Bool(builder), ValueRef::Bool(value)) => builder.append_value(value),
            (Self::Bool(builder), ValueRef::Null) => builder.append_null(),
            (Self::Int32(builder), ValueRef::Int32(value)) => builder.append_value(value),
            (Self::Int32(builder), ValueRef::Null) => builder.append_null(),
            (Self::Int64(builder), ValueRef::Int64(value)) => builder.append_value(value),
            (Self::Int64(builder), ValueRef::Null) => builder.append_null(),
            (Self::Float32(builder), ValueRef::Float32(value)) => builder.append_value(value),
            (Self::Float32(builder), ValueRef::Null) => builder.append_null(),
            (Self::Float64(builder), ValueRef::Float64(value)) => builder.append_value(value),
            (Self::Float64(builder), ValueRef::Null) => builder.append_null(),
            (Self::String(builder), ValueRef::String(value)) => builder.append_value(value),
            (Self::String(builder), ValueRef::Null) => builder.append_null(),
            (Self::Bytes(builder), ValueRef::Bytes(value)) => builder.append_value(value),
            (Self::Bytes(builder), ValueRef::Null) => builder.append_null(),
            (Self::Timestamp(builder), ValueRef::Timestamp(value)) => builder.append_value(value.0),
            (Self::Timestamp(builder), ValueRef::Null) => builder.append_null(),
            (Self::Date(builder), ValueRef::Date(value)) => builder.append_value(value),
            (Self::Date(builder), ValueRef::Null) => builder.append_null(),
            (Self::Decimal(builder, _), ValueRef::Decimal(value)) => builder.append_value(value),
            (Self::Decimal(builder, _), ValueRef::Null) => builder.append_null(),
            (Self::List { items, lengths, valid, .. }, ValueRef::List(list)) => {
                list.iter().try_for_each(|value| items.push(Some(value)))?;
                lengths.push(list.len());
                valid.append_non_null();
            }
            (Self::List { items, lengths, valid, .. }, ValueRef::Embedding(components)) => {
                components.iter().try_for_each(|one| items.push(Some(ValueRef::Float32(one))))?;
                lengths.push(components.len());
                valid.append_non_null();
            }
            (Self::List { lengths, valid, .. }, ValueRef::Null) => {
                lengths.push(0);
                valid.append_null();
            }
            (_, value) => {
                return Err(format!("a value is {}, which its column is not", value.type_word()));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef, Error> {
        Ok(match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::String(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Sequence(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder, data_type) => {
                Arc::new(builder.finish().with_data_type(data_type))
            }
            Self::List { item, items, lengths, mut valid } => Arc::new(ListArray::try_new(
                item,
                OffsetBuffer::from_lengths(lengths),
                items.finish()?,
                valid.finish(),
            )?),
            Self::Unknown(other) => {
                return Err(Error::Form(format!("{other} is no type of the lake")));
            }
        })
    }
}
