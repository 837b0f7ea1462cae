//! An expression in its compiled form, and its evaluation.

use std::{borrow::Cow, cmp::Ordering};

use trivium_model::DataType;

use crate::{
    Datum,
    cast::Convert,
    like::Pattern,
    number::{java_pow, round_float},
    text,
    time::Part,
};

/// The numbers that an operation computes with; both sides have been cast to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int32,
    Int64,
    Float32,
    Float64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    /// Of doubles.
    Divide,
    Remainder,
    /// Of bigints, by a literal that is neither 0 nor -1.
    WholeDivide,
}

impl Operation {
    /// As it is written in Spark's SQL; other engines have no `DIV`.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::WholeDivide => "DIV",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What IS asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Null,
    True,
    False,
}

/// A function of one double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Math {
    Sqrt,
    Exp,
    Ln,
    Log10,
    Log2,
    Log1p,
    Sign,
    Degrees,
    Radians,
    Sin,
    Cos,
    Tan,
    Atan,
}

impl Math {
    pub(crate) fn of_function(name: &str) -> Option<Self> {
        Some(match name {
            "sqrt" => Self::Sqrt,
            "exp" => Self::Exp,
            "ln" => Self::Ln,
            "log10" => Self::Log10,
            "log2" => Self::Log2,
            "log1p" => Self::Log1p,
            "sign" | "signum" => Self::Sign,
            "degrees" => Self::Degrees,
            "radians" => Self::Radians,
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" => Self::Tan,
            "atan" => Self::Atan,
            _ => return None,
        })
    }
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Sqrt => "sqrt",
            Self::Exp => "exp",
            Self::Ln => "ln",
            Self::Log10 => "log10",
            Self::Log2 => "log2",
            Self::Log1p => "log1p",
            Self::Sign => "sign",
            Self::Degrees => "degrees",
            Self::Radians => "radians",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tan => "tan",
            Self::Atan => "atan",
        }
    }
    /// Logarithms of what has none are null; NaN's is NaN.
    fn of(self, value: f64) -> Option<f64> {
        let above = |least: f64| value.is_nan() || value > least;
        Some(match self {
            Self::Sqrt => value.sqrt(),
            Self::Exp => value.exp(),
            Self::Ln => above(0.0).then(|| value.ln())?,
            Self::Log10 => above(0.0).then(|| value.log10())?,
            // Spark divides natural logarithms.
            Self::Log2 => above(0.0).then(|| value.ln() / 2f64.ln())?,
            Self::Log1p => above(-1.0).then(|| value.ln_1p())?,
            Self::Sign if value > 0.0 => 1.0,
            Self::Sign if value < 0.0 => -1.0,
            Self::Sign => value,
            // Java multiplies by these constants.
            Self::Degrees => value * 57.29577951308232,
            Self::Radians => value * 0.017453292519943295,
            Self::Sin => value.sin(),
            Self::Cos => value.cos(),
            Self::Tan => value.tan(),
            Self::Atan => value.atan(),
        })
    }
}

/// A function of two doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Math2 {
    Pow,
    Atan2,
}

/// A function of a text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfText {
    Lower,
    Upper,
    Trim,
    TrimStart,
    TrimEnd,
    Length,
}

/// A question about a text and another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

pub(crate) type Child = Box<Node>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Column(usize),
    Literal(Datum<'static>, DataType),
    /// A cast that may make nulls, or one to a wider type.
    Cast {
        value: Child,
        convert: Convert,
    },
    Arithmetic {
        operation: Operation,
        kind: Kind,
        left: Child,
        right: Child,
    },
    Negate(Kind, Child),
    Absolute(Kind, Child),
    Compare {
        comparison: Comparison,
        left: Child,
        right: Child,
    },
    /// `<=>`.
    Same(Child, Child),
    And(Child, Child),
    Or(Child, Child),
    Not(Child),
    Is {
        asked: Asked,
        value: Child,
        negated: bool,
    },
    /// Each end is compared with the value in the type that the two have in common.
    Between {
        value: Child,
        low: (Option<Convert>, Child),
        high: (Option<Convert>, Child),
    },
    In {
        value: Child,
        list: Vec<Node>,
    },
    /// CASE with conditions.
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Child>,
    },
    /// CASE of a value.
    Match {
        value: Child,
        branches: Vec<(Option<Convert>, Node, Node)>,
        otherwise: Option<Child>,
    },
    Coalesce(Vec<Node>),
    NullIf {
        value: Child,
        convert: Option<Convert>,
        other: Child,
    },
    Extreme {
        greatest: bool,
        items: Vec<Node>,
    },
    Math(Math, Child),
    Math2(Math2, Child, Child),
    IsNan(Child),
    NanOr(Child, Child),
    /// Of a double to a bigint.
    Whole {
        up: bool,
        value: Child,
    },
    /// Of a float, to so many digits after the point.
    Round {
        value: Child,
        scale: u8,
    },
    OfText(OfText, Child),
    TextTest(TextTest, Child, Child),
    Like {
        value: Child,
        pattern: Pattern,
    },
    Concat(Vec<Node>),
    Substring {
        value: Child,
        start: Child,
        count: Option<Child>,
    },
    Left(Child, Child),
    Right(Child, Child),
    Part(Part, Child),
    /// Of an instant, in units of so many microseconds since 1970.
    Unix {
        micros: i64,
        value: Child,
    },
    UnixDate(Child),
    DateDiff(Child, Child),
}

