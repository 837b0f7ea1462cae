//! What can be chosen. The defaults suit a cache in the same data centre.

use std::time::Duration;

/// Times and limits of a [`CoherentStore`](crate::CoherentStore).
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an answer from the cache counts after the epoch record was asked for (`T`). All
    /// nodes must use the same: whoever disables the cache waits for it. Longer: fewer reads of the
    /// record; shorter: a shorter pause of writes when the cache is lost.
    pub lease: Duration,
    /// How often the record is read. Well below `lease`, or reads fall back to the authority
    /// between two renewals.
    pub renew_every: Duration,
    /// How long a write may be under way before readers take its writer for dead: the deadline that
    /// its fence names. Longer than any caller waits.
    pub write_window: Duration,
    /// How long a write waits for the cache to be put aside before it fails as unavailable.
    pub pause_max: Duration,
    /// How often a write is sent again, fenced anew, after a row's barrier refused it.
    pub barred_retries_max: u32,
    /// Writes of one call that are under way at the authority at a time, rows of one key counting
    /// as one.
    pub writes_in_flight_max: usize,
    /// Barriers that one read call raises at a time.
    pub raises_in_flight_max: usize,
    /// Spawned follow-ups (unfencing, filling, repairs) at a time; beyond it they are done before
    /// the caller is answered, or left to a later reader.
    pub followups_max: usize,
    /// How long the cache stays disabled at least. Doubles with each further outage, up to
    /// `hold_off_max`, so that a cache that comes and goes costs little.
    pub hold_off: Duration,
    /// The longest time that the cache stays disabled by choice.
    pub hold_off_max: Duration,
    /// Failed looks in a row after which this node reads without the cache for a while.
    pub breaker_failures: u32,
    /// The longest time that this node alone reads without the cache before it tries again.
    pub breaker_pause_max: Duration,
    /// How often each node looks through some of the cache's fences for those of dead writers that
    /// nobody reads.
    pub janitor_every: Duration,
    /// A fence's deadline may lie so far beyond `write_window` in the future before readers take it
    /// for that of a clock gone wrong, and repair the key anyway.
    pub clock_skew_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(1),
            renew_every: Duration::from_millis(300),
            write_window: Duration::from_secs(15),
            pause_max: Duration::from_secs(5),
            barred_retries_max: 8,
            writes_in_flight_max: 64,
            raises_in_flight_max: 64,
            followups_max: 256,
            hold_off: Duration::from_secs(5),
            hold_off_max: Duration::from_secs(300),
            breaker_failures: 3,
            breaker_pause_max: Duration::from_secs(5),
            janitor_every: Duration::from_secs(30),
            clock_skew_max: Duration::from_secs(60),
        }
    }
}

/// Microseconds, for clocks that count in them.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
