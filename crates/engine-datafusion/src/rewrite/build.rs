//! Makes syntax nodes.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Value,
    helpers::attached_token::AttachedToken,
};

/// A call of one of our functions by its internal name.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(function(name, args))
}

/// As [`call`], to be completed.
pub fn function(name: &str, args: Vec<Expr>) -> Function {
    Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args
                .into_iter()
                .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
                .collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// A literal.
pub fn value(value: Value) -> Expr {
    Expr::Value(value.with_empty_span())
}

/// A text literal.
pub fn text(text: impl Into<String>) -> Expr {
    value(Value::SingleQuotedString(text.into()))
}

/// DataFusion's own cast, for literals only.
pub fn native_cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// An int literal, or bigint where it needs to be.
pub fn integer(number: i64) -> Expr {
    let data_type =
        if i32::try_from(number).is_ok() { DataType::Int(None) } else { DataType::BigInt(None) };
    native_cast(text(number.to_string()), data_type)
}

/// A bigint literal.
pub fn long(number: i64) -> Expr {
    native_cast(text(number.to_string()), DataType::BigInt(None))
}

/// A decimal literal with Spark's precision and scale for its digits.
pub fn decimal(digits: &str, precision: u64, scale: i64) -> Expr {
    native_cast(
        text(digits),
        DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)),
    )
}

/// A double literal.
pub fn double(number: &str) -> Expr {
    native_cast(text(number), DataType::Double(ExactNumberInfo::None))
}

/// `CASE WHEN … THEN … [ELSE …] END`.
pub fn case(conditions: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: conditions
            .into_iter()
            .map(|(condition, result)| CaseWhen { condition, result })
            .collect(),
        else_result: otherwise.map(Box::new),
    }
}

/// `left op right`, in parentheses.
pub fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}
