//! The state of windows in a folder, on fjall.
//!
//! One [`Folder`] a process; in it a [`Shelf`] for each partition of each view, a keyspace of its own.
//! A step's changes, the position behind it and the owner's [`Mark`] become there in one atomic batch.
//! A process that dies (`kill -9`) leaves whole batches: what was committed is there, and nothing else
//! is. A machine that dies may leave fewer of the last batches, whole ones too: the mark tells which.
//!
//! # Layout
//!
//! Keyspace `meta`: `layout`; `checked`, of no meaning. Keyspace of a shelf, by its name: `s` and a key of the state, and `mark`.

use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use trivium_windows::{Changes, Entries, Error as WindowsError, State};

/// The layout above.
const LAYOUT: &str = "1";
const STATE: u8 = b's';
const MARK: &[u8] = b"mark";
/// The longest name of a shelf, in bytes: engines of files have such bounds.
const NAME_BYTES_MAX: usize = 255;
/// The journal is cut back to this; bounds the time of a recovery.
const JOURNAL_BYTES: u64 = 128 << 20;
const CACHE_BYTES: u64 = 64 << 20;
const WRITE_BUFFER_BYTES: u64 = 16 << 20;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("the folder {path} of the windows' state is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// It was written by another release.
    #[error("the folder {path} of the windows' state has layout {found}, and {LAYOUT} is known; remove it: the state is restored from its changelog", path = .path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A name that no shelf may have.
    #[error("`{0}` is no name of a partition's state")]
    Name(String),
    /// The engine, or the disk.
    #[error("the folder {path} of the windows' state: {source}", path = .path.display())]
    Engine {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: fjall::Error,
    },
}

/// What the owner keeps beside the state, to find out whether it is the newest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Behind which record of the changelog the state stands.
    pub changelog: i64,
    /// When that was, in milliseconds since 1970-01-01T00:00:00Z, by the owner's clock.
    pub at_millis: i64,
}

/// A folder with the state of partitions. Cheap to clone.
#[derive(Clone)]
pub struct Folder {
    database: Database,
    meta: Keyspace,
    path: PathBuf,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens it, or makes it; recovers what a crash left.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let engine = |source: fjall::Error| match source {
            fjall::Error::Locked => Error::Locked(path.to_owned()),
            source => Error::Engine { path: path.to_owned(), source },
        };
        std::fs::create_dir_all(path).map_err(|error| engine(fjall::Error::Io(error)))?;
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(engine)?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default).map_err(engine)?;
        match meta.get("layout").map_err(engine)? {
            Some(found) if *found == *LAYOUT.as_bytes() => {}
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(Error::Layout { path: path.to_owned(), found });
            }
            None => {
                meta.insert("layout", LAYOUT).map_err(engine)?;
                database.persist(PersistMode::SyncAll).map_err(engine)?;
            }
        }
        Ok(Self { database, meta, path: path.to_owned() })
    }

    /// Whether it can be written. After a write that failed, on a full disk, the engine takes none until it is
    /// opened again: it cannot tell what of it is there.
    pub fn check(&self) -> Result<(), Error> {
        self.meta.insert("checked", []).map_err(|e| self.engine(e))?;
        self.database.persist(PersistMode::Buffer).map_err(|e| self.engine(e))
    }

    /// The shelf of this name, empty if it is new: ASCII letters, digits, `.`, `_`, `-`, `@`.
    pub fn shelf(&self, name: &str) -> Result<Shelf, Error> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != "meta";
        if !fits || !name.bytes().all(known) {
            return Err(Error::Name(name.to_owned()));
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
        let keys = self.database.keyspace(name, options).map_err(|e| self.engine(e))?;
        Ok(Shelf { folder: self.clone(), keys, name: name.to_owned() })
    }

    fn engine(&self, source: fjall::Error) -> Error {
        Error::Engine { path: self.path.clone(), source }
    }
}

/// The state of one partition of one view.
#[derive(Clone)]
pub struct Shelf {
    folder: Folder,
    keys: Keyspace,
    name: String,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("name", &self.name).finish_non_exhaustive()
    }
}

fn own(key: &[u8]) -> Vec<u8> {
    let mut own = Vec::with_capacity(1 + key.len());
    own.push(STATE);
    own.extend(key);
    own
}

impl Shelf {
    /// What was kept with the last changes; none: there were none.
    pub fn mark(&self) -> Result<Option<Mark>, Error> {
        let Some(bytes) = self.keys.get(MARK).map_err(|e| self.folder.engine(e))? else {
            return Ok(None);
        };
        let number = |from: usize| -> Option<i64> {
            Some(i64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
        };
        Ok(number(0).zip(number(8)).map(|(changelog, at_millis)| Mark { changelog, at_millis }))
    }

    /// Takes changes in, and the mark: all of it or nothing, whatever dies.
    pub fn apply(&self, changes: &Changes, mark: Mark) -> Result<(), Error> {
        // To the system at once: the death of the process takes nothing back.
        let mut batch = self.folder.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.keys, own(key), value.as_slice()),
                None => batch.remove(&self.keys, own(key)),
            }
        }
        let mark = [mark.changelog.to_be_bytes(), mark.at_millis.to_be_bytes()].concat();
        batch.insert(&self.keys, MARK, mark);
        batch.commit().map_err(|e| self.folder.engine(e))
    }

    /// Forgets everything.
    pub fn clear(&self) -> Result<(), Error> {
        self.keys.clear().map_err(|e| self.folder.engine(e))?;
        self.folder.database.persist(PersistMode::Buffer).map_err(|e| self.folder.engine(e))
    }
}

fn unread(error: fjall::Error) -> WindowsError {
    WindowsError::State(error.to_string())
}

impl State for Shelf {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, WindowsError> {
        Ok(self.keys.get(own(key)).map_err(unread)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Entries, WindowsError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in self.keys.range(own(from)..own(to)).take(limit) {
            let (key, value) = entry.into_inner().map_err(unread)?;
            found.push((key[1..].to_vec(), value.to_vec()));
        }
        Ok(found)
    }
}
