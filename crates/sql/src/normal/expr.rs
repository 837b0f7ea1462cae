//! The normal form of one node of an expression; its children are in normal form already.
//!
//! An operator always stands in parentheses, so that the text shows the tree: what the author's
//! parentheses said is in the tree, and where they said nothing they are gone.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DuplicateTreatment, ExactNumberInfo, Expr,
    ExtractSyntax, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, NullTreatment,
    ObjectName, ObjectNamePart, UnaryOperator, Value, WindowFrameBound, WindowType,
};

use super::{rewrite, scope::REPEATED_BYTES_MAX};
use crate::{functions, scan::write_parameters_alike};

pub(super) fn null() -> Expr {
    Expr::value(Value::Null)
}

/// In parentheses, if it is an operator.
fn wrapped(expr: Expr) -> Expr {
    let is_operator = matches!(
        expr,
        Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::InUnnest { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::RLike { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Collate { .. }
            | Expr::Exists { .. }
    );
    if is_operator { Expr::Nested(Box::new(expr)) } else { expr }
}

fn unwrapped(expr: Expr) -> Expr {
    match expr {
        Expr::Nested(inner) => unwrapped(*inner),
        other => other,
    }
}

fn peeled(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => peeled(inner),
        other => other,
    }
}

/// One node; idempotent.
pub(super) fn normal(expr: Expr) -> Expr {
    match expr {
        Expr::Nested(inner) => wrapped(unwrapped(*inner)),
        Expr::BinaryOp { left, op, right } => binary(*left, op, *right),
        Expr::UnaryOp { op, expr } => unary(op, *expr),
        Expr::IsDistinctFrom(left, right) => {
            negated(binary(*left, BinaryOperator::Spaceship, *right))
        }
        Expr::IsNotDistinctFrom(left, right) => binary(*left, BinaryOperator::Spaceship, *right),
        Expr::Between { expr, negated: not, low, high } => between(*expr, not, *low, *high),
        Expr::InList { expr, mut list, negated } => {
            rewrite::sort(&mut list);
            // `IN ((SELECT …), 1)` would be read as IN and a subquery.
            list.sort_by_key(|item| matches!(item, Expr::Subquery(_)));
            wrapped(Expr::InList { expr, list, negated })
        }
        Expr::RLike { negated, expr, pattern, .. } => {
            wrapped(Expr::RLike { negated, expr, pattern, regexp: false })
        }
        Expr::Cast { kind, expr, data_type, array, format } => {
            let kind = if kind == CastKind::DoubleColon { CastKind::Cast } else { kind };
            Expr::Cast { kind, expr, data_type: cast_type(data_type), array, format }
        }
        Expr::Case { case_token, end_token, operand, conditions, else_result } => {
            let (operand, conditions) = case(operand, conditions);
            let else_result = else_result.filter(|result| !is_null(result));
            Expr::Case { case_token, end_token, operand, conditions, else_result }
        }
        Expr::Extract { field, expr, .. } => {
            Expr::Extract { field, syntax: ExtractSyntax::From, expr }
        }
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            Expr::Substring { expr, substring_from, substring_for, special: true, shorthand: false }
        }
        Expr::Value(mut value) => {
            value.value = literal(value.value);
            Expr::Value(value)
        }
        Expr::TypedString(mut typed) => {
            typed.value.value = literal(typed.value.value);
            typed.data_type = cast_type(typed.data_type);
            Expr::TypedString(typed)
        }
        Expr::Function(call) => function(call),
        other => wrapped(other),
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(peeled(expr), Expr::Value(value) if value.value == Value::Null)
}

fn literal(value: Value) -> Value {
    match value {
        Value::SingleQuotedString(text) => Value::SingleQuotedString(write_parameters_alike(&text)),
        Value::DoubleQuotedString(text) => {
            let text = write_parameters_alike(&text);
            // Both quotes make text in Spark; what stands for a quote inside differs.
            if text.contains(['\'', '"', '\\']) {
                Value::DoubleQuotedString(text)
            } else {
                Value::SingleQuotedString(text)
            }
        }
        Value::Number(number, long) => Value::Number(number.to_lowercase(), long),
        Value::HexStringLiteral(digits) => Value::HexStringLiteral(digits.to_uppercase()),
        other => other,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    use BinaryOperator as Op;
    if matches!(op, Op::And | Op::Or) {
        let mut operands = Vec::new();
        flatten(left, &op, &mut operands);
        flatten(right, &op, &mut operands);
        rewrite::sort(&mut operands);
        let chain = operands.into_iter().reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: op.clone(),
            right: Box::new(right),
        });
        return chain.map_or_else(null, wrapped);
    }
    let (left, op, right) = match op {
        Op::Gt => (right, Op::Lt, left),
        Op::GtEq => (right, Op::LtEq, left),
        op => (left, op, right),
    };
    // Only where both orders give the same bits.
    let either_way = matches!(
        op,
        Op::Eq
            | Op::NotEq
            | Op::Spaceship
            | Op::Plus
            | Op::Multiply
            | Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::BitwiseXor
    );
    let (left, right) = if either_way && left.to_string() > right.to_string() {
        (right, left)
    } else {
        (left, right)
    };
    wrapped(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) })
}

