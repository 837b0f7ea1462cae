//! The engine: options, planning, running.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{
    common::Result as DataFusionResult,
    datasource::TableProvider,
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
    optimizer::Optimizer,
    physical_plan::execute_stream,
    prelude::SessionConfig,
    sql::planner::{ParserOptions, SqlToRel},
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use trivium_engine::{BatchStream, Error, QueryEngine, Table};

use crate::{
    allow::AllowList,
    error::from_datafusion,
    provider::{Functions, Provider},
    rewrite,
    sources::{self, Sources},
    types::normalised,
    typing::Typing,
};

/// What an engine may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Decoded source rows kept in memory, in bytes. Larger tables are read again for every query.
    pub cache_bytes_max: usize,
    /// Memory for sorts, joins and aggregates, in bytes; what needs more spills to disk.
    pub memory_bytes_max: usize,
    /// Partitions a query runs in. One keeps sums of floats in one order, run after run.
    pub partitions: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes_max: 512 << 20, memory_bytes_max: 1 << 30, partitions: 1 }
    }
}

/// Runs Spark SQL on DataFusion. Cheap to clone; clones share their cache.
#[derive(Clone)]
pub struct DataFusionEngine {
    shared: Arc<Shared>,
}

struct Shared {
    state: SessionState,
    functions: Functions,
    allowed: AllowList,
    sources: Arc<Sources>,
}

/// A query that may run.
struct Planned {
    plan: LogicalPlan,
    used: BTreeSet<String>,
}

impl DataFusionEngine {
    /// With the proven allow-list.
    ///
    /// # Errors
    /// If the disk manager cannot be set up.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::with_allow_list(options, AllowList::proven()?)
    }

    /// With another allow-list, for tests of refusal.
    ///
    /// # Errors
    /// If the disk manager cannot be set up.
    pub fn with_allow_list(options: &Options, allowed: AllowList) -> Result<Self, Error> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes_max)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory),
            )
            .build_arc()
            .map_err(from_datafusion)?;
        let mut config = SessionConfig::new()
            .with_target_partitions(options.partitions.max(1))
            .with_batch_size(8192);
        let settings = config.options_mut();
        settings.sql_parser.map_string_types_to_utf8view = false;
        settings.execution.parquet.schema_force_view_types = false;
        settings.execution.time_zone = Some("UTC".to_owned());
        // This rule adds a second sum over the first, and the sum of sums has another decimal type.
        let mut rules = Optimizer::new().rules;
        rules.retain(|rule| rule.name() != "single_distinct_aggregation_to_group_by");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_optimizer_rules(rules)
            .build();
        Ok(Self {
            shared: Arc::new(Shared {
                state,
                functions: Functions::new(),
                allowed,
                sources: Arc::new(Sources::new(options.cache_bytes_max)),
            }),
        })
    }

    /// Entries of the allow-list that a query uses: what a parity case proves.
    ///
    /// # Errors
    /// As [`QueryEngine::describe`].
    pub async fn uses(&self, sql: &str, tables: &[Table]) -> Result<BTreeSet<String>, Error> {
        let tables = self.tables(tables).await?;
        Ok(self.plan(sql, &tables)?.used)
    }

    pub(crate) fn state(&self) -> &SessionState {
        &self.shared.state
    }

    pub(crate) fn sources(&self) -> &Arc<Sources> {
        &self.shared.sources
    }

    async fn tables(
        &self,
        tables: &[Table],
    ) -> Result<HashMap<String, Arc<dyn TableProvider>>, Error> {
        let sources = Arc::clone(&self.shared.sources);
        let tables = tables.to_vec();
        tokio::task::spawn_blocking(move || sources::by_name(&sources, &tables))
            .await
            .map_err(|error| Error::Internal(error.to_string()))?
    }

    fn plan(
        &self,
        sql: &str,
        tables: &HashMap<String, Arc<dyn TableProvider>>,
    ) -> Result<Planned, Error> {
        let names: BTreeSet<String> = tables.keys().cloned().collect();
        let rewritten = rewrite::rewrite(sql, &self.shared.allowed, &names)?;
        let mut used = rewritten.used;
        let provider = Provider {
            functions: &self.shared.functions,
            tables,
            options: self.shared.state.config_options(),
        };
        let parser = ParserOptions::new().with_map_string_types_to_utf8view(false);
        let plan = SqlToRel::new_with_options(&provider, parser)
            .sql_statement_to_plan(rewritten.statement)
            .map_err(from_datafusion)?;
        let mut typing = Typing::new(&self.shared.allowed);
        let plan = typing.plan(plan).map_err(from_datafusion)?;
        used.append(&mut typing.used);
        output_schema(plan.schema().as_arrow())?;
        Ok(Planned { plan, used })
    }
}

/// The columns as they leave the engine.
fn output_schema(schema: &Schema) -> Result<SchemaRef, Error> {
    let fields = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = normalised(field.data_type()).ok_or_else(|| Error::Invalid {
                message: format!(
                    "column `{}` has the type {}, which a feature cannot have",
                    field.name(),
                    field.data_type()
                ),
                position: None,
            })?;
            Ok(Field::new(field.name(), data_type, true))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Runs a logical plan and gives its rows in the engine's types.
pub(crate) async fn run(state: &SessionState, plan: LogicalPlan) -> Result<BatchStream, Error> {
    let physical = state.create_physical_plan(&plan).await.map_err(from_datafusion)?;
    let schema = output_schema(&physical.schema())?;
    let promised = output_schema(plan.schema().as_arrow())?;
    if schema != promised {
        return Err(Error::Internal(format!(
            "planned columns {promised:?}, but would give {schema:?}"
        )));
    }
    let stream = execute_stream(physical, state.task_ctx()).map_err(from_datafusion)?;
    Ok(Box::pin(stream.map(move |batch: DataFusionResult<RecordBatch>| {
        let batch = batch.map_err(from_datafusion)?;
        sources::normalise(&batch, &schema, None)
    })))
}

#[async_trait]
impl QueryEngine for DataFusionEngine {
    async fn describe(&self, sql: &str, tables: &[Table]) -> Result<SchemaRef, Error> {
        let tables = self.tables(tables).await?;
        let planned = self.plan(sql, &tables)?;
        output_schema(planned.plan.schema().as_arrow())
    }

    async fn query(&self, sql: &str, tables: &[Table]) -> Result<BatchStream, Error> {
        let tables = self.tables(tables).await?;
        let planned = self.plan(sql, &tables)?;
        run(&self.shared.state, planned.plan).await
    }
}
