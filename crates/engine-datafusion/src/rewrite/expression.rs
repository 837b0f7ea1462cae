//! Expressions.

use chrono::DateTime;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, DateTimeField, ExactNumberInfo,
    Expr, Interval, TimezoneInfo, TrimWhereField, UnaryOperator, Value, ValueWithSpan,
};

use super::{
    Position, Result, Rewriter, build, invalid, lower, position, query::Naming, start_of, variant,
};
use crate::{
    error::unsupported,
    functions::{cast, format},
    types,
};

/// A length of time in an expression.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    months: i64,
    days: i64,
    micros: i64,
}

impl Span {
    /// As DataFusion reads it in a window frame; none for months, whose length varies, or below zero.
    pub fn fixed_text(self) -> Option<String> {
        let fixed = self.months == 0 && self.days >= 0 && self.micros >= 0;
        fixed.then(|| format!("{} days {} microseconds", self.days, self.micros))
    }
}

impl Rewriter<'_> {
    /// One expression.
    pub fn expr(&mut self, expr: Expr) -> Result<Expr> {
        let at = position(&expr);
        Ok(match expr {
            Expr::Identifier(ident) => Expr::Identifier(lower(&ident)),
            Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
                Expr::CompoundIdentifier(parts.iter().map(lower).collect())
            }
            Expr::CompoundIdentifier(_) => return Err(unsupported("a field of a struct", at)),
            Expr::Nested(inner) => Expr::Nested(Box::new(self.expr(*inner)?)),
            Expr::Value(value) => self.literal(value, false)?,
            Expr::TypedString(typed) => self.typed_literal(&typed.data_type, &typed.value, at)?,
            Expr::IsNull(inner) => self.test("IS NULL", *inner, Expr::IsNull, at)?,
            Expr::IsNotNull(inner) => self.test("IS NULL", *inner, Expr::IsNotNull, at)?,
            Expr::IsTrue(inner) => self.test("IS TRUE", *inner, Expr::IsTrue, at)?,
            Expr::IsNotTrue(inner) => self.test("IS TRUE", *inner, Expr::IsNotTrue, at)?,
            Expr::IsFalse(inner) => self.test("IS FALSE", *inner, Expr::IsFalse, at)?,
            Expr::IsNotFalse(inner) => self.test("IS FALSE", *inner, Expr::IsNotFalse, at)?,
            Expr::IsDistinctFrom(left, right) => {
                self.allow("operator", "IS DISTINCT FROM", at)?;
                Expr::IsDistinctFrom(Box::new(self.expr(*left)?), Box::new(self.expr(*right)?))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.allow("operator", "IS DISTINCT FROM", at)?;
                Expr::IsNotDistinctFrom(Box::new(self.expr(*left)?), Box::new(self.expr(*right)?))
            }
            Expr::InList { expr, list, negated } => {
                self.allow("operator", "IN", at)?;
                let list = list.into_iter().map(|item| self.expr(item)).collect::<Result<_>>()?;
                Expr::Nested(Box::new(Expr::InList {
                    expr: Box::new(self.expr(*expr)?),
                    list,
                    negated,
                }))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                self.allow("operator", "IN (SELECT)", at)?;
                Expr::Nested(Box::new(Expr::InSubquery {
                    expr: Box::new(self.expr(*expr)?),
                    subquery: Box::new(self.query(*subquery, Naming::Inner)?),
                    negated,
                }))
            }
            Expr::Exists { subquery, negated } => {
                self.allow("operator", "EXISTS", at)?;
                Expr::Exists { subquery: Box::new(self.query(*subquery, Naming::Inner)?), negated }
            }
            Expr::Subquery(subquery) => {
                self.allow("operator", "(SELECT)", at)?;
                Expr::Subquery(Box::new(self.query(*subquery, Naming::Inner)?))
            }
            Expr::Between { expr, negated, low, high } => {
                self.allow("operator", "BETWEEN", at)?;
                Expr::Nested(Box::new(Expr::Between {
                    expr: Box::new(self.expr(*expr)?),
                    negated,
                    low: Box::new(self.expr(*low)?),
                    high: Box::new(self.expr(*high)?),
                }))
            }
            Expr::BinaryOp { left, op, right } => self.binary(*left, op, *right, at)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.allow("operator", "NOT", at)?;
                Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(self.expr(*expr)?) }
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match *expr {
                Expr::Value(value) if matches!(value.value, Value::Number(..)) => {
                    self.literal(value, true)?
                }
                inner => {
                    self.allow("operator", "unary -", at)?;
                    build::call("op negate", vec![self.expr(inner)?])
                }
            },
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.expr(*expr)?,
            Expr::UnaryOp { op, .. } => return Err(unsupported(format!("operator {op}"), at)),
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.allow("operator", "LIKE", at)?;
                let pattern = self.text_literal(*pattern, "the pattern of LIKE")?;
                check_like(&pattern, at)?;
                let like = build::call("op like", vec![self.expr(*expr)?, build::text(pattern)]);
                if negated {
                    Expr::Nested(Box::new(Expr::UnaryOp {
                        op: UnaryOperator::Not,
                        expr: Box::new(like),
                    }))
                } else {
                    like
                }
            }
            Expr::RLike { negated, expr, pattern, regexp: _ } => {
                self.allow("operator", "RLIKE", at)?;
                let pattern = self.pattern_literal(*pattern, true)?;
                let like = build::call("op rlike", vec![self.expr(*expr)?, build::text(pattern)]);
                if negated {
                    Expr::Nested(Box::new(Expr::UnaryOp {
                        op: UnaryOperator::Not,
                        expr: Box::new(like),
                    }))
                } else {
                    like
                }
            }
            Expr::Case { case_token, end_token, operand, conditions, else_result } => {
                self.allow("operator", "CASE", at)?;
                let operand = operand.map(|operand| self.expr(*operand)).transpose()?;
                let conditions = conditions
                    .into_iter()
                    .map(|CaseWhen { condition, result }| {
                        let condition = self.expr(condition)?;
                        let condition = match &operand {
                            Some(operand) => {
                                build::binary(operand.clone(), BinaryOperator::Eq, condition)
                            }
                            None => condition,
                        };
                        Ok(CaseWhen { condition, result: self.expr(result)? })
                    })
                    .collect::<Result<_>>()?;
                let else_result =
                    else_result.map(|result| self.expr(*result)).transpose()?.map(Box::new);
                Expr::Case { case_token, end_token, operand: None, conditions, else_result }
            }
            Expr::Cast { kind, expr, data_type, array: false, format: None } => {
                let target = spark_type(&data_type, at)?;
                let lenient = match kind {
                    CastKind::Cast | CastKind::DoubleColon => false,
                    CastKind::TryCast => true,
                    CastKind::SafeCast => return Err(unsupported("SAFE_CAST", at)),
                };
                if lenient {
                    self.allow("operator", "TRY_CAST", at)?;
                }
                build::call(&cast::name(&target, lenient), vec![self.expr(*expr)?])
            }
            Expr::Extract { field, expr, .. } => {
                self.allow("operator", "EXTRACT", at)?;
                let function = match field {
                    DateTimeField::Year | DateTimeField::Years => "year",
                    DateTimeField::Quarter => "quarter",
                    DateTimeField::Month | DateTimeField::Months => "month",
                    DateTimeField::Week(None) | DateTimeField::Weeks => "weekofyear",
                    DateTimeField::Day | DateTimeField::Days => "day",
                    DateTimeField::DayOfWeek | DateTimeField::Dow => "dayofweek",
                    DateTimeField::Doy | DateTimeField::DayOfYear => "dayofyear",
                    DateTimeField::Hour | DateTimeField::Hours => "hour",
                    DateTimeField::Minute | DateTimeField::Minutes => "minute",
                    other => return Err(unsupported(format!("EXTRACT of {other}"), at)),
                };
                build::call(function, vec![self.expr(*expr)?])
            }
            Expr::Ceil { expr, field } => self.whole("ceil", *expr, &field, at)?,
            Expr::Floor { expr, field } => self.whole("floor", *expr, &field, at)?,
            Expr::Position { expr, r#in } => {
                self.allow("function", "position", at)?;
                build::call("locate", vec![self.expr(*expr)?, self.expr(*r#in)?])
            }
            Expr::Substring {
                expr, substring_from: Some(from), substring_for, shorthand, ..
            } => {
                self.allow("function", if shorthand { "substr" } else { "substring" }, at)?;
                let mut args = vec![self.expr(*expr)?, self.expr(*from)?];
                if let Some(count) = substring_for {
                    args.push(self.expr(*count)?);
                }
                build::call("substring", args)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                self.allow("function", "trim", at)?;
                let function = match trim_where {
                    None | Some(TrimWhereField::Both) => "trim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut args = vec![self.expr(*expr)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(*what)?);
                }
                build::call(function, args)
            }
            Expr::Function(function) => self.function(function)?,
            Expr::Interval(_) => {
                return Err(unsupported(
                    "an INTERVAL that is not added to or subtracted from a time",
                    at,
                ));
            }
            other => return Err(unsupported(format!("the expression {}", variant(&other)), at)),
        })
    }

    fn test(
        &mut self,
        word: &str,
        inner: Expr,
        make: fn(Box<Expr>) -> Expr,
        at: Position,
    ) -> Result<Expr> {
        self.allow("operator", word, at)?;
        Ok(Expr::Nested(Box::new(make(Box::new(self.expr(inner)?)))))
    }

    fn whole(
        &mut self,
        name: &str,
        inner: Expr,
        field: &CeilFloorKind,
        at: Position,
    ) -> Result<Expr> {
        if !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            return Err(unsupported(format!("`{name}` with a scale"), at));
        }
        self.allow("function", name, at)?;
        Ok(build::call(name, vec![self.expr(inner)?]))
    }

    fn binary(
        &mut self,
        left: Expr,
        op: BinaryOperator,
        right: Expr,
        at: Position,
    ) -> Result<Expr> {
        check_precedence(&left, &op, &right, at)?;
        let (word, function) = match &op {
            BinaryOperator::Plus => ("+", Some("op +")),
            BinaryOperator::Minus => ("-", Some("op -")),
            BinaryOperator::Multiply => ("*", Some("op *")),
            BinaryOperator::Divide => ("/", Some("op /")),
            BinaryOperator::Modulo => ("%", Some("op %")),
            BinaryOperator::MyIntegerDivide => ("DIV", Some("op div")),
            BinaryOperator::StringConcat => ("||", Some("concat")),
            BinaryOperator::Eq => ("=", None),
            BinaryOperator::NotEq => ("<>", None),
            BinaryOperator::Lt => ("<", None),
            BinaryOperator::LtEq => ("<=", None),
            BinaryOperator::Gt => (">", None),
            BinaryOperator::GtEq => (">=", None),
            BinaryOperator::And => ("AND", None),
            BinaryOperator::Or => ("OR", None),
            BinaryOperator::Spaceship => ("<=>", None),
            other => return Err(unsupported(format!("operator {other}"), at)),
        };
        self.allow("operator", word, at)?;
        if matches!(op, BinaryOperator::Plus | BinaryOperator::Minus) {
            let sign = if op == BinaryOperator::Minus { -1 } else { 1 };
            match (left, right) {
                (left, Expr::Interval(interval)) => {
                    return self.add_interval(left, &interval, sign, at);
                }
                (Expr::Interval(interval), right) if sign == 1 => {
                    return self.add_interval(right, &interval, 1, at);
                }
                (left, right) => {
                    return Ok(build::call(
                        &format!("op {word}"),
                        vec![self.expr(left)?, self.expr(right)?],
                    ));
                }
            }
        }
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        Ok(match function {
            Some(function) => build::call(function, vec![left, right]),
            None if op == BinaryOperator::Spaceship => {
                Expr::Nested(Box::new(Expr::IsNotDistinctFrom(Box::new(left), Box::new(right))))
            }
            None => build::binary(left, op, right),
        })
    }

    fn add_interval(
        &mut self,
        value: Expr,
        interval: &Interval,
        sign: i64,
        at: Position,
    ) -> Result<Expr> {
        self.allow("operator", "INTERVAL", at)?;
        let span = self.interval(interval)?;
        let small = |number: i64| {
            i32::try_from(number * sign).map_err(|_| invalid("the interval is too long", at))
        };
        let (months, days) = (small(span.months)?, small(span.days)?);
        Ok(build::call(
            "op interval",
            vec![
                self.expr(value)?,
                build::integer(i64::from(months)),
                build::integer(i64::from(days)),
                build::long(span.micros * sign),
            ],
        ))
    }

    /// `INTERVAL 7 DAYS`, `INTERVAL '7' DAY`, `INTERVAL '7 days'` (one unit).
    pub fn interval(&self, interval: &Interval) -> Result<Span> {
        let at = position(&*interval.value);
        if interval.last_field.is_some()
            || interval.leading_precision.is_some()
            || interval.fractional_seconds_precision.is_some()
        {
            return Err(unsupported("an INTERVAL of several units", at));
        }
        let text = match &*interval.value {
            Expr::Value(value) => match &value.value {
                Value::Number(text, false) | Value::SingleQuotedString(text) => text.clone(),
                _ => return Err(unsupported("this INTERVAL", at)),
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
                Expr::Value(ValueWithSpan { value: Value::Number(text, false), .. }) => {
                    format!("-{text}")
                }
                _ => return Err(unsupported("this INTERVAL", at)),
            },
            _ => return Err(unsupported("an INTERVAL of an expression", at)),
        };
        let (number, unit) = match &interval.leading_field {
            Some(field) => (text.trim().to_owned(), field.to_string()),
            None => match text.trim().split_once(' ') {
                Some((number, unit)) => (number.to_owned(), unit.trim().to_owned()),
                None => return Err(unsupported("this INTERVAL", at)),
            },
        };
        let number: i64 =
            number.parse().map_err(|_| unsupported("an INTERVAL that is not whole", at))?;
        if number.unsigned_abs() > 1_000_000_000 {
            return Err(invalid("the interval is too long", at));
        }
        let unit = unit.to_ascii_lowercase();
        Ok(match unit.strip_suffix('s').unwrap_or(&unit) {
            "year" => Span { months: number * 12, ..Span::default() },
            "month" => Span { months: number, ..Span::default() },
            "week" => Span { days: number * 7, ..Span::default() },
            "day" => Span { days: number, ..Span::default() },
            "hour" => Span { micros: number * 3_600_000_000, ..Span::default() },
            "minute" => Span { micros: number * 60_000_000, ..Span::default() },
            "second" => Span { micros: number * 1_000_000, ..Span::default() },
            _ => return Err(unsupported(format!("an INTERVAL in {unit}"), at)),
        })
    }

    fn literal(&mut self, value: ValueWithSpan, negative: bool) -> Result<Expr> {
        let span = value.span;
        let at = start_of(span);
        Ok(match value.value {
            Value::Number(text, long) => number(&text, long, negative, at)?,
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                build::text(unescape(&text, at)?)
            }
            literal @ (Value::Boolean(_) | Value::Null) => build::value(literal),
            literal @ Value::HexStringLiteral(_) => {
                self.allow("operator", "X literal", at)?;
                build::value(literal)
            }
            other => return Err(unsupported(format!("the literal {other}"), at)),
        })
    }

    fn typed_literal(
        &mut self,
        data_type: &DataType,
        value: &ValueWithSpan,
        at: Position,
    ) -> Result<Expr> {
        let (Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) = &value.value
        else {
            return Err(unsupported("this literal", at));
        };
        let trimmed = cast::trim(text);
        match data_type {
            DataType::Date => {
                self.allow("operator", "DATE literal", at)?;
                let day = format::read_date(trimmed).and_then(format::write_date);
                let day = day.ok_or_else(|| invalid(format!("'{text}' is not a date"), at))?;
                Ok(build::native_cast(build::text(day), DataType::Date))
            }
            DataType::Timestamp(None, TimezoneInfo::None) => {
                self.allow("operator", "TIMESTAMP literal", at)?;
                let micros = format::read_timestamp(trimmed)
                    .filter(|micros| DateTime::from_timestamp_micros(*micros).is_some())
                    .ok_or_else(|| invalid(format!("'{text}' is not a timestamp"), at))?;
                Ok(build::call("timestamp_micros", vec![build::long(micros)]))
            }
            other => Err(unsupported(format!("the literal {other} '{text}'"), at)),
        }
    }

    /// Text that must stand in the SQL itself.
    pub fn text_literal(&mut self, expr: Expr, what: &str) -> Result<String> {
        let at = position(&expr);
        match expr {
            Expr::Value(ValueWithSpan {
                value: Value::SingleQuotedString(text) | Value::DoubleQuotedString(text),
                ..
            }) => unescape(&text, at),
            _ => Err(unsupported(format!("{what} that is not a literal"), at)),
        }
    }
}

