//! How many erasures a process holds, and how many of these work.
//!
//! Most of an erasure's time is waiting: for the index's worst lag, a minute. So one that waits has no
//! *turn*, only a *room*. What was asked for here and what others left behind have rooms of their own, and
//! one turn of several is kept for the former: a node that goes on with hundreds erases at once whom it is
//! asked to.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep_until,
};

use super::{
    ErasureOptions,
    run::{Held, Stopped},
};
use crate::Serving;

#[derive(Debug)]
pub(super) struct Rooms {
    turns: Arc<Semaphore>,
    /// Those of the turns that what others left behind may take, or stand in line for.
    turns_of_others: Arc<Semaphore>,
    asked: Arc<Semaphore>,
    of_others: Arc<Semaphore>,
}

/// A place among the erasures held here, for as long as one is.
#[derive(Debug)]
pub(super) struct Room {
    /// What has to be had before a turn.
    gate: Option<Arc<Semaphore>>,
    turns: Arc<Semaphore>,
    _room: OwnedSemaphorePermit,
}

/// Leave to read and write rows.
#[derive(Debug)]
pub(super) struct Turn {
    _gate: Option<OwnedSemaphorePermit>,
    _turn: OwnedSemaphorePermit,
}

impl Rooms {
    pub(super) fn new(options: &ErasureOptions) -> Self {
        let of = |count: usize| Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            turns: of(options.at_once_max),
            turns_of_others: of(options.at_once_max.saturating_sub(1)),
            asked: of(options.in_hand_max),
            of_others: of(options.in_hand_max),
        }
    }

    /// For an erasure that was asked for here. `None`: too many are held already; another node, or this one
    /// later, goes on with it.
    pub(super) fn for_asked(&self) -> Option<Room> {
        let room = Arc::clone(&self.asked).try_acquire_owned().ok()?;
        Some(Room { gate: None, turns: Arc::clone(&self.turns), _room: room })
    }

    /// For one that was left behind, as soon as there is a room.
    pub(super) async fn for_left_behind(&self) -> Option<Room> {
        // Never closed, so that there always is one in the end.
        let room = Arc::clone(&self.of_others).acquire_owned().await.ok()?;
        let gate = Some(Arc::clone(&self.turns_of_others));
        Some(Room { gate, turns: Arc::clone(&self.turns), _room: room })
    }
}

impl Room {
    async fn turn(gate: Option<Arc<Semaphore>>, turns: Arc<Semaphore>) -> Option<Turn> {
        let gate = match gate {
            Some(gate) => Some(gate.acquire_owned().await.ok()?),
            None => None,
        };
        Some(Turn { _gate: gate, _turn: turns.acquire_owned().await.ok()? })
    }
}

impl Serving {
    /// Waits for a turn, and keeps the erasure meanwhile.
    pub(super) async fn take_turn(&self, held: &mut Held) -> Result<(), Stopped> {
        if held.turn.is_some() {
            return Ok(());
        }
        // One future throughout, so that the place in the line is kept.
        let turn = Room::turn(held.room.gate.clone(), Arc::clone(&held.room.turns));
        tokio::pin!(turn);
        loop {
            tokio::select! {
                biased;
                turn = &mut turn => {
                    held.turn = turn;
                    return Ok(());
                }
                () = sleep_until(held.renew_at(self)) => self.save(held).await?,
            }
        }
    }
}
