//! The write door: how every producer writes features, in process or over the wire.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use trivium_codec::{Fingerprint, Row};
use trivium_model::{KeyValue, Lane, Name, Value, ViewRef};

use crate::{Condition, Error, Order, WriteId, WriteOutcome};

/// Bytes of one string, bytes, list or embedding. Producers keep to it too: what the door would
/// refuse is refused before it is published.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Bytes of one encoded row.
pub const ROW_BYTES_MAX: usize = 4 << 20;

/// Rows of one view version.
#[derive(Debug, Clone)]
pub struct DoorRequest {
    /// The view.
    pub view: ViewRef,
    /// Who writes: the view's lane, or `Direct` for a caller with the write right.
    pub lane: Lane,
    /// The rows; at most the door's limit (its error says which).
    pub rows: Vec<DoorRow>,
    /// Give up then.
    pub deadline: Option<Instant>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct DoorRow {
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// What to do.
    pub op: DoorOp,
    /// Where it stands in the row's order.
    pub order: Order,
    /// What must hold.
    pub condition: Condition,
    /// Names the attempt; zero: none.
    pub write_id: WriteId,
}

/// What to do with a row.
#[derive(Debug, Clone)]
pub enum DoorOp {
    /// The whole row, encoded under the schema with this fingerprint: pipelines.
    PutRow {
        /// The row.
        row: Row,
        /// Its schema; a door that does not know it refuses the row.
        schema: Fingerprint,
    },
    /// Sets these features, the others keep their values.
    PutValues(Vec<(Name, Value)>),
    /// Removes the row for every feature of the view.
    Delete,
}

/// How one row's write ended.
pub type DoorOutcome = Result<WriteOutcome, DoorError>;

/// Why a request, or one row of it, was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DoorError {
    /// The caller's mistake: `field` says where (`rows[3].values.flights`), `help` what to do.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where, as a path into the request.
        field: String,
        /// What to do.
        help: String,
    },
    /// The view is not known (yet) to this door.
    #[error("{0} is not known here")]
    UnknownView(ViewRef),
    /// There is too much at once, and it was said when to come again: not before `pause` is over. Nothing
    /// was tried.
    #[error("{message}")]
    Shed {
        /// What there is too much of.
        message: String,
        /// How long to stay away.
        pause: Duration,
    },
    /// The store said no, or did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

impl DoorError {
    /// How long the caller was asked to stay away, where it was.
    pub const fn pause(&self) -> Option<Duration> {
        match self {
            Self::Shed { pause, .. } => Some(*pause),
            Self::Invalid { .. } | Self::UnknownView(_) | Self::Store(_) => None,
        }
    }
}

/// Writes features.
#[async_trait]
pub trait WriteDoor: Send + Sync {
    /// Writes each row in its own atomic step; outcomes in the order given. An error for the whole
    /// request means that no row was tried.
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError>;
}
