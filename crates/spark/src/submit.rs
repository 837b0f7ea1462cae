//! `spark-submit`, for runs without Airflow.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use trivium_spark_runner::{RUNNER, RUNNER_FILE};

use crate::{Error, Job, JobResult};

/// Lines of the runner's that an error shows.
const LAST_LINES: usize = 3;

/// How Spark is reached.
#[derive(Debug, Clone)]
pub struct Submit {
    /// The command: a path, or a name that PATH knows.
    pub command: OsString,
    /// `local[2]`, `yarn`, `spark://…`; what spark-defaults.conf says if absent.
    pub master: Option<String>,
    /// Further settings.
    pub conf: BTreeMap<String, String>,
}

/// Ends Spark when the run is given up.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Submit {
    /// Runs a job in this folder and waits for it. Blocks. All that Spark says goes to standard error.
    pub fn run(&self, job: &Job, folder: &Path) -> Result<JobResult, Error> {
        let path = job.write(folder)?;
        let runner = runner_file(folder)?;
        let mut command = Command::new(&self.command);
        if let Some(master) = &self.master {
            command.args(["--master", master]);
        }
        for (name, value) in &self.conf {
            command.arg("--conf").arg(format!("{name}={value}"));
        }
        command.arg(&runner).arg(&path).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = Guarded(child.map_err(|source| Error::Io {
            doing: "start",
            path: PathBuf::from(&self.command),
            source,
        })?);
        let mut last: VecDeque<String> = VecDeque::new();
        // What Python says, errors too, comes by standard output; Spark's own log by the other.
        if let Some(output) = child.0.stdout.take() {
            let mut told = std::io::stderr().lock();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody may be listening; the run goes on.
                let _ = writeln!(told, "{line}");
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
        }
        let status = child.0.wait().map_err(Error::io("wait for", &path))?;
        if !status.success() {
            let last: Vec<String> = last.into();
            return Err(Error::Failed {
                job: job.name.clone(),
                status: status.to_string(),
                last: last.join("\n"),
            });
        }
        JobResult::read(folder)
    }
}

/// The runner as a file in this folder.
fn runner_file(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(RUNNER_FILE);
    fs::write(&path, RUNNER).map_err(Error::io("write", &path))?;
    Ok(path)
}
