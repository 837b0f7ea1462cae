//! An expression as SQL for Flink. What Flink computes otherwise, or fails at, is written in a way that gives the same;
//! where there is none, the expression is refused, and it is said what it was.
//!
//! Flink's differences: whole numbers wrap, NaN is nothing's equal and above nothing, and a cast that cannot be fails.

use trivium_model::{DataType, json};

use crate::{
    Columns, Datum,
    cast::Convert,
    node::{Asked, Comparison, Kind, Node, OfText, Operation, TextTest},
    time,
};

/// The longest SQL that is made of an expression, in bytes: some operands are written more than once.
const SQL_BYTES_MAX: usize = 64 << 10;
/// Holds the sum, the difference and the product of any two bigints.
const WIDE: &str = "DECIMAL(19, 0)";

/// Writes expressions over these columns.
pub(crate) struct Flink<'e> {
    pub columns: &'e Columns,
    /// Writes a column.
    pub name: &'e dyn Fn(usize) -> String,
}

/// What has no equal.
type Refused = String;

fn refused<T>(what: impl Into<String>, why: &str) -> Result<T, Refused> {
    Err(format!("{}: {why}", what.into()))
}

pub(crate) fn type_name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Bool => "BOOLEAN".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::String => "STRING".to_owned(),
        DataType::Timestamp => "TIMESTAMP_LTZ(6)".to_owned(),
        DataType::Date => "DATE".to_owned(),
        DataType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        DataType::Bytes | DataType::List(_) | DataType::Embedding { .. } => return None,
    })
}

const fn kind_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Float32 => DataType::Float32,
        Kind::Float64 => DataType::Float64,
    }
}

const fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