/// Spark's escapes in text literals.
pub fn unescape(text: &str, at: Position) -> Result<String> {
    if text.contains('\'') {
        // Spark joins 'a''b' to ab, others read a quote.
        return Err(unsupported("a quote inside a text literal", at));
    }
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            // LIKE needs its escapes: Spark keeps these two.
            Some(c @ ('%' | '_')) => result.extend(['\\', c]),
            Some(c) if c.is_ascii_alphanumeric() && !"0bZu".contains(c) && !c.is_ascii_digit() => {
                result.push(c)
            }
            Some(c) if c.is_ascii_punctuation() => result.push(c),
            _ => return Err(unsupported("this escape in a text literal", at)),
        }
    }
    Ok(result)
}

/// A number with Spark's type: int, bigint, decimal or, with an exponent, double.
fn number(text: &str, long: bool, negative: bool, at: Position) -> Result<Expr> {
    let signed = if negative { format!("-{text}") } else { text.to_owned() };
    if text.contains(['e', 'E']) {
        return Ok(build::double(&signed));
    }
    if !text.contains('.') {
        let number: i64 =
            signed.parse().map_err(|_| unsupported("a whole number beyond bigint", at))?;
        return Ok(if long { build::long(number) } else { build::integer(number) });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.trim_start_matches('0').len() + fraction.len();
    let significant = format!("{whole}{fraction}");
    let precision = significant.trim_start_matches('0').len().max(fraction.len()).max(1);
    if digits > 38 || precision > 38 {
        return Err(unsupported("a decimal of more than 38 digits", at));
    }
    let scale = i64::try_from(fraction.len()).unwrap_or(0);
    Ok(build::decimal(&signed, precision as u64, scale))
}

/// The pattern of LIKE may escape only what it has to.
fn check_like(pattern: &str, at: Position) -> Result<()> {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !matches!(chars.next(), Some('%' | '_' | '\\')) {
            return Err(invalid("in LIKE, `\\` must be followed by `%`, `_` or `\\`", at));
        }
    }
    Ok(())
}

