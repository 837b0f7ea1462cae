//! Gives a plan Spark's types: comparisons, CASE, IN, set operations; and refuses pairs of types that
//! DataFusion would reconcile in its own way (text with numbers, above all). Runs before DataFusion's
//! own coercion, which then finds nothing to decide.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        Column, DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        BinaryExpr, Case, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder,
        Operator, ScalarUDF, Union,
        expr::{AggregateFunction, Between, Cast, InList, ScalarFunction, WindowFunction},
        expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
};

use crate::{
    allow::AllowList,
    error::{invalid_error, unsupported_error},
    functions::{arithmetic, cast},
    types::{common_type, decimal_of, is_float, is_numeric, spark_name},
};

/// Walks a plan.
pub struct Typing<'a> {
    allowed: &'a AllowList,
    /// Casts that the query uses, as entries of the allow-list.
    pub used: BTreeSet<String>,
    plain_float: Arc<ScalarUDF>,
}

fn cast_to(expr: Expr, from: &DataType, to: &DataType) -> Expr {
    if from == to {
        return expr;
    }
    fold(Expr::Cast(Cast::new(Box::new(expr), to.clone())))
}

/// A cast of a literal is a literal.
fn fold(expr: Expr) -> Expr {
    if let Expr::Cast(cast) = &expr
        && let Expr::Literal(value, metadata) = &*cast.expr
        && let Ok(value) = value.cast_to(cast.field.data_type())
    {
        return Expr::Literal(value, metadata.clone());
    }
    expr
}

impl<'a> Typing<'a> {
    /// With the list that casts are looked up in.
    pub fn new(allowed: &'a AllowList) -> Self {
        Self { allowed, used: BTreeSet::new(), plain_float: arithmetic::plain_float_function() }
    }

