//! Whose rows there are, and subjects' tombstones: the keyspace `subjects`.
//!
//! | key | value |
//! | --- | --- |
//! | `k`, the subject (length first), row key | rev of the subject's last put there, erasures counted then |
//! | `t`, the subject | its tombstone |
//! | `o`, the subject | nothing: its tombstone is open |
//!
//! An entry of a row counts while the row still has that rev: what overwrote it names another subject, or
//! none. Entries are written in the batch of their rows.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};
use trivium_codec::{Row, RowKey};
use trivium_model::Timestamp;
use trivium_store::{
    Bar, Error, RowWrite, SubjectTombstone,
    erase::{check_subject, meets_tombstone},
};

use crate::store::read_error;

/// In the keyspace `meta`: there was never a row without its entry.
const WHOLE: &str = "subjects";

/// The keyspace, and what keeps tombstones and batches apart.
pub(crate) struct People {
    keyspace: Keyspace,
    /// Batches with subjects share it; a tombstone that comes has it alone.
    order: RwLock<()>,
    is_whole: bool,
}

/// Entries of one batch.
#[derive(Default)]
pub(crate) struct Entries(HashMap<Vec<u8>, Option<(u64, u64)>>);

impl Entries {
    /// The row that the batch leaves at the key.
    pub(crate) fn put(&mut self, subject: &str, key: &RowKey, row: &Row, bar: Option<Bar>) {
        let value = (!row.is_deleted()).then(|| (row.rev(), bar.map_or(0, |bar| bar.erasure)));
        self.0.insert(entry(subject, key), value);
    }
}

impl People {
    pub(crate) fn open(
        database: &Database,
        rows: &Keyspace,
        meta: &Keyspace,
    ) -> Result<Self, fjall::Error> {
        let keyspace = database.keyspace("subjects", KeyspaceCreateOptions::default)?;
        // A directory that an earlier release wrote rows to has rows that are not listed here.
        if !meta.contains_key(WHOLE)? && rows.is_empty()? {
            meta.insert(WHOLE, "")?;
        }
        let is_whole = meta.contains_key(WHOLE)?;
        Ok(Self { keyspace, order: RwLock::default(), is_whole })
    }

    /// Rows that were written before subjects were kept cannot be found: say so, and erase nothing,
    /// rather than leave some.
    pub(crate) fn check_whole(&self) -> Result<(), Error> {
        if self.is_whole {
            return Ok(());
        }
        Err(Error::Failed(
            "an earlier release wrote rows to this directory without noting whose they are: move it \
             away, and write the rows again"
                .to_owned(),
        ))
    }

    /// Held from before tombstones are read until the batch is committed.
    pub(crate) fn writing(&self, writes: &[RowWrite]) -> Option<RwLockReadGuard<'_, ()>> {
        let has_subject = writes.iter().any(|write| write.subject.is_some());
        has_subject.then(|| self.order.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.order.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a write meets.
    pub(crate) fn bar(&self, subject: &str, write: &RowWrite) -> Result<Option<Bar>, Error> {
        check_subject(subject)?;
        if !meets_tombstone(write) {
            return Ok(None);
        }
        Ok(self.tombstone(subject)?.map(|tombstone| tombstone.bar()))
    }

    /// The count of erasures that the row of this rev was put under; 0 where it names another subject.
    pub(crate) fn written_under(
        &self,
        subject: &str,
        key: &RowKey,
        rev: u64,
        entries: &Entries,
    ) -> Result<u64, Error> {
        let name = entry(subject, key);
        let value = match entries.0.get(&name) {
            Some(value) => *value,
            None => self.entry_at(&name)?,
        };
        Ok(value.filter(|(put, _)| *put == rev).map_or(0, |(_, erasure)| erasure))
    }

    /// Rev and count of erasures of the subject's last put at the key.
    pub(crate) fn entry_of(
        &self,
        subject: &str,
        key: &RowKey,
    ) -> Result<Option<(u64, u64)>, Error> {
        self.entry_at(&entry(subject, key))
    }

    fn entry_at(&self, name: &[u8]) -> Result<Option<(u64, u64)>, Error> {
        let Some(value) = self.keyspace.get(name).map_err(|error| read_error(&error))? else {
            return Ok(None);
        };
        entry_value(&value).map(Some)
    }

    pub(crate) fn commit(&self, entries: Entries, batch: &mut OwnedWriteBatch) {
        for (name, value) in entries.0 {
            match value {
                None => batch.remove(&self.keyspace, name),
                Some((rev, erasure)) => {
                    batch.insert(
                        &self.keyspace,
                        name,
                        [rev.to_be_bytes(), erasure.to_be_bytes()].concat(),
                    );
                }
            }
        }
    }

    /// Entries of a subject after a key, with their revs, at most `count`.
    pub(crate) fn entries(
        &self,
        subject: &str,
        after: Option<&RowKey>,
        count: usize,
    ) -> Result<Vec<(RowKey, u64)>, Error> {
        let prefix = of_subject(subject);
        let from = after.map_or_else(|| prefix.clone(), |after| entry(subject, after));
        let mut found = Vec::new();
        for item in self.keyspace.range(from.clone()..) {
            let (name, value) = item.into_inner().map_err(|error| read_error(&error))?;
            let Some(key) = name.strip_prefix(prefix.as_slice()) else { break };
            if found.len() == count {
                break;
            }
            if after.is_some() && *name == *from {
                continue;
            }
            let key = RowKey::from_bytes(key).map_err(|error| Error::Corrupt(error.to_string()))?;
            found.push((key, entry_value(&value)?.0));
        }
        Ok(found)
    }

    pub(crate) fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        let stored = self.keyspace.get(tombstone_name(subject));
        match stored.map_err(|error| read_error(&error))? {
            None => Ok(None),
            Some(value) => tombstone_of(&value).map(Some),
        }
    }

