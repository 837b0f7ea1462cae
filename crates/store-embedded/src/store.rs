//! The store.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use indexmap::IndexMap;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Checkpoints, Error, OnlineRead, OnlineWrite, ReadOptions, RowWrite, Stamp, WriteOutcome, apply,
    check_deadline, erase::admit,
};

use crate::{
    Durability, Options,
    cache::RowCache,
    flush::GroupFlush,
    people::{Entries, People},
};

/// The layout described in this crate's header.
const LAYOUT: &str = "1";
/// As many rows are read from the engine where the caller runs; more go to a thread of their own,
/// lest slow disks hold up the async workers.
const INLINE_READS_MAX: usize = 16;
/// The longest name of a checkpoint, in bytes.
const CHECKPOINT_NAME_BYTES_MAX: usize = 1024;
/// The largest checkpoint.
const CHECKPOINT_BYTES_MAX: usize = 16 << 20;
/// The journal is cut back to this; bounds the time of a recovery.
const JOURNAL_BYTES: u64 = 128 << 20;

/// A store in a directory. Cheap to clone; the directory is free again when the last clone and the
/// last call on it are gone.
#[derive(Clone)]
pub struct EmbeddedStore(pub(crate) Arc<Inner>);

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// How the row cache does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads that found their row.
    pub hits: u64,
    /// Reads that had to ask the engine.
    pub misses: u64,
    /// Rows held.
    pub rows: usize,
    /// Memory they take, estimated.
    pub bytes: u64,
}

pub(crate) struct Inner {
    options: Options,
    pub(crate) database: Database,
    pub(crate) rows: Keyspace,
    checkpoints: Keyspace,
    pub(crate) people: People,
    pub(crate) cache: RowCache,
    checkpoint_lock: Mutex<()>,
    flush: GroupFlush,
    /// Why the engine takes no more writes.
    failure: OnceLock<String>,
}

/// What a batch leaves of a row.
pub(crate) struct Changed {
    pub(crate) row: Row,
    /// Whether there was none.
    pub(crate) is_new: bool,
}

impl EmbeddedStore {
    /// Opens the directory, or makes it; recovers what a crash left. Blocks while it reads the
    /// journal (at most some 128 MB).
    pub fn open(options: Options) -> Result<Self, crate::Error> {
        let started = Instant::now();
        if options.write_buffer_bytes < Options::WRITE_BUFFER_BYTES_MIN {
            return Err(crate::Error::Option {
                option: "write_buffer_bytes",
                why: format!(
                    "{} is too little; give at least {}",
                    options.write_buffer_bytes,
                    Options::WRITE_BUFFER_BYTES_MIN
                ),
            });
        }
        let path = &options.path;
        let engine = |source| match source {
            fjall::Error::Locked => crate::Error::Locked { path: path.clone() },
            fjall::Error::Io(source) if is_of_the_disk(&source) => {
                crate::Error::Directory { path: path.clone(), source }
            }
            source => crate::Error::Engine { path: path.clone(), source },
        };
        std::fs::create_dir_all(path)
            .map_err(|source| crate::Error::Directory { path: path.clone(), source })?;
        let database = Database::builder(path)
            .cache_size(options.block_cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(engine)?;

        let meta = database.keyspace("meta", KeyspaceCreateOptions::default).map_err(engine)?;
        match meta.get("layout").map_err(engine)? {
            Some(found) if *found == *LAYOUT.as_bytes() => {}
            Some(found) => {
                return Err(crate::Error::Layout {
                    path: path.clone(),
                    found: String::from_utf8_lossy(&found).into_owned(),
                    known: LAYOUT,
                });
            }
            None => {
                meta.insert("layout", LAYOUT).map_err(engine)?;
                database.persist(PersistMode::SyncAll).map_err(engine)?;
            }
        }
        let for_rows =
            || KeyspaceCreateOptions::default().max_memtable_size(options.write_buffer_bytes);
        let rows = database.keyspace("rows", for_rows).map_err(engine)?;
        let checkpoints =
            database.keyspace("checkpoints", KeyspaceCreateOptions::default).map_err(engine)?;
        let people = People::open(&database, &rows, &meta).map_err(engine)?;
        let cache = RowCache::new(options.row_cache_bytes);
        tracing::debug!(path = %path.display(), elapsed = ?started.elapsed(), "online store open");
        Ok(Self(Arc::new(Inner {
            database,
            rows,
            checkpoints,
            people,
            cache,
            checkpoint_lock: Mutex::new(()),
            flush: GroupFlush::default(),
            failure: OnceLock::new(),
            options,
        })))
    }

    /// Why it takes no more writes, until it is opened again: the engine cannot tell what reached
    /// the disk of a write that failed, a full disk's too.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// How it was opened.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// How the row cache does.
    pub fn cache_stats(&self) -> CacheStats {
        let cache = &self.0.cache;
        CacheStats {
            hits: cache.hits(),
            misses: cache.misses(),
            rows: cache.len(),
            bytes: cache.bytes(),
        }
    }

    /// Puts everything that was acknowledged on the disk: for a clean stop. Blocks.
    pub fn sync(&self) -> Result<(), Error> {
        self.0.sync().map_err(Error::Unavailable)
    }

    /// Runs `work` on a thread that may block. It goes on when the caller stops waiting, so that
    /// locks, engine and cache always change together.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| Error::Unknown(format!("the store's thread ended early: {error}")))
    }
}

