//! Exact decimal arithmetic as Spark does it: computed exactly, rounded half up, an error when it does not fit.

use arrow::datatypes::{DataType, i256};
use datafusion::common::Result;

use super::overflow;
use crate::{
    error::unsupported_error,
    types::{adjust_decimal, decimal_of},
};

/// `10^exponent`, if it fits.
pub fn power_of_ten(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}

/// Divides, rounding half away from zero.
pub fn divide_half_up(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let rest = value.checked_rem(divisor)?;
    let twice = rest.checked_abs()?.checked_mul(i256::from_i128(2))?;
    if twice < divisor.checked_abs()? {
        return Some(quotient);
    }
    let away =
        if value.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(away)
}

/// The value at another scale, rounded half up.
pub fn rescale(value: i256, from: i32, to: i32) -> Option<i256> {
    if to >= from {
        value.checked_mul(power_of_ten(u32::try_from(to - from).ok()?)?)
    } else {
        let digits = u32::try_from(from - to).ok()?;
        match power_of_ten(digits) {
            Some(divisor) => divide_half_up(value, divisor),
            None => Some(i256::ZERO),
        }
    }
}

/// The value, if it has at most `precision` digits.
pub fn bounded(value: i256, precision: u8) -> Option<i128> {
    let limit = 10i128.checked_pow(u32::from(precision))?;
    value.to_i128().filter(|value| value.unsigned_abs() < limit.unsigned_abs())
}

/// The value at the scale and within the precision of a decimal type.
pub fn fit(value: Option<i256>, from: i32, to: &DataType, what: &str) -> Result<i128> {
    let DataType::Decimal128(precision, scale) = to else {
        return Err(overflow(what));
    };
    value
        .and_then(|value| rescale(value, from, i32::from(*scale)))
        .and_then(|value| bounded(value, *precision))
        .ok_or_else(|| overflow(&format!("{what} as {}", crate::types::spark_name(to))))
}

/// The result type of `left op right`; integers count as the decimals that hold them.
pub fn result_type(op: &str, left: &DataType, right: &DataType) -> Option<DataType> {
    let (p1, s1) = decimal_of(left)?;
    let (p2, s2) = decimal_of(right)?;
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    Some(match op {
        "+" | "-" => {
            let scale = s1.max(s2);
            adjust_decimal((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        "*" => adjust_decimal(p1 + p2 + 1, s1 + s2),
        "/" => {
            let scale = (s1 + p2 + 1).max(6);
            adjust_decimal(p1 - s1 + s2 + scale, scale)
        }
        "%" => {
            let scale = s1.max(s2);
            adjust_decimal((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => return None,
    })
}

/// `left op right`, exact and then fitted to `gives`.
pub fn compute(
    op: &str,
    (left, s1): (i128, i8),
    (right, s2): (i128, i8),
    gives: &DataType,
) -> Result<i128> {
    let (s1, s2) = (i32::from(s1), i32::from(s2));
    let (left, right) = (i256::from_i128(left), i256::from_i128(right));
    let scale = s1.max(s2);
    let aligned = || Some((rescale(left, s1, scale)?, rescale(right, s2, scale)?));
    match op {
        "+" => fit(aligned().and_then(|(a, b)| a.checked_add(b)), scale, gives, "the sum"),
        "-" => fit(aligned().and_then(|(a, b)| a.checked_sub(b)), scale, gives, "the difference"),
        "*" => fit(left.checked_mul(right), s1 + s2, gives, "the product"),
        "%" => fit(aligned().and_then(|(a, b)| a.checked_rem(b)), scale, gives, "the remainder"),
        _ => {
            // Spark divides to 39 digits after the point and then rounds to the type.
            let shift = u32::try_from(39 - s1 + s2).ok();
            let quotient = shift
                .and_then(power_of_ten)
                .and_then(|factor| left.checked_mul(factor))
                .and_then(|scaled| divide_half_up(scaled, right));
            match quotient {
                Some(quotient) => fit(Some(quotient), 39, gives, "the quotient"),
                None => Err(unsupported_error("the division of decimals this long")),
            }
        }
    }
}

/// Plain decimal text, as Spark's ANSI cast writes it.
pub fn to_text(unscaled: i128, scale: i8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let scale = usize::try_from(scale).unwrap_or(0);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// Reads `[+-]digits[.digits][e[+-]digits]` as an unscaled value and its scale.
pub fn parse(text: &str) -> Option<(i256, i32)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = i256::ZERO;
    let ten = i256::from_i128(10);
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(ten)?.checked_add(i256::from_i128(i128::from(digit - b'0')))?;
    }
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some((if negative { value.checked_neg()? } else { value }, scale))
}
