//! `+ - * / % DIV`, negation, `pmod` and intervals, with Spark's types and ANSI errors.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{SparkFunction, datetime, decimal, downcast, overflow};
use crate::{
    error::{data_error, invalid_error, unsupported_error},
    types::{decimal_of, is_float, is_numeric, spark_name, timestamp_type},
};

/// Applies `apply` where both are not null.
pub fn zip<L, R, O>(
    left: &ArrayRef,
    right: &ArrayRef,
    apply: impl Fn(L::Native, R::Native) -> Result<O::Native>,
) -> Result<PrimitiveArray<O>>
where
    L: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let left: &PrimitiveArray<L> = downcast(left)?;
    let right: &PrimitiveArray<R> = downcast(right)?;
    left.iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(left), Some(right)) => apply(left, right).map(Some),
            _ => Ok(None),
        })
        .collect()
}

fn divide_by_zero() -> datafusion::common::DataFusionError {
    data_error("division by zero; use `nullif(x, 0)` for a null instead")
}

/// Types of `left op right`. Text is never taken for a number: Spark would cast it, the author can.
fn typing(op: &str, given: &[DataType]) -> Result<(Vec<DataType>, DataType)> {
    use DataType::{Date32, Decimal128, Float32, Float64, Int32, Int64, Null};
    let [left, right] = given else {
        return Err(invalid_error(format!("`{op}` takes two operands")));
    };
    // A null takes the type of its neighbour.
    let (left, right) = match (left, right) {
        (Null, Null) => (&Float64, &Float64),
        (Null, other) | (other, Null) => (other, other),
        pair => pair,
    };
    if *left == Date32 && *right == Int32 && matches!(op, "+" | "-") {
        return Ok((vec![Date32, Int32], Date32));
    }
    if !is_numeric(left) || !is_numeric(right) {
        return Err(unsupported_error(format!(
            "`{op}` of {} and {} (cast to numbers first)",
            spark_name(left),
            spark_name(right)
        )));
    }
    let both = |kind: DataType, gives: DataType| Ok((vec![kind.clone(), kind], gives));
    let any_float = is_float(left) || is_float(right);
    let any_decimal = matches!(left, Decimal128(..)) || matches!(right, Decimal128(..));
    match op {
        "div" if any_float || any_decimal => {
            Err(unsupported_error(format!("DIV of {} and {}", spark_name(left), spark_name(right))))
        }
        "div" => both(Int64, Int64),
        "/" if !any_decimal || any_float => both(Float64, Float64),
        _ if any_float => {
            let kind = if *left == Float32 && *right == Float32 { Float32 } else { Float64 };
            both(kind.clone(), kind)
        }
        "pmod" if any_decimal => Err(unsupported_error("pmod of decimals")),
        _ if any_decimal => {
            let wide = |given: &DataType| match decimal_of(given) {
                Some((precision, scale)) => Decimal128(precision, scale),
                None => given.clone(),
            };
            let gives = decimal::result_type(op, left, right)
                .ok_or_else(|| unsupported_error(format!("`{op}` of decimals")))?;
            Ok((vec![wide(left), wide(right)], gives))
        }
        _ => {
            let kind = if *left == Int32 && *right == Int32 { Int32 } else { Int64 };
            both(kind.clone(), kind)
        }
    }
}

