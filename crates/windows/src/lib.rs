//! Windows over events, computed from tiles.
//!
//! A [`Plan`] is made of a view with windows. A [`Step`] takes messages of one partition in their order
//! and gives rows, and changes of the [`State`] that has to be kept with the position behind them. Rows
//! are a function of the partition's messages, however they are cut into steps: a step gives of a row
//! that changes several times only the newest, under the sequence that it has in every cut.
//!
//! # What a window is
//!
//! Windows are `[end - size, end)`, ends are multiples of the slide since 1970-01-01T00:00:00Z. The
//! *watermark* is the newest event time met in the partition. A window's row is given when the
//! watermark reaches its end, and again with each event that comes for it later, until the watermark is
//! the allowed lateness beyond its end: from then on it stays. So an event counts in each of its windows
//! that is not that old when it comes; in those that are, it is late, and dropped. A window without
//! events has no row.
//!
//! Events that the filter leaves out count nowhere, and move the watermark as others do: what time it is, is asked of
//! the source.
//!
//! # Tiles
//!
//! A *tile* is the events of one entity in one slide, as partial aggregates; a window is the merge of
//! its tiles. A tile is removed when the last window that it is part of stays as it is.
//!
//! # State
//!
//! Keys and values, so that it is kept in any store and mirrored record by record:
//!
//! | key | value |
//! | --- | --- |
//! | `m` | the declaration's fingerprint, the watermark, the steps until now, the next message's offset |
//! | `t` entity, tile's end | the tile |
//! | `x` tile's end, entity | nothing: tiles in the order in which they go |
//! | `d` tile's end, entity, hash | nothing: an event's id that has been met |
//! | `w` window's end, entity | nothing: the entity's next row |
//! | `e` entity | nothing: it has a next row |
//!
//! Pure: no I/O, no clock, no async.

mod error;
mod event;
mod keys;
mod partial;
mod plan;
mod scalar;
mod state;
mod step;
mod sums;

pub use error::Error;
pub use event::{AHEAD_MAX, Event};
pub use plan::Plan;
pub use state::{Changes, Entries, MemoryState, State};
pub use step::{Counts, Output, Progress, Row, Step, progress};

#[cfg(test)]
mod tests;
