//! `feast materialize` of the published file into SQLite.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    project::{Project, Took, View, said, timed},
    rows,
};

/// Defines a repository, and looks at what is in its online store.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/feast_online.py");

/// A Feast repository that has the view.
pub struct Feast {
    python: PathBuf,
    folder: TempDir,
    view: View,
}

/// How it came out.
pub enum Ended {
    /// It loaded all rows.
    Took(Took),
    /// It was stopped then.
    Stopped(Duration),
}

impl Feast {
    /// Its source is the very file that ours reads.
    pub fn define(python: &std::path::Path, project: &Project, view: &View) -> Result<Self> {
        ensure!(python.exists(), "{} is not there: run scripts/bench-env", python.display());
        let feast = Self {
            python: python.to_owned(),
            folder: tempfile::tempdir()?,
            view: View { name: view.name, rows: view.rows },
        };
        let published = project.published(view.name)?;
        said(feast.script("define").arg(published).arg(rows::FEATURES.to_string()))?;
        Ok(feast)
    }

    fn script(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(SCRIPT).arg(verb).arg(self.folder.path()).env("FEAST_USAGE", "False");
        command
    }

    /// Loads everything, and looks whether it is there.
    pub fn materialize(&self, seconds_max: u64) -> Result<Ended> {
        eprintln!("feast materialize: {} rows, which takes minutes", self.view.rows);
        let limit = Duration::from_secs(seconds_max);
        let log = self.folder.path().join("materialize.log");
        let (took, ended) = timed(|| {
            let mut child = Command::new(self.python.with_file_name("feast"))
                .args(["materialize", "2013-12-01T00:00:00", "2014-02-01T00:00:00"])
                .current_dir(self.folder.path())
                .env("FEAST_USAGE", "False")
                .stdout(Stdio::null())
                .stderr(File::create(&log)?)
                .spawn()?;
            let begun = Instant::now();
            while begun.elapsed() < limit {
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
                // Little beside the minutes that it takes.
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill()?;
            child.wait()?;
            Ok(None)
        })?;
        match ended {
            None => return Ok(Ended::Stopped(limit)),
            Some(status) if !status.success() => {
                bail!("feast materialize: {status}: {}", std::fs::read_to_string(&log)?)
            }
            Some(_) => {}
        }
        self.check()?;
        eprintln!("feast materialize: {:.1} s", took.wall.as_secs_f64());
        Ok(Ended::Took(took))
    }

    /// All rows, and some values.
    fn check(&self) -> Result<()> {
        let sample: Vec<serde_json::Value> = rows::sample(self.view.rows)
            .map(|row| {
                let values: Vec<f64> = (0..rows::FEATURES).map(|n| rows::value(row, n)).collect();
                serde_json::json!({ "driver": row, "values": values })
            })
            .collect();
        let path = self.folder.path().join("expected.json");
        std::fs::write(&path, serde_json::to_vec(&sample)?)?;
        said(self.script("check").arg(&path).arg(self.view.rows.to_string()))?;
        Ok(())
    }
}