fn integer_op<T>(
    op: &'static str,
    args: &[ArrayRef],
    apply: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: PartialEq + Default,
{
    let divides = matches!(op, "%" | "div" | "pmod");
    Ok(Arc::new(zip::<T, T, T>(&args[0], &args[1], |left, right| {
        if divides && right == T::Native::default() {
            return Err(divide_by_zero());
        }
        apply(left, right).ok_or_else(|| overflow(&format!("the result of `{op}`")))
    })?))
}

fn decimal_op(op: &'static str, args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let scale = |array: &ArrayRef| match array.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    };
    let (s1, s2) = (scale(&args[0]), scale(&args[1]));
    let divides = matches!(op, "/" | "%");
    let values = zip::<Decimal128Type, Decimal128Type, Decimal128Type>(
        &args[0],
        &args[1],
        |left, right| {
            if divides && right == 0 {
                return Err(divide_by_zero());
            }
            decimal::compute(op, (left, s1), (right, s2), gives)
        },
    )?;
    Ok(Arc::new(values.with_data_type(gives.clone())))
}

macro_rules! float_op {
    ($kind:ty, $op:expr, $args:expr) => {{
        let op = $op;
        let divides = matches!(op, "/" | "%" | "pmod");
        Ok(Arc::new(zip::<$kind, $kind, $kind>(&$args[0], &$args[1], |left, right| {
            if divides && right == 0.0 {
                return Err(divide_by_zero());
            }
            Ok(match op {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                "/" => left / right,
                "%" => left % right,
                _ => {
                    let rest = left % right;
                    if rest < 0.0 { (rest + right) % right } else { rest }
                }
            })
        })?) as ArrayRef)
    }};
}

macro_rules! operator {
    ($typing:ident, $kernel:ident, $op:literal, $checked:ident) => {
        fn $typing(
            _: &str,
            given: &[DataType],
            _: &[Option<&ScalarValue>],
        ) -> Result<(Vec<DataType>, DataType)> {
            typing($op, given)
        }
        fn $kernel(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
            match args[0].data_type() {
                DataType::Int32 => integer_op::<Int32Type>($op, args, |a, b| {
                    integer::$checked(i64::from(a), i64::from(b))
                        .and_then(|value| i32::try_from(value).ok())
                }),
                DataType::Int64 => integer_op::<Int64Type>($op, args, integer::$checked),
                DataType::Float32 => float_op!(Float32Type, $op, args),
                DataType::Float64 => float_op!(Float64Type, $op, args),
                DataType::Decimal128(..) => decimal_op($op, args, gives),
                DataType::Date32 => Ok(Arc::new(zip::<Date32Type, Int32Type, Date32Type>(
                    &args[0],
                    &args[1],
                    |day, days| {
                        let days = if $op == "-" { days.checked_neg() } else { Some(days) };
                        days.and_then(|days| day.checked_add(days))
                            .ok_or_else(|| overflow("the date"))
                    },
                )?)),
                other => Err(unsupported_error(format!("`{}` of {}", $op, spark_name(other)))),
            }
        }
    };
}

/// Integer operations; `None` is an overflow. The divisor is not zero.
mod integer {
    pub fn add(left: i64, right: i64) -> Option<i64> {
        left.checked_add(right)
    }
    pub fn sub(left: i64, right: i64) -> Option<i64> {
        left.checked_sub(right)
    }
    pub fn mul(left: i64, right: i64) -> Option<i64> {
        left.checked_mul(right)
    }
    pub fn div(left: i64, right: i64) -> Option<i64> {
        left.checked_div(right)
    }
    pub fn rem(left: i64, right: i64) -> Option<i64> {
        Some(left.wrapping_rem(right))
    }
    /// The remainder, never negative for a positive divisor.
    pub fn pmod(left: i64, right: i64) -> Option<i64> {
        let rest = left.wrapping_rem(right);
        if rest < 0 { Some(rest.wrapping_add(right).wrapping_rem(right)) } else { Some(rest) }
    }
}

operator!(type_add, add, "+", add);
operator!(type_sub, sub, "-", sub);
operator!(type_mul, mul, "*", mul);
operator!(type_div, div, "/", div);
operator!(type_rem, rem, "%", rem);
operator!(type_intdiv, intdiv, "div", div);
operator!(type_pmod, pmod, "pmod", pmod);

fn type_same(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    match given {
        [one] if is_numeric(one) => Ok((vec![one.clone()], one.clone())),
        [DataType::Null] => Ok((vec![DataType::Float64], DataType::Float64)),
        [one] => Err(unsupported_error(format!("{name} of {}", spark_name(one)))),
        _ => Err(invalid_error(format!("`{name}` takes one argument"))),
    }
}

/// Applies to each value that is not null.
pub fn map<S: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    array: &ArrayRef,
    apply: impl Fn(S::Native) -> Result<O::Native>,
) -> Result<PrimitiveArray<O>> {
    let array: &PrimitiveArray<S> = downcast(array)?;
    array.iter().map(|value| value.map(&apply).transpose()).collect()
}

fn negate(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let out = || overflow("the negated value");
    Ok(match gives {
        DataType::Int32 => {
            Arc::new(map::<Int32Type, Int32Type>(&args[0], |v| v.checked_neg().ok_or_else(out))?)
        }
        DataType::Int64 => {
            Arc::new(map::<Int64Type, Int64Type>(&args[0], |v| v.checked_neg().ok_or_else(out))?)
        }
        DataType::Float32 => Arc::new(map::<Float32Type, Float32Type>(&args[0], |v| Ok(-v))?),
        DataType::Float64 => Arc::new(map::<Float64Type, Float64Type>(&args[0], |v| Ok(-v))?),
        _ => Arc::new(
            map::<Decimal128Type, Decimal128Type>(&args[0], |v| Ok(-v))?
                .with_data_type(gives.clone()),
        ),
    })
}

