//! Operators, and what is written like one: comparisons, arithmetic, CASE, CAST, LIKE.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType as SqlType, ExactNumberInfo, Expr, TimezoneInfo, Value,
    ValueWithSpan,
};
use trivium_model::{DataType, types::DECIMAL_PRECISION_MAX};

use super::{
    Compiler, Result, Typed, comparison, is_arithmetic, is_concat, is_test, kind_of, of_kind,
    operation,
};
use crate::{
    Datum, PATTERN_BYTES_MAX, Problem,
    cast::Convert,
    like::Pattern,
    literals,
    node::{Asked, Node, Operation},
    types::{self, spark_name},
};

impl Compiler<'_> {
    pub(super) fn minus(&mut self, inner: &Expr) -> Result<Typed> {
        if let Expr::Value(ValueWithSpan { value: value @ Value::Number(..), span }) = inner {
            let at = self.places.of_span(*span);
            return literals::literal(value, true, at)
                .map(|(node, data_type)| Typed { node, data_type });
        }
        let value = self.expr(inner)?;
        let kind = self.kind(inner, &value, "-")?;
        let data_type = of_kind(kind);
        Ok(Typed::new(Node::Negate(kind, Box::new(self.to(value, &data_type))), data_type))
    }

    pub(super) fn is(&mut self, asked: Asked, inner: &Expr, negated: bool) -> Result<Typed> {
        let value = if asked == Asked::Null {
            self.expr(inner)?.node
        } else {
            self.truth(inner, "IS TRUE")?
        };
        Ok(Typed::new(Node::Is { asked, value: Box::new(value), negated }, DataType::Bool))
    }

    /// Both sides in the type that they are compared as.
    fn sides(&mut self, left: &Expr, right: &Expr, what: &str) -> Result<(Node, Node)> {
        if is_test(left) || is_test(right) {
            let at = if is_test(left) { left } else { right };
            let help = "put this side of the comparison in parentheses";
            return Err(self.problem(
                at,
                format!("what `{what}` compares is not clear here"),
                help,
            ));
        }
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        let common = self.common(right, &format!("`{what}`"), [&a, &b].into_iter())?;
        let common = common.unwrap_or(DataType::String);
        Ok((self.to(a, &common), self.to(b, &common)))
    }

    pub(super) fn same(&mut self, left: &Expr, right: &Expr) -> Result<Typed> {
        let (left, right) = self.sides(left, right, "<=>")?;
        Ok(Typed::new(Node::Same(Box::new(left), Box::new(right)), DataType::Bool))
    }

    pub(super) fn binary(
        &mut self,
        at: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Typed> {
        let test = |node: Node| Ok(Typed::new(node, DataType::Bool));
        if let Some(comparison) = comparison(op) {
            let (left, right) = self.sides(left, right, &op.to_string())?;
            return test(Node::Compare {
                comparison,
                left: Box::new(left),
                right: Box::new(right),
            });
        }
        if let Some(operation) = operation(op) {
            if is_concat(left) || is_concat(right) {
                return Err(self.unclear(at, op));
            }
            return self.arithmetic(operation, left, right);
        }
        match op {
            BinaryOperator::And => {
                let (left, right) = (self.truth(left, "AND")?, self.truth(right, "AND")?);
                test(Node::And(Box::new(left), Box::new(right)))
            }
            BinaryOperator::Or => {
                let (left, right) = (self.truth(left, "OR")?, self.truth(right, "OR")?);
                test(Node::Or(Box::new(left), Box::new(right)))
            }
            BinaryOperator::Spaceship => self.same(left, right),
            BinaryOperator::StringConcat => {
                // Spark gives || the precedence of +, the parser that of *.
                if is_arithmetic(left) || is_arithmetic(right) {
                    return Err(self.unclear(at, op));
                }
                let (left, right) = (self.text(left, "`||`")?, self.text(right, "`||`")?);
                Ok(Typed::new(Node::Concat(vec![left, right]), DataType::String))
            }
            _ => Err(self.refused(at)),
        }
    }

    fn unclear(&self, at: &Expr, op: &BinaryOperator) -> Problem {
        self.problem(at, format!("what `{op}` applies to is not clear here"), "add parentheses")
    }

    pub(crate) fn arithmetic(
        &mut self,
        operation: Operation,
        left: &Expr,
        right: &Expr,
    ) -> Result<Typed> {
        let sign = operation.sign();
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        // A double or a float beside it takes a decimal, as in `x * 0.5`; nothing else does.
        let beside_float = |other: &Typed| other.data_type.as_ref().is_some_and(types::is_float);
        for (at, value, other) in [(left, &a, &b), (right, &b, &a)] {
            let fits = value.data_type.as_ref().is_none_or(|data_type| {
                types::is_integer(data_type)
                    || types::is_float(data_type)
                    || (types::is_decimal(data_type) && beside_float(other))
            });
            if let Some(data_type) = value.data_type.as_ref().filter(|_| !fits) {
                return Err(self.no_number(at, sign, data_type));
            }
        }
        let common = self.common(right, &format!("`{sign}`"), [&a, &b].into_iter())?;
        let data_type = match (operation, common.unwrap_or(DataType::Float64)) {
            (Operation::Divide, _) => DataType::Float64,
            (Operation::WholeDivide, common) if types::is_integer(&common) => DataType::Int64,
            (Operation::WholeDivide, common) => {
                let help = "divide whole numbers, or write `floor(a / b)`";
                return Err(self.problem(left, format!("`DIV` of {common}"), help));
            }
            (_, common) => common,
        };
        let (left, right_node) = (self.to(a, &data_type), self.to(b, &data_type));
        if operation == Operation::WholeDivide
            && !matches!(&right_node, Node::Literal(Datum::Int64(by), _) if *by != 0 && *by != -1)
        {
            let help = "divide by a number, as in `x DIV 60`, or write `CAST(a / b AS BIGINT)`";
            return Err(self.problem(
                right,
                "`DIV` by what is not known to be neither 0 nor -1",
                help,
            ));
        }
        let kind = kind_of(&data_type);
        let (left, right) = (Box::new(left), Box::new(right_node));
        Ok(Typed::new(Node::Arithmetic { operation, kind, left, right }, data_type))
    }

    pub(super) fn between(
        &mut self,
        value: &Expr,
        negated: bool,
        low: &Expr,
        high: &Expr,
    ) -> Result<Typed> {
        if let Some(at) = [value, low, high].into_iter().find(|expr| is_test(expr)) {
            let help = "put it in parentheses";
            return Err(self.problem(at, "what BETWEEN compares is not clear here", help));
        }
        let of = self.expr(value)?;
        let mut end = |bound: &Expr| {
            let end = self.expr(bound)?;
            let common = self.common(bound, "BETWEEN", [&of, &end].into_iter())?;
            let common = common.unwrap_or(DataType::String);
            let convert = Self::convert(of.data_type.as_ref(), &common);
            Ok((convert, Box::new(self.to(end, &common))))
        };
        let (low, high) = (end(low)?, end(high)?);
        let node = Node::Between { value: Box::new(of.node), low, high };
        Ok(Typed::new(if negated { Node::Not(Box::new(node)) } else { node }, DataType::Bool))
    }

    pub(super) fn in_list(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Result<Typed> {
        if is_test(value) {
            let help = "put it in parentheses";
            return Err(self.problem(value, "what IN looks for is not clear here", help));
        }
        let of = self.expr(value)?;
        let items = list.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>>>()?;
        let common = self.common(value, "IN", std::iter::once(&of).chain(&items))?;
        let common = common.unwrap_or(DataType::String);
        let list = items.into_iter().map(|item| self.to(item, &common)).collect();
        let node = Node::In { value: Box::new(self.to(of, &common)), list };
        Ok(Typed::new(if negated { Node::Not(Box::new(node)) } else { node }, DataType::Bool))
    }

    pub(super) fn pattern(&self, pattern: &Expr) -> Result<Pattern> {
        let text = match pattern {
            Expr::Value(value) => {
                literals::text(&value.value, self.places.of_span(value.span)).transpose()?
            }
            _ => None,
        };
        let Some(text) = text else {
            let help = "write the pattern as a text, as in `LIKE 'AA%'`; or use `startswith`, `endswith`, `contains`";
            return Err(self.problem(pattern, "the pattern of LIKE is no literal", help));
        };
        if text.len() > PATTERN_BYTES_MAX {
            let help = format!("at most {PATTERN_BYTES_MAX}");
            return Err(self.problem(
                pattern,
                format!("the pattern has {} bytes", text.len()),
                help,
            ));
        }
        if text.contains(|c: char| c == '\'' || c.is_control()) {
            let help = "use `contains`, `startswith` or `endswith`";
            return Err(self.problem(
                pattern,
                "a quote or a control character in the pattern of LIKE",
                help,
            ));
        }
        Ok(Pattern::new(text))
    }

    pub(super) fn case(
        &mut self,
        at: &Expr,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Result<Typed> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        let mut thens = Vec::with_capacity(conditions.len());
        for CaseWhen { condition, result } in conditions {
            whens.push(match &operand {
                None => (None, self.truth(condition, "WHEN")?),
                Some(operand) => {
                    let when = self.expr(condition)?;
                    let common = self.common(condition, "CASE", [operand, &when].into_iter())?;
                    let common = common.unwrap_or(DataType::String);
                    let convert = Self::convert(operand.data_type.as_ref(), &common);
                    (convert, self.to(when, &common))
                }
            });
            thens.push(self.expr(result)?);
        }
        let otherwise = otherwise.map(|otherwise| self.expr(otherwise)).transpose()?;
        let common = self.common(at, "CASE", thens.iter().chain(&otherwise))?;
        let result = common.clone().unwrap_or(DataType::String);
        let otherwise = otherwise.map(|otherwise| Box::new(self.to(otherwise, &result)));
        let thens = thens.into_iter().map(|then| self.to(then, &result)).collect::<Vec<_>>();
        let node = match operand {
            None => {
                let branches = whens.into_iter().map(|(_, when)| when).zip(thens).collect();
                Node::Case { branches, otherwise }
            }
            Some(operand) => {
                let branches = whens.into_iter().zip(thens);
                let branches =
                    branches.map(|((convert, when), then)| (convert, when, then)).collect();
                Node::Match { value: Box::new(operand.node), branches, otherwise }
            }
        };
        Ok(Typed { node, data_type: common })
    }

    pub(super) fn cast_type(&self, at: &Expr, written: &SqlType) -> Result<DataType> {
        Ok(match written {
            SqlType::Int(None) | SqlType::Integer(None) => DataType::Int32,
            SqlType::BigInt(None) => DataType::Int64,
            SqlType::Float(ExactNumberInfo::None) | SqlType::Real => DataType::Float32,
            SqlType::Double(ExactNumberInfo::None) => DataType::Float64,
            SqlType::Boolean | SqlType::Bool => DataType::Bool,
            SqlType::String(None) => DataType::String,
            SqlType::Date => DataType::Date,
            SqlType::Timestamp(None, TimezoneInfo::None) => DataType::Timestamp,
            SqlType::Decimal(info) | SqlType::Numeric(info) | SqlType::Dec(info) => {
                let (precision, scale) = match info {
                    ExactNumberInfo::None => (10, 0),
                    ExactNumberInfo::Precision(precision) => (*precision, 0),
                    ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
                };
                match (u8::try_from(precision), u8::try_from(scale)) {
                    (Ok(precision), Ok(scale))
                        if (1..=DECIMAL_PRECISION_MAX).contains(&precision)
                            && scale <= precision =>
                    {
                        DataType::Decimal { precision, scale }
                    }
                    _ => {
                        let help = "write 1 to 38 digits, no more of them after the point";
                        return Err(self.problem(at, format!("there is no {written}"), help));
                    }
                }
            }
            other => {
                let help = "cast to BOOLEAN, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), STRING, DATE or TIMESTAMP";
                return Err(self.problem(at, format!("there is no cast to {other}"), help));
            }
        })
    }

    pub(super) fn cast(&mut self, value: &Expr, to: DataType) -> Result<Typed> {
        let of = self.expr(value)?;
        let Some(from) = of.data_type.clone() else {
            return Ok(Typed::new(self.to(of, &to), to));
        };
        if !types::can_cast(&from, &to) {
            let help = match (&from, &to) {
                (from, DataType::String) if types::is_float(from) => {
                    "engines write floats each in their own way: cast to DECIMAL or BIGINT first"
                }
                _ => "cast in steps that there are, or compute it in the view",
            };
            let message = format!("there is no cast of {from} to {}", spark_name(&to));
            return Err(self.problem(value, message, help));
        }
        if from == to {
            return Ok(of);
        }
        let convert = Convert { scale: types::scale(&from), to: to.clone() };
        Ok(Typed::new(Node::Cast { value: Box::new(of.node), convert }, to))
    }
}
