//! How far a view was loaded, kept in the store that it was loaded into.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trivium_model::{Timestamp, ViewRef};
use trivium_store::Checkpoints;

use super::patience::Patience;
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

    /// Refuses a partition that cannot say which of these rows are to go.
    fn check(&self, view: &ViewRef, partition: &Partition, filled: &str) -> Result<(), Error> {
        let Self(revision, hash, _) = self;
        let now = Self::of(partition);
        let is_same = now.1 == *hash;
        let first = partition.pointer.origin.as_ref().map_or(0, |origin| origin.revision);
        let loaded = format!(
            "the online store was {filled} with revision {revision} of {view}, {}",
            partition.period.folder()
        );
        let (why, help) = if self.goes_on_in(&now) {
            if now.0 > *revision || now.0 == *revision && is_same {
                return Ok(());
            }
            (
                ", which this lake does not have".to_owned(),
                "it is another lake, or an older copy: materialize from the one that has the \
                 revision, or into an empty online store",
            )
        } else if !is_same {
            (
                ", of a lake before this one, whose rows are others: those that went could not be \
                 taken back"
                    .to_owned(),
                "make a new version of the view, or materialize into an empty online store",
            )
        } else if first <= *revision {
            (
                format!(", of a lake before this one, which began at revision {first}"),
                "let its revisions go on: `_revisions_after` (docs/catalog.md)",
            )
        } else {
            return Ok(());
        };
        Err(Error::Precondition { message: format!("{loaded}{why}"), help: help.to_owned() })
    }
}

/// What was loaded. Names of fields are short because a view may have a hundred thousand partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    format: u32,
    /// Start of the period → what was loaded of it.
    partitions: BTreeMap<i64, Loaded>,
    /// Of runs that have not ended: start of the period → what they began to load of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    begun: BTreeMap<i64, Vec<Loaded>>,
    /// With carryover: starts of the periods whose entities may be online; the newest is the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heads: Vec<Timestamp>,
}

impl Checkpoint {
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(&partition.period.start.0)
            || self.heads.contains(&partition.period.start)
    }
    /// Whether rows of it may be online that a lake before this one loaded.
    pub(super) fn is_of_former_lake(&self, partition: &Partition) -> bool {
        let start = &partition.period.start.0;
        let now = Loaded::of(partition);
        let begun = self.begun.get(start).into_iter().flatten();
        self.partitions.get(start).into_iter().chain(begun).any(|loaded| !loaded.goes_on_in(&now))
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
    /// From here on rows of it may be online.
    pub(super) fn begin(&mut self, partition: &Partition) {
        let begun = self.begun.entry(partition.period.start.0).or_default();
        let now = Loaded::of(partition);
        if !begun.contains(&now) {
            begun.push(now);
        }
    }
    /// All its rows are online.
    pub(super) fn set(&mut self, partition: &Partition) {
        self.begun.remove(&partition.period.start.0);
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
            let start = &partition.period.start.0;
            for begun in self.begun.get(start).into_iter().flatten() {
                begun.check(view, partition, "partly filled")?;
            }
            if let Some(loaded) = self.partitions.get(start) {
                loaded.check(view, partition, "filled")?;
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
    pub(super) async fn load(
        checkpoints: &dyn Checkpoints,
        view: &ViewRef,
        patience: &Patience,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Checkpoint { view: view.clone(), source };
        let bytes = load(checkpoints, view, patience).await?;
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
        patience: &Patience,
    ) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&self.checkpoint)
            .map_err(|error| Error::Internal(format!("checkpoint: {error}")))?;
        let bytes = Bytes::from(bytes);
        if self.bytes.as_ref() == Some(&bytes) {
            return Ok(());
        }
        if !self.store(checkpoints, view, &bytes, patience).await? {
            return Err(Error::Precondition {
                message: format!("another materialization of {view} ran meanwhile"),
                help: "wait for it to end and run this again: nothing is lost".to_owned(),
            });
        }
        self.bytes = Some(bytes);
        Ok(())
    }

    /// Moves it; false where somebody else did.
    async fn store(
        &self,
        checkpoints: &dyn Checkpoints,
        view: &ViewRef,
        bytes: &Bytes,
        patience: &Patience,
    ) -> Result<bool, Error> {
        let mut failures = 0;
        loop {
            let moved =
                checkpoints.store(&view.to_string(), self.bytes.as_deref(), bytes.clone()).await;
            match moved {
                Ok(false) if failures > 0 => {
                    // A try before may have been taken though nobody heard of it.
                    return Ok(load(checkpoints, view, patience).await?.as_ref() == Some(bytes));
                }
                Ok(moved) => return Ok(moved),
                Err(error) => pause(error, &mut failures, view, patience).await?,
            }
        }
    }
}

async fn load(
    checkpoints: &dyn Checkpoints,
    view: &ViewRef,
    patience: &Patience,
) -> Result<Option<Bytes>, Error> {
    let mut failures = 0;
    loop {
        match checkpoints.load(&view.to_string()).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => pause(error, &mut failures, view, patience).await?,
        }
    }
}

/// Waits for the store, unless that would not help.
async fn pause(
    error: trivium_store::Error,
    failures: &mut u32,
    view: &ViewRef,
    patience: &Patience,
) -> Result<(), Error> {
    *failures += 1;
    match patience.pause(*failures).filter(|_| error.is_retryable()) {
        Some(pause) => patience.wait(pause).await,
        None => Err(Error::Checkpoint { view: view.clone(), source: error }),
    }
}
