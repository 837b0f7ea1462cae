//! Clocks and randomness, injected, so that a simulation holds them.

use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use trivium_runtime::{Clock, SystemClock};

/// What a node takes from the machine it runs on.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Leases are counted on it.
    pub steady: Arc<dyn SteadyClock>,
    /// Deadlines of writes are chosen by it. Safety does not rest on it.
    pub wall: Arc<dyn Clock>,
    /// Names of leases, fences and epochs.
    pub random: Arc<dyn Random>,
}

impl Environment {
    /// The machine's own.
    pub fn system() -> Self {
        Self {
            steady: Arc::new(SystemSteadyClock),
            wall: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }

    pub(crate) fn wall_micros(&self) -> u64 {
        u64::try_from(self.wall.now_micros()).unwrap_or(0)
    }

    /// `base`, up to a quarter longer: nodes that start together do not act together.
    pub(crate) fn jittered(&self, base: u64) -> u64 {
        let quarter = u128::from(base / 4).saturating_add(1);
        base.saturating_add(u64::try_from(self.random.next() % quarter).unwrap_or(0))
    }
}

/// Where names come from that nobody else may choose.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// 128 fresh bits.
    fn next(&self) -> u128;
}

/// The thread's generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u128 {
        rand::random()
    }
}

/// A clock of this machine that never goes back and also counts while the machine is suspended: a
/// lease must not survive the night in a closed laptop or a frozen virtual machine.
pub trait SteadyClock: Send + Sync + std::fmt::Debug {
    /// Microseconds since some fixed instant.
    fn now_micros(&self) -> u64;
}

/// `CLOCK_BOOTTIME`. (`std::time::Instant` is `CLOCK_MONOTONIC` on Linux, which stops in suspend.)
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSteadyClock;

impl SteadyClock for SystemSteadyClock {
    fn now_micros(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        // Never negative: it counts from boot.
        time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::{SteadyClock, SystemSteadyClock};

    #[test]
    fn it_goes_forward() {
        let before = SystemSteadyClock.now_micros();
        assert!(before > 0);
        assert!(SystemSteadyClock.now_micros() >= before);
    }
}
