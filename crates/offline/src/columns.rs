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
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Field, Float32Type, Schema, SchemaRef},
};
pub use trivium_lake_log::types::{
    ZONE, align, arrow_type, cast_exact, is_exact, timestamp_type, type_word,
};
use trivium_model::{DataType, FeatureView};

/// The column of raw partitions that names the period.
pub const PERIOD_COLUMN: &str = "_period";
/// The column of published partitions that names the period a carried row comes from.
pub const CARRIED_FROM_COLUMN: &str = "carried_from";
/// The column of published partitions that orders rows of one event time; see [`crate::sequence`].
pub const SEQUENCE_COLUMN: &str = "_sequence";

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
