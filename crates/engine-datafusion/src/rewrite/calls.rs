//! Function calls: scalar, aggregate, window.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, NullTreatment, Value, ValueWithSpan, WindowFrameBound, WindowFrameUnits,
    WindowSpec, WindowType,
};

use super::{Position, Result, Rewriter, build, invalid, position};
use crate::{
    error::unsupported,
    functions::{datetime::TRUNCATE_UNITS, format::Pattern},
    regex, sketches,
};

/// Spark's other names for a function, and ours.
const SAME: [(&str, &str); 44] = [
    ("char_length", "length"),
    ("character_length", "length"),
    ("len", "length"),
    ("lcase", "lower"),
    ("ucase", "upper"),
    ("substr", "substring"),
    ("position", "locate"),
    ("ceiling", "ceil"),
    ("power", "pow"),
    ("signum", "sign"),
    ("mod", "op %"),
    ("log", "ln"),
    ("date_diff", "datediff"),
    ("dateadd", "date_add"),
    ("to_unix_timestamp", "unix_timestamp"),
    ("mean", "avg"),
    ("std", "stddev_samp"),
    ("stddev", "stddev_samp"),
    ("stddev_samp", "stddev_samp"),
    ("stddev_pop", "stddev_pop"),
    ("variance", "var_samp"),
    ("var_samp", "var_samp"),
    ("var_pop", "var_pop"),
    ("every", "bool_and"),
    ("bool_and", "bool_and"),
    ("some", "bool_or"),
    ("any", "bool_or"),
    ("bool_or", "bool_or"),
    ("collect_list", "collect_list"),
    ("array_agg", "collect_list"),
    ("array_size", "size"),
    ("cardinality", "size"),
    ("weekday", "weekday"),
    ("sha", "sha1"),
    ("nvl", "coalesce"),
    ("ifnull", "coalesce"),
    ("negative", "op negate"),
    ("day", "day"),
    ("dayofmonth", "day"),
    ("date_part", "extract"),
    ("datepart", "extract"),
    ("try_element_at", "try_element_at"),
    ("regexp", "op rlike"),
    ("rlike", "op rlike"),
];

/// Functions whose result needs the order of a window's rows.
const RANKING: [&str; 8] =
    ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

fn canonical(name: &str) -> &str {
    SAME.iter().find(|(other, _)| *other == name).map_or(name, |(_, ours)| ours)
}

/// The whole number that an expression is, if it is one in the SQL itself.
fn whole_number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, false), .. }) => text.parse().ok(),
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => {
            Some(-whole_number(expr)?)
        }
        _ => None,
    }
}

/// The parts of a call after its shape is checked.
struct Call {
    name: String,
    args: Vec<Expr>,
    star: bool,
    distinct: bool,
    filter: Option<Box<Expr>>,
    nulls: Option<NullTreatment>,
    over: Option<WindowSpec>,
    at: Position,
}

