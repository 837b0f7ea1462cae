//! What nobody needs any more is deleted: removed files, files of writers that are gone, old commits.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    time::{Duration, SystemTime},
};

use trivium_model::Timestamp;

use crate::{
    Change, Error, Outcome, State, StreamLog,
    log::{NEW_ENDING, number_of},
    state::{is_data_file, is_day},
};

/// For how long things are kept that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumOptions {
    /// Files that do not count any more, for readers that began before; longer than any of them takes.
    pub removed: Duration,
    /// Files that no commit names, for writers that are about to.
    pub unnamed: Duration,
    /// Commits that a checkpoint stands for.
    pub commits: Duration,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { removed: day, unnamed: day, commits: 7 * day }
    }
}

/// What was deleted, and what will be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files of rows.
    pub deleted: usize,
    /// Files of writers that are gone, which are deleted later.
    pub condemned: usize,
    /// Commits and checkpoints.
    pub commits: usize,
}

impl StreamLog {
    /// Deletes what was kept for long enough. `now` is also held against the times of files, so it is the
    /// wall clock's, give or take.
    pub fn vacuum(
        &self,
        state: &mut State,
        options: &VacuumOptions,
        now: Timestamp,
    ) -> Result<Vacuumed, Error> {
        let mut done = Vacuumed::default();
        // The files are listed before the log is read: one that is named meanwhile is seen to be.
        let unnamed = self.older_files(options.unnamed, now)?;
        self.refresh(state)?;
        let mut change = Change::default();
        for (path, since) in &state.leaving {
            if !is_over(since.0, options.removed, now) {
                continue;
            }
            self.step("before a deletion")?;
            if remove(&self.folder().join(path))? {
                done.deleted += 1;
            }
            change.forgotten.push(path.clone());
        }
        for path in &change.forgotten {
            let folder = path.split('/').next().unwrap_or_default();
            // Deleted for good before the log forgets that they are not to be named.
            match self.sync_folder(&self.folder().join(folder)) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
        }
        let known =
            |path: &String| state.files.contains_key(path) || state.leaving.contains_key(path);
        change.condemned = unnamed.into_iter().filter(|path| !known(path)).collect();
        let condemned = change.condemned.len();
        if change != Change::default() {
            self.step("before forgetting")?;
            match self.commit(state, change, now)? {
                Outcome::Done => done.condemned = condemned,
                Outcome::Lost(why) => {
                    tracing::info!(why, folder = %self.folder().display(), "not swept");
                }
            }
        }
        done.commits = self.sweep_commits(options.commits, now)?;
        Ok(done)
    }

    /// The files of rows that have not been written to for so long.
    fn older_files(&self, than: Duration, now: Timestamp) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for (day, path) in entries(self.folder())? {
            if !is_day(&day) {
                continue;
            }
            for (name, path) in entries(&path)? {
                if is_data_file(&name) && is_older(&path, than, now)? {
                    found.push(format!("{day}/{name}"));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Commits and checkpoints that a newer checkpoint stands for, the oldest first: who finds a commit
    /// missing finds the checkpoint. The newest checkpoint's own commit stays, so that no writer who is
    /// behind can take its number.
    fn sweep_commits(&self, than: Duration, now: Timestamp) -> Result<usize, Error> {
        let newest = self.newest_checkpoint()?.unwrap_or(0);
        let mut names = self.names()?;
        names.sort();
        let mut deleted = 0;
        for name in names {
            let is_over = match number_of(&name) {
                Some((number, _)) => number < newest,
                None => name.ends_with(NEW_ENDING),
            };
            let path = self.commits().join(&name);
            if is_over && is_older(&path, than, now)? {
                self.step("before a commit's deletion")?;
                deleted += usize::from(remove(&path)?);
            }
        }
        Ok(deleted)
    }
}

fn is_over(since_micros: i64, than: Duration, now: Timestamp) -> bool {
    let than = i64::try_from(than.as_micros()).unwrap_or(i64::MAX);
    now.0.saturating_sub(since_micros) >= than
}

/// False where there is none any more.
fn is_older(path: &Path, than: Duration, now: Timestamp) -> Result<bool, Error> {
    let written = match fs::metadata(path).and_then(|about| about.modified()) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let since = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(is_over(i64::try_from(since.as_micros()).unwrap_or(i64::MAX), than, now))
}

/// False where it was not there.
pub(crate) fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

fn entries(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>, Error> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(Error::io("read", folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}
