//! What the runner reads (`job.json`), and what it leaves (`result.json`).
//!
//! The runner's `FORMAT` and `VERSION` are those here: a job of another pair is not run. A change of what a job
//! means is a new format; a change of the runner alone is a new version.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use trivium_spark_runner::{FORMAT, VERSION};
use uuid::Uuid;

use crate::Error;

/// A job's file name.
pub const JOB_FILE: &str = "job.json";
/// A result's file name, beside the job.
pub const RESULT_FILE: &str = "result.json";

/// One Spark application.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    format: u32,
    runner: &'static str,
    /// What its result names: one of another job in the same folder is not taken for it.
    id: String,
    /// The application's name.
    pub name: String,
    /// Whether it needs the Hive metastore.
    pub hive: bool,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Step {
    /// Run a query and write its rows.
    Query(Query),
    /// Run a statement for what it does.
    Statement {
        /// The SQL.
        statement: String,
    },
    /// Make a table, with these columns, each nullable: anew where one has another type, or by those that it
    /// lacks.
    Table {
        /// The table, quoted.
        table: String,
        /// Names and types, in order.
        columns: Vec<(String, String)>,
        /// The statement that makes it where it is not there.
        create: String,
    },
}

/// A query whose rows are written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Query {
    /// Names its rows in the result.
    pub name: String,
    /// The SQL.
    pub query: String,
    /// The name under which later steps can read its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// The tables that it reads, and that were not named by a step before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<JobTable>,
}

/// A table of files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobTable {
    /// As the SQL names it.
    pub name: String,
    /// What the files are.
    pub format: FileFormat,
    /// The files, absolute.
    pub paths: Vec<PathBuf>,
    /// The columns, where the files do not say them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The reader's options.
    pub options: BTreeMap<String, String>,
    /// IANA zone of zone-less times; UTC if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// What a table's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// CSV with a header line.
    Csv,
}

impl Job {
    /// A job of these steps.
    pub fn new(name: String, steps: Vec<Step>) -> Self {
        let id = Uuid::now_v7().simple().to_string();
        Self { format: FORMAT, runner: VERSION, id, name, hive: false, steps }
    }

    /// Writes the job into a folder of its own, as a whole, and takes the result of an earlier one away.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let result = folder.join(RESULT_FILE);
        match fs::remove_file(&result) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &result)(error));
            }
            _ => {}
        }
        let path = folder.join(JOB_FILE);
        write_json(&path, self)?;
        Ok(path)
    }
}

/// Writes a document beside its place and puts it there by one rename.
pub(crate) fn write_json(path: &Path, document: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(document).map_err(|error| Error::corrupt(path, error))?;
    let new = path.with_extension(format!("{}.new", Uuid::now_v7().simple()));
    let mut file = File::create(&new).map_err(Error::io("write", &new))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(Error::io("write", &new))?;
    fs::rename(&new, path).map_err(Error::io("write", path))
}

#[derive(Debug, Deserialize)]
struct ResultDocument {
    format: u32,
    job: String,
    spark: String,
    queries: Vec<Written>,
}

/// What of a job its result is held against.
#[derive(Debug, Deserialize)]
struct Asked {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Written {
    name: String,
    folder: PathBuf,
}

/// What a job left.
#[derive(Debug)]
pub struct JobResult {
    folder: PathBuf,
    document: ResultDocument,
}

impl JobResult {
    /// The result of the job in this folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(RESULT_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NotDone { job: folder.join(JOB_FILE) });
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let document: ResultDocument =
            serde_json::from_slice(&text).map_err(|error| Error::corrupt(&path, error))?;
        if document.format != FORMAT {
            let message = format!("format {} is not known to this version", document.format);
            return Err(Error::corrupt(&path, message));
        }
        let job = folder.join(JOB_FILE);
        let text = fs::read(&job).map_err(Error::io("read", &job))?;
        let asked: Asked =
            serde_json::from_slice(&text).map_err(|error| Error::corrupt(&job, error))?;
        // A try that was given up for dead may end after another job was written.
        if document.job != asked.id {
            return Err(Error::NotDone { job });
        }
        Ok(Self { folder: folder.to_owned(), document })
    }

    /// The Spark that ran it, such as `spark 4.2.0`.
    pub fn engine(&self) -> String {
        format!("spark {}", self.document.spark)
    }

    /// The rows of a query, in no order.
    pub fn rows(&self, name: &str) -> Result<Vec<RecordBatch>, Error> {
        let path = self.folder.join(RESULT_FILE);
        let written = self.document.queries.iter().find(|query| query.name == name);
        let written =
            written.ok_or_else(|| Error::corrupt(&path, format!("it has no query `{name}`")))?;
        let folder = self.folder.join(&written.folder);
        if !folder.join("_SUCCESS").exists() {
            return Err(Error::corrupt(&folder, "Spark did not finish writing it"));
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let file = entry.map_err(Error::io("read", &folder))?.path();
            let is_data = file
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.ends_with(".parquet") && !name.starts_with(['.', '_']));
            if is_data {
                files.push(file);
            }
        }
        files.sort();
        let mut batches = Vec::new();
        for file in files {
            batches.extend(read_parquet(&file)?);
        }
        Ok(batches)
    }
}

fn read_parquet(path: &Path) -> Result<Vec<RecordBatch>, Error> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| Error::corrupt(path, error))?;
    let schema = std::sync::Arc::clone(reader.schema());
    let batches: Result<Vec<RecordBatch>, _> =
        reader.build().map_err(|error| Error::corrupt(path, error))?.collect();
    let mut batches = batches.map_err(|error| Error::corrupt(path, error))?;
    if batches.is_empty() {
        // A file without rows has columns all the same, and these are held against the config.
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}
