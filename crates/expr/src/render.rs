//! An expression as SQL for Spark in ANSI mode, in words that the local engine has too. Both fail where expressions are null, so what
//! may fail is written in a way that cannot: in a wider type and back by TRY_CAST, or with `nullif`.

use trivium_model::{DataType, json};

use crate::{
    Datum,
    cast::Convert,
    node::{Asked, Comparison, Kind, Math2, Node, OfText, Operation, TextTest},
    time,
    types::spark_name,
};

type Names<'n> = &'n dyn Fn(usize) -> String;

/// Holds the sum, the difference and the product of any two bigints.
const WIDE: &str = "DECIMAL(19, 0)";

pub(crate) fn render(node: &Node, name: Names<'_>, out: &mut String) {
    match node {
        Node::Column(index) => out.push_str(&name(*index)),
        Node::Literal(value, data_type) => literal(value, data_type, out),
        Node::Cast { value, convert } => cast(&text(value, name), convert, out),
        Node::Arithmetic { operation, kind, left, right } => {
            arithmetic(*operation, *kind, &text(left, name), &text(right, name), out);
        }
        Node::Negate(kind, value) => {
            let value = text(value, name);
            match kind {
                Kind::Int32 => {
                    out.push_str(&format!("TRY_CAST((0 - CAST({value} AS BIGINT)) AS INT)"))
                }
                Kind::Int64 => {
                    out.push_str(&format!("TRY_CAST((0 - CAST({value} AS {WIDE})) AS BIGINT)"))
                }
                Kind::Float32 | Kind::Float64 => out.push_str(&format!("(- {value})")),
            }
        }
        Node::Absolute(kind, value) => {
            let value = text(value, name);
            match kind {
                Kind::Int32 => {
                    out.push_str(&format!("TRY_CAST(abs(CAST({value} AS BIGINT)) AS INT)"))
                }
                Kind::Int64 => {
                    out.push_str(&format!("TRY_CAST(abs(CAST({value} AS {WIDE})) AS BIGINT)"))
                }
                Kind::Float32 | Kind::Float64 => out.push_str(&format!("abs({value})")),
            }
        }
        Node::Compare { comparison, left, right } => {
            let sign = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "<>",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            infix(left, sign, right, name, out);
        }
        Node::Same(left, right) => infix(left, "<=>", right, name, out),
        Node::And(left, right) => infix(left, "AND", right, name, out),
        Node::Or(left, right) => infix(left, "OR", right, name, out),
        Node::Not(value) => out.push_str(&format!("(NOT {})", text(value, name))),
        Node::Is { asked, value, negated } => {
            let not = if *negated { "NOT " } else { "" };
            let what = match asked {
                Asked::Null => "NULL",
                Asked::True => "TRUE",
                Asked::False => "FALSE",
            };
            out.push_str(&format!("({} IS {not}{what})", text(value, name)));
        }
        Node::Between { value, low, high } => {
            // The engines find the common types of each comparison as we do.
            let (low, high) = (text(&low.1, name), text(&high.1, name));
            out.push_str(&format!("({} BETWEEN {low} AND {high})", text(value, name)));
        }
        Node::In { value, list } => {
            out.push_str(&format!("({} IN ({}))", text(value, name), texts(list, name)));
        }
        Node::Case { branches, otherwise } => {
            out.push_str("CASE");
            for (when, then) in branches {
                out.push_str(&format!(" WHEN {} THEN {}", text(when, name), text(then, name)));
            }
            end_case(otherwise.as_deref(), name, out);
        }
        Node::Match { value, branches, otherwise } => {
            out.push_str(&format!("CASE {}", text(value, name)));
            for (_, when, then) in branches {
                out.push_str(&format!(" WHEN {} THEN {}", text(when, name), text(then, name)));
            }
            end_case(otherwise.as_deref(), name, out);
        }
        Node::Coalesce(items) => out.push_str(&format!("coalesce({})", texts(items, name))),
        Node::NullIf { value, other, .. } => call("nullif", &[value, other], name, out),
        Node::Extreme { greatest, items } => {
            let function = if *greatest { "greatest" } else { "least" };
            out.push_str(&format!("{function}({})", texts(items, name)));
        }
        Node::Math(math, value) => call(math.function(), &[value], name, out),
        Node::Math2(math, left, right) => {
            let function = match math {
                Math2::Pow => "pow",
                Math2::Atan2 => "atan2",
            };
            call(function, &[left, right], name, out);
        }
        Node::IsNan(value) => call("isnan", &[value], name, out),
        Node::NanOr(value, other) => call("nanvl", &[value, other], name, out),
        Node::Whole { up, value } => call(if *up { "ceil" } else { "floor" }, &[value], name, out),
        Node::Round { value, scale } => {
            out.push_str(&format!("round({}, {scale})", text(value, name)))
        }
        Node::OfText(function, value) => {
            let function = match function {
                OfText::Lower => "lower",
                OfText::Upper => "upper",
                OfText::Trim => "trim",
                OfText::TrimStart => "ltrim",
                OfText::TrimEnd => "rtrim",
                OfText::Length => "length",
            };
            call(function, &[value], name, out);
        }
        Node::TextTest(test, left, right) => {
            let function = match test {
                TextTest::StartsWith => "startswith",
                TextTest::EndsWith => "endswith",
                TextTest::Contains => "contains",
            };
            call(function, &[left, right], name, out);
        }
        Node::Like { value, pattern } => {
            out.push_str(&format!("({} LIKE '{}')", text(value, name), pattern.as_str()));
        }
        Node::Concat(parts) => out.push_str(&format!("concat({})", texts(parts, name))),
        Node::Substring { value, start, count: Some(count) } => {
            call("substring", &[value, start, count], name, out);
        }
        Node::Substring { value, start, count: None } => {
            call("substring", &[value, start], name, out)
        }
        Node::Left(value, count) => call("left", &[value, count], name, out),
        Node::Right(value, count) => call("right", &[value, count], name, out),
        Node::Part(part, value) => call(part.function(), &[value], name, out),
        Node::Unix { micros, value } => {
            let function = match micros {
                1 => "unix_micros",
                1_000 => "unix_millis",
                _ => "unix_seconds",
            };
            call(function, &[value], name, out);
        }
        Node::UnixDate(value) => call("unix_date", &[value], name, out),
        Node::DateDiff(end, start) => call("datediff", &[end, start], name, out),
    }
}