impl Inner {
    /// From the engine, past the cache.
    fn read_stored(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        let stored = self.rows.get(key.as_bytes()).map_err(|error| read_error(&error))?;
        stored.map(|stored| stored_row(key, &stored)).transpose()
    }

    pub(crate) fn read(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        let before = self.cache.before(key);
        let found = self.read_stored(key)?;
        if let Some(row) = &found {
            self.cache.keep(key, row, before);
        }
        Ok(found)
    }

    fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let seen = self.look_ahead(&writes);
        let locked = self.cache.lock(writes.iter().map(|write| &write.key));
        // Until the commit: a tombstone comes before this batch or after it.
        let _people = self.people.writing(&writes);
        // Waiting for the locks may have taken long.
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); writes.len()];
        }
        let keys: Vec<RowKey> = writes.iter().map(|write| write.key.clone()).collect();
        // What this batch leaves, for a key that comes again in it.
        let mut changed: IndexMap<RowKey, Changed> = IndexMap::with_capacity(writes.len());
        let mut entries = Entries::default();
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut seen = seen.into_iter();
        for write in writes {
            let key = &write.key;
            let seen = seen.next();
            let existing = match changed.get(key) {
                Some(changed) => Ok(Some(changed.row.clone())),
                None => seen
                    .and_then(|seen| seen.under(&locked, key))
                    .unwrap_or_else(|| self.current(key)),
            };
            let outcome = existing.and_then(|existing| {
                self.step(existing, write, seed_micros, &mut changed, &mut entries)
            });
            outcomes.push(outcome);
        }
        if changed.is_empty() {
            drop(locked);
            return self.confirmed(outcomes);
        }
        // The engine finds a key's place fastest near the last one's. Next to nothing for what is sorted.
        changed.sort_keys();
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, Changed { row, .. }) in &changed {
            batch.insert(&self.rows, key.as_bytes(), row.as_bytes().as_ref());
        }
        self.people.commit(entries, &mut batch);
        let committed = batch.commit().map_err(|error| self.write_error(&error));
        if committed.is_ok() {
            locked.committed(&changed);
        }
        drop(locked);
        let durable = committed.and_then(|()| match self.options.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.sync().map_err(Error::Unknown),
        });
        if let Err(error) = durable {
            for (key, outcome) in keys.iter().zip(&mut outcomes) {
                if changed.contains_key(key) && outcome.is_ok() {
                    *outcome = Err(error.clone());
                }
            }
        }
        outcomes
    }

    /// As it stands.
    pub(crate) fn current(&self, key: &RowKey) -> Result<Option<Row>, Error> {
        match self.cache.get(key) {
            Some(row) => Ok(Some(row)),
            None => self.read_stored(key),
        }
    }

    fn step(
        &self,
        existing: Option<Row>,
        mut write: RowWrite,
        seed_micros: u64,
        changed: &mut IndexMap<RowKey, Changed>,
        entries: &mut Entries,
    ) -> Result<WriteOutcome, Error> {
        let key = write.key.clone();
        let subject = write.subject.clone();
        let bar = match &subject {
            None => None,
            Some(subject) => self.people.bar(subject, &write)?,
        };
        if let Some(subject) = subject.as_deref().filter(|_| bar.is_some()) {
            let stamp = existing.as_ref().map(Stamp::of);
            let under = match stamp {
                None => 0,
                Some(stamp) => self.people.written_under(subject, &key, stamp.rev, entries)?,
            };
            match admit(bar, stamp.as_ref(), under, &write) {
                Ok(order) => write.order = order,
                Err(outcome) => return Ok(outcome),
            }
        }
        let step = apply(existing.as_ref(), write, seed_micros)?;
        if let Some(row) = step.store {
            if let Some(subject) = subject {
                entries.put(&subject, &key, &row, bar);
            }
            // Of one that comes again in its batch: as it was before the batch.
            let before = changed.get(&key);
            let is_new = before.map_or(existing.is_none(), |before| before.is_new);
            changed.insert(key, Changed { row, is_new });
        }
        Ok(step.outcome)
    }

    /// A retry is told of a write that may still be on its way to the disk.
    fn confirmed(
        &self,
        mut outcomes: Vec<Result<WriteOutcome, Error>>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let is_applied = |outcome: &Result<_, _>| matches!(outcome, Ok(WriteOutcome::Applied(_)));
        if self.options.durability == Durability::Power
            && outcomes.iter().any(is_applied)
            && let Err(error) = self.sync()
        {
            for outcome in outcomes.iter_mut().filter(|outcome| is_applied(outcome)) {
                *outcome = Err(Error::Unknown(error.clone()));
            }
        }
        outcomes
    }

    pub(crate) fn sync(&self) -> Result<(), String> {
        self.flush
            .flush(|| self.database.persist(PersistMode::SyncAll).map_err(|error| describe(&error)))
    }

    pub(crate) fn write_error(&self, error: &fjall::Error) -> Error {
        let text = describe(error);
        if self.failure.set(text.clone()).is_ok() {
            tracing::error!(path = %self.options.path.display(), error = text, "the online store failed");
        }
        match error {
            // Refused before anything was written.
            fjall::Error::Poisoned => Error::Failed(text),
            _ => Error::Unknown(text),
        }
    }

    fn load_checkpoint(&self, name: &str) -> Result<Option<Bytes>, Error> {
        check_checkpoint_name(name)?;
        let stored = self.checkpoints.get(name).map_err(|error| read_error(&error))?;
        Ok(stored.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn store_checkpoint(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<bool, Error> {
        if value.len() > CHECKPOINT_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "checkpoint `{name}` takes {} bytes, more than the limit of {CHECKPOINT_BYTES_MAX}",
                value.len()
            )));
        }
        let guard = self.checkpoint_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.load_checkpoint(name)?.as_deref() != expected {
            return Ok(false);
        }
        // One journal for all keyspaces: what was committed before comes back before this does.
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        batch.insert(&self.checkpoints, name, value);
        batch.commit().map_err(|error| self.write_error(&error))?;
        drop(guard);
        self.on_disk()?;
        Ok(true)
    }

    /// As durable as was asked for.
    pub(crate) fn on_disk(&self) -> Result<(), Error> {
        match self.options.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.sync().map_err(Error::Unknown),
        }
    }
}

