//! What this node knows of the epoch record, and what it may do by it. Pure: no I/O, the time is
//! given.

use trivium_store::{CacheEpoch, CacheState, EpochRecord};

/// The right to believe the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) epoch: CacheEpoch,
    /// On the steady clock: answers that come later do not count.
    pub(crate) until: u64,
}

/// What a writer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Fence first.
    Fenced(CacheEpoch),
    /// Nobody reads the cache: write under this number.
    Unfenced(u64),
}

/// The record as it was last read.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// `None`: not read yet. `Some(None)`: there is no record, there has never been a cache.
    record: Option<Option<EpochRecord>>,
    /// When the newest read of that record was sent.
    sent_at: u64,
    /// Until when the cache may be read.
    until: u64,
    /// When this node came to know that this record is in force.
    seen_at: u64,
}

impl View {
    pub(crate) fn record(&self) -> Option<&EpochRecord> {
        self.record.as_ref()?.as_ref()
    }

    pub(crate) fn is_known(&self) -> bool {
        self.record.is_some()
    }

    /// When the read was sent that this view rests on.
    pub(crate) fn sent_at(&self) -> u64 {
        self.sent_at
    }

    /// When this node came to know that the record is in force: never before it was.
    pub(crate) fn seen_at(&self) -> u64 {
        self.seen_at
    }

    /// Takes in what a read of the record answered. Answers may overtake each other: a record that
    /// is older than the known one changes nothing. `true`: it is another record than before.
    pub(crate) fn learn(
        &mut self,
        record: Option<EpochRecord>,
        sent_at: u64,
        arrived_at: u64,
    ) -> bool {
        let changed = match &self.record {
            None => true,
            Some(known) if rank(&record) < rank(known) => return false,
            Some(known) => rank(&record) > rank(known),
        };
        if changed {
            self.record = Some(record);
            self.sent_at = sent_at;
            self.seen_at = arrived_at;
            self.until = 0;
        } else {
            self.sent_at = self.sent_at.max(sent_at);
        }
        changed
    }

    /// The read of `number` that was sent then found it enabled, and its servers are fit.
    pub(crate) fn renew(&mut self, number: u64, sent_at: u64, lease_micros: u64) {
        if self.record().is_some_and(|record| is_enabled(record) && record.number == number) {
            self.until = self.until.max(sent_at.saturating_add(lease_micros));
        }
    }

    /// The cache must not be read by this node until the lease is renewed.
    pub(crate) fn drop_lease(&mut self) {
        self.until = 0;
    }

    /// The right to read the cache at `now`.
    pub(crate) fn lease(&self, now: u64) -> Option<Lease> {
        let record = self.record()?;
        (is_enabled(record) && now <= self.until)
            .then(|| Lease { epoch: epoch_of(record), until: self.until })
    }

    /// What a writer has to do; `None`: read the record first.
    pub(crate) fn phase(&self) -> Option<Phase> {
        Some(match self.record.as_ref()? {
            None => Phase::Unfenced(0),
            Some(record) => match record.state {
                CacheState::Enabled | CacheState::Draining => Phase::Fenced(epoch_of(record)),
                CacheState::Disabled => Phase::Unfenced(record.number),
            },
        })
    }
}

pub(crate) fn epoch_of(record: &EpochRecord) -> CacheEpoch {
    CacheEpoch { number: record.number, marker: record.marker }
}

fn is_enabled(record: &EpochRecord) -> bool {
    record.state == CacheState::Enabled
}

/// Records only move up in this order: the number never falls, and draining comes after enabled.
fn rank(record: &Option<EpochRecord>) -> (u64, u8) {
    record.as_ref().map_or((0, 0), |record| {
        let state = match record.state {
            CacheState::Enabled => 0,
            CacheState::Draining => 1,
            CacheState::Disabled => 2,
        };
        (record.number, state)
    })
}

#[cfg(test)]
mod tests {
    use trivium_store::{CacheState, EpochRecord};

    use super::{Phase, View};

    fn record(number: u64, state: CacheState) -> Option<EpochRecord> {
        Some(EpochRecord { number, state, marker: u128::from(number), servers: Vec::new() })
    }

    #[test]
    fn a_lease_counts_from_sending() {
        let mut view = View::default();
        assert_eq!(view.phase(), None);
        view.learn(record(1, CacheState::Enabled), 100, 180);
        assert_eq!(view.lease(180), None, "the servers have not been looked at");
        view.renew(1, 100, 50);
        assert_eq!(view.lease(150).map(|lease| lease.until), Some(150));
        assert_eq!(view.lease(151), None);
        // A read that was sent earlier and answered later takes nothing away.
        view.learn(record(1, CacheState::Enabled), 90, 200);
        view.renew(1, 90, 50);
        assert!(view.lease(150).is_some());
    }

    #[test]
    fn leaving_enabled_ends_the_lease_at_once() {
        let mut view = View::default();
        view.learn(record(1, CacheState::Enabled), 100, 100);
        view.renew(1, 100, 50);
        assert!(view.learn(record(1, CacheState::Draining), 110, 112));
        assert_eq!((view.lease(113), view.seen_at()), (None, 112));
        assert!(matches!(view.phase(), Some(Phase::Fenced(_))));
        // Late news of the past.
        assert!(!view.learn(record(1, CacheState::Enabled), 105, 120));
        view.renew(1, 105, 50);
        assert_eq!(view.lease(121), None);
        view.learn(record(2, CacheState::Disabled), 200, 201);
        assert_eq!(view.phase(), Some(Phase::Unfenced(2)));
        view.renew(2, 200, 50);
        assert_eq!(view.lease(201), None);
    }

    #[test]
    fn without_a_record_nobody_fences() {
        let mut view = View::default();
        view.learn(None, 1, 2);
        assert_eq!((view.phase(), view.lease(2)), (Some(Phase::Unfenced(0)), None));
    }
}
