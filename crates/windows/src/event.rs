//! Events.

use trivium_model::{KeyValue, TimeSpan, Timestamp, Value};

/// What one message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// When it happened.
    pub time: Timestamp,
    /// In the order of the window's columns; what is unset is null.
    pub values: Vec<Value>,
}

/// How far an event's time may lie beyond its message's own, and beyond now. One with a wrong clock would close windows
/// that are not over, and make everybody else's events late.
pub const AHEAD_MAX: TimeSpan = TimeSpan::from_micros(3_600_000_000);

impl Event {
    /// Whether the event says it will happen long after its message was made, or after now: a producer whose
    /// clock is wrong gives its messages the same wrong time.
    pub fn is_ahead(&self, message_time: Option<Timestamp>, now: Timestamp) -> bool {
        self.time > message_time.map_or(now, |at| at.min(now)).plus(AHEAD_MAX)
    }
}