/// Applies what a side of a comparison needs; borrows from the value.
fn converted<'d>(convert: Option<&Convert>, value: &'d Datum<'_>) -> Datum<'d> {
    match convert {
        Some(convert) => convert.apply(value.borrowed()),
        None => value.borrowed(),
    }
}

impl Node {
    pub(crate) fn evaluate<'v>(&'v self, values: &dyn Fn(usize) -> Datum<'v>) -> Datum<'v> {
        let of = |node: &'v Self| node.evaluate(values);
        match self {
            Self::Column(index) => values(*index),
            Self::Literal(value, _) => value.borrowed(),
            Self::Cast { value, convert } => convert.apply(of(value)),
            Self::Arithmetic { operation, kind, left, right } => {
                arithmetic(*operation, *kind, &of(left), &of(right))
            }
            Self::Negate(kind, value) => negate(*kind, &of(value)),
            Self::Absolute(kind, value) => absolute(*kind, &of(value)),
            Self::Compare { comparison, left, right } => {
                let order = of(left).order(&of(right));
                Datum::from_truth(order.map(|order| comparison.holds(order)))
            }
            Self::Same(left, right) => {
                let (left, right) = (of(left), of(right));
                Datum::Bool(match (left.is_null(), right.is_null()) {
                    (true, true) => true,
                    (false, false) => left.order(&right).is_some_and(Ordering::is_eq),
                    _ => false,
                })
            }
            Self::And(left, right) => match of(left).truth() {
                Some(false) => Datum::Bool(false),
                left => match (left, of(right).truth()) {
                    (_, Some(false)) => Datum::Bool(false),
                    (Some(_), Some(_)) => Datum::Bool(true),
                    _ => Datum::Null,
                },
            },
            Self::Or(left, right) => match of(left).truth() {
                Some(true) => Datum::Bool(true),
                left => match (left, of(right).truth()) {
                    (_, Some(true)) => Datum::Bool(true),
                    (Some(_), Some(_)) => Datum::Bool(false),
                    _ => Datum::Null,
                },
            },
            Self::Not(value) => Datum::from_truth(of(value).truth().map(|value| !value)),
            Self::Is { asked, value, negated } => {
                let value = of(value);
                let is = match asked {
                    Asked::Null => value.is_null(),
                    Asked::True => value.truth() == Some(true),
                    Asked::False => value.truth() == Some(false),
                };
                Datum::Bool(is != *negated)
            }
            Self::Between { value, low, high } => {
                let value = of(value);
                let side = |(convert, end): &'v (Option<Convert>, Child)| {
                    converted(convert.as_ref(), &value).order(&of(end))
                };
                match (side(low).map(Ordering::is_ge), side(high).map(Ordering::is_le)) {
                    (Some(false), _) | (_, Some(false)) => Datum::Bool(false),
                    (Some(_), Some(_)) => Datum::Bool(true),
                    _ => Datum::Null,
                }
            }
            Self::In { value, list } => {
                let value = of(value);
                if value.is_null() {
                    return Datum::Null;
                }
                let mut unknown = false;
                for item in list {
                    match value.order(&of(item)) {
                        Some(order) if order.is_eq() => return Datum::Bool(true),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown { Datum::Null } else { Datum::Bool(false) }
            }
            Self::Case { branches, otherwise } => {
                let hit = branches.iter().find(|(when, _)| of(when).truth() == Some(true));
                match hit.map(|(_, then)| then).or(otherwise.as_deref()) {
                    Some(result) => of(result),
                    None => Datum::Null,
                }
            }
            Self::Match { value, branches, otherwise } => {
                let value = of(value);
                let hit = branches.iter().find(|(convert, when, _)| {
                    let order = converted(convert.as_ref(), &value).order(&of(when));
                    order.is_some_and(Ordering::is_eq)
                });
                match hit.map(|(_, _, then)| then).or(otherwise.as_deref()) {
                    Some(result) => of(result),
                    None => Datum::Null,
                }
            }
            Self::Coalesce(items) => {
                items.iter().map(of).find(|item| !item.is_null()).unwrap_or(Datum::Null)
            }
            Self::NullIf { value, convert, other } => {
                let value = of(value);
                let order = converted(convert.as_ref(), &value).order(&of(other));
                if order.is_some_and(Ordering::is_eq) { Datum::Null } else { value }
            }
            Self::Extreme { greatest, items } => {
                let better = if *greatest { Ordering::Greater } else { Ordering::Less };
                // A tie keeps the first; nothing does not count.
                items.iter().map(of).fold(Datum::Null, |best, item| {
                    if item.is_null() {
                        return best;
                    }
                    match item.order(&best) {
                        Some(order) if order != better => best,
                        _ => item,
                    }
                })
            }
            Self::Math(math, value) => {
                let value = of(value).double();
                value.and_then(|value| math.of(value)).map_or(Datum::Null, Datum::Float64)
            }
            Self::Math2(math, left, right) => match (of(left).double(), of(right).double()) {
                (Some(left), Some(right)) => Datum::Float64(match math {
                    Math2::Pow => java_pow(left, right),
                    Math2::Atan2 => (left + 0.0).atan2(right + 0.0),
                }),
                _ => Datum::Null,
            },
            Self::IsNan(value) => Datum::Bool(of(value).double().is_some_and(f64::is_nan)),
            Self::NanOr(value, other) => match of(value) {
                Datum::Float64(value) if value.is_nan() => of(other),
                value => value,
            },
            Self::Whole { up, value } => match of(value).double() {
                // Java's cast: NaN is 0, what does not fit is the nearest end. Rust's is the same.
                Some(value) if *up => Datum::Int64(value.ceil() as i64),
                Some(value) => Datum::Int64(value.floor() as i64),
                None => Datum::Null,
            },
            Self::Round { value, scale } => match of(value) {
                Datum::Float64(value) => {
                    round_float(value, &format!("{value:e}"), *scale).map(Datum::Float64)
                }
                // Java rounds the double that the float is, not the digits that it is written with.
                Datum::Float32(value) => {
                    let value = f64::from(value);
                    round_float(value, &format!("{value:e}"), *scale)
                        .map(|value| Datum::Float32(value as f32))
                }
                _ => None,
            }
            .unwrap_or(Datum::Null),
            Self::OfText(function, value) => of_text(*function, of(value)),
            Self::TextTest(test, left, right) => {
                let (left, right) = (of(left), of(right));
                let (Some(text), Some(what)) = (left.text(), right.text()) else {
                    return Datum::Null;
                };
                Datum::Bool(match test {
                    TextTest::StartsWith => text.starts_with(what),
                    TextTest::EndsWith => text.ends_with(what),
                    TextTest::Contains => text.contains(what),
                })
            }
            Self::Like { value, pattern } => {
                Datum::from_truth(of(value).text().map(|text| pattern.matches(text)))
            }
            Self::Concat(parts) => text::concat(parts.iter().map(of)),
            Self::Substring { value, start, count } => {
                let count = match count {
                    Some(count) => of(count).int(),
                    None => Some(i32::MAX),
                };
                match (of(start).int(), count) {
                    (Some(start), Some(count)) => {
                        text::part(of(value), |text| text::slice(text, start, count))
                    }
                    _ => Datum::Null,
                }
            }
            Self::Left(value, count) => match of(count).int() {
                Some(count) => text::part(of(value), |text| text::slice(text, 1, count)),
                None => Datum::Null,
            },
            Self::Right(value, count) => match of(count).int() {
                Some(count) => text::part(of(value), |text| text::last(text, count)),
                None => Datum::Null,
            },
            Self::Part(part, value) => match of(value) {
                Datum::Date(day) => part.of_day(day),
                Datum::Timestamp(at) => part.of_instant(at),
                _ => None,
            }
            .map_or(Datum::Null, Datum::Int32),
            Self::Unix { micros, value } => {
                of(value).at().map_or(Datum::Null, |at| Datum::Int64(at.0.div_euclid(*micros)))
            }
            Self::UnixDate(value) => of(value).day().map_or(Datum::Null, Datum::Int32),
            Self::DateDiff(end, start) => match (of(end).day(), of(start).day()) {
                (Some(end), Some(start)) => {
                    end.checked_sub(start).map_or(Datum::Null, Datum::Int32)
                }
                _ => Datum::Null,
            },
        }
    }
}

fn of_text<'v>(function: OfText, value: Datum<'v>) -> Datum<'v> {
    match function {
        OfText::Trim => text::part(value, |text| text.trim_matches(' ')),
        OfText::TrimStart => text::part(value, |text| text.trim_start_matches(' ')),
        OfText::TrimEnd => text::part(value, |text| text.trim_end_matches(' ')),
        OfText::Lower | OfText::Upper | OfText::Length => match (function, value.text()) {
            (OfText::Lower, Some(text)) => Datum::String(Cow::Owned(text.to_lowercase())),
            (OfText::Upper, Some(text)) => Datum::String(Cow::Owned(text.to_uppercase())),
            (_, Some(text)) => {
                i32::try_from(text.chars().count()).map_or(Datum::Null, Datum::Int32)
            }
            (_, None) => Datum::Null,
        },
    }
}