/// Refuses where the parser's precedence is not Spark's and no parentheses say what is meant.
fn check_precedence(left: &Expr, op: &BinaryOperator, right: &Expr, at: Position) -> Result<()> {
    let is = |expr: &Expr, ops: &[BinaryOperator]| matches!(expr, Expr::BinaryOp { op, .. } if ops.contains(op));
    let sums = [BinaryOperator::Plus, BinaryOperator::Minus];
    let comparisons = [
        BinaryOperator::Eq,
        BinaryOperator::NotEq,
        BinaryOperator::Lt,
        BinaryOperator::LtEq,
        BinaryOperator::Gt,
        BinaryOperator::GtEq,
        BinaryOperator::Spaceship,
    ];
    let products = [
        BinaryOperator::Multiply,
        BinaryOperator::Divide,
        BinaryOperator::Modulo,
        BinaryOperator::MyIntegerDivide,
    ];
    let unclear = match op {
        // The parser takes everything after DIV as its right side.
        BinaryOperator::MyIntegerDivide => !matches!(
            right,
            Expr::Identifier(_)
                | Expr::CompoundIdentifier(_)
                | Expr::Value(_)
                | Expr::Nested(_)
                | Expr::Function(_)
                | Expr::Cast { .. }
        ),
        // Spark gives || the precedence of +, the parser that of *.
        BinaryOperator::StringConcat => {
            is(left, &products) || is(right, &products) || is(left, &sums) || is(right, &sums)
        }
        op if sums.contains(op) || products.contains(op) => {
            is(left, &[BinaryOperator::StringConcat]) || is(right, &[BinaryOperator::StringConcat])
        }
        op if comparisons.contains(op) => is(left, &comparisons) || is(right, &comparisons),
        _ => false,
    };
    if unclear {
        return Err(invalid(
            format!("add parentheses: what `{op}` applies to is not clear here"),
            at,
        ));
    }
    Ok(())
}