fn text(node: &Node, name: Names<'_>) -> String {
    let mut out = String::new();
    render(node, name, &mut out);
    out
}

fn texts(nodes: &[Node], name: Names<'_>) -> String {
    nodes.iter().map(|node| text(node, name)).collect::<Vec<_>>().join(", ")
}

fn call(function: &str, args: &[&Node], name: Names<'_>, out: &mut String) {
    let args: Vec<String> = args.iter().map(|arg| text(arg, name)).collect();
    out.push_str(&format!("{function}({})", args.join(", ")));
}

fn infix(left: &Node, sign: &str, right: &Node, name: Names<'_>, out: &mut String) {
    out.push_str(&format!("({} {sign} {})", text(left, name), text(right, name)));
}

fn end_case(otherwise: Option<&Node>, name: Names<'_>, out: &mut String) {
    if let Some(otherwise) = otherwise {
        out.push_str(&format!(" ELSE {}", text(otherwise, name)));
    }
    out.push_str(" END");
}

fn cast(value: &str, convert: &Convert, out: &mut String) {
    out.push_str(&format!("TRY_CAST({value} AS {})", spark_name(&convert.to)));
}

fn arithmetic(operation: Operation, kind: Kind, left: &str, right: &str, out: &mut String) {
    let sign = operation.sign();
    out.push_str(&match (operation, kind) {
        (Operation::Divide | Operation::Remainder, _) => {
            format!("({left} {sign} nullif({right}, {}))", zero(kind))
        }
        // The divisor is a literal that is neither 0 nor -1.
        (Operation::WholeDivide, _) => format!("({left} DIV {right})"),
        (_, Kind::Int32) => {
            format!("TRY_CAST((CAST({left} AS BIGINT) {sign} CAST({right} AS BIGINT)) AS INT)")
        }
        (_, Kind::Int64) => {
            format!("TRY_CAST((CAST({left} AS {WIDE}) {sign} CAST({right} AS {WIDE})) AS BIGINT)")
        }
        (_, Kind::Float32 | Kind::Float64) => format!("({left} {sign} {right})"),
    });
}

const fn zero(kind: Kind) -> &'static str {
    match kind {
        Kind::Int32 | Kind::Int64 => "0",
        Kind::Float32 => "CAST(0 AS FLOAT)",
        Kind::Float64 => "0E0",
    }
}

fn literal(value: &Datum<'_>, data_type: &DataType, out: &mut String) {
    let as_type = |text: String| format!("CAST({text} AS {})", spark_name(data_type));
    out.push_str(&match value {
        Datum::Null | Datum::Opaque => as_type("NULL".to_owned()),
        Datum::Bool(true) => "TRUE".to_owned(),
        Datum::Bool(false) => "FALSE".to_owned(),
        Datum::Int32(value @ 0..) => value.to_string(),
        Datum::Int32(value) => as_type(format!("'{value}'")),
        Datum::Int64(value) => as_type(format!("'{value}'")),
        Datum::Float32(value) => as_type(double(f64::from(*value))),
        Datum::Float64(value) => double(*value),
        Datum::String(text) => string(text),
        Datum::Bytes(bytes) => hexadecimal(bytes),
        Datum::Timestamp(at) => {
            format!("TIMESTAMP '{}'", time::write_timestamp(*at).unwrap_or_default())
        }
        Datum::Date(day) => format!("DATE '{}'", json::day_to_text(*day)),
        Datum::Decimal(unscaled) => as_type(format!(
            "'{}'",
            json::decimal_to_text(*unscaled, crate::types::scale(data_type))
        )),
    });
}

/// Always with an exponent, because Spark reads `1.5` as a decimal. Literals are finite.
fn double(value: f64) -> String {
    if value.is_sign_negative() { format!("(-{:E})", -value) } else { format!("{value:E}") }
}

/// What quotes mean between quotes depends on the engine, so a text with anything but plain letters is its bytes.
fn string(text: &str) -> String {
    let plain = |c: char| !c.is_control() && !matches!(c, '\'' | '"' | '\\' | '{' | '}' | '$');
    if text.chars().all(plain) {
        format!("'{text}'")
    } else {
        format!("CAST({} AS STRING)", hexadecimal(text.as_bytes()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("X'{digits}'")
}
