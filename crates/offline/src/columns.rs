//! The columns of the lake's files, and which columns of a query may become them.
//!
//! Columns of a *raw* partition, in order: join keys (sorted by name), event time, created time (if
//! the view has one), the author's features, and `_period` (the period's first instant), by which
//! the publish SQL tells periods apart. A *published* partition has join keys, event time, created
//! time, all served features (rollups too), `carried_from` and `_sequence`.
//!
//! A query's column becomes a column of the lake only where every value stays exactly what it is
//! (int32 to int64, a decimal with room to one with more). All else is an error that names both
//! types: a quiet cast would hide that the SQL and the config disagree.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType as Arrow, Field, Float32Type, Schema, SchemaRef, TimeUnit},
};
use trivium_model::{DataType, FeatureView};

/// The column of raw partitions that names the period.
pub const PERIOD_COLUMN: &str = "_period";
/// The column of published partitions that names the period a carried row comes from.
pub const CARRIED_FROM_COLUMN: &str = "carried_from";
/// The column of published partitions that orders rows of one event time; see [`crate::sequence`].
pub const SEQUENCE_COLUMN: &str = "_sequence";
/// The zone of every timestamp in the lake.
pub const ZONE: &str = "UTC";

/// The Arrow type of instants in the lake.
pub fn timestamp_type() -> Arrow {
    Arrow::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
}

/// The Arrow type of a feature type.
pub fn arrow_type(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Bool => Arrow::Boolean,
        DataType::Int32 => Arrow::Int32,
        DataType::Int64 => Arrow::Int64,
        DataType::Float32 => Arrow::Float32,
        DataType::Float64 => Arrow::Float64,
        DataType::String => Arrow::Utf8,
        DataType::Bytes => Arrow::Binary,
        DataType::Timestamp => timestamp_type(),
        DataType::Date => Arrow::Date32,
        DataType::Decimal { precision, scale } => {
            Arrow::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        DataType::List(item) => {
            Arrow::List(Arc::new(Field::new_list_field(arrow_type(item), true)))
        }
        DataType::Embedding { .. } => {
            Arrow::List(Arc::new(Field::new_list_field(Arrow::Float32, true)))
        }
    }
}

/// One column of the lake: its name, its type, whether null may stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the file.
    pub name: String,
    /// The type.
    pub data_type: DataType,
    /// Whether null may stand in it.
    pub nullable: bool,
}

fn column(name: &str, data_type: &DataType, nullable: bool) -> Column {
    Column { name: name.to_owned(), data_type: data_type.clone(), nullable }
}

/// Join keys (sorted by name), event time and created time.
fn identity_columns(view: &FeatureView) -> Vec<Column> {
    let mut columns: Vec<Column> = view
        .sorted_entities()
        .iter()
        .map(|entity| column(&entity.name, &entity.key_type.data_type(), false))
        .collect();
    columns.push(column(&view.event_timestamp, &DataType::Timestamp, false));
    if let Some(created) = &view.created_timestamp {
        columns.push(column(created, &DataType::Timestamp, true));
    }
    columns
}

/// What the author's SQL must give, in the lake's order.
pub fn author_columns(view: &FeatureView) -> Vec<Column> {
    let mut columns = identity_columns(view);
    columns.extend(view.features.iter().map(|f| column(&f.name, &f.data_type, true)));
    columns
}

/// What the publish SQL must give, in the lake's order; without `_sequence`.
pub fn published_columns(view: &FeatureView) -> Vec<Column> {
    let mut columns = identity_columns(view);
    columns.extend(view.served_features().iter().map(|f| column(&f.name, &f.data_type, true)));
    columns.push(column(CARRIED_FROM_COLUMN, &DataType::Timestamp, true));
    columns
}

/// The Arrow schema of these columns.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(&column.name, arrow_type(&column.data_type), column.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema of raw partitions.
pub fn raw_schema(view: &FeatureView) -> SchemaRef {
    let mut columns = author_columns(view);
    columns.push(column(PERIOD_COLUMN, &DataType::Timestamp, false));
    arrow_schema(&columns)
}

