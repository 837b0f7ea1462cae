//! Numbers: rounding and powers as Java has them, decimals from their digits.

use trivium_model::types::DECIMAL_PRECISION_MAX;

/// `10^exponent`, if it fits.
fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// The value, if it has at most `precision` digits.
fn bounded(value: i128, precision: u8) -> Option<i128> {
    let limit = power_of_ten(u32::from(precision.min(DECIMAL_PRECISION_MAX)))?;
    (value.unsigned_abs() < limit.unsigned_abs()).then_some(value)
}

/// Divides, rounding half away from zero. The divisor is above zero.
fn divide_half_up(value: i128, divisor: i128) -> Option<i128> {
    let (quotient, rest) = (value.checked_div(divisor)?, value.checked_rem(divisor)?);
    // Written so that nothing overflows: rest >= divisor - rest.
    if rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
        quotient.checked_add(value.signum())
    } else {
        Some(quotient)
    }
}

/// A decimal at another scale, rounded half up, within a precision.
pub(crate) fn rescale(value: i128, from: u8, precision: u8, to: u8) -> Option<i128> {
    let moved = if to >= from {
        value.checked_mul(power_of_ten(u32::from(to - from))?)?
    } else {
        divide_half_up(value, power_of_ten(u32::from(from - to))?)?
    };
    bounded(moved, precision)
}

/// A decimal from `[+-]digits[.digits][e[+-]digits]`, rounded half up to `scale`; null if it is no number or too long.
pub(crate) fn decimal_from_text(text: &str, precision: u8, scale: u8) -> Option<i128> {
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
    let digits = || whole.bytes().chain(fraction.bytes());
    if (whole.is_empty() && fraction.is_empty()) || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = i64::try_from(whole.len() + fraction.len()).ok()?;
    let from = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
    // So many digits are kept; half up depends on the first that is not.
    let kept = count - (from - i64::from(scale));
    let mut value: i128 = 0;
    for (place, byte) in (0i64..).zip(digits()) {
        if place < kept {
            value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
        } else {
            if place == kept && byte >= b'5' {
                value = value.checked_add(1)?;
            }
            break;
        }
    }
    if kept > count && value != 0 {
        value = value.checked_mul(power_of_ten(u32::try_from(kept - count).ok()?)?)?;
    }
    bounded(if negative { -value } else { value }, precision)
}

/// A float rounded to so many digits after the point, half up, by the digits that it is written with. `text` is the
/// value's shortest form with an exponent.
pub(crate) fn round_float(value: f64, text: &str, scale: u8) -> Option<f64> {
    if !value.is_finite() {
        return Some(value);
    }
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let from = i64::try_from(fraction.len()).ok()? - exponent;
    let drop = from - i64::from(scale);
    if drop <= 0 {
        // Java's decimals have one zero.
        return Some(value + 0.0);
    }
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let kept = match u32::try_from(drop).ok().and_then(power_of_ten) {
        Some(divisor) => divide_half_up(unscaled, divisor)?,
        None => 0,
    };
    format!("{kept}e-{scale}").parse().ok()
}

/// Java: one to the power of NaN or infinity, and minus one to infinity, are NaN.
pub(crate) fn java_pow(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (base.abs() == 1.0 && exponent.is_infinite()) {
        f64::NAN
    } else {
        base.powf(exponent)
    }
}

/// A float cut to an integer, if the value between its floor and its ceiling fits.
pub(crate) fn float_to_long(value: f64, least: i64, most: i64) -> Option<i64> {
    // 2^63 as a float is just above i64::MAX.
    let fits = value.floor() <= most as f64 && value.ceil() >= least as f64;
    fits.then(|| (value.trunc() as i64).clamp(least, most))
}

/// Reads a double as Java does, but not its hexadecimal form.
pub(crate) fn text_to_double(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "nan" => return Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => return Some(f64::INFINITY),
        "-inf" | "-infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    plain_number(&lower)?.parse().ok()
}

/// The digits of a number, without Java's suffix: `1.5d`, `1f`.
pub(crate) fn plain_number(lower: &str) -> Option<&str> {
    let digits = lower.strip_suffix(['d', 'f']).unwrap_or(lower);
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.e".contains(&byte);
    (!digits.is_empty() && digits.bytes().all(plain)).then_some(digits)
}
