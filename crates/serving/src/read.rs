//! Rows as they came from the store, judged: there or not, expired or not, readable or not.

use trivium_codec::{LayoutReader, Row, ValueRef};
use trivium_model::Timestamp;
use trivium_proto::v1::Status;

use crate::{
    metrics::RowRead,
    plan::{PlanColumn, ReadPlan},
};

/// The rows of a plan: for each entity, one for each view.
pub(crate) struct Rows {
    pub(crate) entities: usize,
    pub(crate) found: Vec<Result<Option<Row>, trivium_store::Error>>,
    /// The moment that decides what is expired.
    pub(crate) now: Timestamp,
}

/// One row as a reader sees it.
#[derive(Clone, Copy)]
pub(crate) enum RowState<'a> {
    /// No row, or a tombstone.
    Missing,
    Live {
        reader: LayoutReader<'a>,
        event_time: Timestamp,
        rev: u64,
    },
    /// Older than the ttl: the values are not shown.
    Expired {
        event_time: Timestamp,
        rev: u64,
    },
    /// Could not be read.
    Failed,
}

impl RowState<'_> {
    /// Event time and rev, where there is a live row.
    pub(crate) fn stamp(&self) -> Option<(Timestamp, u64)> {
        match self {
            Self::Live { event_time, rev, .. } | Self::Expired { event_time, rev } => {
                Some((*event_time, *rev))
            }
            Self::Missing | Self::Failed => None,
        }
    }
}

impl RowState<'_> {
    /// The bytes of a value of fixed width that is there: what most cells are, without the general
    /// case's detours. `None`: ask [`cell`].
    #[inline]
    pub(crate) fn fixed<const WIDTH: usize>(&self, column: &PlanColumn) -> Option<[u8; WIDTH]> {
        match (self, &column.slot) {
            (Self::Live { reader, .. }, Some(slot)) => reader.fixed(slot),
            _ => None,
        }
    }
}

impl<'a> RowState<'a> {
    /// The values of fixed width of a live row that has all its values.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&'a [u8]> {
        if let Self::Live { reader, .. } = self { reader.whole() } else { None }
    }
}

/// What a cell shows.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// The row's own value.
    Own(ValueRef<'a>),
    /// The feature's default.
    Default,
    /// Null: the row says so, or it could not be read.
    Nothing,
}

impl Rows {
    /// Judges every row, at index entity × views + view; counts how reads ended.
    pub(crate) fn states<'a>(&'a self, plan: &'a ReadPlan) -> Vec<RowState<'a>> {
        let mut states = Vec::with_capacity(self.found.len());
        let mut counts = vec![[0_u64; 4]; plan.views.len()];
        for (index, found) in self.found.iter().enumerate() {
            let view_index = index % plan.views.len();
            let view = &plan.views[view_index].view;
            let (state, ended) = match found {
                Ok(Some(row)) if !row.is_deleted() => {
                    let (event_time, rev) = (row.event_time(), row.rev());
                    if view.is_expired(event_time, self.now) {
                        (RowState::Expired { event_time, rev }, RowRead::Expired)
                    } else {
                        match view.reader(row) {
                            Ok(reader) => {
                                (RowState::Live { reader, event_time, rev }, RowRead::Found)
                            }
                            Err(error) => {
                                tracing::error!(view = view.name, %error, "a row cannot be read");
                                (RowState::Failed, RowRead::Error)
                            }
                        }
                    }
                }
                Ok(_) => (RowState::Missing, RowRead::NotFound),
                Err(error) => {
                    tracing::warn!(view = view.name, %error, "a row was not read");
                    (RowState::Failed, RowRead::Error)
                }
            };
            counts[view_index][ended as usize] += 1;
            states.push(state);
        }
        for (planned, counts) in plan.views.iter().zip(counts) {
            planned.view.metrics.read(counts);
        }
        states
    }
}

/// Status and value of one column of one row.
#[inline]
pub(crate) fn cell<'a>(column: &PlanColumn, state: &RowState<'a>) -> (Status, Shown<'a>) {
    match state {
        RowState::Live { reader, .. } => match reader.get(column.field) {
            Ok(Some(ValueRef::Null)) => (Status::Null, Shown::Nothing),
            Ok(Some(value)) => (Status::Present, Shown::Own(value)),
            Ok(None) => (Status::NotFound, Shown::Default),
            Err(error) => {
                corrupt(&error);
                (Status::Error, Shown::Nothing)
            }
        },
        RowState::Missing => (Status::NotFound, Shown::Default),
        RowState::Expired { .. } => (Status::Expired, Shown::Default),
        RowState::Failed => (Status::Error, Shown::Nothing),
    }
}

#[cold]
fn corrupt(error: &trivium_codec::Error) {
    tracing::error!(%error, "a value cannot be read");
}
