//! Dead letters, taken once more: by the definitions as they are now, at their own place in the order.
//!
//! A message is read where it was, not sent again: its row has the event time and the sequence that it
//! would have had. So it never takes the place of what came later, and a second time it changes nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;

use crate::{
    FloodOptions, Lane, LaneOptions, LaneReport, Parts, Stopped,
    port::{DeadLetters, Letter, LetterError, Partition, Record},
};

/// Keeps letters, for whoever asks.
#[derive(Default)]
struct Kept(Mutex<Vec<Letter>>);

#[async_trait]
impl DeadLetters for Kept {
    async fn put(&self, letters: Vec<Letter>) -> Result<(), LetterError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(letters);
        Ok(())
    }
}

/// What became of messages that were taken once more.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    /// What was written.
    pub report: LaneReport,
    /// Those that still cannot become a row, and why.
    pub refused: Vec<Letter>,
}

/// Takes messages of a partition once more, in the order of their offsets. The dead letters of `parts`
/// are not used: what is refused again is said, and stays where it is.
pub async fn replay(
    parts: &Parts,
    partition: Partition,
    records: Vec<Record>,
    stop: &Shutdown,
) -> Result<Replayed, Stopped> {
    let kept = Arc::new(Kept::default());
    let options = LaneOptions {
        // All of them may be bad: somebody has asked for it.
        flood: FloodOptions { share: 1.0, ..parts.options.flood },
        patience: Duration::ZERO,
        ..parts.options.clone()
    };
    let parts = Parts { letters: Arc::<Kept>::clone(&kept), options, ..parts.clone() };
    let mut lane = Lane::new(partition, parts);
    // A message that is a letter for two views comes twice; at one place in a topic that was made anew there were
    // two of them.
    let in_order: BTreeMap<(u64, Option<Timestamp>), Record> =
        records.into_iter().map(|record| ((record.offset, record.time), record)).collect();
    let records: Vec<Record> = in_order.into_values().collect();
    let mut replayed = Replayed::default();
    for batch in records.chunks(BATCH) {
        let report = lane.take(batch, stop).await?;
        let total = &mut replayed.report;
        total.records += report.records;
        total.applied += report.applied;
        total.superseded += report.superseded;
        total.erased += report.erased;
        total.letters += report.letters;
    }
    replayed.refused = std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(replayed)
}

/// Messages that are taken at once.
const BATCH: usize = 1_000;