    pub(crate) fn put_tombstone(
        &self,
        subject: &str,
        tombstone: &SubjectTombstone,
        batch: &mut OwnedWriteBatch,
    ) {
        let mut value = Vec::with_capacity(25 + tombstone.job.len());
        value.extend(tombstone.version.to_be_bytes());
        value.extend(tombstone.erasure.to_be_bytes());
        value.extend(tombstone.up_to.0.to_be_bytes());
        value.push(u8::from(tombstone.is_open));
        value.extend(&tombstone.job);
        batch.insert(&self.keyspace, tombstone_name(subject), value);
        if tombstone.is_open {
            batch.insert(&self.keyspace, open_name(subject), "");
        } else {
            batch.remove(&self.keyspace, open_name(subject));
        }
    }

    /// Subjects with an open tombstone after this one, at most `count`.
    pub(crate) fn open_after(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<String>, Error> {
        let from = open_name(after.unwrap_or(""));
        let mut found = Vec::new();
        for item in self.keyspace.range(from.clone()..) {
            let name = item.key().map_err(|error| read_error(&error))?;
            let Some(subject) = name.strip_prefix(b"o") else { break };
            if found.len() == count {
                break;
            }
            if *name != *from {
                found.push(String::from_utf8_lossy(subject).into_owned());
            }
        }
        Ok(found)
    }
}

fn of_subject(subject: &str) -> Vec<u8> {
    // A subject is short: `check_subject`.
    let length = u16::try_from(subject.len()).unwrap_or(u16::MAX);
    let mut name = vec![b'k'];
    name.extend(length.to_be_bytes());
    name.extend(subject.as_bytes());
    name
}
fn entry(subject: &str, key: &RowKey) -> Vec<u8> {
    let mut name = of_subject(subject);
    name.extend(key.as_bytes());
    name
}
fn tombstone_name(subject: &str) -> Vec<u8> {
    [b"t", subject.as_bytes()].concat()
}
fn open_name(subject: &str) -> Vec<u8> {
    [b"o", subject.as_bytes()].concat()
}

fn corrupt() -> Error {
    Error::Corrupt("an entry of a subject is not what was written".to_owned())
}

fn entry_value(value: &[u8]) -> Result<(u64, u64), Error> {
    let (rev, rest) = value.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let erasure = <[u8; 8]>::try_from(rest).map_err(|_| corrupt())?;
    Ok((u64::from_be_bytes(*rev), u64::from_be_bytes(erasure)))
}

fn tombstone_of(value: &[u8]) -> Result<SubjectTombstone, Error> {
    let (version, rest) = value.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (erasure, rest) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (up_to, rest) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (is_open, job) = rest.split_first().ok_or_else(corrupt)?;
    Ok(SubjectTombstone {
        up_to: Timestamp(i64::from_be_bytes(*up_to)),
        erasure: u64::from_be_bytes(*erasure),
        version: u64::from_be_bytes(*version),
        is_open: *is_open != 0,
        job: Bytes::copy_from_slice(job),
    })
}