    /// The whole plan, subqueries included.
    pub fn plan(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.node(plan))?.data)
    }

    fn node(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let source = DFSchema::try_from_qualified_schema(
                scan.table_name.clone(),
                &scan.source.schema(),
            )?;
            schema.merge(&source);
        }
        let grouping = matches!(plan, LogicalPlan::Aggregate(_));
        let sorting = matches!(plan, LogicalPlan::Sort(_));
        let groups = match &plan {
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.len(),
            _ => 0,
        };
        let names = NamePreserver::new(&plan);
        let mut index = 0;
        let plan = plan
            .map_expressions(|expr| {
                let name = names.save(&expr);
                let mut expr =
                    expr.transform_up(|expr| self.expr(expr, &schema).map(Transformed::yes))?.data;
                if (grouping && index < groups || sorting) && is_float(&expr.get_type(&schema)?) {
                    expr = self.plain(expr);
                }
                index += 1;
                Ok(Transformed::yes(name.restore(expr)))
            })?
            .data;
        let plan = match plan {
            LogicalPlan::Join(join) => LogicalPlan::Join(self.join(join, &schema)?),
            LogicalPlan::Filter(filter) => {
                boolean(&filter.predicate.get_type(&schema)?, "WHERE or HAVING")?;
                LogicalPlan::Filter(filter)
            }
            LogicalPlan::Union(union) => LogicalPlan::Union(widen(union)?),
            LogicalPlan::Distinct(Distinct::All(input)) => LogicalPlan::Distinct(Distinct::All(
                Arc::new(self.plain_columns(Arc::unwrap_or_clone(input))?),
            )),
            plan => plan,
        };
        Ok(Transformed::yes(plan.recompute_schema()?))
    }

    fn plain(&self, expr: Expr) -> Expr {
        if let Expr::ScalarFunction(function) = &expr
            && function.func.name() == arithmetic::PLAIN_FLOAT
        {
            return expr;
        }
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.plain_float), vec![expr]))
    }

    /// Equal floats made equal bit by bit, under their own names.
    fn plain_columns(&self, input: LogicalPlan) -> Result<LogicalPlan> {
        if !input.schema().fields().iter().any(|field| is_float(field.data_type())) {
            return Ok(input);
        }
        let columns: Vec<Expr> = input
            .schema()
            .iter()
            .map(|(qualifier, field)| {
                let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
                if is_float(field.data_type()) {
                    self.plain(column).alias_qualified(qualifier.cloned(), field.name())
                } else {
                    column
                }
            })
            .collect();
        LogicalPlanBuilder::from(input).project(columns)?.build()
    }

    fn join(&mut self, mut join: Join, schema: &DFSchema) -> Result<Join> {
        join.on = join
            .on
            .into_iter()
            .map(|(left, right)| {
                let (from_left, from_right) =
                    (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
                self.compared(left, &from_left, right, &from_right, "a join")
            })
            .collect::<Result<_>>()?;
        if let Some(filter) = &join.filter {
            boolean(&filter.get_type(schema)?, "ON")?;
        }
        Ok(join)
    }

    /// Both sides of a comparison, in their common type.
    fn compared(
        &self,
        left: Expr,
        from_left: &DataType,
        right: Expr,
        from_right: &DataType,
        op: &str,
    ) -> Result<(Expr, Expr)> {
        let common = comparable(from_left, from_right, op)?;
        let left = self.as_compared(cast_to(left, from_left, &common), &common);
        let right = self.as_compared(cast_to(right, from_right, &common), &common);
        Ok((left, right))
    }

    fn as_compared(&self, expr: Expr, common: &DataType) -> Expr {
        match &expr {
            // A literal is made plain here and now.
            Expr::Literal(ScalarValue::Float64(Some(value)), metadata) => {
                let plain = arithmetic::plain(*value);
                Expr::Literal(ScalarValue::Float64(Some(plain)), metadata.clone())
            }
            _ if is_float(common) => self.plain(expr),
            _ => expr,
        }
    }

    fn expr(&mut self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        Ok(match expr {
            Expr::Cast(_) => fold(expr),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And | Operator::Or => {
                    boolean(&left.get_type(schema)?, &op.to_string())?;
                    boolean(&right.get_type(schema)?, &op.to_string())?;
                    Expr::BinaryExpr(BinaryExpr { left, op, right })
                }
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom => {
                    let (from_left, from_right) = (left.get_type(schema)?, right.get_type(schema)?);
                    let (left, right) =
                        self.compared(*left, &from_left, *right, &from_right, &op.to_string())?;
                    Expr::BinaryExpr(BinaryExpr {
                        left: Box::new(left),
                        op,
                        right: Box::new(right),
                    })
                }
                other => return Err(unsupported_error(format!("operator {other}"))),
            },
            Expr::Not(inner) => {
                boolean(&inner.get_type(schema)?, "NOT")?;
                Expr::Not(inner)
            }
            Expr::IsTrue(ref inner)
            | Expr::IsFalse(ref inner)
            | Expr::IsNotTrue(ref inner)
            | Expr::IsNotFalse(ref inner) => {
                boolean(&inner.get_type(schema)?, "IS TRUE or IS FALSE")?;
                expr
            }
            Expr::Between(Between { expr, negated, low, high }) => {
                let of = expr.get_type(schema)?;
                let (at_least, low) = self.compared(
                    (*expr).clone(),
                    &of,
                    *low.clone(),
                    &low.get_type(schema)?,
                    "BETWEEN",
                )?;
                let (at_most, high) =
                    self.compared(*expr, &of, *high.clone(), &high.get_type(schema)?, "BETWEEN")?;
                let within = Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(at_least),
                    Operator::GtEq,
                    Box::new(low),
                ))
                .and(Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(at_most),
                    Operator::LtEq,
                    Box::new(high),
                )));
                if negated { Expr::Not(Box::new(within)) } else { within }
            }
            Expr::InList(InList { expr, list, negated }) => {
                let of = expr.get_type(schema)?;
                let mut common = of.clone();
                for item in &list {
                    common = comparable(&common, &item.get_type(schema)?, "IN")?;
                }
                let list = list
                    .into_iter()
                    .map(|item| {
                        let from = item.get_type(schema)?;
                        Ok(self.as_compared(cast_to(item, &from, &common), &common))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let expr = self.as_compared(cast_to(*expr, &of, &common), &common);
                Expr::InList(InList { expr: Box::new(expr), list, negated })
            }
            Expr::InSubquery(mut found) => {
                let of = found.expr.get_type(schema)?;
                let column = found.subquery.subquery.schema().field(0).data_type().clone();
                if of != column {
                    // The subquery's side cannot be cast here without a new projection: the outer side may.
                    let common = comparable(&of, &column, "IN (SELECT)")?;
                    if common != column {
                        return Err(unsupported_error(format!(
                            "IN (SELECT) of {} in {} (cast one of them)",
                            spark_name(&of),
                            spark_name(&column)
                        )));
                    }
                    found.expr = Box::new(cast_to(*found.expr, &of, &common));
                }
                if is_float(&column) {
                    return Err(unsupported_error("IN (SELECT) of floats"));
                }
                Expr::InSubquery(found)
            }
            Expr::Case(case) => self.case(case, schema)?,
            Expr::ScalarFunction(function) => self.scalar(function, schema)?,
            Expr::AggregateFunction(function) => {
                Expr::AggregateFunction(self.aggregate(function, schema)?)
            }
            Expr::WindowFunction(function) => {
                Expr::WindowFunction(Box::new(self.window(*function, schema)?))
            }
            Expr::Alias(_)
            | Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Literal(..)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Exists(_)
            | Expr::ScalarSubquery(_) => expr,
            other => {
                let name = format!("{other:?}");
                let name = name.split(['(', ' ']).next().unwrap_or("").to_owned();
                return Err(unsupported_error(format!("the expression {name}")));
            }
        })
    }

    fn case(&mut self, case: Case, schema: &DFSchema) -> Result<Expr> {
        let mut common = DataType::Null;
        let results = case.when_then_expr.iter().map(|(_, then)| then).chain(case.else_expr.iter());
        for result in results {
            let other = result.get_type(schema)?;
            common = common_type(&common, &other).ok_or_else(|| {
                unsupported_error(format!(
                    "CASE, if or coalesce of {} and {} (cast one of them)",
                    spark_name(&common),
                    spark_name(&other)
                ))
            })?;
        }
        let branch = |expr: Box<Expr>| -> Result<Box<Expr>> {
            let from = expr.get_type(schema)?;
            Ok(Box::new(cast_to(*expr, &from, &common)))
        };
        let when_then_expr = case
            .when_then_expr
            .into_iter()
            .map(|(when, then)| {
                boolean(&when.get_type(schema)?, "WHEN")?;
                Ok((when, branch(then)?))
            })
            .collect::<Result<_>>()?;
        let else_expr = case.else_expr.map(branch).transpose()?;
        Ok(Expr::Case(Case { expr: None, when_then_expr, else_expr }))
    }

    fn scalar(&mut self, mut function: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
        let name = function.func.name().to_owned();
        if let Some((_, target)) = name.split_once("cast ") {
            let from = function.args.first().map(|arg| arg.get_type(schema)).transpose()?;
            if let Some(from) = from
                && from != DataType::Null
                && spark_name(&from) != target
            {
                let target = target.split('(').next().unwrap_or(target);
                let entry = format!("{} {target}", cast::word(&from));
                if !self.allowed.casts.contains(&entry) {
                    return Err(unsupported_error(format!(
                        "CAST of {} to {target}",
                        spark_name(&from)
                    )));
                }
                self.used.insert(format!("cast {entry}"));
            }
        }
        if name.starts_with("op ") {
            let types =
                function.args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
            if let [left, right] = types.as_slice()
                && (matches!(left, DataType::Decimal128(..))
                    || matches!(right, DataType::Decimal128(..)))
                && !is_float(left)
                && !is_float(right)
            {
                // An integer literal beside a decimal has the digits that it has, not those of its type.
                for (arg, data_type) in function.args.iter_mut().zip(&types) {
                    let digits = match arg {
                        Expr::Literal(ScalarValue::Int32(Some(value)), _) => {
                            Some(value.unsigned_abs().to_string().len())
                        }
                        Expr::Literal(ScalarValue::Int64(Some(value)), _) => {
                            Some(value.unsigned_abs().to_string().len())
                        }
                        _ => None,
                    };
                    let to = match (digits, decimal_of(data_type)) {
                        (Some(digits), _) => {
                            DataType::Decimal128(u8::try_from(digits).unwrap_or(38), 0)
                        }
                        (None, Some((precision, scale))) => DataType::Decimal128(precision, scale),
                        (None, None) => continue,
                    };
                    let taken = std::mem::take(arg);
                    *arg = cast_to(taken, data_type, &to);
                }
            }
        }
        Ok(Expr::ScalarFunction(function))
    }

    fn aggregate(
        &mut self,
        mut function: AggregateFunction,
        schema: &DFSchema,
    ) -> Result<AggregateFunction> {
        if let Some(filter) = &function.params.filter {
            boolean(&filter.get_type(schema)?, "FILTER")?;
        }
        let name = function.func.name();
        check_aggregate(name, &function.params.args, schema)?;
        if function.params.distinct || name == "collect_set" {
            for arg in &mut function.params.args {
                if is_float(&arg.get_type(schema)?) {
                    let taken = std::mem::take(arg);
                    *arg = self.plain(taken);
                }
            }
        }
        Ok(function)
    }

    fn window(
        &mut self,
        mut function: WindowFunction,
        schema: &DFSchema,
    ) -> Result<WindowFunction> {
        check_aggregate(function.fun.name(), &function.params.args, schema)?;
        let params = &mut function.params;
        for expr in params
            .partition_by
            .iter_mut()
            .chain(params.order_by.iter_mut().map(|order| &mut order.expr))
        {
            if is_float(&expr.get_type(schema)?) {
                let taken = std::mem::take(expr);
                *expr = self.plain(taken);
            }
        }
        if function.fun.name() == "lag" || function.fun.name() == "lead" {
            // The default takes the value's type.
            let types = function
                .params
                .args
                .iter()
                .map(|arg| arg.get_type(schema))
                .collect::<Result<Vec<_>>>()?;
            if let (Some(value), Some(default)) = (types.first(), types.get(2))
                && value != default
            {
                let common = common_type(value, default).filter(|common| common == value);
                let Some(common) = common else {
                    return Err(unsupported_error(format!(
                        "a default of {} for {} in lag or lead",
                        spark_name(default),
                        spark_name(value)
                    )));
                };
                let taken = std::mem::take(&mut function.params.args[2]);
                function.params.args[2] = cast_to(taken, default, &common);
            }
        }
        Ok(function)
    }
}

