//! From a parsed tree to a typed one: every construct by name, every other refused.

mod operators;

use std::collections::BTreeSet;

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Ident, TrimWhereField,
    UnaryOperator,
};
use trivium_model::DataType;

use crate::{
    Columns, Datum, EXPRESSION_DEPTH_MAX, Expression, Problem,
    cast::Convert,
    columns::Found,
    literals,
    node::{Asked, Comparison, Kind, Node, OfText, Operation},
    parse::Places,
    time::Part,
    types,
};

/// A node and its type; none is a null's.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) node: Node,
    pub(crate) data_type: Option<DataType>,
}

impl Typed {
    pub(crate) const fn new(node: Node, data_type: DataType) -> Self {
        Self { node, data_type: Some(data_type) }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Problem>;

pub(crate) struct Compiler<'c> {
    columns: &'c Columns,
    places: &'c Places<'c>,
    used: BTreeSet<usize>,
    depth: usize,
}

/// Precedence is the parser's, and not always Spark's: what may be read in two ways wants parentheses.
fn is_comparison(op: &BinaryOperator) -> bool {
    comparison(op).is_some() || *op == BinaryOperator::Spaceship
}
const fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
const fn operation(op: &BinaryOperator) -> Option<Operation> {
    Some(match op {
        BinaryOperator::Plus => Operation::Add,
        BinaryOperator::Minus => Operation::Subtract,
        BinaryOperator::Multiply => Operation::Multiply,
        BinaryOperator::Divide => Operation::Divide,
        BinaryOperator::Modulo => Operation::Remainder,
        BinaryOperator::MyIntegerDivide => Operation::WholeDivide,
        _ => return None,
    })
}
/// Whether it answers yes or no without parentheses around it.
fn is_test(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => {
            is_comparison(op) || matches!(op, BinaryOperator::And | BinaryOperator::Or)
        }
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::Like { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..) => true,
        _ => false,
    }
}
fn is_concat(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::StringConcat, .. })
}
fn is_arithmetic(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op, .. } if operation(op).is_some())
}

impl<'c> Compiler<'c> {
    pub(crate) const fn new(columns: &'c Columns, places: &'c Places<'c>) -> Self {
        Self { columns, places, used: BTreeSet::new(), depth: 0 }
    }

    pub(crate) fn expression(mut self, tree: &Expr) -> Result<Expression> {
        let Typed { node, data_type } = self.expr(tree)?;
        let Some(data_type) = data_type else {
            let help = "write something that may be there, or cast it, as in `CAST(NULL AS INT)`";
            return Err(Problem::new(0, "the expression is always null and has no type", help));
        };
        if types::is_opaque(&data_type) {
            let help = "of a list or an embedding only IS NULL can be asked";
            return Err(Problem::new(0, format!("the expression is a {data_type}"), help));
        }
        Ok(Expression { node, data_type, columns: self.used.into_iter().collect() })
    }

    pub(crate) fn problem(
        &self,
        at: &Expr,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem::new(self.places.of(at), message, help)
    }

