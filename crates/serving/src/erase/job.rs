//! An erasure's own record: it stands in the subject's tombstone, and is all that another node needs to
//! go on. Every change is a compare-and-set, so that of two nodes that work on one erasure one finds out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use trivium_model::KeyType;
use trivium_store::{Error, SubjectTombstone};

/// Earlier requests that a record names at most: the newest ones.
const EARLIER_MAX: usize = 16;

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Rows are looked for and deleted.
    Rows,
    /// No row is left; embeddings are deleted.
    Embeddings,
    /// Nothing is left online; the order for the offline store is to be left.
    Order,
    /// All is done.
    Done,
}

/// Who works on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// Random, of one run.
    pub(crate) holder: u64,
    /// Microseconds since 1970 by the holder's clock. That clocks differ costs work done twice, which
    /// harms nothing.
    pub(crate) until: i64,
}

/// What was done with a view's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) deleted: u64,
    /// Written since: they stay.
    pub(crate) newer: u64,
}

/// A request that a newer one took over, or followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Earlier {
    pub(crate) erasure: String,
    pub(crate) request_id: String,
    pub(crate) by: String,
    pub(crate) requested_by: String,
    pub(crate) requested_at: i64,
    pub(crate) done: bool,
}

/// Whom to erase, as the caller said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) namespace: String,
    pub(crate) join_key: String,
    pub(crate) key_type: KeyType,
    pub(crate) value: Json,
}

/// Who asked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) request_id: String,
    pub(crate) by: String,
    pub(crate) requested_by: String,
    pub(crate) reason: String,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) person: Person,
    #[serde(flatten)]
    pub(crate) asked: Asked,
    pub(crate) requested_at: i64,
    pub(crate) stage: Stage,
    pub(crate) lease: Option<Lease>,
    /// Rows about to be deleted: counted once, however often their deletion is begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) page: Vec<String>,
    pub(crate) views: BTreeMap<String, Rows>,
    pub(crate) embeddings: BTreeMap<String, u64>,
    pub(crate) verified: u64,
    pub(crate) sweeps: u32,
    pub(crate) index_calls: u64,
    pub(crate) item_calls: u64,
    pub(crate) order_left: bool,
    pub(crate) finished_at: Option<i64>,
    pub(crate) problem: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<Earlier>,
}

impl Job {
    pub(crate) fn new(id: String, person: Person, asked: Asked, requested_at: i64) -> Self {
        Self {
            id,
            person,
            asked,
            requested_at,
            stage: Stage::Rows,
            lease: None,
            page: Vec::new(),
            views: BTreeMap::new(),
            embeddings: BTreeMap::new(),
            verified: 0,
            sweeps: 0,
            index_calls: 0,
            item_calls: 0,
            order_left: false,
            finished_at: None,
            problem: String::new(),
            earlier: Vec::new(),
        }
    }

    /// Takes over what an earlier one of the same person has not finished, and names it.
    pub(crate) fn after(mut self, earlier: Self) -> Self {
        let done = earlier.stage == Stage::Done;
        let mut named = earlier.earlier;
        named.push(Earlier {
            erasure: earlier.id,
            request_id: earlier.asked.request_id,
            by: earlier.asked.by,
            requested_by: earlier.asked.requested_by,
            requested_at: earlier.requested_at,
            done,
        });
        let surplus = named.len().saturating_sub(EARLIER_MAX);
        self.earlier = named.split_off(surplus);
        if !done {
            self.page = earlier.page;
            self.views = earlier.views;
            self.embeddings = earlier.embeddings;
            self.verified = earlier.verified;
            self.sweeps = earlier.sweeps;
            self.index_calls = earlier.index_calls;
            self.item_calls = earlier.item_calls;
        }
        self
    }

    pub(crate) fn of(tombstone: &SubjectTombstone) -> Result<Self, Error> {
        serde_json::from_slice(&tombstone.job)
            // Where, and not what: serde's words show the person.
            .map_err(|error| {
                let (line, column) = (error.line(), error.column());
                Error::Corrupt(format!("an erasure's record: line {line}, column {column}"))
            })
    }

    /// The tombstone with this record.
    pub(crate) fn in_place_of(&self, old: &SubjectTombstone) -> Result<SubjectTombstone, Error> {
        Ok(SubjectTombstone {
            up_to: old.up_to,
            erasure: old.erasure,
            version: old.version.saturating_add(1),
            is_open: self.stage != Stage::Done,
            job: self.to_bytes()?.into(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Whether somebody works on it, as far as this clock tells.
    pub(crate) fn is_held(&self, now: i64) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }

    pub(crate) fn rows(&mut self, view: String) -> &mut Rows {
        self.views.entry(view).or_default()
    }
}
