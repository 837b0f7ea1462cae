//! Arrow's types in Spark's words.

use arrow::datatypes::{DataType, Schema};

/// A type that Spark has no word for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` has the type {data_type}, which Spark has no name for")]
pub struct NoSparkType {
    column: String,
    data_type: String,
}

/// The columns as Spark's DDL names them: `` `carrier` STRING, `flights` BIGINT ``.
pub fn spark_schema(schema: &Schema) -> Result<String, NoSparkType> {
    let columns: Result<Vec<String>, NoSparkType> = spark_columns(schema)?
        .into_iter()
        .map(|(name, word)| Ok(format!("{} {word}", quoted(&name))))
        .collect();
    Ok(columns?.join(", "))
}

/// Name and type of each column.
pub(crate) fn spark_columns(schema: &Schema) -> Result<Vec<(String, String)>, NoSparkType> {
    schema
        .fields()
        .iter()
        .map(|field| match word(field.data_type()) {
            Some(word) => Ok((field.name().clone(), word)),
            None => Err(NoSparkType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            }),
        })
        .collect()
}

/// A name between backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn word(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(_, _) => "TIMESTAMP".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("ARRAY<{}>", word(item.data_type())?)
        }
        _ => return None,
    })
}