impl Rewriter<'_> {
    /// One function call.
    pub fn function(&mut self, function: Function) -> Result<Expr> {
        let call = shape(function)?;
        if call.over.is_some() {
            return self.window(call);
        }
        let name = call.name.as_str();
        if self.allowed.aggregates.contains(name) || is_aggregate(canonical(name)) {
            return self.aggregate(call, None);
        }
        if call.star || call.distinct || call.filter.is_some() || call.nulls.is_some() {
            return Err(unsupported(
                format!("`{name}` with *, DISTINCT, FILTER or IGNORE NULLS"),
                call.at,
            ));
        }
        self.scalar(call)
    }

    fn scalar(&mut self, call: Call) -> Result<Expr> {
        let Call { name, args, at, .. } = call;
        self.allow("function", &name, at)?;
        let count = args.len();
        let wrong =
            |takes: &str| invalid(format!("`{name}` takes {takes}, not {count} arguments"), at);
        let ours = canonical(&name);
        match ours {
            "if" => {
                let [condition, yes, no] =
                    <[Expr; 3]>::try_from(args).map_err(|_| wrong("three arguments"))?;
                Ok(build::case(
                    vec![(self.expr(condition)?, self.expr(yes)?)],
                    Some(self.expr(no)?),
                ))
            }
            "coalesce" => {
                let mut args =
                    args.into_iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
                let last = args.pop().ok_or_else(|| wrong("at least one argument"))?;
                if args.is_empty() {
                    return Ok(last);
                }
                let conditions = args
                    .into_iter()
                    .map(|arg| (Expr::IsNotNull(Box::new(arg.clone())), arg))
                    .collect();
                Ok(build::case(conditions, Some(last)))
            }
            "nvl2" => {
                let [value, yes, no] =
                    <[Expr; 3]>::try_from(args).map_err(|_| wrong("three arguments"))?;
                let present = Expr::IsNotNull(Box::new(self.expr(value)?));
                Ok(build::case(vec![(present, self.expr(yes)?)], Some(self.expr(no)?)))
            }
            "nullif" => {
                let [left, right] =
                    <[Expr; 2]>::try_from(args).map_err(|_| wrong("two arguments"))?;
                let left = self.expr(left)?;
                let equal = build::binary(
                    left.clone(),
                    sqlparser::ast::BinaryOperator::Eq,
                    self.expr(right)?,
                );
                Ok(build::case(vec![(equal, build::value(Value::Null))], Some(left)))
            }
            "isnull" | "isnotnull" => {
                let [value] = <[Expr; 1]>::try_from(args).map_err(|_| wrong("one argument"))?;
                let value = Box::new(self.expr(value)?);
                Ok(Expr::Nested(Box::new(if ours == "isnull" {
                    Expr::IsNull(value)
                } else {
                    Expr::IsNotNull(value)
                })))
            }
            "date" | "int" | "bigint" | "double" | "string" | "timestamp" | "boolean" => {
                let [value] = <[Expr; 1]>::try_from(args).map_err(|_| wrong("one argument"))?;
                Ok(build::call(&format!("cast {ours}"), vec![self.expr(value)?]))
            }
            "date_trunc" | "trunc" => {
                let [first, second] =
                    <[Expr; 2]>::try_from(args).map_err(|_| wrong("two arguments"))?;
                let (unit, value) = if ours == "trunc" { (second, first) } else { (first, second) };
                let unit = self.text_literal(unit, &format!("the unit of `{name}`"))?;
                let known =
                    if ours == "trunc" { &TRUNCATE_UNITS[7..] } else { &TRUNCATE_UNITS[..] };
                if !known.contains(&unit.to_ascii_uppercase().as_str()) {
                    return Err(unsupported(format!("the unit '{unit}' of `{name}`"), at));
                }
                let (unit, value) = (build::text(unit), self.expr(value)?);
                Ok(build::call(
                    ours,
                    if ours == "trunc" { vec![value, unit] } else { vec![unit, value] },
                ))
            }
            "date_format" | "from_unixtime" | "to_date" | "to_timestamp" | "unix_timestamp"
                if count == 2 =>
            {
                let [value, pattern] =
                    <[Expr; 2]>::try_from(args).map_err(|_| wrong("two arguments"))?;
                let pattern = self.text_literal(pattern, &format!("the pattern of `{name}`"))?;
                let writes = matches!(ours, "date_format" | "from_unixtime");
                if !Pattern::new(&pattern).is_some_and(|parsed| writes || parsed.reads()) {
                    return Err(unsupported(format!("the pattern '{pattern}' of `{name}`"), at));
                }
                Ok(build::call(ours, vec![self.expr(value)?, build::text(pattern)]))
            }
            "unix_timestamp" if count == 0 => {
                Err(invalid("`unix_timestamp()` depends on when it runs", at))
            }
            // `trim(x, y)` cuts x from y in Spark: only the form without characters is proven here.
            "trim" | "ltrim" | "rtrim" if count != 1 => Err(unsupported(
                format!("`{name}` with two arguments; write trim(BOTH x FROM y)"),
                at,
            )),
            "ln" if count != 1 => Err(unsupported("`log` with a base", at)),
            "round" | "bround" if count == 2 => {
                let [value, scale] =
                    <[Expr; 2]>::try_from(args).map_err(|_| wrong("two arguments"))?;
                let scale = whole_number(&scale).ok_or_else(|| {
                    unsupported(format!("the scale of `{name}` that is not a literal"), at)
                })?;
                Ok(build::call(ours, vec![self.expr(value)?, build::integer(scale)]))
            }
            "split" => {
                let [value, pattern] = <[Expr; 2]>::try_from(args)
                    .map_err(|_| unsupported("`split` with a limit", at))?;
                let pattern = self.text_literal(pattern, "the pattern of `split`")?;
                let literal =
                    regex::literal(&pattern).filter(|literal| !literal.is_empty()).ok_or_else(
                        || unsupported(format!("the pattern '{pattern}' of `split`"), at),
                    )?;
                Ok(build::call("split", vec![self.expr(value)?, build::text(literal)]))
            }
            "op rlike" | "regexp_like" => {
                let [value, pattern] =
                    <[Expr; 2]>::try_from(args).map_err(|_| wrong("two arguments"))?;
                let pattern = self.pattern_literal(pattern, true)?;
                Ok(build::call("op rlike", vec![self.expr(value)?, build::text(pattern)]))
            }
            "regexp_extract" => {
                let mut args = args.into_iter();
                let (Some(value), Some(pattern)) = (args.next(), args.next()) else {
                    return Err(wrong("two or three arguments"));
                };
                let group = match args.next() {
                    None => 1,
                    Some(group) => whole_number(&group).ok_or_else(|| {
                        unsupported("the group of `regexp_extract` that is not a literal", at)
                    })?,
                };
                let pattern = self.pattern_literal(pattern, false)?;
                Ok(build::call(
                    ours,
                    vec![self.expr(value)?, build::text(pattern), build::integer(group)],
                ))
            }
            "regexp_replace" => {
                let [value, pattern, with] = <[Expr; 3]>::try_from(args)
                    .map_err(|_| unsupported("`regexp_replace` with a position", at))?;
                let pattern = self.pattern_literal(pattern, false)?;
                let text = self.text_literal(with, "the replacement of `regexp_replace`")?;
                let with = regex::replacement(&text)
                    .ok_or_else(|| unsupported(format!("the replacement '{text}'"), at))?;
                // Spark fails on the first row that matches; the `regex` crate would put nothing there.
                let (named, groups) = (regex::greatest_group(&text), regex::groups(&pattern));
                if named > groups {
                    return Err(invalid(
                        format!(
                            "the replacement '{text}' of `{name}` names group {named}, but the \
                             pattern has {groups}; put the part in parentheses, or name another"
                        ),
                        at,
                    ));
                }
                Ok(build::call(
                    ours,
                    vec![self.expr(value)?, build::text(pattern), build::text(with)],
                ))
            }
            "sort_array" | "size" | "array_max" | "array_min" => {
                let mut args = args.into_iter();
                let Some(first) = args.next() else { return Err(wrong("an array")) };
                let first = match first {
                    // What is collected has no order of its own; behind these functions none is needed.
                    Expr::Function(inner) => {
                        let inner = shape(inner)?;
                        if inner.over.is_none()
                            && matches!(canonical(&inner.name), "collect_list" | "collect_set")
                        {
                            self.aggregate(inner, Some(ours))?
                        } else {
                            self.function(unshape(inner))?
                        }
                    }
                    other => self.expr(other)?,
                };
                let mut all = vec![first];
                for arg in args {
                    if !matches!(arg, Expr::Value(ValueWithSpan { value: Value::Boolean(_), .. })) {
                        return Err(unsupported(
                            format!("the second argument of `{name}` that is not a literal"),
                            at,
                        ));
                    }
                    all.push(self.expr(arg)?);
                }
                Ok(build::call(ours, all))
            }
            _ => {
                let args =
                    args.into_iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
                Ok(build::call(ours, args))
            }
        }
    }

    /// A Java pattern in the SQL itself, as one of ours with the same meaning.
    pub fn pattern_literal(&mut self, expr: Expr, only_finds: bool) -> Result<String> {
        let at = position(&expr);
        let text = self.text_literal(expr, "a pattern")?;
        regex::translate(&text, only_finds)
            .ok_or_else(|| unsupported(format!("the pattern '{text}'"), at))
    }

    fn aggregate(&mut self, call: Call, within: Option<&str>) -> Result<Expr> {
        let Call { name, args, star, distinct, filter, nulls, at, .. } = call;
        self.allow("aggregate", &name, at)?;
        if nulls.is_some() {
            return Err(unsupported(format!("`{name}` with IGNORE NULLS"), at));
        }
        let ours = canonical(&name);
        if matches!(ours, "collect_list" | "collect_set") && within.is_none() {
            return Err(unsupported(
                format!(
                    "`{name}`, whose order is not fixed, outside sort_array, size, array_min and array_max"
                ),
                at,
            ));
        }
        if distinct {
            self.allow("operator", "DISTINCT aggregate", at)?;
            if !matches!(ours, "count" | "sum" | "avg" | "min" | "max") {
                return Err(unsupported(format!("`{name}` with DISTINCT"), at));
            }
        }
        let filter = match filter {
            Some(filter) => {
                self.allow("operator", "FILTER", at)?;
                Some(Box::new(self.expr(*filter)?))
            }
            None => None,
        };
        self.aggregate_call(ours, &name, args, star, distinct, filter, at).map(Expr::Function)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call")]
    fn aggregate_call(
        &mut self,
        ours: &str,
        name: &str,
        args: Vec<Expr>,
        star: bool,
        distinct: bool,
        filter: Option<Box<Expr>>,
        at: Position,
    ) -> Result<Function> {
        let takes = match ours {
            "percentile" | "max_by" | "min_by" | "corr" | "covar_samp" | "covar_pop" => 2..=2,
            sketches::MAKES | sketches::MERGES => 1..=2,
            _ => 1..=1,
        };
        if star && ours != "count" || !star && !takes.contains(&args.len()) {
            return Err(unsupported(format!("`{name}` with {} arguments", args.len()), at));
        }
        let mut function = match ours {
            "count_if" => {
                let condition =
                    args.into_iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
                let counted = condition
                    .into_iter()
                    .map(|condition| build::case(vec![(condition, build::integer(1))], None))
                    .collect();
                build::function("count", counted)
            }
            "count" if star => {
                // count(*) counts rows, whatever is in them.
                build::function("count", vec![build::integer(1)])
            }
            "percentile" => {
                let is_share =
                    matches!(&args[1], Expr::Value(ValueWithSpan { value: Value::Number(..), .. }));
                if !is_share {
                    return Err(unsupported(
                        "the share of `percentile` that is not one literal",
                        at,
                    ));
                }
                let args =
                    args.into_iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
                build::function(ours, args)
            }
            sketches::MAKES | sketches::MERGES => self.sketch_call(ours, args, at)?,
            _ => {
                let args =
                    args.into_iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
                build::function(ours, args)
            }
        };
        if distinct && let FunctionArguments::List(list) = &mut function.args {
            list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
        }
        function.filter = filter;
        Ok(function)
    }

    /// An aggregate of sketches: its second argument, a constant, becomes a part of its name.
    fn sketch_call(&mut self, ours: &str, args: Vec<Expr>, at: Position) -> Result<Function> {
        let mut args = args.into_iter();
        let value = args.next().map(|value| self.expr(value)).transpose()?;
        let constant = args.next();
        let name = if ours == sketches::MAKES {
            let lg_k = match constant {
                None => i64::from(trivium_sketch::LG_K_DEFAULT),
                Some(lg_k) => whole_number(&lg_k).ok_or_else(|| {
                    unsupported(format!("the `lgConfigK` of `{ours}` that is not a literal"), at)
                })?,
            };
            trivium_sketch::Sketch::new(lg_k)
                .map_err(|error| invalid(format!("`{ours}`: {error}"), at))?;
            sketches::makes_name(lg_k)
        } else {
            let allowed = match constant {
                None => false,
                Some(Expr::Value(ValueWithSpan { value: Value::Boolean(allowed), .. })) => allowed,
                Some(_) => {
                    return Err(unsupported(
                        format!("the second argument of `{ours}` that is not a literal"),
                        at,
                    ));
                }
            };
            sketches::merges_name(allowed)
        };
        Ok(build::function(&name, value.into_iter().collect()))
    }

    fn window(&mut self, call: Call) -> Result<Expr> {
        let Call { name, mut args, star, distinct, filter, mut nulls, over, at } = call;
        let Some(over) = over else { return Err(invalid("OVER is missing", at)) };
        if distinct || filter.is_some() {
            return Err(unsupported(format!("`{name}` OVER with DISTINCT or FILTER"), at));
        }
        let ours = canonical(&name).to_owned();
        let ordered = !over.order_by.is_empty();
        let value = matches!(ours.as_str(), "first_value" | "last_value" | "nth_value");
        if (RANKING.contains(&ours.as_str()) || value) && !ordered {
            return Err(invalid(format!("`{name}` needs ORDER BY inside OVER"), at));
        }
        if over.window_frame.is_some() && !ordered {
            return Err(invalid("a window frame needs ORDER BY inside OVER", at));
        }
        // Spark says IGNORE NULLS as a second argument, too.
        if value && args.len() == 2 && ours != "nth_value" {
            match args.pop() {
                Some(Expr::Value(ValueWithSpan { value: Value::Boolean(true), .. })) => {
                    nulls = Some(NullTreatment::IgnoreNulls)
                }
                Some(Expr::Value(ValueWithSpan { value: Value::Boolean(false), .. })) => {}
                _ => return Err(unsupported(format!("the second argument of `{name}`"), at)),
            }
        }
        if nulls.is_some() {
            if !value && !matches!(ours.as_str(), "lag" | "lead") {
                return Err(unsupported(format!("`{name}` with IGNORE NULLS"), at));
            }
            self.allow("operator", "IGNORE NULLS", at)?;
        }
        let mut function = if is_aggregate(&ours) {
            self.allow("window", &name, at)?;
            if matches!(
                ours.as_str(),
                "collect_list" | "collect_set" | "percentile" | "median" | "max_by" | "min_by"
            ) {
                return Err(unsupported(format!("`{name}` OVER"), at));
            }
            self.aggregate_call(&ours, &name, args, star, false, None, at)?
        } else {
            self.allow("window", &name, at)?;
            // Which argument is a number of rows, and the least that it may be: Spark's is an int.
            let count_at = match ours.as_str() {
                "lag" | "lead" => Some((1, 0)),
                "nth_value" => Some((1, 1)),
                "ntile" => Some((0, 1)),
                _ => None,
            };
            let args = args
                .into_iter()
                .enumerate()
                .map(|(index, arg)| {
                    let Some((_, least)) = count_at.filter(|(at, _)| *at == index) else {
                        return self.expr(arg);
                    };
                    // DataFusion wants a plain number here.
                    match whole_number(&arg) {
                        Some(number)
                            if number > i64::from(i32::MAX) || (0..least).contains(&number) =>
                        {
                            Err(invalid(
                                format!(
                                    "`{name}` takes a number from {least} to {}, not {number}",
                                    i32::MAX
                                ),
                                at,
                            ))
                        }
                        Some(number) if number >= 0 => Ok(arg),
                        _ => Err(unsupported(
                            format!("the offset of `{name}` that is not a literal"),
                            at,
                        )),
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            build::function(&ours, args)
        };
        function.null_treatment = nulls;
        function.over = Some(WindowType::WindowSpec(self.window_spec(over, at)?));
        let whole = matches!(ours.as_str(), "row_number" | "rank" | "dense_rank" | "ntile");
        let call = Expr::Function(function);
        // DataFusion counts ranks unsigned; Spark's are int.
        Ok(if whole { build::call("op rank", vec![call]) } else { call })
    }

    fn window_spec(&mut self, spec: WindowSpec, at: Position) -> Result<WindowSpec> {
        if spec.window_name.is_some() {
            return Err(unsupported("a named window", at));
        }
        let partition_by =
            spec.partition_by.into_iter().map(|expr| self.expr(expr)).collect::<Result<_>>()?;
        let orders = spec.order_by.len();
        let order_by = self.order_exprs(spec.order_by)?;
        let window_frame = match spec.window_frame {
            None => None,
            Some(frame) => {
                let units = frame.units;
                match units {
                    WindowFrameUnits::Rows => self.allow("operator", "ROWS frame", at)?,
                    WindowFrameUnits::Range => self.allow("operator", "RANGE frame", at)?,
                    WindowFrameUnits::Groups => return Err(unsupported("a GROUPS frame", at)),
                }
                let mut frame = frame;
                for bound in std::iter::once(&mut frame.start_bound).chain(frame.end_bound.as_mut())
                {
                    self.frame_bound(bound, units, orders, at)?;
                }
                Some(frame)
            }
        };
        Ok(WindowSpec { window_name: None, partition_by, order_by, window_frame })
    }

    fn frame_bound(
        &mut self,
        bound: &mut WindowFrameBound,
        units: WindowFrameUnits,
        orders: usize,
        at: Position,
    ) -> Result<()> {
        let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) =
            bound
        else {
            return Ok(());
        };
        match &mut **offset {
            Expr::Interval(interval) if units == WindowFrameUnits::Range && orders == 1 => {
                self.allow("operator", "INTERVAL", at)?;
                let text = self.interval(interval)?.fixed_text();
                let text = text.ok_or_else(|| unsupported("a window frame of months", at))?;
                *interval.value = build::text(text);
                interval.leading_field = None;
                Ok(())
            }
            other
                if units == WindowFrameUnits::Rows
                    && whole_number(other).is_some_and(|number| number > i64::from(i32::MAX)) =>
            {
                Err(invalid(
                    format!("a bound of a ROWS frame is at most {}, not {other}", i32::MAX),
                    at,
                ))
            }
            other
                if whole_number(other).is_some_and(|number| number >= 0)
                    && (units == WindowFrameUnits::Rows || orders == 1) =>
            {
                Ok(())
            }
            _ => Err(unsupported("this bound of a window frame", at)),
        }
    }
}

fn is_aggregate(ours: &str) -> bool {
    matches!(
        ours,
        "count"
            | "count_if"
            | "sum"
            | "avg"
            | "min"
            | "max"
            | "stddev_samp"
            | "stddev_pop"
            | "var_samp"
            | "var_pop"
            | "bool_and"
            | "bool_or"
            | "corr"
            | "covar_samp"
            | "covar_pop"
            | "percentile"
            | "median"
            | "max_by"
            | "min_by"
            | "collect_list"
            | "collect_set"
            | "first"
            | "last"
            | "any_value"
            | "approx_count_distinct"
            | "percentile_approx"
            | "approx_percentile"
            | "skewness"
            | "kurtosis"
            | "mode"
            | sketches::MAKES
            | sketches::MERGES
    )
}

/// Takes a call apart, refusing forms that Spark does not have.
fn shape(function: Function) -> Result<Call> {
    let at = position(&function.name);
    let [part] = function.name.0.as_slice() else {
        return Err(unsupported("a function with a qualified name", at));
    };
    let name = part.as_ident().map(|ident| ident.value.to_lowercase()).unwrap_or_default();
    let strange = function.uses_odbc_syntax
        || !matches!(function.parameters, FunctionArguments::None)
        || !function.within_group.is_empty();
    let FunctionArguments::List(list) = function.args else {
        return Err(unsupported(format!("`{name}` in this form"), at));
    };
    let mut nulls = function.null_treatment;
    for clause in list.clauses {
        match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => nulls = Some(treatment),
            _ => return Err(unsupported(format!("`{name}` in this form"), at)),
        }
    }
    if strange {
        return Err(unsupported(format!("`{name}` in this form"), at));
    }
    let mut args = Vec::with_capacity(list.args.len());
    let mut star = false;
    for arg in list.args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => args.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => star = true,
            _ => return Err(unsupported(format!("`{name}` with a named argument"), at)),
        }
    }
    let over = match function.over {
        None => None,
        Some(WindowType::WindowSpec(spec)) => Some(spec),
        Some(WindowType::NamedWindow(_)) => return Err(unsupported("a named window", at)),
    };
    Ok(Call {
        name,
        args,
        star,
        distinct: list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
        filter: function.filter,
        nulls: nulls.filter(|treatment| *treatment == NullTreatment::IgnoreNulls),
        over,
        at,
    })
}

/// The inverse of [`shape`].
fn unshape(call: Call) -> Function {
    let mut function = build::function(&call.name, call.args);
    if let FunctionArguments::List(list) = &mut function.args {
        if call.star {
            list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
        }
        if call.distinct {
            list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
        }
    }
    function.filter = call.filter;
    function.null_treatment = call.nulls;
    function.over = call.over.map(WindowType::WindowSpec);
    function
}