fn absolute(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let out = || overflow("the absolute value");
    Ok(match gives {
        DataType::Int32 => {
            Arc::new(map::<Int32Type, Int32Type>(&args[0], |v| v.checked_abs().ok_or_else(out))?)
        }
        DataType::Int64 => {
            Arc::new(map::<Int64Type, Int64Type>(&args[0], |v| v.checked_abs().ok_or_else(out))?)
        }
        DataType::Float32 => Arc::new(map::<Float32Type, Float32Type>(&args[0], |v| Ok(v.abs()))?),
        DataType::Float64 => Arc::new(map::<Float64Type, Float64Type>(&args[0], |v| Ok(v.abs()))?),
        _ => Arc::new(
            map::<Decimal128Type, Decimal128Type>(&args[0], |v| Ok(v.abs()))?
                .with_data_type(gives.clone()),
        ),
    })
}

/// `x op INTERVAL`: the value, months, days and microseconds (signs already applied).
fn type_interval(
    _: &str,
    given: &[DataType],
    literals: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    let Some(value) = given.first() else {
        return Err(invalid_error("an interval needs something to be added to"));
    };
    let timed =
        matches!(literals.get(3), Some(Some(ScalarValue::Int64(Some(micros)))) if *micros != 0);
    let gives = match value {
        DataType::Date32 if timed => {
            return Err(unsupported_error(
                "a date plus an interval of hours or less (cast to timestamp first)",
            ));
        }
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(..) | DataType::Null => timestamp_type(),
        other => {
            return Err(invalid_error(format!(
                "an interval cannot be added to {}",
                spark_name(other)
            )));
        }
    };
    Ok((vec![gives.clone(), DataType::Int32, DataType::Int32, DataType::Int64], gives))
}

fn add_interval(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let months = args[1].as_primitive::<Int32Type>();
    let days = args[2].as_primitive::<Int32Type>();
    let micros = args[3].as_primitive::<Int64Type>();
    if args[0].is_empty() {
        return Ok(arrow::array::new_empty_array(gives));
    }
    let (months, days, micros) = (months.value(0), days.value(0), micros.value(0));
    let out = || overflow("the time");
    if *gives == DataType::Date32 {
        return Ok(Arc::new(map::<Date32Type, Date32Type>(&args[0], |day| {
            datetime::add_months(day, months).and_then(|day| day.checked_add(days)).ok_or_else(out)
        })?));
    }
    let moved = map::<TimestampMicrosecondType, TimestampMicrosecondType>(&args[0], |at| {
        let day = i32::try_from(at.div_euclid(datetime::DAY_MICROS)).map_err(|_| out())?;
        let time = at.rem_euclid(datetime::DAY_MICROS);
        let day = datetime::add_months(day, months)
            .and_then(|day| day.checked_add(days))
            .ok_or_else(out)?;
        i64::from(day)
            .checked_mul(datetime::DAY_MICROS)
            .and_then(|at| at.checked_add(time))
            .and_then(|at| at.checked_add(micros))
            .ok_or_else(out)
    })?;
    Ok(Arc::new(moved.with_data_type(timestamp_type())))
}

/// One zero, one NaN.
pub fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

/// Makes equal floats equal bit by bit: one zero, one NaN. Arrow compares and groups floats by their bits.
fn plain_float(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    Ok(match gives {
        DataType::Float32 => Arc::new(map::<Float32Type, Float32Type>(&args[0], |v| {
            Ok(if v.is_nan() { f32::NAN } else { v + 0.0 })
        })?),
        _ => Arc::new(map::<Float64Type, Float64Type>(&args[0], |v| Ok(plain(v)))?),
    })
}

/// See [`PLAIN_FLOAT`]; over an array of floats.
pub fn plain_floats(array: &ArrayRef) -> Result<ArrayRef> {
    plain_float(std::slice::from_ref(array), array.data_type())
}

/// The internal name of [`plain_float`].
pub const PLAIN_FLOAT: &str = "plain float";

/// See [`PLAIN_FLOAT`].
pub fn plain_float_function() -> Arc<ScalarUDF> {
    SparkFunction::free(PLAIN_FLOAT, type_same, plain_float)
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        SparkFunction::free("op +", type_add, add),
        SparkFunction::free("op -", type_sub, sub),
        SparkFunction::free("op *", type_mul, mul),
        SparkFunction::free("op /", type_div, div),
        SparkFunction::free("op %", type_rem, rem),
        SparkFunction::free("op div", type_intdiv, intdiv),
        SparkFunction::free("pmod", type_pmod, pmod),
        SparkFunction::free("op negate", type_same, negate),
        SparkFunction::free("abs", type_same, absolute),
        SparkFunction::free("op interval", type_interval, add_interval),
        plain_float_function(),
    ]
}