/// The schema of published partitions.
pub fn published_schema(view: &FeatureView) -> SchemaRef {
    let mut columns = published_columns(view);
    columns.push(column(SEQUENCE_COLUMN, &DataType::Int64, false));
    arrow_schema(&columns)
}

/// Decimal digits that hold every value of an integer type.
fn integer_digits(from: &Arrow) -> Option<u8> {
    Some(match from {
        Arrow::Int8 | Arrow::UInt8 => 3,
        Arrow::Int16 | Arrow::UInt16 => 5,
        Arrow::Int32 | Arrow::UInt32 => 10,
        Arrow::Int64 => 19,
        Arrow::UInt64 => 20,
        _ => return None,
    })
}

/// Whether every value of the first type is one of the second.
pub fn is_exact(from: &Arrow, to: &Arrow) -> bool {
    use Arrow::{
        Binary, BinaryView, Date32, Decimal128, Dictionary, FixedSizeBinary, FixedSizeList,
        Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeUtf8, List, Null,
        Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match (from, to) {
        (Null, _) => true,
        (from, to) if from == to => true,
        (Dictionary(_, values), to) => is_exact(values, to),
        (Int8 | UInt8 | Int16 | UInt16, Int32 | Int64 | Float32 | Float64) => true,
        (Int32 | UInt32, Int64 | Float64) | (Float32, Float64) => true,
        (LargeUtf8 | Utf8View, Utf8) => true,
        (LargeBinary | BinaryView | FixedSizeBinary(_), Binary) => true,
        // A zone is only how a timestamp is shown; engines answer in UTC.
        (Timestamp(unit, _), Timestamp(TimeUnit::Microsecond, _)) => {
            !matches!(unit, TimeUnit::Nanosecond)
        }
        (Date32, Timestamp(..)) => false,
        (Decimal128(p, s), Decimal128(to_p, to_s)) => {
            s <= to_s && i16::from(*p) - i16::from(*s) <= i16::from(*to_p) - i16::from(*to_s)
        }
        (from, Decimal128(p, s)) => integer_digits(from)
            .is_some_and(|digits| i16::from(digits) <= i16::from(*p) - i16::from(*s)),
        (List(item) | LargeList(item) | FixedSizeList(item, _), List(to_item)) => {
            is_exact(item.data_type(), to_item.data_type())
        }
        _ => false,
    }
}

/// The word for an Arrow type in messages: the config's where there is one.
pub fn type_word(arrow: &Arrow) -> String {
    use Arrow::{
        Binary, Boolean, Date32, Decimal128, FixedSizeList, Float32, Float64, Int32, Int64,
        LargeList, LargeUtf8, List, Null, Timestamp, Utf8, Utf8View,
    };
    match arrow {
        Boolean => "bool".to_owned(),
        Int32 => "int32".to_owned(),
        Int64 => "int64".to_owned(),
        Float32 => "float32".to_owned(),
        Float64 => "float64".to_owned(),
        Utf8 | LargeUtf8 | Utf8View => "string".to_owned(),
        Binary => "bytes".to_owned(),
        Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        Date32 => "date".to_owned(),
        Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            format!("list<{}>", type_word(item.data_type()))
        }
        Null => "null".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// Why a query's columns do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong, with the column.
    pub message: String,
    /// What to do.
    pub help: String,
}

fn misfit(message: String, help: &str) -> Misfit {
    Misfit { message, help: help.to_owned() }
}

/// Finds a column as Spark does, without case; `None` if absent or ambiguous.
fn find(schema: &Schema, name: &str) -> Option<usize> {
    let mut hits = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| field.name().eq_ignore_ascii_case(name))
        .map(|(index, _)| index);
    hits.next().filter(|_| hits.next().is_none())
}