fn arithmetic(
    operation: Operation,
    kind: Kind,
    left: &Datum<'_>,
    right: &Datum<'_>,
) -> Datum<'static> {
    match (kind, left, right) {
        (Kind::Int32, Datum::Int32(left), Datum::Int32(right)) => {
            whole(operation, i64::from(*left), i64::from(*right))
                .and_then(|value| i32::try_from(value).ok())
                .map_or(Datum::Null, Datum::Int32)
        }
        (Kind::Int64, Datum::Int64(left), Datum::Int64(right)) => {
            whole(operation, *left, *right).map_or(Datum::Null, Datum::Int64)
        }
        (Kind::Float32, Datum::Float32(left), Datum::Float32(right)) => match operation {
            Operation::Add => Datum::Float32(left + right),
            Operation::Subtract => Datum::Float32(left - right),
            Operation::Multiply => Datum::Float32(left * right),
            Operation::Remainder if *right != 0.0 => Datum::Float32(left % right),
            _ => Datum::Null,
        },
        (Kind::Float64, Datum::Float64(left), Datum::Float64(right)) => match operation {
            Operation::Add => Datum::Float64(left + right),
            Operation::Subtract => Datum::Float64(left - right),
            Operation::Multiply => Datum::Float64(left * right),
            Operation::Divide if *right != 0.0 => Datum::Float64(left / right),
            Operation::Remainder if *right != 0.0 => Datum::Float64(left % right),
            _ => Datum::Null,
        },
        _ => Datum::Null,
    }
}

