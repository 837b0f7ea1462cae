//! Finding a subject's rows, and changing its tombstone.

use async_trait::async_trait;
use trivium_codec::RowKey;
use trivium_store::{
    Error, OpenPage, Stamp, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone, Subjects,
    erase::{check_subject, check_swap},
};

use crate::{EmbeddedStore, store::Inner};

/// Entries looked at for one page.
const PAGE_MAX: usize = 500;

impl Inner {
    fn keys_of(&self, subject: &str, after: Option<&RowKey>) -> Result<SubjectPage, Error> {
        self.people.check_whole()?;
        let entries = self.people.entries(subject, after, PAGE_MAX)?;
        let last = entries.last().filter(|_| entries.len() == PAGE_MAX);
        let next = last.map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned());
        let mut keys = Vec::with_capacity(entries.len());
        for (key, rev) in entries {
            // An entry whose row has moved on without it names nothing.
            if self.stamp_at(&key)?.is_some_and(|stamp| stamp.rev == rev && !stamp.deleted) {
                keys.push(key);
            }
        }
        Ok(SubjectPage { keys, next })
    }

    fn stamp_at(&self, key: &RowKey) -> Result<Option<Stamp>, Error> {
        Ok(self.read(key)?.as_ref().map(Stamp::of))
    }

    fn row_of(&self, subject: &str, key: &RowKey) -> Result<Option<SubjectRow>, Error> {
        let mut entry = self.people.entry_of(subject, key)?;
        loop {
            let Some((rev, erasure)) = entry else { return Ok(None) };
            let stamp = self.stamp_at(key)?;
            if let Some(stamp) = stamp.filter(|stamp| stamp.rev == rev) {
                return Ok((!stamp.deleted).then_some(SubjectRow { stamp, erasure }));
            }
            // Overwritten by another's row, or just now by another row of this subject.
            let again = self.people.entry_of(subject, key)?;
            if again == entry {
                return Ok(None);
            }
            entry = again;
        }
    }

    fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<u64>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        let alone = self.people.alone();
        if self.people.tombstone(subject)?.map(|tombstone| tombstone.version) != expected {
            return Ok(false);
        }
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::Buffer));
        self.people.put_tombstone(subject, new, &mut batch);
        batch.commit().map_err(|error| self.write_error(&error))?;
        drop(alone);
        self.on_disk()?;
        Ok(true)
    }
}

#[async_trait]
impl Subjects for EmbeddedStore {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        check_subject(subject)?;
        let after = after.map(|after| {
            RowKey::from_bytes(after.as_bytes())
                .map_err(|_| Error::Invalid("that is no `next` of a page".to_owned()))
        });
        let (subject, after) = (subject.to_owned(), after.transpose()?);
        self.blocking(move |inner| inner.keys_of(&subject, after.as_ref())).await?
    }
}

#[async_trait]
impl SubjectStore for EmbeddedStore {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        let (subject, asked) = (subject.to_owned(), keys.to_vec());
        let read = move |inner: &Inner| -> Vec<_> {
            asked.iter().map(|key| inner.row_of(&subject, key)).collect()
        };
        match self.blocking(read).await {
            Ok(rows) => rows,
            Err(error) => vec![Err(error); keys.len()],
        }
    }

    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.0.people.tombstone(subject)
    }

    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        check_subject(subject)?;
        check_swap(expected, new)?;
        let expected = expected.map(|tombstone| tombstone.version);
        let (subject, new) = (subject.to_owned(), new.clone());
        self.blocking(move |inner| inner.swap_tombstone(&subject, expected, &new)).await?
    }

    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        let subjects = self.0.people.open_after(after, PAGE_MAX)?;
        let next = subjects.last().filter(|_| subjects.len() == PAGE_MAX).cloned();
        Ok(OpenPage { subjects, next })
    }
}
