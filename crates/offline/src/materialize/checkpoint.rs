//! How far a view was loaded, kept in the store that it was loaded into.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trivium_model::{Timestamp, ViewRef};
use trivium_store::Checkpoints;

use crate::{Error, Partition};

/// Digits of the content hash that are kept: enough to tell that a lake was made anew.
const HASH_DIGITS: usize = 16;

/// What was loaded. Names of fields are short because a view may have a hundred thousand partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    format: u32,
    /// Start of the period → revision and content hash (its first digits).
    partitions: BTreeMap<i64, (u64, String)>,
    /// With carryover: starts of the periods whose entities may be online; the newest is the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heads: Vec<Timestamp>,
}

impl Checkpoint {
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(&partition.period.start.0)
            || self.heads.contains(&partition.period.start)
    }
    /// The revision that was loaded; 0: none.
    pub(super) fn revision(&self, partition: &Partition) -> u64 {
        self.partitions.get(&partition.period.start.0).map_or(0, |(revision, _)| *revision)
    }
    pub(super) fn set(&mut self, partition: &Partition) {
        let hash = digits(&partition.pointer.content_hash);
        self.partitions.insert(partition.period.start.0, (partition.pointer.sequence, hash));
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

    /// Refuses a lake in which a loaded revision has other rows: revisions of two lakes mean
    /// different things, and rows of the old one could not be told from rows of the new one.
    pub(super) fn check_same_lake(
        &self,
        view: &ViewRef,
        partitions: &[Partition],
    ) -> Result<(), Error> {
        for partition in partitions {
            let Some((revision, hash)) = self.partitions.get(&partition.period.start.0) else {
                continue;
            };
            let pointer = &partition.pointer;
            let same = pointer.sequence > *revision
                || pointer.sequence == *revision && digits(&pointer.content_hash) == *hash;
            if !same {
                return Err(Error::Precondition {
                    message: format!(
                        "the online store was filled with revision {revision} of {view}, {}, which this \
                         lake does not have",
                        partition.period.folder()
                    ),
                    help: "the lake was made anew or is another one: materialize into an empty \
                           online store"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn digits(hash: &str) -> String {
    hash.chars().take(HASH_DIGITS).collect()
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
