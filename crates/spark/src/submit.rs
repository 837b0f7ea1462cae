//! `spark-submit`, for runs without Airflow.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use trivium_spark_runner::{RUNNER, RUNNER_FILE};

use crate::{Error, Job, JobResult};

/// Lines of the runner's that an error shows.
const LAST_LINES: usize = 3;
/// How often it is looked whether Spark has ended.
const LOOK: Duration = Duration::from_millis(50);

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
    /// Runs a job in this folder and waits for it, or until `is_stopped`. Blocks. All that Spark says goes to
    /// standard error.
    pub fn run(
        &self,
        job: &Job,
        folder: &Path,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<JobResult, Error> {
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
        // What Python says, errors too, comes by standard output; Spark's own log by the other.
        let told = child.0.stdout.take().map(|output| std::thread::spawn(move || pass_on(output)));
        let status = loop {
            if let Some(status) = child.0.try_wait().map_err(Error::io("wait for", &path))? {
                break status;
            }
            if is_stopped() {
                return Err(Error::Offline(trivium_offline::Error::Stopped));
            }
            std::thread::sleep(LOOK);
        };
        if !status.success() {
            // An interrupt reaches Spark too, and it may be the first to end of it.
            if is_stopped() {
                return Err(Error::Offline(trivium_offline::Error::Stopped));
            }
            let last = told.and_then(|told| told.join().ok()).unwrap_or_default();
            return Err(Error::Failed {
                job: job.name.clone(),
                status: status.to_string(),
                last: Vec::from(last).join("\n"),
            });
        }
        JobResult::read(folder)
    }
}

/// Passes on what is said, line by line, and gives the last lines.
fn pass_on(output: impl Read) -> VecDeque<String> {
    let mut last: VecDeque<String> = VecDeque::new();
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        // Nobody may be listening; the run goes on.
        let _ = writeln!(std::io::stderr(), "{text}");
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
        line.clear();
    }
    last
}

/// The runner as a file in this folder.
fn runner_file(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(RUNNER_FILE);
    fs::write(&path, RUNNER).map_err(Error::io("write", &path))?;
    Ok(path)
}
