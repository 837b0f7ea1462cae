//! What is known of functions by their names.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem,
};

use crate::walk::{self, Watcher};

/// Functions whose value depends on when, where or by whom the query is run.
pub(crate) const NOT_REPEATABLE: [&str; 35] = [
    "curdate",
    "current_catalog",
    "current_database",
    "current_date",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_timezone",
    "current_user",
    "getdate",
    "input_file_block_length",
    "input_file_block_start",
    "input_file_name",
    "java_method",
    "localtime",
    "localtimestamp",
    "monotonically_increasing_id",
    "now",
    "rand",
    "randn",
    "random",
    "randstr",
    "reflect",
    "session_user",
    "shuffle",
    "spark_partition_id",
    "sysdate",
    "today",
    "try_reflect",
    "uniform",
    "unix_timestamp",
    "user",
    "uuid",
    "version",
    "current_metastore",
];

/// Functions that make several rows of one.
pub(crate) const GENERATORS: [&str; 10] = [
    "explode",
    "explode_outer",
    "inline",
    "inline_outer",
    "json_tuple",
    "posexplode",
    "posexplode_outer",
    "stack",
    "variant_explode",
    "variant_explode_outer",
];

/// Functions that stand in FROM as a table and are the same at every run.
pub(crate) const GENERATORS_OF_ROWS: [&str; 1] = ["range"];

/// Functions that make one value of many rows.
pub(crate) const AGGREGATES: [&str; 74] = [
    "any",
    "any_value",
    "approx_count_distinct",
    "approx_percentile",
    "approx_top_k",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bitmap_construct_agg",
    "bitmap_or_agg",
    "bool_and",
    "bool_or",
    "collect_list",
    "collect_set",
    "corr",
    "count",
    "count_if",
    "count_min_sketch",
    "covar_pop",
    "covar_samp",
    "every",
    "first",
    "first_value",
    "grouping",
    "grouping_id",
    "histogram_numeric",
    "hll_sketch_agg",
    "hll_union_agg",
    "kurtosis",
    "last",
    "last_value",
    "listagg",
    "max",
    "max_by",
    "mean",
    "median",
    "min",
    "min_by",
    "mode",
    "percentile",
    "percentile_approx",
    "percentile_cont",
    "percentile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "skewness",
    "some",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "theta_sketch_agg",
    "theta_union_agg",
    "try_avg",
    "try_sum",
    "var_pop",
    "var_samp",
    "variance",
    "bitmap_and_agg",
    "kll_sketch_agg_bigint",
    "kll_sketch_agg_double",
    "kll_sketch_agg_float",
    "approx_top_k_accumulate",
];

/// The name of a function in lower case.
pub(crate) fn name(function: &Function) -> String {
    function.name.0.last().and_then(|part| part.as_ident()).map_or_else(
        || function.name.to_string().to_lowercase(),
        |ident| ident.value.to_lowercase(),
    )
}

/// The arguments that are plain expressions.
pub(crate) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// The first argument of `timestampdiff(DAY, a, b)` and the like: it reads as a column and is none.
pub(crate) fn unit_argument(function: &Function) -> Option<&Expr> {
    const WITH_UNITS: [&str; 6] =
        ["dateadd", "date_add", "datediff", "date_diff", "timestampadd", "timestampdiff"];
    let arguments = arguments(function);
    let first = *arguments.first()?;
    let is_name = matches!(first, Expr::Identifier(_));
    (arguments.len() == 3 && is_name && WITH_UNITS.contains(&name(function).as_str()))
        .then_some(first)
}

/// Looks through one query level, not into subqueries.
struct Finder {
    aggregate: bool,
    generator: bool,
    query_depth: usize,
}

impl Watcher for Finder {
    fn enter_query(&mut self, _: &Query) {
        self.query_depth += 1;
    }
    fn leave_query(&mut self, _: &Query) {
        self.query_depth -= 1;
    }
    fn enter_expr(&mut self, expr: &Expr) {
        if let Expr::Function(function) = expr
            && self.query_depth == 0
        {
            let name = name(function);
            self.aggregate |= function.over.is_none() && AGGREGATES.contains(&name.as_str());
            self.generator |= GENERATORS.contains(&name.as_str());
        }
    }
}

impl Finder {
    const NEW: Self = Self { aggregate: false, generator: false, query_depth: 0 };
}

fn find(expr: &Expr) -> Finder {
    let mut finder = Finder::NEW;
    walk::expr(expr, &mut finder);
    finder
}

/// Whether an expression makes one value of many rows (windows do not).
pub(crate) fn aggregates(expr: &Expr) -> bool {
    find(expr).aggregate
}

/// Whether an item of a projection does.
pub(crate) fn item_aggregates(item: &SelectItem) -> bool {
    let mut finder = Finder::NEW;
    walk::item(item, &mut finder);
    finder.aggregate
}

/// Whether an expression makes several rows of one.
pub(crate) fn generates(expr: &Expr) -> bool {
    find(expr).generator
}
