//! Spark's scalar functions, operators and casts, each a small kernel over Arrow arrays.
//!
//! DataFusion's own functions of the same name often differ in a corner (a type, a null, an
//! overflow), so hardly any is used: a function is its name, a typing rule and a kernel.

pub mod arithmetic;
pub mod array;
pub mod cast;
pub mod datetime;
pub mod decimal;
pub mod format;
pub mod hash;
pub mod math;
pub mod pattern;
pub mod room;
pub mod sketch;
pub mod string;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, FieldRef, Schema},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};

use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{is_numeric, timestamp_type},
};

/// Computes the result from arguments of equal length.
pub type Kernel = fn(&[ArrayRef], &DataType) -> Result<ArrayRef>;
/// From the arguments' types (and literal values, where known) to the types the kernel wants and the result's type.
pub type Typing =
    fn(&str, &[DataType], &[Option<&ScalarValue>]) -> Result<(Vec<DataType>, DataType)>;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Text.
    Text,
    /// `int`.
    Int,
    /// `int` or `bigint`, taken as `bigint`.
    Long,
    /// Any number, taken as `double`.
    Double,
    /// A date, or a timestamp cut to its UTC day.
    Date,
    /// A timestamp, or a date as its midnight.
    Timestamp,
    /// Text or bytes, taken as bytes.
    Bytes,
    /// Bytes alone.
    Binary,
    /// A boolean.
    Flag,
}

impl Takes {
    /// The type to cast an argument to, or `None` if the argument does not fit.
    fn accept(self, given: &DataType) -> Option<DataType> {
        let (wanted, fits) = match self {
            Self::Text => (DataType::Utf8, *given == DataType::Utf8),
            Self::Int => (DataType::Int32, *given == DataType::Int32),
            Self::Long => (DataType::Int64, matches!(given, DataType::Int32 | DataType::Int64)),
            Self::Double => (DataType::Float64, is_numeric(given)),
            Self::Date => {
                (DataType::Date32, matches!(given, DataType::Date32 | DataType::Timestamp(..)))
            }
            Self::Timestamp => {
                (timestamp_type(), matches!(given, DataType::Date32 | DataType::Timestamp(..)))
            }
            Self::Bytes => (DataType::Binary, matches!(given, DataType::Utf8 | DataType::Binary)),
            Self::Binary => (DataType::Binary, *given == DataType::Binary),
            Self::Flag => (DataType::Boolean, *given == DataType::Boolean),
        };
        (fits || *given == DataType::Null).then_some(wanted)
    }
    fn word(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Int => "an int",
            Self::Long => "an int or bigint",
            Self::Double => "a number",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp",
            Self::Bytes => "a string or binary",
            Self::Binary => "binary",
            Self::Flag => "a boolean",
        }
    }
}

/// How a function's types follow from its arguments'.
#[derive(Clone)]
enum Rule {
    /// Fixed parameters (the last `optional` of them may be left out) and a fixed result.
    Fixed { takes: &'static [Takes], optional: usize, gives: DataType },
    /// The last parameter may be repeated.
    Repeated { takes: Takes, gives: DataType },
    /// Anything else.
    Free(Typing),
}

/// One function.
#[derive(Clone)]
pub struct SparkFunction {
    name: String,
    rule: Rule,
    kernel: Kernel,
    /// A parameter of the function itself, such as a cast's target.
    target: Option<DataType>,
    signature: Signature,
}

impl SparkFunction {
    fn build(name: &str, rule: Rule, kernel: Kernel, target: Option<DataType>) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self {
            name: name.to_owned(),
            rule,
            kernel,
            target,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    }
    /// A function of fixed parameters, the last `optional` of which may be left out.
    pub fn fixed(
        name: &str,
        takes: &'static [Takes],
        optional: usize,
        gives: DataType,
        kernel: Kernel,
    ) -> Arc<ScalarUDF> {
        Self::build(name, Rule::Fixed { takes, optional, gives }, kernel, None)
    }
    /// A function of any number of parameters of one kind.
    pub fn repeated(name: &str, takes: Takes, gives: DataType, kernel: Kernel) -> Arc<ScalarUDF> {
        Self::build(name, Rule::Repeated { takes, gives }, kernel, None)
    }
    /// A function with its own typing rule.
    pub fn free(name: &str, typing: Typing, kernel: Kernel) -> Arc<ScalarUDF> {
        Self::build(name, Rule::Free(typing), kernel, None)
    }
    /// A function whose result type is part of itself.
    pub fn targeted(
        name: &str,
        typing: Typing,
        target: DataType,
        kernel: Kernel,
    ) -> Arc<ScalarUDF> {
        Self::build(name, Rule::Free(typing), kernel, Some(target))
    }