/// Checks that a query gives exactly these columns with types that fit.
pub fn check_schema(schema: &Schema, columns: &[Column]) -> Result<(), Misfit> {
    for column in columns {
        let Some(index) = find(schema, &column.name) else {
            return Err(misfit(
                format!("column `{}` is missing", column.name),
                "select it, once, under the name in the config",
            ));
        };
        let from = schema.field(index).data_type();
        if !is_exact(from, &arrow_type(&column.data_type)) {
            return Err(misfit(
                format!(
                    "column `{}` is {} but the config says {}",
                    column.name,
                    type_word(from),
                    column.data_type
                ),
                "cast it in the SQL, or give the feature the type that the SQL has",
            ));
        }
    }
    if let Some(extra) = schema
        .fields()
        .iter()
        .find(|field| !columns.iter().any(|c| c.name.eq_ignore_ascii_case(field.name())))
    {
        return Err(misfit(
            format!("column `{}` is in no config", extra.name()),
            "add it as a feature, or take it out of the SELECT",
        ));
    }
    Ok(())
}

/// The batch with these columns, in their order and types.
pub fn conform(batch: &RecordBatch, columns: &[Column]) -> Result<RecordBatch, Misfit> {
    let schema = batch.schema();
    check_schema(&schema, columns)?;
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(index) = find(&schema, &column.name) else { continue };
        let array =
            cast_exact(batch.column(index), &arrow_type(&column.data_type)).map_err(|message| {
                misfit(format!("column `{}`: {message}", column.name), "cast it in the SQL")
            })?;
        check_values(&array, column)?;
        arrays.push(array);
    }
    RecordBatch::try_new(arrow_schema(columns), arrays)
        .map_err(|error| misfit(error.to_string(), "this is a fault of Trivium's: report it"))
}

/// What a type alone does not say: nulls where none may be, embeddings of another size.
fn check_values(array: &ArrayRef, column: &Column) -> Result<(), Misfit> {
    if !column.nullable && array.logical_null_count() > 0 {
        return Err(misfit(
            format!("column `{}` has {} nulls", column.name, array.logical_null_count()),
            "join keys and event times are never null: filter such rows out in the SQL",
        ));
    }
    if let DataType::Embedding { dimension, .. } = &column.data_type {
        let lists = array.as_list::<i32>();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                continue;
            }
            let item = lists.value(row);
            if item.len() != *dimension as usize || item.null_count() > 0 {
                return Err(misfit(
                    format!(
                        "column `{}` has an embedding of {} components, {} of them null, not {dimension}",
                        column.name,
                        item.len(),
                        item.null_count()
                    ),
                    "give every embedding exactly its dimension",
                ));
            }
            if item.as_primitive::<Float32Type>().values().iter().any(|x| !x.is_finite()) {
                return Err(misfit(
                    format!("column `{}` has an embedding with NaN or infinity", column.name),
                    "distances to it mean nothing: filter such rows out in the SQL",
                ));
            }
        }
    }
    Ok(())
}

/// Casts where [`is_exact`] holds.
pub fn cast_exact(array: &ArrayRef, to: &Arrow) -> Result<ArrayRef, String> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if !is_exact(array.data_type(), to) {
        return Err(format!(
            "{} does not become {} without loss",
            type_word(array.data_type()),
            type_word(to)
        ));
    }
    if array.data_type() == &Arrow::Null {
        return Ok(new_null_array(to, array.len()));
    }
    // Without a zone the instants are UTC already: only the label changes, so label first.
    if let (Arrow::Timestamp(unit, None), Arrow::Timestamp(..)) = (array.data_type(), to) {
        let labelled = Arrow::Timestamp(*unit, Some(ZONE.into()));
        let array = cast_with_options(array, &labelled, &SAFE_OFF).map_err(|e| e.to_string())?;
        return cast_with_options(&array, to, &SAFE_OFF).map_err(|e| e.to_string());
    }
    cast_with_options(array, to, &SAFE_OFF).map_err(|e| e.to_string())
}

/// An overflow is an error, never a null.
const SAFE_OFF: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// Brings a batch from a file of an older revision of the view to the present schema: columns that
/// it lacks are null, widened ones are cast, others are left out.
pub fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    if batch.schema().fields() == schema.fields() {
        return Ok(batch.clone());
    }
    let arrays: Result<Vec<ArrayRef>, String> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(array) => cast_exact(array, field.data_type())
                .map_err(|message| format!("column `{}`: {message}", field.name())),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), arrays?).map_err(|error| error.to_string())
}
