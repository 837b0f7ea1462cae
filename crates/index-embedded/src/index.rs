//! The port's calls.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use trivium_store::{
    Error, check_deadline,
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest,
        PutOutcome, Visible, check_document, check_id, check_nearest, check_spec,
    },
};

use crate::{codec, shelf::Shelf};

/// The layout described in this crate's header.
const LAYOUT: &str = "1";
/// Numbers that are looked at where the caller runs (some tens of microseconds); more of them would hold
/// up the async workers.
const INLINE_COMPONENTS_MAX: usize = 100_000;
/// The journal is cut back to this; bounds the time of a recovery.
const JOURNAL_BYTES: u64 = 128 << 20;
/// What an error begins with, so that a reader knows which store failed.
const WHO: &str = "embedding index (embedded)";

/// Embedding indexes in a directory. Cheap to clone; the directory is free again when the last clone and
/// the last call on it are gone.
#[derive(Clone)]
pub struct EmbeddedIndex(Arc<Inner>);

impl fmt::Debug for EmbeddedIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedIndex").finish_non_exhaustive()
    }
}

struct Inner {
    database: Database,
    indexes: Keyspace,
    documents: Keyspace,
    shelves: RwLock<HashMap<String, Arc<RwLock<Shelf>>>>,
}

/// A panic elsewhere leaves memory behind the engine at worst, and the engine decides: see `put`.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn read_error(error: &fjall::Error) -> Error {
    Error::Unavailable(format!("{WHO}: {error}"))
}
fn write_error(error: &fjall::Error) -> Error {
    Error::Unknown(format!("{WHO}: {error}"))
}

impl EmbeddedIndex {
    /// Opens the directory, or makes it, and reads every document into memory. Blocks.
    pub fn open(path: &Path) -> Result<Self, crate::Error> {
        let started = Instant::now();
        let engine = |source| match source {
            fjall::Error::Locked => crate::Error::Locked { path: path.to_owned() },
            source => crate::Error::Engine { path: path.to_owned(), source },
        };
        let corrupt = |what: String| crate::Error::Corrupt { path: path.to_owned(), what };
        std::fs::create_dir_all(path)
            .map_err(|source| crate::Error::Directory { path: path.to_owned(), source })?;
        let database =
            Database::builder(path).max_journaling_size(JOURNAL_BYTES).open().map_err(engine)?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default).map_err(engine)?;
        match meta.get("layout").map_err(engine)? {
            Some(found) if *found == *LAYOUT.as_bytes() => {}
            Some(found) => {
                return Err(crate::Error::Layout {
                    path: path.to_owned(),
                    found: String::from_utf8_lossy(&found).into_owned(),
                    known: LAYOUT,
                });
            }
            None => {
                meta.insert("layout", LAYOUT).map_err(engine)?;
                database.persist(PersistMode::SyncAll).map_err(engine)?;
            }
        }
        let indexes =
            database.keyspace("indexes", KeyspaceCreateOptions::default).map_err(engine)?;
        let documents =
            database.keyspace("documents", KeyspaceCreateOptions::default).map_err(engine)?;

        let mut shelves: HashMap<String, Shelf> = HashMap::new();
        for guard in indexes.iter() {
            let (name, value) = guard.into_inner().map_err(engine)?;
            let name = String::from_utf8_lossy(&name).into_owned();
            let spec = codec::read_spec(&value)
                .ok_or_else(|| corrupt(format!("the definition of {name}")))?;
            shelves.insert(name, Shelf::new(spec));
        }
        for guard in documents.iter() {
            let (key, value) = guard.into_inner().map_err(engine)?;
            let strange = || corrupt(format!("document {}", String::from_utf8_lossy(&key)));
            let (name, id) = codec::read_key(&key).ok_or_else(strange)?;
            let shelf = shelves.get_mut(name).ok_or_else(strange)?;
            let document = codec::read(id, shelf.spec.dimension, &value).ok_or_else(strange)?;
            shelf.add(&document);
        }
        let count: usize = shelves.values().map(Shelf::len).sum();
        tracing::debug!(path = %path.display(), documents = count, elapsed = ?started.elapsed(), "embedding index open");
        let shelves =
            shelves.into_iter().map(|(name, shelf)| (name, Arc::new(RwLock::new(shelf)))).collect();
        Ok(Self(Arc::new(Inner { database, indexes, documents, shelves: RwLock::new(shelves) })))
    }

    /// Runs `work` on a thread that may block. It goes on when the caller stops waiting, so that engine
    /// and memory always change together.
    async fn blocking<T: Send + 'static>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        check_deadline(deadline)?;
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| Error::Unknown(format!("{WHO}: the thread ended early: {error}")))?
    }
}

impl Inner {
    fn shelf(&self, spec: &IndexSpec) -> Result<Arc<RwLock<Shelf>>, Error> {
        let shelves = read(&self.shelves);
        let found = shelves.get(&spec.to_string());
        found
            .cloned()
            .ok_or_else(|| Error::Unavailable(format!("{WHO}: {spec} has no embedding index yet")))
    }

    fn stored(&self, spec: &IndexSpec, id: &DocumentId) -> Result<Option<Document>, Error> {
        let key = codec::key(&spec.to_string(), id);
        let Some(value) = self.documents.get(key).map_err(|error| read_error(&error))? else {
            return Ok(None);
        };
        codec::read(id.clone(), spec.dimension, &value)
            .map(Some)
            .ok_or_else(|| Error::Corrupt(format!("{WHO}: {spec}: a document cannot be read")))
    }

