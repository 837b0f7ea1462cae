//! A row and its subject's tombstone in one table. One transaction looks at one tombstone and stands in one table;
//! while items move between two, a row and its subject's tombstone may stand in different ones. So they are brought
//! together first: both have a place where they are or would be made, and whichever lags behind is handed over as the
//! migrator would. `docs/decisions/0010-…` says why that is right.

use std::time::Instant;

use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Bar, Barrier, Condition, Error, FencedOutcome, Order, RowWrite, WriteOp, WriteOutcome,
};

use crate::{
    item::{Item, Stored, row_key},
    marks::is_plain,
    migrate::Brought,
    moving::Place,
    people::{self, tombstone_key},
    step::Must,
    store::{Inner, Pauses},
};

const TURNS_MAX: usize = 32;

/// A row and its subject's tombstone, as they stand in one table.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) place: Place,
    pub(crate) row: Option<Item>,
    /// What stands at the tombstone's place: perhaps a stub.
    pub(crate) tombstone: Option<Item>,
}

/// What came of bringing them together.
pub(crate) enum Joined {
    Beside(Beside),
    /// The row has to be erased before it moves, and stands where the tombstone does not.
    RowOfBefore(Box<Item>, Bar),
}

impl Inner {
    /// Both as they stand, wherever that is. In a store of one table that is where they are put.
    pub(crate) async fn apart(
        &self,
        key: &RowKey,
        subject: &str,
        end: Instant,
    ) -> Result<Beside, Error> {
        let row = self.get_item(row_key(key), end);
        let (row, tombstone) = futures::try_join!(row, self.get_item(tombstone_key(subject), end))?;
        Ok(Beside { place: Place::First, row, tombstone })
    }

    /// Brings both to one table, and makes a place of what is nowhere.
    pub(crate) async fn join(
        &self,
        key: &RowKey,
        subject: &str,
        seed_micros: u64,
        end: Instant,
    ) -> Result<Joined, Error> {
        let mut pauses = Pauses::until(end);
        let keys = [tombstone_key(subject), row_key(key)];
        let stubs =
            [people::stub(subject, self.options.grace_seconds), self.stub(key, seed_micros)];
        for turn in 0..TURNS_MAX {
            if turn > 1 && !pauses.sleep().await {
                break;
            }
            let (place, tombstone) = self.placed(&keys[0], &stubs[0], end).await?;
            let (rows_place, row) = self.placed(&keys[1], &stubs[1], end).await?;
            if place == rows_place {
                return Ok(Joined::Beside(Beside { place, row, tombstone }));
            }
            let Some(way) = self.way(end).await? else { continue };
            for key in &keys {
                match way.bring(key, end).await {
                    Ok(Brought::Settled | Brought::Moved) => {}
                    Ok(Brought::IsOfBefore(row, bar)) => {
                        return Ok(Joined::RowOfBefore(row, bar));
                    }
                    // It has been turned round meanwhile.
                    Err(Error::Invalid(_)) => break,
                    Err(error) => return Err(unsent(error)),
                }
            }
        }
        Err(Error::Throttled(
            "the row and its subject were moved again and again; nothing was changed".to_owned(),
        ))
    }

    /// Where an item is, or is to be made, and what stands there.
    async fn placed(
        &self,
        key: &Item,
        stub: &Item,
        end: Instant,
    ) -> Result<(Place, Option<Item>), Error> {
        for _ in 0..TURNS_MAX {
            let (place, must) = self.locate(key, stub, end).await.map_err(unsent)?;
            match self.at(place).get_item(key.clone(), end).await? {
                None if must == Must::Nothing => return Ok((place, None)),
                // Where something plain stands is where the item is, whatever was said a moment ago.
                Some(item) if is_plain(&item) => return Ok((place, Some(item))),
                _ => {}
            }
        }
        Err(Error::Throttled("the item was moved again and again; nothing was changed".to_owned()))
    }

    /// Deletes a row of before an erasure where it stands, as the erasure would: in its place comes what may move.
    /// `Some`: the put that it stands in the way of is barred.
    pub(crate) async fn delete_of_before(
        &self,
        key: &RowKey,
        mut row: Item,
        bar: Bar,
        fence: Option<Barrier>,
        seed_micros: u64,
        end: Instant,
    ) -> Result<Option<FencedOutcome>, Error> {
        let Some(stamp) = Stored::parse(Some(&mut row))?.stamp else { return Ok(None) };
        let order = Order::Replacing {
            event_time: stamp.event_time,
            sequence: stamp.sequence,
            new_event_time: Timestamp(bar.up_to.0),
            new_sequence: u64::MAX,
        };
        let delete = RowWrite {
            condition: Condition::ExactRev(stamp.rev),
            ..RowWrite::new(key.clone(), WriteOp::Delete, order)
        };
        match Box::pin(self.write_plain(delete, fence, seed_micros, end)).await? {
            barred @ FencedOutcome::Barred(_) => Ok(Some(barred)),
            // Somebody else was first, if it was not applied: it is looked at anew.
            FencedOutcome::Done(
                WriteOutcome::Applied(_)
                | WriteOutcome::Conflict(_)
                | WriteOutcome::Superseded(_)
                | WriteOutcome::Erased(_),
                _,
            ) => Ok(None),
        }
    }
}

/// What became of a step of a hand-over is nothing that the put's own caller has to know: it was not sent.
fn unsent(error: Error) -> Error {
    match error {
        Error::Unknown(why) => Error::Unavailable(why),
        error => error,
    }
}