    fn types(
        &self,
        given: &[DataType],
        literals: &[Option<&ScalarValue>],
    ) -> Result<(Vec<DataType>, DataType)> {
        match &self.rule {
            Rule::Fixed { takes, optional, gives } => {
                let least = takes.len() - optional;
                if given.len() < least || given.len() > takes.len() {
                    return Err(invalid_error(format!(
                        "`{}` takes {} arguments, not {}",
                        self.name,
                        if *optional == 0 {
                            least.to_string()
                        } else {
                            format!("{least} to {}", takes.len())
                        },
                        given.len()
                    )));
                }
                let mut wanted = Vec::with_capacity(given.len());
                for (index, (takes, given)) in takes.iter().zip(given).enumerate() {
                    wanted.push(self.accept(*takes, given, index)?);
                }
                Ok((wanted, gives.clone()))
            }
            Rule::Repeated { takes, gives } => {
                let mut wanted = Vec::with_capacity(given.len());
                for (index, given) in given.iter().enumerate() {
                    wanted.push(self.accept(*takes, given, index)?);
                }
                Ok((wanted, gives.clone()))
            }
            Rule::Free(typing) => {
                let (wanted, gives) = typing(&self.name, given, literals)?;
                Ok((wanted, self.target.clone().unwrap_or(gives)))
            }
        }
    }

    fn accept(&self, takes: Takes, given: &DataType, index: usize) -> Result<DataType> {
        // Spark would often cast it by itself; the author can do so as well.
        takes.accept(given).ok_or_else(|| {
            unsupported_error(format!(
                "argument {} of `{}`, which is {} and not {} (cast it),",
                index + 1,
                self.name,
                crate::types::spark_name(given),
                takes.word(),
            ))
        })
    }
}

impl std::fmt::Debug for SparkFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparkFunction").field("name", &self.name).finish_non_exhaustive()
    }
}
// Names are unique: a function's parameters are part of its name.
impl PartialEq for SparkFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for SparkFunction {}
impl Hash for SparkFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SparkFunction {
    fn name(&self) -> &str {
        &self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(self.types(given, &vec![None; given.len()])?.1)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given: Vec<DataType> =
            args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let gives = self.types(&given, args.scalar_arguments)?.1;
        Ok(Arc::new(Field::new(&self.name, gives, true)))
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // What does not fit is reported by the result's type, whose error DataFusion passes on as it is.
        Ok(self
            .types(given, &vec![None; given.len()])
            .map_or_else(|_| given.to_vec(), |types| types.0))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = !args.args.is_empty()
            && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        for arg in &args.args {
            room::check_argument(&self.name, arg, rows)?;
        }
        let arrays =
            args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let gives = args.return_field.data_type();
        let result = if arrays.is_empty() {
            // A function without arguments still has to know how many rows it is for.
            let batch = RecordBatch::try_new_with_options(
                Arc::new(Schema::empty()),
                vec![],
                &RecordBatchOptions::new().with_row_count(Some(rows)),
            )?;
            (self.kernel)(&[Arc::new(arrow::array::NullArray::new(batch.num_rows()))], gives)?
        } else {
            (self.kernel)(&arrays, gives)?
        };
        if result.data_type() != gives {
            return Err(DataFusionError::Internal(format!(
                "`{}` gave {} for {gives}",
                self.name,
                result.data_type()
            )));
        }
        if constant {
            room::check_constant(&self.name, &result)?;
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// The argument as the array type that typing promised.
pub fn downcast<T: Array + 'static>(array: &ArrayRef) -> Result<&T> {
    array.as_any().downcast_ref::<T>().ok_or_else(|| {
        DataFusionError::Internal(format!("unexpected argument of type {}", array.data_type()))
    })
}

/// Spark's error for a result that does not fit its type.
pub fn overflow(what: &str) -> DataFusionError {
    data_error(format!("overflow: {what} is out of range"))
}

/// Every function, by its internal name.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = Vec::new();
    functions.extend(arithmetic::functions());
    functions.extend(string::functions());
    functions.extend(datetime::functions());
    functions.extend(math::functions());
    functions.extend(array::functions());
    functions.extend(hash::functions());
    functions.extend(pattern::functions());
    functions.extend(sketch::functions());
    functions
}
