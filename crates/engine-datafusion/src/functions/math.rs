//! Numbers: rounding as Spark rounds, roots, powers, logarithms.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array},
    datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, i256},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ScalarUDF,
};

use super::{
    SparkFunction, Takes,
    arithmetic::{map, zip},
    decimal, overflow,
};
use crate::{
    error::{invalid_error, unsupported_error},
    types::{adjust_decimal, spark_name},
};

macro_rules! of_double {
    ($name:ident, $apply:expr) => {
        fn $name(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
            let apply: fn(f64) -> f64 = $apply;
            Ok(Arc::new(map::<Float64Type, Float64Type>(&args[0], |value| Ok(apply(value)))?))
        }
    };
}
of_double!(sqrt, f64::sqrt);
of_double!(exp, f64::exp);
of_double!(sign, |value| if value > 0.0 {
    1.0
} else if value < 0.0 {
    -1.0
} else {
    value
});
of_double!(degrees, |value| value * 180.0 / std::f64::consts::PI);
of_double!(radians, |value| value / 180.0 * std::f64::consts::PI);
of_double!(sin, f64::sin);
of_double!(cos, f64::cos);
of_double!(tan, f64::tan);
of_double!(atan, f64::atan);

/// Logarithms of what has none are null; NaN's is NaN.
fn logarithm(args: &[ArrayRef], least: f64, apply: impl Fn(f64) -> f64) -> ArrayRef {
    Arc::new(
        args[0]
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| value.filter(|value| value.is_nan() || *value > least).map(&apply))
            .collect::<Float64Array>(),
    )
}
fn ln(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(logarithm(args, 0.0, f64::ln))
}
fn log10(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(logarithm(args, 0.0, f64::log10))
}
fn log2(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    // Spark divides natural logarithms.
    Ok(logarithm(args, 0.0, |value| value.ln() / 2f64.ln()))
}
fn log1p(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(logarithm(args, -1.0, f64::ln_1p))
}
fn pow(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Float64Type, Float64Type, Float64Type>(
        &args[0],
        &args[1],
        |base, exponent| Ok(java_pow(base, exponent)),
    )?))
}
/// Java: one to the power of NaN or infinity, and minus one to infinity, are NaN.
fn java_pow(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (base.abs() == 1.0 && exponent.is_infinite()) {
        f64::NAN
    } else {
        base.powf(exponent)
    }
}
fn atan2(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(zip::<Float64Type, Float64Type, Float64Type>(&args[0], &args[1], |y, x| {
        Ok((y + 0.0).atan2(x + 0.0))
    })?))
}
fn is_nan(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    Ok(Arc::new(
        args[0]
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| Some(value.is_some_and(f64::is_nan)))
            .collect::<BooleanArray>(),
    ))
}
fn nanvl(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let pairs = args[0]
        .as_primitive::<Float64Type>()
        .iter()
        .zip(args[1].as_primitive::<Float64Type>().iter());
    Ok(Arc::new(
        pairs
            .map(|(value, other)| match value {
                Some(value) if value.is_nan() => other,
                value => value,
            })
            .collect::<Float64Array>(),
    ))
}

fn type_floor(
    name: &str,
    given: &[DataType],
    _: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    use DataType::{Decimal128, Float32, Float64, Int32, Int64, Null};
    match given {
        [Int32 | Int64] => Ok((vec![Int64], Int64)),
        [Float32 | Float64 | Null] => Ok((vec![Float64], Int64)),
        [Decimal128(precision, scale)] => {
            let integral = i32::from(*precision) - i32::from(*scale) + 1;
            let gives =
                if *scale == 0 { Decimal128(*precision, 0) } else { adjust_decimal(integral, 0) };
            Ok((given.to_vec(), gives))
        }
        [other] => Err(unsupported_error(format!("`{name}` of {}", spark_name(other)))),
        _ => Err(unsupported_error(format!("`{name}` with a scale"))),
    }
}
fn float_to_long(value: f64) -> Result<i64> {
    // Java's cast: NaN is 0, what does not fit is the nearest end.
    Ok(value as i64)
}
fn floor(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    to_whole(args, gives, f64::floor, |value, unit| value.div_euclid(unit))
}
fn ceil(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    to_whole(args, gives, f64::ceil, |value, unit| -(-value).div_euclid(unit))
}
fn to_whole(
    args: &[ArrayRef],
    gives: &DataType,
    float: fn(f64) -> f64,
    exact: fn(i128, i128) -> i128,
) -> Result<ArrayRef> {
    Ok(match args[0].data_type() {
        DataType::Int64 => Arc::clone(&args[0]),
        DataType::Decimal128(_, scale) => {
            let unit = 10i128.pow(u32::try_from(*scale).unwrap_or(0));
            Arc::new(
                map::<Decimal128Type, Decimal128Type>(&args[0], |value| Ok(exact(value, unit)))?
                    .with_data_type(gives.clone()),
            )
        }
        _ => {
            Arc::new(map::<Float64Type, Int64Type>(&args[0], |value| float_to_long(float(value)))?)
        }
    })
}