/// The engine's type for a type written in SQL.
pub fn spark_type(data_type: &DataType, at: Position) -> Result<arrow::datatypes::DataType> {
    use arrow::datatypes::DataType as Arrow;
    Ok(match data_type {
        DataType::Int(None) | DataType::Integer(None) => Arrow::Int32,
        DataType::BigInt(None) => Arrow::Int64,
        DataType::Float(ExactNumberInfo::None) | DataType::Real => Arrow::Float32,
        DataType::Double(ExactNumberInfo::None) => Arrow::Float64,
        DataType::Boolean | DataType::Bool => Arrow::Boolean,
        DataType::String(None) => Arrow::Utf8,
        DataType::Binary(None) => Arrow::Binary,
        DataType::Date => Arrow::Date32,
        DataType::Timestamp(None, TimezoneInfo::None) => types::timestamp_type(),
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => {
            let (precision, scale) = match info {
                ExactNumberInfo::None => (10, 0),
                ExactNumberInfo::Precision(precision) => (*precision, 0),
                ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
            };
            match (u8::try_from(precision), i8::try_from(scale)) {
                (Ok(precision @ 1..=38), Ok(scale))
                    if scale >= 0 && i16::from(scale) <= i16::from(precision) =>
                {
                    Arrow::Decimal128(precision, scale)
                }
                _ => {
                    return Err(invalid(
                        "a decimal has 1 to 38 digits, no more of them after the point",
                        at,
                    ));
                }
            }
        }
        other => return Err(unsupported(format!("the type {other}"), at)),
    })
}