/// What the engine keeps of a row.
pub(crate) fn stored_row(key: &RowKey, stored: &[u8]) -> Result<Row, Error> {
    Row::from_bytes(Bytes::copy_from_slice(stored))
        .map_err(|error| Error::Corrupt(format!("a row of {}: {error}", key.sort())))
}

/// Whether the operating system refused, and the files are as they were.
fn is_of_the_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Is;
    matches!(
        error.kind(),
        Is::StorageFull
            | Is::QuotaExceeded
            | Is::FileTooLarge
            | Is::ReadOnlyFilesystem
            | Is::PermissionDenied
    )
}

fn check_checkpoint_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > CHECKPOINT_NAME_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a checkpoint's name has 1 to {CHECKPOINT_NAME_BYTES_MAX} bytes, not {}",
            name.len()
        )));
    }
    Ok(())
}

fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Poisoned => "an earlier write to the disk failed (is it full?)".to_owned(),
        error => error.to_string(),
    }
}

pub(crate) fn read_error(error: &fjall::Error) -> Error {
    match error {
        fjall::Error::Poisoned => Error::Failed(describe(error)),
        fjall::Error::Io(_) => Error::Unavailable(describe(error)),
        error => Error::Corrupt(describe(error)),
    }
}

#[async_trait]
impl OnlineRead for EmbeddedStore {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        if let Err(error) = check_deadline(options.deadline) {
            return vec![Err(error); keys.len()];
        }
        let inner = &self.0;
        let mut missing = Vec::new();
        let mut rows: Vec<Result<Option<Row>, Error>> = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let found = inner.cache.get(key);
            if found.is_none() {
                missing.push(index);
            }
            rows.push(Ok(found));
        }
        inner.cache.count(keys.len() - missing.len(), missing.len());
        if missing.len() <= INLINE_READS_MAX {
            for index in missing {
                rows[index] = inner.read(&keys[index]);
            }
            return rows;
        }
        let asked: Vec<RowKey> = missing.iter().map(|&index| keys[index].clone()).collect();
        let read =
            move |inner: &Inner| -> Vec<_> { asked.iter().map(|key| inner.read(key)).collect() };
        match self.blocking(read).await {
            Ok(found) => {
                for (index, found) in missing.into_iter().zip(found) {
                    rows[index] = found;
                }
            }
            Err(error) => {
                for index in missing {
                    rows[index] = Err(Error::Unavailable(error.to_string()));
                }
            }
        }
        rows
    }
}

#[async_trait]
impl OnlineWrite for EmbeddedStore {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let count = writes.len();
        if let Err(error) = check_deadline(deadline) {
            return vec![Err(error); count];
        }
        match self.blocking(move |inner| inner.write(writes, seed_micros, deadline)).await {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error); count],
        }
    }
}

#[async_trait]
impl Checkpoints for EmbeddedStore {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.0.load_checkpoint(name)
    }

    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        let (name, expected) = (name.to_owned(), expected.map(<[u8]>::to_vec));
        self.blocking(move |inner| inner.store_checkpoint(&name, expected.as_deref(), &value))
            .await?
    }
}
