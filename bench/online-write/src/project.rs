//! A project whose views have one published partition each, and the commands that load it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::rows;

/// A view, and how many rows it has.
pub struct View {
    pub name: &'static str,
    pub rows: usize,
}

/// The project in a folder of its own.
pub struct Project {
    folder: TempDir,
}

/// What a command took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From its start to its end, by the wall.
    pub wall: Duration,
    /// CPU of it and of the processes that it started, in seconds.
    pub cpu: f64,
}

impl Project {
    /// Defines the views and publishes their rows, by the commands an author runs. None of it is measured.
    pub fn make(views: &[View]) -> Result<Self> {
        let project = Self { folder: tempfile::tempdir()? };
        let configs = project.path().join("configs/bench");
        fs::create_dir_all(&configs)?;
        let mut settings = format!(
            "[project]\nconfigs = \"configs\"\ndata_dir = \"data\"\n\n[clock]\ndata = \"{}\"\n",
            rows::PERIOD_END
        );
        for View { name, rows: count } in views {
            rows::write_source(&project.path().join(format!("{name}.parquet")), *count)?;
            fs::write(configs.join(format!("{name}.v1.json")), rows::config(name))?;
            fs::write(configs.join(format!("{name}.v1.sql")), rows::sql(name))?;
            settings.push_str(&format!(
                "\n[sources.{name}]\nformat = \"parquet\"\npath = \"{name}.parquet\"\n"
            ));
        }
        fs::write(project.path().join("trivium.toml"), settings)?;
        let (from, to) = (rows::PERIOD, rows::PERIOD);
        said(project.trivium()?.args(["apply", "--author", "bench", "--reason", "bench"]))?;
        said(project.trivium()?.args(["run", "--from", from, "--to", to]))?;
        Ok(project)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the project's embedded store is.
    pub fn online(&self) -> PathBuf {
        self.path().join("data/online")
    }

    /// The registry's file.
    pub fn registry(&self) -> PathBuf {
        self.path().join("data/registry.db")
    }

    /// The one file with the rows that a view has published.
    pub fn published(&self, view: &str) -> Result<PathBuf> {
        let folder = self.path().join(format!("data/lake/bench/{view}/v1/ds={}", rows::PERIOD));
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let file = entry?.path().join("part-0.parquet");
            if file.exists() {
                return Ok(file);
            }
        }
        bail!("nothing is published in {}", folder.display())
    }

    /// The `trivium` command, built into the same folder as this bench.
    pub fn trivium(&self) -> Result<Command> {
        let mut command = Command::new(beside("trivium")?);
        command.current_dir(self.path()).env("TRIVIUM_LOG", "warn");
        Ok(command)
    }

    /// `trivium materialize` of one view that is not online yet, into this server or, without one, the
    /// embedded store.
    pub fn materialize(&self, view: &View, server: Option<&str>) -> Result<Took> {
        let mut command = self.trivium()?;
        command.arg("materialize").arg(reference(view.name)).args(["--output", "json"]);
        if let Some(server) = server {
            command.args(["--server", server]);
        }
        let (took, output) = timed(|| said(&mut command))?;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let written = told["views"][0]["rows_written"].as_u64();
        ensure!(written == Some(view.rows as u64), "not all rows were new: {told}");
        Ok(took)
    }
}

/// A view, as commands name it.
pub fn reference(view: &str) -> String {
    format!("bench/{view}@1")
}

/// A command built into the same folder as this bench.
pub fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(
        program.exists(),
        "{} is not there: `make bench-online-write` builds it",
        program.display()
    );
    Ok(program)
}

/// Runs a command to its end, which must be a good one.
pub fn said(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

/// Does work that runs processes and waits for them.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Took, T)> {
    let (begun, before) = (Instant::now(), cpu_of_ended_children()?);
    let done = work()?;
    Ok((Took { wall: begun.elapsed(), cpu: cpu_of_ended_children()? - before }, done))
}

/// CPU of all children of this process that were waited for, with theirs, in seconds.
fn cpu_of_ended_children() -> Result<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').context("/proc/self/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(13).context("cutime")? + ticks(14).context("cstime")?) / TICKS_A_SECOND)
}