impl Flink<'_> {
    pub fn write(&self, node: &Node) -> Result<String, Refused> {
        let text = self.node(node)?;
        if text.len() > SQL_BYTES_MAX {
            return refused("the expression", "its SQL would be longer than 64 KiB");
        }
        Ok(text)
    }

    /// The type of a node's values, as far as it matters here.
    fn type_of(&self, node: &Node) -> Result<DataType, Refused> {
        Ok(match node {
            Node::Column(index) => match self.columns.get(*index) {
                Some(column) => column.data_type.clone(),
                None => return refused("a column", "it is not known"),
            },
            Node::Literal(_, data_type) => data_type.clone(),
            Node::Cast { convert, .. } => convert.to.clone(),
            Node::Arithmetic { operation: Operation::WholeDivide, .. } | Node::Whole { .. } => {
                DataType::Int64
            }
            Node::Arithmetic { kind, .. } | Node::Negate(kind, _) | Node::Absolute(kind, _) => {
                kind_type(*kind)
            }
            Node::Case { branches, otherwise } => {
                self.first_type(branches.iter().map(|(_, then)| then), otherwise.as_deref())?
            }
            Node::Match { branches, otherwise, .. } => {
                self.first_type(branches.iter().map(|(_, _, then)| then), otherwise.as_deref())?
            }
            Node::Coalesce(items) => self.first_type(items.iter(), None)?,
            Node::NullIf { value, .. } | Node::OfText(_, value) if !is_length(node) => {
                self.type_of(value)?
            }
            Node::OfText(..) => DataType::Int32,
            Node::Compare { .. }
            | Node::Same(..)
            | Node::And(..)
            | Node::Or(..)
            | Node::Not(_)
            | Node::Is { .. }
            | Node::Between { .. }
            | Node::In { .. }
            | Node::TextTest(..)
            | Node::Like { .. }
            | Node::IsNan(_) => DataType::Bool,
            other => return refused(word(other), "it has no equal in Flink"),
        })
    }

    fn first_type<'n>(
        &self,
        mut nodes: impl Iterator<Item = &'n Node>,
        otherwise: Option<&Node>,
    ) -> Result<DataType, Refused> {
        match nodes.next().or(otherwise) {
            Some(node) => self.type_of(node),
            None => refused("CASE", "it gives nothing"),
        }
    }

    fn node(&self, node: &Node) -> Result<String, Refused> {
        Ok(match node {
            Node::Column(index) => (self.name)(*index),
            Node::Literal(value, data_type) => literal(value, data_type)?,
            Node::Cast { value, convert } => {
                self.cast(&self.type_of(value)?, self.write(value)?, convert)?
            }
            Node::Arithmetic { operation, kind, left, right } => {
                self.arithmetic(*operation, *kind, &self.write(left)?, &self.write(right)?)?
            }
            Node::Negate(kind, value) => {
                let value = self.write(value)?;
                match kind {
                    Kind::Float32 | Kind::Float64 => format!("(- {value})"),
                    Kind::Int32 => bounded(*kind, &format!("(0 - CAST({value} AS BIGINT))")),
                    Kind::Int64 => bounded(*kind, &format!("(0 - CAST({value} AS {WIDE}))")),
                }
            }
            Node::Absolute(kind, value) => {
                let value = self.write(value)?;
                match kind {
                    Kind::Float32 | Kind::Float64 => format!("ABS({value})"),
                    Kind::Int32 => bounded(*kind, &format!("ABS(CAST({value} AS BIGINT))")),
                    Kind::Int64 => bounded(*kind, &format!("ABS(CAST({value} AS {WIDE}))")),
                }
            }
            Node::Compare { comparison, left, right } => {
                let data_type = self.type_of(left)?;
                self.compare(*comparison, &data_type, &self.write(left)?, &self.write(right)?)?
            }
            Node::Same(left, right) => {
                if is_float(&self.type_of(left)?) {
                    return refused("`<=>` of floats", "Flink has no word for it");
                }
                format!("({} IS NOT DISTINCT FROM {})", self.write(left)?, self.write(right)?)
            }
            Node::And(left, right) => {
                format!("({} AND {})", self.write(left)?, self.write(right)?)
            }
            Node::Or(left, right) => format!("({} OR {})", self.write(left)?, self.write(right)?),
            Node::Not(value) => format!("(NOT {})", self.write(value)?),
            Node::Is { asked, value, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let what = match asked {
                    Asked::Null => "NULL",
                    Asked::True => "TRUE",
                    Asked::False => "FALSE",
                };
                format!("({} IS {not}{what})", self.write(value)?)
            }
            Node::Between { value, low, high } => {
                let of_value = self.type_of(value)?;
                let text = self.write(value)?;
                let side = |comparison, (convert, end): &(Option<Convert>, Box<Node>)| {
                    let value = self.converted(convert.as_ref(), &of_value, &text)?;
                    self.compare(comparison, &self.type_of(end)?, &value, &self.write(end)?)
                };
                let low = side(Comparison::GreaterOrEqual, low)?;
                format!("({low} AND {})", side(Comparison::LessOrEqual, high)?)
            }
            Node::In { value, list } => {
                let (of, text) = (self.type_of(value)?, self.write(value)?);
                let equal =
                    |item: &Node| self.compare(Comparison::Equal, &of, &text, &self.write(item)?);
                let any: Vec<String> = list.iter().map(equal).collect::<Result<_, _>>()?;
                format!("({})", any.join(" OR "))
            }
            Node::Case { branches, otherwise } => {
                let mut out = "CASE".to_owned();
                for (when, then) in branches {
                    out.push_str(&format!(
                        " WHEN {} THEN {}",
                        self.write(when)?,
                        self.write(then)?
                    ));
                }
                self.end_case(out, otherwise.as_deref())?
            }
            Node::Match { value, branches, otherwise } => {
                let (of, text) = (self.type_of(value)?, self.write(value)?);
                let mut out = "CASE".to_owned();
                for (convert, when, then) in branches {
                    let value = self.converted(convert.as_ref(), &of, &text)?;
                    let data_type = self.type_of(when)?;
                    let is =
                        self.compare(Comparison::Equal, &data_type, &value, &self.write(when)?)?;
                    out.push_str(&format!(" WHEN {is} THEN {}", self.write(then)?));
                }
                self.end_case(out, otherwise.as_deref())?
            }
            Node::Coalesce(items) => format!("COALESCE({})", self.list(items)?),
            Node::NullIf { value, convert, other } => {
                let (of, text) = (self.type_of(value)?, self.write(value)?);
                let value = self.converted(convert.as_ref(), &of, &text)?;
                let data_type = self.type_of(other)?;
                let is =
                    self.compare(Comparison::Equal, &data_type, &value, &self.write(other)?)?;
                format!("CASE WHEN {is} THEN {} ELSE {text} END", null(&of)?)
            }
            // Of null it is false.
            Node::IsNan(value) => format!("COALESCE({}, FALSE)", is_nan(&self.write(value)?)),
            Node::OfText(function, value) => {
                let value = self.write(value)?;
                match function {
                    OfText::Lower => format!("LOWER({value})"),
                    OfText::Upper => format!("UPPER({value})"),
                    OfText::Trim => format!("TRIM(BOTH ' ' FROM {value})"),
                    OfText::TrimStart => format!("TRIM(LEADING ' ' FROM {value})"),
                    OfText::TrimEnd => format!("TRIM(TRAILING ' ' FROM {value})"),
                    OfText::Length => format!("CHAR_LENGTH({value})"),
                }
            }
            Node::TextTest(test, left, right) => {
                let (left, right) = (self.write(left)?, self.write(right)?);
                match test {
                    TextTest::StartsWith => format!("STARTSWITH({left}, {right})"),
                    TextTest::EndsWith => format!("ENDSWITH({left}, {right})"),
                    TextTest::Contains => format!("(POSITION({right} IN {left}) > 0)"),
                }
            }
            Node::Like { value, pattern } => {
                if pattern.as_str().contains('_') {
                    return refused(
                        "`_` in a pattern of LIKE",
                        "Flink's passes over no line's end",
                    );
                }
                format!("({} LIKE {})", self.write(value)?, text(pattern.as_str()))
            }
            other => return refused(word(other), "it has no equal in Flink"),
        })
    }

    fn list(&self, nodes: &[Node]) -> Result<String, Refused> {
        let all: Vec<String> =
            nodes.iter().map(|node| self.write(node)).collect::<Result<_, _>>()?;
        Ok(all.join(", "))
    }

    fn end_case(&self, mut out: String, otherwise: Option<&Node>) -> Result<String, Refused> {
        if let Some(otherwise) = otherwise {
            out.push_str(&format!(" ELSE {}", self.write(otherwise)?));
        }
        Ok(format!("{out} END"))
    }

    fn converted(
        &self,
        convert: Option<&Convert>,
        from: &DataType,
        value: &str,
    ) -> Result<String, Refused> {
        match convert {
            Some(convert) => self.cast(from, value.to_owned(), convert),
            None => Ok(value.to_owned()),
        }
    }

    /// Casts that lose nothing, or what a double has no place for.
    fn cast(&self, from: &DataType, value: String, convert: &Convert) -> Result<String, Refused> {
        use DataType::{Date, Decimal, Float32, Float64, Int32, Int64, Timestamp};
        let to = &convert.to;
        if from == to {
            return Ok(value);
        }
        let has_room = match (from, to) {
            (Int32, Int64) | (Int32 | Int64 | Float32 | Decimal { .. }, Float64) => true,
            (Int32 | Int64, Decimal { precision, scale }) => {
                precision - scale >= if *from == Int32 { 10 } else { 19 }
            }
            (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
                scale >= s && precision - scale >= p - s
            }
            (Date, Timestamp) => {
                return Ok(format!("CAST(CAST({value} AS TIMESTAMP(6)) AS TIMESTAMP_LTZ(6))"));
            }
            _ => false,
        };
        match type_name(to).filter(|_| has_room) {
            Some(name) => Ok(format!("CAST({value} AS {name})")),
            None => refused(format!("a cast from {from} to {to}"), "Flink's is another"),
        }
    }

    fn compare(
        &self,
        comparison: Comparison,
        data_type: &DataType,
        left: &str,
        right: &str,
    ) -> Result<String, Refused> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let sign = match comparison {
            Equal => "=",
            NotEqual => "<>",
            Less => "<",
            LessOrEqual => "<=",
            Greater => ">",
            GreaterOrEqual => ">=",
        };
        let is_equality = matches!(comparison, Equal | NotEqual);
        match data_type {
            DataType::Bytes | DataType::List(_) | DataType::Embedding { .. } => {
                return refused(format!("`{sign}` of {data_type}"), "it has no equal in Flink");
            }
            DataType::Bool if !is_equality => {
                return refused(format!("`{sign}` of bool"), "it has no equal in Flink");
            }
            data_type if !is_float(data_type) => return Ok(format!("({left} {sign} {right})")),
            _ => {}
        }
        // NaN is one value, above all others.
        let holds = |so: bool| if so { "TRUE" } else { "FALSE" };
        let (both, first, second) = (
            holds(matches!(comparison, Equal | LessOrEqual | GreaterOrEqual)),
            holds(matches!(comparison, NotEqual | Greater | GreaterOrEqual)),
            holds(matches!(comparison, NotEqual | Less | LessOrEqual)),
        );
        Ok(format!(
            "CASE WHEN {left} IS NULL OR {right} IS NULL THEN CAST(NULL AS BOOLEAN) WHEN {l} AND {r} THEN {both} WHEN {l} THEN {first} WHEN {r} THEN {second} ELSE {left} {sign} {right} END",
            l = is_nan(left),
            r = is_nan(right),
        ))
    }

    fn arithmetic(
        &self,
        operation: Operation,
        kind: Kind,
        left: &str,
        right: &str,
    ) -> Result<String, Refused> {
        let sign = operation.sign();
        let is_whole = matches!(kind, Kind::Int32 | Kind::Int64);
        Ok(match operation {
            Operation::Divide => format!("({left} / NULLIF({right}, CAST('0' AS DOUBLE)))"),
            // The divisor is a literal that is neither 0 nor -1.
            Operation::WholeDivide => format!("({left} / {right})"),
            Operation::Remainder if is_whole => format!("MOD({left}, NULLIF({right}, 0))"),
            Operation::Remainder => return refused("`%` of floats", "it has no equal in Flink"),
            _ if !is_whole => format!("({left} {sign} {right})"),
            _ => {
                let wide = if kind == Kind::Int32 { "BIGINT" } else { WIDE };
                bounded(kind, &format!("(CAST({left} AS {wide}) {sign} CAST({right} AS {wide}))"))
            }
        })
    }
}