    pub(crate) fn expr(&mut self, expr: &Expr) -> Result<Typed> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            let help = format!(
                "at most {EXPRESSION_DEPTH_MAX} levels, or terms of a sum: compute a part in the view"
            );
            return Err(Problem::new(0, "the expression nests too deeply", help));
        }
        let typed = self.construct(expr)?;
        self.depth -= 1;
        Ok(typed)
    }

    fn construct(&mut self, expr: &Expr) -> Result<Typed> {
        let test = |node: Node| Ok(Typed::new(node, DataType::Bool));
        match expr {
            Expr::Nested(inner) => self.expr(inner),
            Expr::Identifier(ident) => self.column(expr, None, ident),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [qualifier, name] => self.column(expr, Some(qualifier), name),
                _ => Err(self.problem(
                    expr,
                    format!("`{expr}` is no column"),
                    "write `view.feature`",
                )),
            },
            Expr::Value(value) => {
                let at = self.places.of_span(value.span);
                literals::literal(&value.value, false, at)
                    .map(|(node, data_type)| Typed { node, data_type })
            }
            Expr::TypedString(literal) => {
                let at = self.places.of(expr);
                literals::typed(&literal.data_type, &literal.value.value, at)
                    .map(|(node, data_type)| Typed { node, data_type })
            }
            Expr::IsNull(inner) => self.is(Asked::Null, inner, false),
            Expr::IsNotNull(inner) => self.is(Asked::Null, inner, true),
            Expr::IsTrue(inner) => self.is(Asked::True, inner, false),
            Expr::IsNotTrue(inner) => self.is(Asked::True, inner, true),
            Expr::IsFalse(inner) => self.is(Asked::False, inner, false),
            Expr::IsNotFalse(inner) => self.is(Asked::False, inner, true),
            Expr::IsNotDistinctFrom(left, right) => self.same(left, right),
            Expr::IsDistinctFrom(left, right) => {
                let same = self.same(left, right)?;
                test(Node::Not(Box::new(same.node)))
            }
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                let value = self.truth(expr, "NOT")?;
                test(Node::Not(Box::new(value)))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => self.minus(expr),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => {
                let value = self.expr(inner)?;
                self.kind(inner, &value, "+")?;
                Ok(value)
            }
            Expr::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Like { negated, any: false, expr: value, pattern, escape_char: None } => {
                let pattern = self.pattern(pattern)?;
                let value = self.text(value, "LIKE")?;
                let node = Node::Like { value: Box::new(value), pattern };
                test(if *negated { Node::Not(Box::new(node)) } else { node })
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(expr, operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { kind, expr: value, data_type, array: false, format: None }
                if *kind != CastKind::SafeCast =>
            {
                let to = self.cast_type(expr, data_type)?;
                self.cast(value, to)
            }
            Expr::Extract { field, expr: value, .. } => {
                let name = match field {
                    DateTimeField::Year | DateTimeField::Years => "year",
                    DateTimeField::Quarter => "quarter",
                    DateTimeField::Month | DateTimeField::Months => "month",
                    DateTimeField::Week(None) | DateTimeField::Weeks => "weekofyear",
                    DateTimeField::Day | DateTimeField::Days => "day",
                    DateTimeField::DayOfWeek | DateTimeField::Dow => "dayofweek",
                    DateTimeField::Doy | DateTimeField::DayOfYear => "dayofyear",
                    DateTimeField::Hour | DateTimeField::Hours => "hour",
                    DateTimeField::Minute | DateTimeField::Minutes => "minute",
                    other => {
                        let help = "extract YEAR, QUARTER, MONTH, WEEK, DAY, DAYOFWEEK, DOY, HOUR or MINUTE";
                        return Err(self.problem(expr, format!("EXTRACT of {other}"), help));
                    }
                };
                match Part::of_function(name) {
                    Some(part) => self.part(part, value),
                    None => Err(self.refused(expr)),
                }
            }
            Expr::Ceil { expr: value, field } if plain(field) => self.whole(true, value),
            Expr::Floor { expr: value, field } if plain(field) => self.whole(false, value),
            Expr::Substring { expr: value, substring_from: Some(from), substring_for, .. } => {
                self.substring(value, from, substring_for.as_deref())
            }
            Expr::Trim { trim_where, trim_what: None, expr: value, trim_characters: None } => {
                let function = match trim_where {
                    None | Some(TrimWhereField::Both) => OfText::Trim,
                    Some(TrimWhereField::Leading) => OfText::TrimStart,
                    Some(TrimWhereField::Trailing) => OfText::TrimEnd,
                };
                self.of_text(function, value)
            }
            Expr::Function(function) => self.call(expr, function),
            _ => Err(self.refused(expr)),
        }
    }

    fn refused(&self, expr: &Expr) -> Problem {
        const SHOWN_CHARACTERS_MAX: usize = 40;
        let text = expr.to_string();
        let shown: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
        let help = "docs/expressions.md lists what expressions are made of";
        self.problem(expr, format!("`{shown}` has no place in an expression"), help)
    }

    fn column(&mut self, at: &Expr, qualifier: Option<&Ident>, name: &Ident) -> Result<Typed> {
        let qualifier = qualifier.map(|qualifier| qualifier.value.as_str());
        let written = match qualifier {
            Some(qualifier) => format!("{qualifier}.{}", name.value),
            None => name.value.clone(),
        };
        match self.columns.find(qualifier, &name.value) {
            Found::One(index, column) => {
                self.used.insert(index);
                Ok(Typed::new(Node::Column(index), column.data_type.clone()))
            }
            Found::Several(columns) => {
                let names: Vec<String> =
                    columns.iter().map(|column| format!("`{}`", column.written())).collect();
                let help = format!("write {}", names.join(" or "));
                Err(self.problem(at, format!("`{written}` may be several columns"), help))
            }
            Found::None => {
                let help = match self.columns.nearest(&name.value) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => self.known(),
                };
                Err(self.problem(at, format!("there is no `{written}`"), help))
            }
        }
    }

    /// The first columns, for those who know none.
    fn known(&self) -> String {
        const SHOWN_MAX: usize = 8;
        let mut names: Vec<String> = self
            .columns
            .iter()
            .take(SHOWN_MAX)
            .map(|column| format!("`{}`", column.written()))
            .collect();
        if names.is_empty() {
            return "there are no columns to read".to_owned();
        }
        if self.columns.iter().nth(SHOWN_MAX).is_some() {
            names.push("…".to_owned());
        }
        format!("there are {}", names.join(", "))
    }

    /// The value as this type; a cast of a literal is done now.
    pub(crate) fn to(&self, value: Typed, to: &DataType) -> Node {
        let Some(from) = value.data_type else {
            return Node::Literal(Datum::Null, to.clone());
        };
        if from == *to {
            return value.node;
        }
        let convert = Convert { scale: types::scale(&from), to: to.clone() };
        match value.node {
            Node::Literal(datum, _) => Node::Literal(convert.apply(datum), to.clone()),
            node => Node::Cast { value: Box::new(node), convert },
        }
    }

    /// What a side needs to be compared as `common`.
    fn convert(from: Option<&DataType>, common: &DataType) -> Option<Convert> {
        let from = from?;
        (from != common).then(|| Convert { scale: types::scale(from), to: common.clone() })
    }

    /// The type that all have in common.
    pub(crate) fn common<'t>(
        &self,
        at: &Expr,
        what: &str,
        all: impl Iterator<Item = &'t Typed>,
    ) -> Result<Option<DataType>> {
        let mut common: Option<DataType> = None;
        for value in all {
            let Some(next) = &value.data_type else { continue };
            common = Some(match common {
                None => next.clone(),
                Some(known) => types::common(&known, next).ok_or_else(|| {
                    let help = "cast one of them, as in `CAST(x AS DOUBLE)`";
                    self.problem(at, format!("{what} of {known} and {next}"), help)
                })?,
            });
        }
        if let Some(opaque) = common.as_ref().filter(|common| types::is_opaque(common)) {
            let help = "of a list or an embedding only IS NULL can be asked";
            return Err(self.problem(at, format!("{what} of {opaque}"), help));
        }
        Ok(common)
    }

    /// The boolean that an expression is.
    pub(crate) fn truth(&mut self, expr: &Expr, what: &str) -> Result<Node> {
        let value = self.expr(expr)?;
        match value.data_type {
            None | Some(DataType::Bool) => Ok(self.to(value, &DataType::Bool)),
            Some(other) => {
                let help = "compare it, as in `x > 0`";
                Err(self.problem(expr, format!("{what} needs a bool, not {other}"), help))
            }
        }
    }

    /// The text that an expression is.
    pub(crate) fn text(&mut self, expr: &Expr, what: &str) -> Result<Node> {
        let value = self.expr(expr)?;
        match value.data_type {
            None | Some(DataType::String) => Ok(self.to(value, &DataType::String)),
            Some(other) => {
                let help = "cast it, as in `CAST(x AS STRING)`";
                Err(self.problem(expr, format!("{what} needs a string, not {other}"), help))
            }
        }
    }

    /// The double that an expression is, if it is a number.
    pub(crate) fn double(&mut self, expr: &Expr, what: &str) -> Result<Node> {
        let value = self.expr(expr)?;
        match &value.data_type {
            Some(data_type) if !types::is_numeric(data_type) => {
                let help = "cast it, as in `CAST(x AS DOUBLE)`";
                Err(self.problem(expr, format!("{what} needs a number, not {data_type}"), help))
            }
            _ => Ok(self.to(value, &DataType::Float64)),
        }
    }

    /// The day or the instant that an expression is.
    pub(crate) fn time(&mut self, expr: &Expr, what: &str, to: &DataType) -> Result<Node> {
        let value = self.expr(expr)?;
        match &value.data_type {
            None | Some(DataType::Date | DataType::Timestamp) => Ok(self.to(value, to)),
            Some(other) => {
                let help = "cast it, as in `CAST(x AS TIMESTAMP)`";
                Err(self.problem(
                    expr,
                    format!("{what} needs a date or a timestamp, not {other}"),
                    help,
                ))
            }
        }
    }

    /// The int that an expression is.
    pub(crate) fn int(&mut self, expr: &Expr, what: &str) -> Result<Node> {
        let value = self.expr(expr)?;
        match &value.data_type {
            None | Some(DataType::Int32) => Ok(self.to(value, &DataType::Int32)),
            Some(other) => {
                let help = "cast it, as in `CAST(x AS INT)`";
                Err(self.problem(expr, format!("{what} needs an int32, not {other}"), help))
            }
        }
    }

    /// What an operator on one number computes with.
    pub(crate) fn kind(&self, at: &Expr, value: &Typed, what: &str) -> Result<Kind> {
        Ok(match &value.data_type {
            Some(DataType::Int32) => Kind::Int32,
            Some(DataType::Int64) => Kind::Int64,
            Some(DataType::Float32) => Kind::Float32,
            None | Some(DataType::Float64) => Kind::Float64,
            Some(other) => return Err(self.no_number(at, what, other)),
        })
    }

    fn no_number(&self, at: &Expr, what: &str, data_type: &DataType) -> Problem {
        let help = if types::is_decimal(data_type) {
            "decimals are compared, not computed with: write a literal with an exponent, as in `1.5E0`, or cast to DOUBLE"
        } else {
            "cast it to a number, as in `CAST(x AS DOUBLE)`"
        };
        self.problem(at, format!("`{what}` of {data_type}"), help)
    }
}

fn plain(field: &CeilFloorKind) -> bool {
    matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime))
}

pub(crate) const fn of_kind(kind: Kind) -> DataType {
    match kind {
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Float32 => DataType::Float32,
        Kind::Float64 => DataType::Float64,
    }
}

pub(crate) const fn kind_of(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Int32 => Kind::Int32,
        DataType::Int64 => Kind::Int64,
        DataType::Float32 => Kind::Float32,
        _ => Kind::Float64,
    }
}
