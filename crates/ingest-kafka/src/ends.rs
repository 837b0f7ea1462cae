//! Where partitions end, for the lag.
//!
//! And where those do that nothing is fetched from. librdkafka knows a partition's end from what it
//! fetches; of one that is paused it would say for ever what it was, and the lag would look small just
//! when it grows.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    statistics,
};
use trivium_runtime::Shutdown;

use crate::lanes::Lanes;

const EVERY: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
/// How long a broker may take to say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where one partition ends.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Behind the last message; none: that is not known yet.
    known: Option<i64>,
    /// What was asked for last: what is fetched from tells nothing newer until it has caught up.
    asked: i64,
    /// Behind the last mark of transactions, and behind the last message in front of it.
    marks: Option<(i64, i64)>,
}

impl End {
    pub fn get(&self) -> Option<i64> {
        self.known
    }

    /// The broker was asked. Ends move on only: of two that say different the later knows more.
    pub fn is_at(&mut self, end: i64) {
        self.asked = self.asked.max(end);
        self.known = self.known.max(Some(end));
    }

    /// What librdkafka knows, of a partition that is fetched from. `next` is behind the last message that
    /// was passed on, or where the reader began.
    pub fn is_known_as(&mut self, known: &statistics::Partition, next: i64) {
        // What transactions have not ended is not to be read yet.
        let end = if known.ls_offset >= 0 { known.ls_offset } else { known.hi_offset };
        if end < self.asked.max(0) {
            return;
        }
        // Transactions leave marks that no reader ever sees. Where all before the end is fetched and passed
        // on, nothing comes behind the last message but such marks. The queue is that of all partitions:
        // while others are busy what was found of this one holds.
        if known.fetchq_cnt == 0 && known.next_offset >= end && next >= 0 {
            self.marks = Some((end, next));
        }
        let is_read = self.marks == Some((end, next));
        self.known = Some(if is_read { next } else { end });
    }
}

/// Asks until the shutdown, or until the consumer is gone. Waits for the broker: for a thread of its own.
pub(crate) fn follow<C: ConsumerContext>(
    consumer: &Weak<BaseConsumer<C>>,
    lanes: &Arc<Lanes>,
    shutdown: &Shutdown,
) {
    let mut waited = Duration::ZERO;
    while !shutdown.is_triggered() {
        if waited < EVERY {
            std::thread::sleep(STEP);
            waited += STEP;
            continue;
        }
        waited = Duration::ZERO;
        for id in lanes.paused() {
            let Some(consumer) = consumer.upgrade() else { return };
            // A broker that is away is told of by the consumer.
            if let Ok((begin, end)) = consumer.fetch_watermarks(&id.0, id.1, PATIENCE) {
                lanes.ends_at(&id, begin, end);
            }
            if shutdown.is_triggered() {
                return;
            }
        }
    }
}