/// DataFusion's own aggregates would take text for numbers.
fn check_aggregate(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    let of_numbers = ["stddev", "stddev_pop", "var", "var_pop", "covar_samp", "covar_pop", "corr"];
    for arg in args {
        let data_type = arg.get_type(schema)?;
        if name.starts_with("bool_") {
            boolean(&data_type, name)?;
        } else if of_numbers.contains(&name)
            && !is_numeric(&data_type)
            && data_type != DataType::Null
        {
            return Err(unsupported_error(format!(
                "`{name}` of {} (cast it to a number)",
                spark_name(&data_type)
            )));
        }
    }
    Ok(())
}

fn boolean(data_type: &DataType, what: &str) -> Result<()> {
    if matches!(data_type, DataType::Boolean | DataType::Null) {
        return Ok(());
    }
    Err(invalid_error(format!("{what} needs a boolean, not {}", spark_name(data_type))))
}

fn comparable(left: &DataType, right: &DataType, op: &str) -> Result<DataType> {
    match common_type(left, right) {
        Some(DataType::List(_)) => Err(unsupported_error(format!("{op} of arrays"))),
        Some(common) => Ok(common),
        None => Err(unsupported_error(format!(
            "{op} of {} and {} (cast one of them)",
            spark_name(left),
            spark_name(right)
        ))),
    }
}

