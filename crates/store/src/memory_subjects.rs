//! Subjects in the memory store: whose rows there are, and their tombstones.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use trivium_codec::RowKey;

use crate::{
    Bar, Error, MemoryStore, OpenPage, RowWrite, Stamp, SubjectPage, SubjectRow, SubjectStore,
    SubjectTombstone, Subjects,
    erase::{check_subject, check_swap, meets_tombstone},
    memory::lock,
};

/// Keys in one page: few, so that tests see more than one.
const PAGE_KEYS_MAX: usize = 100;

/// Behind the lock of the rows: a put and its entry here are one step.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// Of live rows that have a subject: it, and the count of its erasures at the put.
    rows: HashMap<RowKey, (Arc<str>, u64)>,
    index: HashMap<Arc<str>, BTreeSet<RowKey>>,
    tombstones: BTreeMap<String, SubjectTombstone>,
}

impl People {
    /// What a write meets.
    pub(crate) fn bar(&self, write: &RowWrite) -> Result<Option<Bar>, Error> {
        let Some(subject) = write.subject.as_deref() else { return Ok(None) };
        check_subject(subject)?;
        Ok(self
            .tombstones
            .get(subject)
            .filter(|_| meets_tombstone(write))
            .map(SubjectTombstone::bar))
    }

    pub(crate) fn written_under(&self, key: &RowKey) -> u64 {
        self.rows.get(key).map_or(0, |(_, erasure)| *erasure)
    }

    /// The row is now this subject's, or nobody's.
    pub(crate) fn put(&mut self, key: &RowKey, subject: Option<(Arc<str>, Option<Bar>)>) {
        if let Some((before, _)) = self.rows.remove(key)
            && let Some(keys) = self.index.get_mut(&before)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.index.remove(&before);
            }
        }
        if let Some((subject, bar)) = subject {
            self.index.entry(Arc::clone(&subject)).or_default().insert(key.clone());
            self.rows.insert(key.clone(), (subject, bar.map_or(0, |bar| bar.erasure)));
        }
    }
}

#[async_trait]
impl Subjects for MemoryStore {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        check_subject(subject)?;
        let after = after.map(|after| {
            RowKey::from_bytes(after.as_bytes())
                .map_err(|_| Error::Invalid("that is no `next` of a page".to_owned()))
        });
        let after = after.transpose()?;
        let rows = lock(&self.rows);
        let mut keys: Vec<RowKey> = rows
            .people
            .index
            .get(subject)
            .into_iter()
            .flatten()
            .filter(|key| after.as_ref().is_none_or(|after| *key > after))
            .take(PAGE_KEYS_MAX + 1)
            .cloned()
            .collect();
        let is_more = keys.len() > PAGE_KEYS_MAX;
        keys.truncate(PAGE_KEYS_MAX);
        let next = keys.last().filter(|_| is_more);
        let next = next.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        Ok(SubjectPage { keys, next })
    }
}

#[async_trait]
impl SubjectStore for MemoryStore {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        let rows = lock(&self.rows);
        let row_of = |key: &RowKey| {
            let (owner, erasure) = rows.people.rows.get(key)?;
            let row = rows.rows.get(key).filter(|row| !row.is_deleted())?;
            (**owner == *subject).then(|| SubjectRow { stamp: Stamp::of(row), erasure: *erasure })
        };
        keys.iter().map(|key| Ok(row_of(key))).collect()
    }

    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        Ok(lock(&self.rows).people.tombstones.get(subject).cloned())
    }

    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        check_subject(subject)?;
        check_swap(expected, new)?;
        let mut rows = lock(&self.rows);
        let tombstones = &mut rows.people.tombstones;
        let version = |tombstone: &SubjectTombstone| tombstone.version;
        if tombstones.get(subject).map(version) != expected.map(version) {
            return Ok(false);
        }
        tombstones.insert(subject.to_owned(), new.clone());
        Ok(true)
    }

    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        let rows = lock(&self.rows);
        let open = rows.people.tombstones.iter().filter(|(subject, tombstone)| {
            tombstone.is_open && after.is_none_or(|after| subject.as_str() > after)
        });
        let mut subjects: Vec<String> =
            open.map(|(subject, _)| subject.clone()).take(PAGE_KEYS_MAX + 1).collect();
        let is_more = subjects.len() > PAGE_KEYS_MAX;
        subjects.truncate(PAGE_KEYS_MAX);
        let next = subjects.last().filter(|_| is_more).cloned();
        Ok(OpenPage { subjects, next })
    }
}
