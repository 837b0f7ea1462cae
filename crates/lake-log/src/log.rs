//! The log of a view: read, and grown by one commit at a time.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use trivium_model::{Timestamp, ViewRef};
use uuid::Uuid;

use crate::{
    Change, Error, State,
    state::{Commit, FORMAT},
    vacuum::remove,
};

/// Commits between two checkpoints: so many files are read, at most, to know what counts.
const CHECKPOINT_EVERY: u64 = 64;
/// How often the log is read anew where it changes while it is read.
const READ_TRIES: usize = 8;
const CHECKPOINT_ENDING: &str = ".checkpoint.json";
const COMMIT_ENDING: &str = ".json";
/// What the name of a commit or checkpoint that has no number yet ends with.
pub(crate) const NEW_ENDING: &str = ".new";

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is the log's last commit, and durable.
    Done,
    /// Nothing says that it was done, and it must not be tried again: another writer was first. The state is
    /// what the log says now, and tells; files of the change that it does not name are nobody's.
    Lost(String),
}

/// The log of one view version, and its files. Cheap to clone.
#[derive(Clone)]
pub struct StreamLog {
    pub(crate) folder: PathBuf,
    pub(crate) is_durable: bool,
    #[cfg(test)]
    pub(crate) hook: Option<Hook>,
}