    fn ensure(&self, wanted: &IndexSpec) -> Result<Ensured, Error> {
        check_spec(wanted)?;
        let name = wanted.to_string();
        let mut shelves = write(&self.shelves);
        let there = shelves.get(&name).cloned();
        let spec = match &there {
            Some(shelf) => read(shelf).spec.updated(wanted)?,
            None => wanted.clone(),
        };
        let bytes = codec::write_spec(&spec)
            .map_err(|error| Error::Invalid(format!("{WHO}: {wanted}: {error}")))?;
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        batch.insert(&self.indexes, name.as_bytes(), bytes);
        batch.commit().map_err(|error| write_error(&error))?;
        match there {
            Some(shelf) => {
                write(&shelf).spec = spec;
                Ok(Ensured::Present)
            }
            None => {
                shelves.insert(name, Arc::new(RwLock::new(Shelf::new(spec))));
                Ok(Ensured::Created)
            }
        }
    }

    fn remove(&self, spec: &IndexSpec) -> Result<(), Error> {
        let name = spec.to_string();
        let mut shelves = write(&self.shelves);
        let Some(shelf) = shelves.get(&name).cloned() else { return Ok(()) };
        // Whoever still holds the shelf finishes first, and finds the index gone after that.
        let mut shelf = write(&shelf);
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for guard in self.documents.prefix(codec::prefix(&name)) {
            let (key, _) = guard.into_inner().map_err(|error| read_error(&error))?;
            batch.remove(&self.documents, key);
        }
        batch.remove(&self.indexes, name.as_bytes());
        batch.commit().map_err(|error| write_error(&error))?;
        *shelf = Shelf::new(spec.clone());
        shelves.remove(&name);
        Ok(())
    }

    fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Result<PutOutcome, Error>>, Error> {
        let name = spec.to_string();
        // Of the map too: an index that is being removed takes nothing in.
        let shelves = read(&self.shelves);
        let missing = || Error::Unavailable(format!("{WHO}: {spec} has no embedding index yet"));
        let shelf = shelves.get(&name).ok_or_else(missing)?;
        let mut shelf = write(shelf);
        // Waiting for the lock may have taken long.
        check_deadline(deadline)?;
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        let mut added: HashMap<DocumentId, Document> = HashMap::new();
        let mut outcomes = Vec::with_capacity(documents.len());
        for document in documents {
            outcomes.push(check_document(spec, &document).and_then(|()| {
                let there = match added.get(&document.id) {
                    Some(there) => Some(there.clone()),
                    None if shelf.has(&document.id) => self.stored(spec, &document.id)?,
                    None => None,
                };
                if let Some(there) = there {
                    let same = there.is_same(&document);
                    return Ok(if same { PutOutcome::Stored } else { PutOutcome::Taken });
                }
                let bytes = codec::write(&document)
                    .map_err(|error| Error::Invalid(format!("{WHO}: {spec}: {error}")))?;
                batch.insert(&self.documents, codec::key(&name, &document.id), bytes);
                added.insert(document.id.clone(), document);
                Ok(PutOutcome::Stored)
            }));
        }
        if !added.is_empty() {
            batch.commit().map_err(|error| write_error(&error))?;
            added.values().for_each(|document| shelf.add(document));
        }
        Ok(outcomes)
    }

    fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
    ) -> Result<Vec<Result<bool, Error>>, Error> {
        let name = spec.to_string();
        let shelf = self.shelf(spec)?;
        let mut shelf = write(&shelf);
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        let mut gone: Vec<&DocumentId> = Vec::new();
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push(check_id(spec, id).map(|()| {
                let there = shelf.has(id) && !gone.contains(&id);
                if there {
                    batch.remove(&self.documents, codec::key(&name, id));
                    gone.push(id);
                }
                there
            }));
        }
        if !gone.is_empty() {
            batch.commit().map_err(|error| write_error(&error))?;
            gone.into_iter().for_each(|id| shelf.remove(id));
        }
        Ok(results)
    }
}

#[async_trait]
impl EmbeddingIndex for EmbeddedIndex {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        let spec = spec.clone();
        self.blocking(deadline, move |inner| inner.ensure(&spec)).await
    }

    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        let spec = spec.clone();
        self.blocking(deadline, move |inner| inner.remove(&spec)).await
    }

    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        // Everything is visible at once.
        _: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        let (count, spec) = (documents.len(), spec.clone());
        self.blocking(deadline, move |inner| inner.put(&spec, documents, deadline))
            .await
            .unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        let (count, spec, ids) = (ids.len(), spec.clone(), ids.to_vec());
        self.blocking(deadline, move |inner| {
            inner.shelf(&spec)?;
            let get = |id| check_id(&spec, id).and_then(|()| inner.stored(&spec, id));
            Ok(ids.iter().map(get).collect())
        })
        .await
        .unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        let (count, spec, ids) = (ids.len(), spec.clone(), ids.to_vec());
        self.blocking(deadline, move |inner| inner.delete(&spec, &ids))
            .await
            .unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        check_deadline(deadline)?;
        check_nearest(spec, query)?;
        let shelf = self.0.shelf(spec)?;
        if read(&shelf).components() <= INLINE_COMPONENTS_MAX {
            return Ok(read(&shelf).nearest(query));
        }
        let query = query.clone();
        self.blocking(deadline, move |_| Ok(read(&shelf).nearest(&query))).await
    }

    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        let after = after.map(DocumentId::from_token).transpose()?;
        let shelf = self.0.shelf(spec)?;
        let listing = listing.clone();
        self.blocking(deadline, move |_| Ok(read(&shelf).list(&listing, after.as_ref()))).await
    }

    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        check_deadline(deadline)?;
        self.0.shelf(spec).map(drop)
    }
}
