//! How far a view was loaded, kept in the store that it was loaded into.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trivium_model::{Timestamp, ViewRef};
use trivium_store::Checkpoints;

use crate::{Error, Partition};

/// Digits of the content hash that are kept: enough to tell that rows are others.
const HASH_DIGITS: usize = 16;
/// Digits of the first run that are kept: enough to tell that a lake was made anew.
const ORIGIN_DIGITS: usize = 8;

/// Of a partition: its revision, its content hash and the run of its origin (digits of them; older
/// releases wrote no origin).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Loaded(u64, String, #[serde(default)] String);

impl Loaded {
    fn of(partition: &Partition) -> Self {
        let pointer = &partition.pointer;
        Self(pointer.sequence, digits(&pointer.content_hash), origin(partition))
    }
    /// Whether the revisions are of one lake, as far as is known: then the newer lists as retired what
    /// the older had.
    fn is_of_lake(&self, now: &Self) -> bool {
        self.2.is_empty() || now.2.is_empty() || self.2 == now.2
    }
    /// The same, or a first revision that was made again: it has the rows and the stamps of the one before.
    fn goes_on_in(&self, now: &Self) -> bool {
        self.is_of_lake(now) || (self.0, now.0) == (1, 1) && self.1 == now.1
    }
}

/// What was loaded. Names of fields are short because a view may have a hundred thousand partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    format: u32,
    /// Start of the period → what was loaded of it.
    partitions: BTreeMap<i64, Loaded>,
    /// With carryover: starts of the periods whose entities may be online; the newest is the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heads: Vec<Timestamp>,
}

impl Checkpoint {
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(&partition.period.start.0)
            || self.heads.contains(&partition.period.start)
    }
    /// The revision that was loaded; 0: none of this lake's.
    pub(super) fn revision(&self, partition: &Partition) -> u64 {
        let loaded = self.partitions.get(&partition.period.start.0);
        let now = Loaded::of(partition);
        loaded.filter(|loaded| loaded.goes_on_in(&now)).map_or(0, |loaded| loaded.0)
    }
    /// Whether exactly this was loaded, and of this lake.
    pub(super) fn is_current(&self, partition: &Partition) -> bool {
        let loaded = self.partitions.get(&partition.period.start.0);
        let now = Loaded::of(partition);
        loaded.is_some_and(|loaded| loaded.0 == now.0 && loaded.is_of_lake(&now))
    }
    pub(super) fn set(&mut self, partition: &Partition) {
        self.partitions.insert(partition.period.start.0, Loaded::of(partition));
    }
    /// The head that was loaded to its end; `None` before the first and after a crash.
    pub(super) fn head(&self) -> Option<Timestamp> {
        match self.heads[..] {
            [head] => Some(head),
            _ => None,
        }
    }
    pub(super) fn heads(&self) -> &[Timestamp] {
        &self.heads
    }
    pub(super) fn add_head(&mut self, partition: &Partition) {
        if !self.heads.contains(&partition.period.start) {
            self.heads.push(partition.period.start);
        }
    }
    pub(super) fn only_head(&mut self, partition: &Partition) {
        self.heads = vec![partition.period.start];
    }

    /// Refuses a lake that cannot say which rows online are to go. It can where it goes on with the
    /// revisions that were loaded. Made anew, it can only where a partition has the same rows at higher
    /// revisions: each of them then takes the place of its own older self.
    pub(super) fn check_same_lake(
        &self,
        view: &ViewRef,
        partitions: &[Partition],
    ) -> Result<(), Error> {
        for partition in partitions {
            let Some(loaded) = self.partitions.get(&partition.period.start.0) else { continue };
            let Loaded(revision, hash, _) = loaded;
            let now = Loaded::of(partition);
            let is_same = now.1 == *hash;
            let first = partition.pointer.origin.as_ref().map_or(0, |origin| origin.revision);
            let refused = |message: String, help: &str| {
                Err(Error::Precondition { message, help: help.to_owned() })
            };
            let folder = partition.period.folder();
            if loaded.goes_on_in(&now) {
                if now.0 > *revision || now.0 == *revision && is_same {
                    continue;
                }
                return refused(
                    format!(
                        "the online store was filled with revision {revision} of {view}, {folder}, \
                         which this lake does not have"
                    ),
                    "it is another lake, or an older copy: materialize from the one that has the \
                     revision, or into an empty online store",
                );
            }
            if !is_same {
                return refused(
                    format!(
                        "the online store was filled with revision {revision} of {view}, {folder}, of a \
                         lake before this one, whose rows are others: those that went could not be \
                         taken back"
                    ),
                    "make a new version of the view, or materialize into an empty online store",
                );
            }
            if first <= *revision {
                return refused(
                    format!(
                        "the online store was filled with revision {revision} of {view}, {folder}, of a \
                         lake before this one, which began at revision {first}"
                    ),
                    "let its revisions go on: `_revisions_after` (docs/catalog.md)",
                );
            }
        }
        Ok(())
    }
}

fn digits(hash: &str) -> String {
    hash.chars().take(HASH_DIGITS).collect()
}

/// The last digits, which are random: runs are named by their time first.
fn origin(partition: &Partition) -> String {
    let run = partition.pointer.origin.as_ref().map_or("", |origin| &origin.run);
    let skipped = run.chars().count().saturating_sub(ORIGIN_DIGITS);
    run.chars().skip(skipped).collect()
}

/// A checkpoint and the bytes that it was read from, for compare-and-set.
pub(super) struct Saved {
    pub(super) checkpoint: Checkpoint,
    bytes: Option<Bytes>,
}

impl Saved {
    pub(super) async fn load(checkpoints: &dyn Checkpoints, view: &ViewRef) -> Result<Self, Error> {
        let failed = |source| Error::Checkpoint { view: view.clone(), source };
        let bytes = checkpoints.load(&view.to_string()).await.map_err(failed)?;
        let checkpoint = match &bytes {
            None => Checkpoint { format: 1, ..Checkpoint::default() },
            Some(bytes) => serde_json::from_slice::<Checkpoint>(bytes)
                .ok()
                .filter(|checkpoint| checkpoint.format == 1)
                .ok_or_else(|| {
                    failed(trivium_store::Error::Corrupt(
                        "it is none that this version writes".to_owned(),
                    ))
                })?,
        };
        Ok(Self { checkpoint, bytes })
    }

    pub(super) async fn save(
        &mut self,
        checkpoints: &dyn Checkpoints,
        view: &ViewRef,
    ) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&self.checkpoint)
            .map_err(|error| Error::Internal(format!("checkpoint: {error}")))?;
        let bytes = Bytes::from(bytes);
        if self.bytes.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let stored = checkpoints
            .store(&view.to_string(), self.bytes.as_deref(), bytes.clone())
            .await
            .map_err(|source| Error::Checkpoint { view: view.clone(), source })?;
        if !stored {
            return Err(Error::Precondition {
                message: format!("another materialization of {view} ran meanwhile"),
                help: "wait for it to end and run this again: nothing is lost".to_owned(),
            });
        }
        self.bytes = Some(bytes);
        Ok(())
    }
}