/// What a test does at a step.
#[cfg(test)]
pub(crate) type Hook =
    std::sync::Arc<dyn Fn(&'static str) -> Result<(), Error> + Send + Sync + 'static>;

impl std::fmt::Debug for StreamLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamLog").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl StreamLog {
    /// The log of a view in the lake under this folder. Neither needs to exist yet.
    pub fn new(lake: &Path, view: &ViewRef) -> Self {
        let folder = lake
            .join(view.namespace.as_str())
            .join(view.view.as_str())
            .join(format!("v{}", view.version));
        Self {
            folder,
            is_durable: true,
            #[cfg(test)]
            hook: None,
        }
    }

    /// One that does not outlive the machine's power.
    #[cfg(test)]
    pub(crate) fn volatile(lake: &Path, view: &ViewRef) -> Self {
        Self { is_durable: false, ..Self::new(lake, view) }
    }

    /// The view's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn commits(&self) -> PathBuf {
        self.folder.join("_commits")
    }

    fn commit_path(&self, number: u64) -> PathBuf {
        self.commits().join(format!("{number:020}{COMMIT_ENDING}"))
    }

    fn checkpoint_path(&self, number: u64) -> PathBuf {
        self.commits().join(format!("{number:020}{CHECKPOINT_ENDING}"))
    }

    /// What the log says now.
    pub fn load(&self) -> Result<State, Error> {
        let mut state = State::default();
        self.refresh(&mut state)?;
        Ok(state)
    }

    /// Brings a state to what the log says now.
    pub fn refresh(&self, state: &mut State) -> Result<(), Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.try_to_refresh(state) {
                // What it was to read next was deleted meanwhile, because a checkpoint stands for it.
                Err(Error::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && tried < READ_TRIES => {}
                Err(error) => return Err(error),
                Ok(true) => return Ok(()),
                Ok(false) if tried < READ_TRIES => {}
                Ok(false) => {
                    return Err(Error::corrupt(
                        &self.commits(),
                        format!(
                            "commits after {} are missing, and newer ones are there",
                            state.number
                        ),
                    ));
                }
            }
        }
    }

    /// False: there are newer commits than it could find its way to.
    fn try_to_refresh(&self, state: &mut State) -> Result<bool, Error> {
        if let Some(newest) = self.newest_checkpoint()?
            && newest > state.number
        {
            *state = self.read_checkpoint(newest)?;
        }
        while let Some(commit) = self.read_commit(state.number + 1)? {
            let path = self.commit_path(commit.number);
            state.apply(commit).map_err(|message| Error::corrupt(&path, message))?;
        }
        // Between the two looks, what followed may have been deleted.
        Ok(self.newest_checkpoint()?.is_none_or(|newest| newest <= state.number))
    }

    /// The last commit that a checkpoint stands for.
    pub(crate) fn newest_checkpoint(&self) -> Result<Option<u64>, Error> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| numbered(name, CHECKPOINT_ENDING)).max())
    }

    /// The names of all commits and checkpoints.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let folder = self.commits();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &folder))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }

    fn read_checkpoint(&self, number: u64) -> Result<State, Error> {
        let path = self.checkpoint_path(number);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let state = State::parse(&text).map_err(|message| Error::corrupt(&path, message))?;
        if state.number == number {
            Ok(state)
        } else {
            Err(Error::corrupt(&path, format!("it is of commit {}", state.number)))
        }
    }

    fn read_commit(&self, number: u64) -> Result<Option<Commit>, Error> {
        let path = self.commit_path(number);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        Commit::parse(&text).map(Some).map_err(|message| Error::corrupt(&path, message))
    }

    /// Adds a commit to the log, after whatever others have added meanwhile, if the change still follows
    /// from what they did. After an error the change may be done or not; the log says.
    pub fn commit(
        &self,
        state: &mut State,
        change: Change,
        at: Timestamp,
    ) -> Result<Outcome, Error> {
        let folder = self.commits();
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let id = Uuid::new_v4().to_string();
        let mut commit = Commit { format: FORMAT, number: 0, id, at_micros: at, change };
        loop {
            self.refresh(state)?;
            if let Some(misfit) = state.misfit(&commit.change) {
                return Ok(Outcome::Lost(misfit));
            }
            // What was condemned and is deleted by now is not in the state any more. This look comes after
            // the state was read: files are deleted before the commit that forgets them.
            for file in &commit.change.added {
                if !self.folder.join(&file.path).exists() {
                    return Ok(Outcome::Lost(format!("`{}` was swept", file.path)));
                }
            }
            commit.number = state.number + 1;
            self.step("before a commit")?;
            if !self.link(&commit)? {
                continue;
            }
            self.step("after a commit")?;
            if self.newest_checkpoint()?.is_some_and(|newest| newest > commit.number) {
                let why = "the writer slept while the log went on".to_owned();
                self.refresh(state)?;
                return Ok(Outcome::Lost(why));
            }
            let (number, path) = (commit.number, self.commit_path(commit.number));
            state.apply(commit).map_err(|message| Error::corrupt(&path, message))?;
            if number.is_multiple_of(CHECKPOINT_EVERY)
                && let Err(error) = self.checkpoint(state)
            {
                // The log is whole without it, and the next one stands for all.
                tracing::warn!(%error, folder = %self.folder.display(), "no checkpoint was made");
                #[cfg(test)]
                if let Error::Killed(_) = error {
                    return Err(error);
                }
            }
            return Ok(Outcome::Done);
        }
    }

    /// Gives a commit its number; false: another has it.
    fn link(&self, commit: &Commit) -> Result<bool, Error> {
        let folder = self.commits();
        let text = serde_json::to_vec(commit).map_err(|error| Error::Form(error.to_string()))?;
        let new = folder.join(format!("{}{NEW_ENDING}", commit.id));
        let path = self.commit_path(commit.number);
        self.write_durably(&new, &text)?;
        self.step("before the link")?;
        let linked = match fs::hard_link(&new, &path) {
            Ok(()) => true,
            // A network's file system may answer so to what it did itself, asked twice.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.read_commit(commit.number)?.is_some_and(|other| other.id == commit.id)
            }
            // What it was about to be called was swept: this writer slept.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("commit", path)(error)),
        };
        self.step("after the link")?;
        if linked {
            self.sync_folder(&folder)?;
            // In whose parents the folders are named.
            self.sync_folder(&self.folder)?;
            let above = self.folder.ancestors().skip(1).take(3);
            above.filter(|_| commit.number == 1).try_for_each(|folder| self.sync_folder(folder))?;
        }
        remove(&new)?;
        Ok(linked)
    }

    /// Two writers may make the same one: its bytes are the same.
    fn checkpoint(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec(state).map_err(|error| Error::Form(error.to_string()))?;
        let new = self.commits().join(format!("{}{NEW_ENDING}", Uuid::new_v4()));
        let path = self.checkpoint_path(state.number);
        self.write_durably(&new, &text)?;
        self.step("before a checkpoint")?;
        fs::rename(&new, &path).map_err(Error::io("write", &path))?;
        self.sync_folder(&self.commits())?;
        self.step("after a checkpoint")
    }

    fn write_durably(&self, path: &Path, text: &[u8]) -> Result<(), Error> {
        let mut file = File::create_new(path).map_err(Error::io("write", path))?;
        file.write_all(text).map_err(Error::io("write", path))?;
        self.sync_file(&file, path)
    }

    pub(crate) fn sync_file(&self, file: &File, path: &Path) -> Result<(), Error> {
        if self.is_durable {
            file.sync_all().map_err(Error::io("make durable", path))?;
        }
        Ok(())
    }

    pub(crate) fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        if !self.is_durable {
            return Ok(());
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("make durable", path))
    }

    /// Where a test may end the writer, or let another do something.
    #[cfg(test)]
    pub(crate) fn step(&self, at: &'static str) -> Result<(), Error> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(at))
    }

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "tests end writers here")]
    #[inline]
    pub(crate) fn step(&self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }
}

/// The number in the name of a commit or a checkpoint.
fn numbered(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// What a name in the log's folder is of: a commit's number, and whether it is a checkpoint.
pub(crate) fn number_of(name: &str) -> Option<(u64, bool)> {
    let checkpoint = numbered(name, CHECKPOINT_ENDING).map(|number| (number, true));
    checkpoint.or_else(|| numbered(name, COMMIT_ENDING).map(|number| (number, false)))
}