/// The scale argument must be a literal: the result's type depends on it.
fn type_round(
    name: &str,
    given: &[DataType],
    literals: &[Option<&ScalarValue>],
) -> Result<(Vec<DataType>, DataType)> {
    use DataType::{Decimal128, Float32, Float64, Int32, Int64, Null};
    let (value, wanted) = match given {
        [value] => (value, vec![value.clone()]),
        [value, Int32] => (value, vec![value.clone(), Int32]),
        [_, other] => {
            return Err(invalid_error(format!(
                "the scale of `{name}` must be an int literal, not {}",
                spark_name(other)
            )));
        }
        _ => return Err(invalid_error(format!("`{name}` takes one or two arguments"))),
    };
    let scale = match literals.get(1) {
        Some(Some(ScalarValue::Int32(Some(scale)))) => *scale,
        _ => 0,
    };
    let gives = match value {
        Int32 | Int64 | Float32 | Float64 => value.clone(),
        Null => Float64,
        Decimal128(precision, of) => {
            let (p, s) = (i32::from(*precision), i32::from(*of));
            let integral = p - s + 1;
            if scale < 0 {
                let integral = integral.max(1 - scale);
                adjust_decimal(integral.min(38), 0)
            } else {
                let kept = scale.min(s);
                adjust_decimal((integral + kept).min(38), kept)
            }
        }
        other => return Err(unsupported_error(format!("`{name}` of {}", spark_name(other)))),
    };
    Ok((wanted, gives))
}

/// Rounds an exact value with digits `from` after the point to `to` digits (may be negative), back at scale `max(to, 0)`.
fn round_exact(value: i256, from: i32, to: i32, even: bool) -> Option<i256> {
    let kept = if to >= from {
        return decimal::rescale(value, from, to.max(0));
    } else {
        let Some(divisor) = u32::try_from(from - to).ok().and_then(decimal::power_of_ten) else {
            return Some(i256::ZERO);
        };
        let up = decimal::divide_half_up(value, divisor)?;
        if even {
            let rest = value.checked_rem(divisor)?.checked_abs()?;
            let is_tie = rest.checked_mul(i256::from_i128(2))? == divisor;
            let down = value.checked_div(divisor)?;
            let is_even = down.checked_rem(i256::from_i128(2))? == i256::ZERO;
            if is_tie && is_even { down } else { up }
        } else {
            up
        }
    };
    decimal::rescale(kept, to, to.max(0))
}

fn round_float(value: f64, scale: i32, even: bool, text: String) -> Option<f64> {
    if !value.is_finite() {
        return Some(value);
    }
    let (unscaled, from) = decimal::parse(&text)?;
    // More digits are asked for than there are: nothing to round.
    if scale >= from {
        return Some(value);
    }
    let rounded = round_exact(unscaled, from, scale, even)?;
    let digits = rounded.to_i128()?;
    format!("{digits}e{}", -scale.max(0)).parse().ok()
}

fn round_with(args: &[ArrayRef], gives: &DataType, even: bool) -> Result<ArrayRef> {
    let scale = match args.get(1) {
        None => 0,
        Some(scales) => {
            let scales = scales.as_primitive::<Int32Type>();
            if scales.is_empty() || scales.is_null(0) {
                return Ok(arrow::array::new_null_array(gives, args[0].len()));
            }
            scales.value(0)
        }
    };
    let out = || overflow("the rounded value");
    let whole = |value: i64| {
        round_exact(i256::from_i128(i128::from(value)), 0, scale.min(0), even)
            .and_then(i256::to_i128)
            .and_then(|value| i64::try_from(value).ok())
            .ok_or_else(out)
    };
    Ok(match args[0].data_type() {
        DataType::Null => arrow::array::new_null_array(gives, args[0].len()),
        DataType::Int32 => Arc::new(map::<Int32Type, Int32Type>(&args[0], |value| {
            i32::try_from(whole(i64::from(value))?).map_err(|_| out())
        })?),
        DataType::Int64 => Arc::new(map::<Int64Type, Int64Type>(&args[0], whole)?),
        DataType::Decimal128(_, from) => {
            let from = i32::from(*from);
            let rounded = map::<Decimal128Type, Decimal128Type>(&args[0], |value| {
                let scale = scale.min(from);
                decimal::fit(
                    round_exact(i256::from_i128(value), from, scale, even),
                    scale.max(0),
                    gives,
                    "the rounded value",
                )
            })?;
            Arc::new(rounded.with_data_type(gives.clone()))
        }
        DataType::Float32 => Arc::new(map::<Float32Type, Float32Type>(&args[0], |value| {
            // Java rounds the double that the float is, not the digits that it is written with.
            let value = f64::from(value);
            round_float(value, scale, even, format!("{value:e}"))
                .map(|value| value as f32)
                .ok_or_else(out)
        })?),
        _ => Arc::new(map::<Float64Type, Float64Type>(&args[0], |value| {
            round_float(value, scale, even, format!("{value:e}")).ok_or_else(out)
        })?),
    })
}
fn round(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    round_with(args, gives, false)
}
fn bround(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    round_with(args, gives, true)
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::Double;
    let double = |name, kernel| SparkFunction::fixed(name, &[Double], 0, DataType::Float64, kernel);
    let doubles =
        |name, kernel| SparkFunction::fixed(name, &[Double, Double], 0, DataType::Float64, kernel);
    vec![
        double("sqrt", sqrt),
        double("exp", exp),
        double("ln", ln),
        double("log10", log10),
        double("log2", log2),
        double("log1p", log1p),
        double("sign", sign),
        double("degrees", degrees),
        double("radians", radians),
        double("sin", sin),
        double("cos", cos),
        double("tan", tan),
        double("atan", atan),
        doubles("atan2", atan2),
        doubles("pow", pow),
        doubles("nanvl", nanvl),
        SparkFunction::fixed("isnan", &[Double], 0, DataType::Boolean, is_nan),
        SparkFunction::free("floor", type_floor, floor),
        SparkFunction::free("ceil", type_floor, ceil),
        SparkFunction::free("round", type_round, round),
        SparkFunction::free("bround", type_round, bround),
    ]
}
