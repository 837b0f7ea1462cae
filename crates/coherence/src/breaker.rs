//! A node that alone cannot reach the cache goes without it for its reads, for a while: its reads
//! then cost one trip instead of a timeout and a trip, and nobody else is bothered.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::options::micros;

#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    pause_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_again_at: u64,
}

/// The first pause; it doubles with every failure after it.
const PAUSE: Duration = Duration::from_millis(100);

impl Breaker {
    pub(crate) fn new(failures_max: u32, pause_max: Duration) -> Self {
        Self { failures_max: failures_max.max(1), pause_max, state: Mutex::default() }
    }

    /// Whether the cache should be asked at all.
    pub(crate) fn lets_through(&self, now: u64) -> bool {
        now >= self.state().closed_again_at
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            *state = State::default();
        }
    }

    pub(crate) fn failed(&self, now: u64) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if let Some(beyond) = state.failures.checked_sub(self.failures_max) {
            let pause = PAUSE.saturating_mul(1 << beyond.min(16)).min(self.pause_max);
            state.closed_again_at = now.saturating_add(micros(pause));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Breaker;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_success() {
        let breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed(0);
        breaker.succeeded();
        breaker.failed(0);
        assert!(breaker.lets_through(0));
        breaker.failed(0);
        assert!(!breaker.lets_through(99_999));
        assert!(breaker.lets_through(100_000));
        breaker.failed(100_000);
        assert!(!breaker.lets_through(299_999));
        assert!(breaker.lets_through(300_000));
        for _ in 0..100 {
            breaker.failed(0);
        }
        assert!(breaker.lets_through(1_000_000), "the pause is bounded");
        breaker.succeeded();
        breaker.failed(2_000_000);
        assert!(breaker.lets_through(2_000_000));
    }
}