fn flatten(expr: Expr, op: &BinaryOperator, out: &mut Vec<Expr>) {
    match expr {
        Expr::Nested(inner) => match *inner {
            Expr::BinaryOp { left, op: inner_op, right } if inner_op == *op => {
                flatten(*left, op, out);
                flatten(*right, op, out);
            }
            other => out.push(Expr::Nested(Box::new(other))),
        },
        Expr::BinaryOp { left, op: inner_op, right } if inner_op == *op => {
            flatten(*left, op, out);
            flatten(*right, op, out);
        }
        other => out.push(other),
    }
}

fn unary(op: UnaryOperator, expr: Expr) -> Expr {
    match op {
        UnaryOperator::Plus => expr,
        UnaryOperator::Not | UnaryOperator::BangNot => negated(expr),
        op => wrapped(Expr::UnaryOp { op, expr: Box::new(expr) }),
    }
}

/// `NOT …`, moved inside where that says the same of nulls too.
fn negated(expr: Expr) -> Expr {
    match unwrapped(expr) {
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => *expr,
        Expr::IsNull(expr) => wrapped(Expr::IsNotNull(expr)),
        Expr::IsNotNull(expr) => wrapped(Expr::IsNull(expr)),
        Expr::InList { expr, list, negated } => {
            wrapped(Expr::InList { expr, list, negated: !negated })
        }
        Expr::InSubquery { expr, subquery, negated } => {
            wrapped(Expr::InSubquery { expr, subquery, negated: !negated })
        }
        Expr::Exists { subquery, negated } => wrapped(Expr::Exists { subquery, negated: !negated }),
        Expr::Like { negated, any, expr, pattern, escape_char } => {
            wrapped(Expr::Like { negated: !negated, any, expr, pattern, escape_char })
        }
        Expr::ILike { negated, any, expr, pattern, escape_char } => {
            wrapped(Expr::ILike { negated: !negated, any, expr, pattern, escape_char })
        }
        Expr::RLike { negated, expr, pattern, regexp } => {
            wrapped(Expr::RLike { negated: !negated, expr, pattern, regexp })
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            binary(*left, BinaryOperator::NotEq, *right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::NotEq, right } => {
            binary(*left, BinaryOperator::Eq, *right)
        }
        other => wrapped(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(wrapped(other)) }),
    }
}

/// Spark reads `x BETWEEN a AND b` as `x >= a AND x <= b`.
fn between(expr: Expr, not: bool, low: Expr, high: Expr) -> Expr {
    if expr.to_string().len() > REPEATED_BYTES_MAX {
        let (expr, low, high) = (Box::new(expr), Box::new(low), Box::new(high));
        return wrapped(Expr::Between { expr, negated: not, low, high });
    }
    let above = binary(expr.clone(), BinaryOperator::GtEq, low);
    let below = binary(expr, BinaryOperator::LtEq, high);
    let both = binary(above, BinaryOperator::And, below);
    if not { negated(both) } else { both }
}

