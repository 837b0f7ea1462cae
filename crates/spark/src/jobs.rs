//! The jobs of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use arrow::datatypes::SchemaRef;
use trivium_engine::{Source, Table};
use trivium_model::{FeatureView, ViewRef};
use trivium_offline::{
    Partition, Period, columns,
    run::steps::{Checked, Publication, PublishReport, Steps},
};

use crate::{
    Error, Job, JobResult,
    job::{FileFormat, JobTable, Query, Step},
    types::{quoted, spark_columns, spark_schema},
};

/// A source as the runner reads it. `schema` is what the local engine takes CSV files to hold, so that both
/// take them alike; Parquet files say it themselves.
pub fn source_table(table: &Table, schema: Option<&SchemaRef>) -> Result<JobTable, Error> {
    let invalid = |message: String| Error::Invalid {
        message: format!("table `{}`: {message}", table.name),
        help: "declare it in trivium.toml as files that Spark can read".to_owned(),
    };
    let mut options = BTreeMap::new();
    let (format, paths, schema) = match &table.source {
        Source::Parquet(paths) => {
            let schema = schema.map(|schema| spark_schema(schema)).transpose();
            (FileFormat::Parquet, paths, schema.map_err(|error| invalid(error.to_string()))?)
        }
        Source::Csv { paths, null } => {
            let schema = schema.ok_or_else(|| invalid("its columns are not known".to_owned()))?;
            let mut set =
                |name: &str, value: &str| options.insert(name.to_owned(), value.to_owned());
            set("header", "true");
            // A quote in a quoted field is doubled, as everywhere but in Spark.
            set("escape", "\"");
            // What does not fit its column is an error, and never quietly null.
            set("mode", "FAILFAST");
            set("nullValue", null.as_deref().unwrap_or_default());
            set("timeZone", table.time_zone.as_deref().unwrap_or("UTC"));
            let schema = spark_schema(schema).map_err(|error| invalid(error.to_string()))?;
            (FileFormat::Csv, paths, Some(schema))
        }
        Source::Batches { .. } => {
            return Err(invalid("rows in memory cannot be sent to Spark".to_owned()));
        }
    };
    let paths = paths.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
    Ok(JobTable {
        name: table.name.clone(),
        format,
        paths,
        schema,
        options,
        time_zone: table.time_zone.clone(),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::io("find", path))
}

/// The author's SQL and its checks, for some periods.
pub fn extraction(steps: &Steps, periods: &[Period], tables: &[JobTable]) -> Result<Job, Error> {
    let mut job = Vec::new();
    for (at, period) in periods.iter().enumerate() {
        let asked = steps.extraction(*period)?;
        let tables = if at == 0 { tables.to_vec() } else { Vec::new() };
        job.push(Step::Query(Query {
            name: format!("rows-{at}"),
            query: asked.sql,
            view: Some(trivium_sql::STAGED.to_owned()),
            tables,
        }));
        job.push(Step::Query(Query {
            name: format!("quality-{at}"),
            query: asked.quality_sql,
            view: None,
            tables: Vec::new(),
        }));
    }
    Ok(Job::new(named(steps.view(), "extract", periods), job))
}

/// What the extraction gave for the period at this place of its list, held against config and checks.
pub fn check(
    steps: &Steps,
    at: usize,
    period: Period,
    result: &JobResult,
) -> Result<Checked, Error> {
    let rows = result.rows(&format!("rows-{at}"))?;
    let quality = result.rows(&format!("quality-{at}"))?;
    Ok(steps.check(period, &rows, &quality)?)
}

/// Carryover and rollup.
pub fn publication(view: &FeatureView, publications: &[Publication]) -> Result<Job, Error> {
    let schema = columns::raw_schema(view);
    let schema = spark_schema(&schema).map_err(|error| unspeakable(view, &error))?;
    let mut steps = Vec::new();
    for (at, one) in publications.iter().enumerate() {
        let raw = JobTable {
            name: trivium_sql::RAW.to_owned(),
            format: FileFormat::Parquet,
            paths: one.raw_files.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            // A column that was added later is null in older files.
            schema: Some(schema.clone()),
            options: BTreeMap::new(),
            time_zone: None,
        };
        steps.push(Step::Query(Query {
            name: format!("published-{at}"),
            query: one.sql.clone(),
            view: None,
            tables: vec![raw],
        }));
    }
    let periods: Vec<Period> = publications.iter().map(|one| one.period).collect();
    Ok(Job::new(named(view, "publish", &periods), steps))
}

/// Switches what the publication gave, one partition after the other, so that one is in memory at a time.
/// `own` are the run's own periods.
pub fn publish(
    steps: &Steps,
    own: &[Period],
    publications: Vec<Publication>,
    result: &JobResult,
) -> Result<PublishReport, Error> {
    let mut report = PublishReport::default();
    for (at, one) in publications.into_iter().enumerate() {
        let rows = result.rows(&format!("published-{at}"))?;
        let PublishReport { changed, unchanged, left } = steps.publish(own, &[(one, rows)])?;
        report.changed.extend(changed);
        report.unchanged.extend(unchanged);
        report.left.extend(left);
    }
    Ok(report)
}

/// Makes the table of a view in the Hive metastore, adds the published partitions that it does not have, and
/// points those of some periods to the runs that count now. Each is one switch, and the same job again
/// changes nothing.
pub fn table(
    view: &FeatureView,
    lake: &Path,
    published: &[Partition],
    moved: &BTreeSet<Period>,
) -> Result<Job, Error> {
    let reference = view.reference();
    let database = quoted(&reference.namespace);
    let table = format!("{database}.{}", quoted(&table_name(&reference)));
    let key = partition_key(view);
    let columns = spark_columns(&columns::published_schema(view))
        .map_err(|error| unspeakable(view, &error))?;
    let listed: Vec<String> =
        columns.iter().map(|(name, word)| format!("{} {word}", quoted(name))).collect();
    let statement = |statement: String| Step::Statement { statement };
    let mut steps = vec![statement(format!("CREATE DATABASE IF NOT EXISTS {database}"))];
    let create = format!(
        "CREATE EXTERNAL TABLE IF NOT EXISTS {table} ({}) PARTITIONED BY ({} STRING) STORED AS PARQUET LOCATION {}",
        listed.join(", "),
        quoted(key),
        location(lake)?,
    );
    steps.push(Step::Table { table: table.clone(), columns, create });
    let mut added = String::new();
    let mut switches = Vec::new();
    for partition in published {
        let folder = partition.period.folder();
        let value = folder.split_once('=').map_or(folder.as_str(), |(_, value)| value);
        let location = location(&partition.folder.join(&partition.pointer.run))?;
        let which = format!("PARTITION ({} = '{value}')", quoted(key));
        added.push_str(&format!(" {which} LOCATION {location}"));
        if moved.contains(&partition.period) {
            switches
                .push(statement(format!("ALTER TABLE {table} {which} SET LOCATION {location}")));
        }
    }
    if !added.is_empty() {
        steps.push(statement(format!("ALTER TABLE {table} ADD IF NOT EXISTS{added}")));
    }
    steps.extend(switches);
    let periods: Vec<Period> = moved.iter().copied().collect();
    let mut job = Job::new(named(view, "table", &periods), steps);
    job.hive = true;
    Ok(job)
}

/// The table of a view version in the metastore, in the database of its namespace.
pub fn table_name(view: &ViewRef) -> String {
    format!("{}_v{}", view.view, view.version)
}

/// `ds`, or `period` where periods are below a day.
fn partition_key(view: &FeatureView) -> &'static str {
    let day = trivium_model::TimeSpan::DAY.micros();
    let whole = view.schedule.as_ref().is_some_and(|schedule| schedule.every.micros() % day == 0);
    if whole { "ds" } else { "period" }
}

/// A path's address as a string literal. Hadoop takes percent signs as they are, so none are put in.
fn location(path: &Path) -> Result<String, Error> {
    let path = absolute(path)?;
    let text = path.to_str().ok_or_else(|| Error::Invalid {
        message: format!("{} is not written in Unicode", path.display()),
        help: "keep the lake under another path".to_owned(),
    })?;
    Ok(format!("'file://{}'", text.replace('\\', "\\\\").replace('\'', "\\'")))
}

fn unspeakable(view: &FeatureView, error: &crate::NoSparkType) -> Error {
    Error::Invalid {
        message: format!("{}: {error}", view.reference()),
        help: "run it on the local engine".to_owned(),
    }
}

fn named(view: &FeatureView, what: &str, periods: &[Period]) -> String {
    let span = match periods {
        [] => String::new(),
        [one] => format!(" {}", one.folder()),
        [first, .., last] => format!(" {} to {}", first.folder(), last.folder()),
    };
    format!("trivium {what} {}{span}", view.reference())
}