fn is_length(node: &Node) -> bool {
    matches!(node, Node::OfText(OfText::Length, _))
}

fn is_nan(value: &str) -> String {
    format!("(CAST({value} AS STRING) = 'NaN')")
}

/// A whole number of a wider type; null where it is beyond its own.
fn bounded(kind: Kind, wide: &str) -> String {
    let (least, most, name) = match kind {
        Kind::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX), "INT"),
        _ => (i64::MIN, i64::MAX, "BIGINT"),
    };
    let bound = |value: i64| format!("CAST('{value}' AS BIGINT)");
    format!(
        "CASE WHEN {wide} BETWEEN {} AND {} THEN CAST({wide} AS {name}) END",
        bound(least),
        bound(most)
    )
}

fn null(data_type: &DataType) -> Result<String, Refused> {
    match type_name(data_type) {
        Some(name) => Ok(format!("CAST(NULL AS {name})")),
        None => refused(format!("NULL as {data_type}"), "it has no equal in Flink"),
    }
}

fn literal(value: &Datum<'_>, data_type: &DataType) -> Result<String, Refused> {
    let written = match value {
        Datum::Null | Datum::Opaque => return null(data_type),
        Datum::Bool(true) => return Ok("TRUE".to_owned()),
        Datum::Bool(false) => return Ok("FALSE".to_owned()),
        Datum::String(value) => return Ok(format!("CAST({} AS STRING)", text(value))),
        Datum::Bytes(_) => return refused("bytes", "they have no equal in Flink"),
        Datum::Int32(value) => value.to_string(),
        Datum::Int64(value) => value.to_string(),
        Datum::Float32(value) => format!("{value:E}"),
        Datum::Float64(value) => format!("{value:E}"),
        Datum::Date(day) => time::write_date(*day).unwrap_or_default(),
        Datum::Timestamp(at) => time::write_timestamp(*at).unwrap_or_default(),
        Datum::Decimal(unscaled) => {
            json::decimal_to_text(*unscaled, crate::types::scale(data_type))
        }
    };
    match type_name(data_type) {
        Some(name) => Ok(format!("CAST('{written}' AS {name})")),
        None => refused(format!("a {data_type}"), "it has no equal in Flink"),
    }
}