/// `CASE x WHEN 1 …` is `CASE WHEN x = 1 …`.
fn case(
    operand: Option<Box<Expr>>,
    mut conditions: Vec<CaseWhen>,
) -> (Option<Box<Expr>>, Vec<CaseWhen>) {
    let Some(operand) = operand else { return (None, conditions) };
    if operand.to_string().len() > REPEATED_BYTES_MAX {
        return (Some(operand), conditions);
    }
    for when in &mut conditions {
        let condition = std::mem::replace(&mut when.condition, null());
        when.condition = binary((*operand).clone(), BinaryOperator::Eq, condition);
    }
    (None, conditions)
}

/// One word for each type. Length and precision stay: they change values.
fn cast_type(data_type: DataType) -> DataType {
    // Spark's DECIMAL without numbers is DECIMAL(10, 0).
    let exact = |info: ExactNumberInfo| match info {
        ExactNumberInfo::None => ExactNumberInfo::PrecisionAndScale(10, 0),
        ExactNumberInfo::Precision(precision) => ExactNumberInfo::PrecisionAndScale(precision, 0),
        both @ ExactNumberInfo::PrecisionAndScale(..) => both,
    };
    match data_type {
        DataType::Integer(length) => DataType::Int(length),
        DataType::Numeric(info) | DataType::Dec(info) | DataType::Decimal(info) => {
            DataType::Decimal(exact(info))
        }
        DataType::Real => DataType::Float(ExactNumberInfo::None),
        DataType::Bool => DataType::Boolean,
        DataType::Custom(name, arguments) => {
            let lower = name.to_string().to_lowercase();
            DataType::Custom(
                ObjectName(vec![ObjectNamePart::Identifier(Ident::new(lower))]),
                arguments,
            )
        }
        other => other,
    }
}

fn function(mut call: Function) -> Expr {
    let name = functions::name(&call);
    let is_plain =
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && call.name.0.len() == 1;
    if is_plain {
        call.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(&name))]);
    }
    call.uses_odbc_syntax = false;
    if let FunctionArguments::List(list) = &mut call.args {
        if list.duplicate_treatment == Some(DuplicateTreatment::All) {
            list.duplicate_treatment = None;
        }
        // `count(1)` counts rows, as `count(*)` does.
        if name == "count"
            && list.duplicate_treatment.is_none()
            && let [FunctionArg::Unnamed(argument)] = list.args.as_mut_slice()
            && let FunctionArgExpr::Expr(Expr::Value(value)) = argument
            && matches!(value.value, Value::Number(..) | Value::Boolean(_))
        {
            *argument = FunctionArgExpr::Wildcard;
        }
    }
    if call.null_treatment == Some(NullTreatment::RespectNulls) {
        call.null_treatment = None;
    }
    for order in &mut call.within_group {
        rewrite::order_defaults(order);
    }
    if let Some(WindowType::WindowSpec(spec)) = &mut call.over {
        rewrite::sort(&mut spec.partition_by);
        for order in &mut spec.order_by {
            rewrite::order_defaults(order);
        }
        if let Some(frame) = &mut spec.window_frame
            && frame.end_bound.is_none()
        {
            frame.end_bound = Some(WindowFrameBound::CurrentRow);
        }
    }
    as_cast(&name, &call).unwrap_or(Expr::Function(call))
}

/// `int(x)` is `CAST(x AS INT)`: Spark has a function for each of these types.
fn as_cast(name: &str, call: &Function) -> Option<Expr> {
    let data_type = match name {
        "bigint" => DataType::BigInt(None),
        "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "double" => DataType::Double(ExactNumberInfo::None),
        "float" => DataType::Float(ExactNumberInfo::None),
        "int" => DataType::Int(None),
        "smallint" => DataType::SmallInt(None),
        "string" => DataType::String(None),
        "tinyint" => DataType::TinyInt(None),
        _ => return None,
    };
    let arguments = functions::arguments(call);
    let [argument] = arguments.as_slice() else { return None };
    let is_plain = call.over.is_none() && call.filter.is_none();
    is_plain.then(|| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new((*argument).clone()),
        data_type,
        array: false,
        format: None,
    })
}