/// `None` where there is no such number.
fn whole(operation: Operation, left: i64, right: i64) -> Option<i64> {
    match operation {
        Operation::Add => left.checked_add(right),
        Operation::Subtract => left.checked_sub(right),
        Operation::Multiply => left.checked_mul(right),
        Operation::Divide | Operation::WholeDivide => left.checked_div(right),
        // The remainder by -1 is 0, although the quotient may not exist.
        Operation::Remainder => (right != 0).then(|| left.wrapping_rem(right)),
    }
}

fn negate(kind: Kind, value: &Datum<'_>) -> Datum<'static> {
    match (kind, value) {
        (Kind::Int32, Datum::Int32(value)) => value.checked_neg().map_or(Datum::Null, Datum::Int32),
        (Kind::Int64, Datum::Int64(value)) => value.checked_neg().map_or(Datum::Null, Datum::Int64),
        (Kind::Float32, Datum::Float32(value)) => Datum::Float32(-value),
        (Kind::Float64, Datum::Float64(value)) => Datum::Float64(-value),
        _ => Datum::Null,
    }
}

fn absolute(kind: Kind, value: &Datum<'_>) -> Datum<'static> {
    match (kind, value) {
        (Kind::Int32, Datum::Int32(value)) => value.checked_abs().map_or(Datum::Null, Datum::Int32),
        (Kind::Int64, Datum::Int64(value)) => value.checked_abs().map_or(Datum::Null, Datum::Int64),
        (Kind::Float32, Datum::Float32(value)) => Datum::Float32(value.abs()),
        (Kind::Float64, Datum::Float64(value)) => Datum::Float64(value.abs()),
        _ => Datum::Null,
    }
}
