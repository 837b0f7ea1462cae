//! Erasing persons: on nodes that die, with an index that lags, beside writers.

mod crashes;
mod documents;
mod rooms;
mod semantics;
mod world;
