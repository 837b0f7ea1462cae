//! Rows against a calculation that knows no tiles, no state and no steps.

mod against_all_events;
mod cases;
mod naive;