/// A literal of text. What could be read as anything but a letter is written by its number.
fn text(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " .,:_%+=<>()!?#@&".contains(c);
    if value.chars().all(is_plain) {
        return format!("'{value}'");
    }
    let mut out = "U&'".to_owned();
    for c in value.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().for_each(|unit| out.push_str(&format!("\\{unit:04x}")));
        }
    }
    out.push('\'');
    out
}

/// What an author calls it.
fn word(node: &Node) -> String {
    let function = |name: &str| format!("`{name}`");
    match node {
        Node::Extreme { greatest: true, .. } => function("greatest"),
        Node::Extreme { .. } => function("least"),
        Node::Math(math, _) => function(math.function()),
        Node::Math2(..) => "`pow` or `atan2`".to_owned(),
        Node::NanOr(..) => function("nanvl"),
        Node::Whole { up: true, .. } => function("ceil"),
        Node::Whole { .. } => function("floor"),
        Node::Round { .. } => function("round"),
        Node::Concat(_) => function("concat"),
        Node::Substring { .. } => function("substring"),
        Node::Left(..) => function("left"),
        Node::Right(..) => function("right"),
        Node::Part(part, _) => function(part.function()),
        Node::Unix { .. } => "seconds of an instant".to_owned(),
        Node::UnixDate(_) => function("unix_date"),
        Node::DateDiff(..) => function("datediff"),
        _ => "a part of the expression".to_owned(),
    }
}
