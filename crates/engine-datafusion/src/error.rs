//! From DataFusion's errors to the port's, and the errors that our functions raise inside it.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use trivium_engine::Error;

/// The hint that every refusal carries.
pub const HELP_SPARK: &str = "rewrite it, or run this view with `--engine spark`";

/// An error of the port on its way through DataFusion.
#[derive(Debug)]
struct Carried(std::sync::Mutex<Option<Error>>, String);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}
impl std::error::Error for Carried {}

/// Wraps an error of the port, so that [`from_datafusion`] finds it again.
pub fn carry(error: Error) -> DataFusionError {
    let text = error.to_string();
    DataFusionError::External(Box::new(Carried(std::sync::Mutex::new(Some(error)), text)))
}

/// The data cannot be computed with, as in Spark's ANSI mode.
pub fn data_error(message: impl Into<String>) -> DataFusionError {
    carry(Error::Data(message.into()))
}

/// The SQL is wrong.
pub fn invalid_error(message: impl Into<String>) -> DataFusionError {
    carry(Error::Invalid { message: message.into(), position: None })
}

/// The SQL is right, but not proven here.
pub fn unsupported_error(what: impl Into<String>) -> DataFusionError {
    carry(unsupported(what, None))
}

/// As [`unsupported_error`], with a position.
pub fn unsupported(what: impl Into<String>, position: Option<(u32, u32)>) -> Error {
    Error::Unsupported { what: what.into(), help: HELP_SPARK.to_owned(), position }
}

/// The port's error for one of DataFusion's.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => from_boxed(inner),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_datafusion(*inner)
        }
        DataFusionError::Shared(inner) => match find_carried(&inner) {
            Some(error) => error,
            None => from_execution(inner.to_string()),
        },
        DataFusionError::Collection(mut all) if !all.is_empty() => {
            from_datafusion(all.swap_remove(0))
        }
        DataFusionError::ResourcesExhausted(message) => {
            Error::Resources(format!("memory ({message})"))
        }
        DataFusionError::SchemaError(inner, _) => invalid(schema_message(&inner)),
        DataFusionError::Plan(message) => from_plan(message),
        DataFusionError::Execution(message) => from_execution(message),
        DataFusionError::SQL(inner, _) => invalid(inner.to_string()),
        DataFusionError::NotImplemented(message) => {
            let subquery = message.contains("Subquery") || message.contains("Exists");
            unsupported(
                if subquery { "a subquery in this place".to_owned() } else { message },
                None,
            )
        }
        other => Error::Internal(other.to_string()),
    }
}

/// DataFusion's planning errors; types that its aggregates do not take are ours to refuse.
fn from_plan(message: String) -> Error {
    let call = message
        .strip_prefix("Failed to coerce arguments to satisfy a call to '")
        .and_then(|rest| rest.split_once('\''));
    match call {
        Some((name, _)) => unsupported(format!("`{name}` of these types (cast them)"), None),
        None => invalid(message),
    }
}

/// DataFusion's errors while it runs; a subquery of too many rows is the author's.
fn from_execution(message: String) -> Error {
    if message.contains("Scalar subquery returned more than one row") {
        return Error::Data(
            "a subquery that stands for one value gave more than one row; aggregate it, or add \
             ORDER BY and LIMIT 1"
                .to_owned(),
        );
    }
    Error::Internal(message)
}

fn invalid(message: String) -> Error {
    Error::Invalid { message, position: None }
}

fn schema_message(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut known: Vec<String> =
                valid_fields.iter().map(|column| column.name.clone()).collect();
            known.sort();
            known.dedup();
            format!("there is no column `{}`; there are: {}", field.flat_name(), known.join(", "))
        }
        SchemaError::AmbiguousReference { field } => {
            format!("`{}` is in more than one table; name the table", field.flat_name())
        }
        other => other.to_string(),
    }
}

fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_boxed(inner),
        ArrowError::CastError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ArithmeticOverflow(message) => Error::Data(message),
        ArrowError::DivideByZero => Error::Data("division by zero".to_owned()),
        other => Error::Internal(other.to_string()),
    }
}

fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Carried>() {
        Ok(carried) => take(&carried),
        Err(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => from_datafusion(*error),
            Err(error) => match error.downcast::<ArrowError>() {
                Ok(error) => from_arrow(*error),
                Err(error) => Error::Internal(error.to_string()),
            },
        },
    }
}

fn take(carried: &Carried) -> Error {
    let taken = carried.0.lock().ok().and_then(|mut held| held.take());
    taken.unwrap_or_else(|| Error::Internal(carried.1.clone()))
}

fn find_carried(error: &DataFusionError) -> Option<Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(carried) = error.downcast_ref::<Carried>() {
            return Some(take(carried));
        }
        next = error.source();
    }
    None
}
