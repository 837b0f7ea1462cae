//! What every process needs: clocks, shutdown, telemetry, and the one table of error kinds.

pub mod clock;
pub mod kind;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use clock::{Clock, FixedClock, SystemClock};
pub use kind::Kind;
pub use shutdown::Shutdown;
