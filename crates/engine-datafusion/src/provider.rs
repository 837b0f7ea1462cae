//! What DataFusion's planner may know: our functions, proven aggregates and windows, the query's tables. Nothing else.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{Result, TableReference, config::ConfigOptions},
    datasource::{TableProvider, provider_as_source},
    functions_aggregate::{bool_and_or, correlation, count, covariance, stddev, variance},
    functions_window::{cume_dist, lead_lag, nth_value, ntile, rank, row_number},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF, planner::ContextProvider,
    },
};

use crate::{
    aggregates,
    error::invalid_error,
    extremes,
    functions::{self, cast},
    sketches,
};

/// The functions, built once an engine.
#[derive(Debug)]
pub struct Functions {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
}

impl Functions {
    /// All of them.
    pub fn new() -> Self {
        let scalar = functions::all()
            .into_iter()
            .map(|function| (function.name().to_owned(), function))
            .collect();
        let mut aggregate: HashMap<String, Arc<AggregateUDF>> = [
            ("count", count::count_udaf()),
            ("stddev_samp", stddev::stddev_udaf()),
            ("stddev_pop", stddev::stddev_pop_udaf()),
            ("var_samp", variance::var_samp_udaf()),
            ("var_pop", variance::var_pop_udaf()),
            ("corr", correlation::corr_udaf()),
            ("covar_samp", covariance::covar_samp_udaf()),
            ("covar_pop", covariance::covar_pop_udaf()),
            ("bool_and", bool_and_or::bool_and_udaf()),
            ("bool_or", bool_and_or::bool_or_udaf()),
        ]
        .into_iter()
        .map(|(name, function)| (name.to_owned(), function))
        .collect();
        aggregate.extend(aggregates::all());
        aggregate.extend(extremes::all());
        aggregate.extend(sketches::all());
        let window = [
            ("row_number", row_number::row_number_udwf()),
            ("rank", rank::rank_udwf()),
            ("dense_rank", rank::dense_rank_udwf()),
            ("percent_rank", rank::percent_rank_udwf()),
            ("cume_dist", cume_dist::cume_dist_udwf()),
            ("ntile", ntile::ntile_udwf()),
            ("lag", lead_lag::lag_udwf()),
            ("lead", lead_lag::lead_udwf()),
            ("first_value", nth_value::first_value_udwf()),
            ("last_value", nth_value::last_value_udwf()),
            ("nth_value", nth_value::nth_value_udwf()),
        ]
        .into_iter()
        .map(|(name, function)| (name.to_owned(), function))
        .collect();
        Self { scalar, aggregate, window }
    }
}

/// The planner's view of one query.
pub struct Provider<'a> {
    pub functions: &'a Functions,
    /// By lower-case name.
    pub tables: &'a HashMap<String, Arc<dyn TableProvider>>,
    pub options: &'a ConfigOptions,
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.tables.get(name.table()) {
            Some(table) => Ok(provider_as_source(Arc::clone(table))),
            None => Err(invalid_error(format!("there is no table `{}`", name.table()))),
        }
    }
    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar.get(name).cloned().or_else(|| cast::function(name))
    }
    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }
    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate.get(name).cloned()
    }
    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window.get(name).cloned()
    }
    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }
    fn options(&self) -> &ConfigOptions {
        self.options
    }
    fn udf_names(&self) -> Vec<String> {
        vec![]
    }
    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }
    fn udaf_names(&self) -> Vec<String> {
        vec![]
    }
    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}