/// Casts each input of a union to the types that they have in common.
fn widen(mut union: Union) -> Result<Union> {
    let Some(first) = union.inputs.first() else { return Ok(union) };
    let mut common: Vec<DataType> =
        first.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    for other in &union.inputs[1..] {
        for (index, field) in other.schema().fields().iter().enumerate() {
            let Some(known) = common.get_mut(index) else { break };
            *known = common_type(known, field.data_type()).ok_or_else(|| {
                unsupported_error(format!(
                    "UNION of {} and {} in column {} (cast one of them)",
                    spark_name(known),
                    spark_name(field.data_type()),
                    index + 1
                ))
            })?;
        }
    }
    let fields = union
        .schema
        .iter()
        .zip(&common)
        .map(|((qualifier, field), wanted)| {
            let field = field.as_ref().clone().with_data_type(wanted.clone()).with_nullable(true);
            (qualifier.cloned(), Arc::new(field))
        })
        .collect();
    union.schema = Arc::new(DFSchema::new_with_metadata(fields, union.schema.metadata().clone())?);
    for input in &mut union.inputs {
        let fits = input
            .schema()
            .fields()
            .iter()
            .zip(&common)
            .all(|(field, wanted)| field.data_type() == wanted);
        if fits {
            continue;
        }
        let columns: Vec<Expr> = input
            .schema()
            .iter()
            .zip(&common)
            .map(|((qualifier, field), wanted)| {
                let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
                cast_to(column, field.data_type(), wanted)
                    .alias_qualified(qualifier.cloned(), field.name())
            })
            .collect();
        let plan = Arc::unwrap_or_clone(Arc::clone(input));
        *input = Arc::new(LogicalPlanBuilder::from(plan).project(columns)?.build()?);
    }
    Ok(union)
}
