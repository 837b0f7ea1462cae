//! The protocol of `docs/decisions/0006-consistent-reads-through-a-cache.md` as a model.
//!
//! One key. Every step of a process is one atomic step of the authority or of the cache; a process
//! may stall before any of its steps for ever, which is also what a crash looks like to the others,
//! and what a request looks like that arrives late. A lost answer is a process that stalls after
//! the step; where a process goes on after it has given up waiting, what it had sent stays in
//! flight (`orphan`) and may arrive at any time.
//!
//! There is no clock. Deadlines are only compared with each other, as in the protocol; readers may
//! take any writer for dead at any time. The one thing that rests on time, "`T` has passed", is
//! the step `Disable`, which ends every lease that was given out before.
//!
//! Linearizability. The authority's row is one atomic register, so its versions are the order of
//! the writes. Somebody may always have read the authority just now (a node without a lease does
//! nothing else), so an answer from the cache is right exactly if it is not older than the
//! authority's version was when the read began. That is the property.

mod apply;
mod check;
mod guards;
mod state;
mod step;

pub use check::{check, worlds};
pub use guards::{Guards, NEEDLESS};
pub use state::{Action, Bounds, State};
pub use step::Protocol;
