//! Working on an erasure: stage after stage, each step safe to be done twice, or by two nodes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use trivium_model::Timestamp;
use trivium_registry::ErasureOrder;
use trivium_store::{Error, SubjectStore, SubjectTombstone};

use super::{
    job::{Job, Lease, Stage},
    room::{Room, Turn},
};
use crate::Serving;

/// Pauses before another try of a step that failed.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why a run ended early. The erasure stays open, and is gone on with later.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Another node works on it, or a newer request has taken it over.
    TakenOver,
    /// Something did not answer for long, or said no.
    Failed(String),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// An erasure in hand.
pub(super) struct Held {
    pub(super) subject: Arc<str>,
    pub(super) store: Arc<dyn SubjectStore>,
    pub(super) tombstone: SubjectTombstone,
    pub(super) job: Job,
    holder: u64,
    saved: Instant,
    pub(super) room: Room,
    /// While it works.
    pub(super) turn: Option<Turn>,
}

impl Held {
    pub(super) fn new(
        subject: Arc<str>,
        store: Arc<dyn SubjectStore>,
        tombstone: SubjectTombstone,
        job: Job,
        holder: u64,
        room: Room,
    ) -> Self {
        let saved = Instant::now();
        Self { subject, store, tombstone, job, holder, saved, room, turn: None }
    }

    /// When its lease is to be renewed.
    pub(super) fn renew_at(&self, serving: &Serving) -> Instant {
        self.saved + serving.options().erasure.lease() / 3
    }
}

/// Tries again, with growing pauses, for as long.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn of(time: Duration) -> Self {
        Self { until: Instant::now() + time, pause: PAUSE_FIRST }
    }
    /// Sleeps; `false` where it is at an end.
    pub(super) async fn lasts(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
    pub(super) async fn lasts_after(&mut self, error: &Error) -> bool {
        error.is_retryable() && self.lasts().await
    }
}

impl Serving {
    /// Puts the record in place, and holds the erasure for another while.
    pub(super) async fn save(&self, held: &mut Held) -> Result<(), Stopped> {
        self.save_as(held, true).await
    }

    async fn save_as(&self, held: &mut Held, is_held: bool) -> Result<(), Stopped> {
        let lease = self.options().erasure.lease();
        let until = self.wall_now().0.saturating_add(i64::try_from(lease.as_micros()).unwrap_or(0));
        held.job.lease = is_held.then_some(Lease { holder: held.holder, until });
        let new = held.job.in_place_of(&held.tombstone)?;
        let mut patience = Patience::of(lease);
        loop {
            let swapped =
                held.store.swap_tombstone(&held.subject, Some(&held.tombstone), &new).await;
            match swapped {
                Ok(true) => break,
                // An earlier try may have done it: its answer was lost.
                Ok(false) => match held.store.tombstone(&held.subject).await {
                    Ok(found) if found.as_ref() == Some(&new) => break,
                    Ok(_) => return Err(Stopped::TakenOver),
                    Err(error) if patience.lasts_after(&error).await => {}
                    Err(error) => return Err(error.into()),
                },
                Err(error) if patience.lasts_after(&error).await => {}
                Err(error) => return Err(error.into()),
            }
        }
        held.tombstone = new;
        held.saved = Instant::now();
        Ok(())
    }

    /// Works on it until it is done, or cannot go on.
    pub(super) async fn work_on(&self, mut held: Held) {
        let stopped = match self.go_through(&mut held).await {
            Ok(()) => return,
            Err(stopped) => stopped,
        };
        let Stopped::Failed(problem) = stopped else { return };
        tracing::warn!(erasure = held.job.id, problem, "an erasure has to wait");
        held.job.problem = problem;
        // Left for whoever looks next; where even that fails, until the lease is over.
        let _ = self.save_as(&mut held, false).await;
    }

    async fn go_through(&self, held: &mut Held) -> Result<(), Stopped> {
        // The tombstone is there, for everybody: what the index shows from now on, after its worst lag, is
        // all that there is. By this process's clock alone: a node that takes over waits anew.
        let began = Instant::now();
        self.take_turn(held).await?;
        if !held.job.page.is_empty() {
            self.delete_page(held).await?;
        }
        if held.job.stage == Stage::Rows {
            self.delete_rows(held, began + self.options().erasure.index_lag()).await?;
            held.job.stage = Stage::Embeddings;
            self.save(held).await?;
        }
        if held.job.stage == Stage::Embeddings {
            self.delete_embeddings(held, began).await?;
            held.job.stage = Stage::Order;
            // What held the rows up is over: from here on, only the registry is waited for.
            held.job.problem.clear();
            self.save(held).await?;
        }
        if held.job.stage == Stage::Order {
            self.leave_order(held).await?;
            held.job.stage = Stage::Done;
            held.job.problem.clear();
            held.job.finished_at = Some(self.wall_now().0);
            self.save_as(held, false).await?;
            tracing::info!(erasure = held.job.id, rows = held.job.verified, "a person is erased");
        }
        Ok(())
    }

    /// Waits until then, and keeps the erasure meanwhile. Others have their turn in the meantime.
    pub(super) async fn wait_holding(&self, held: &mut Held, then: Instant) -> Result<(), Stopped> {
        if then <= Instant::now() {
            return Ok(());
        }
        held.turn = None;
        loop {
            let renew = held.renew_at(self);
            if then <= renew {
                sleep_until(then).await;
                return self.take_turn(held).await;
            }
            sleep_until(renew).await;
            self.save(held).await?;
        }
    }

    async fn leave_order(&self, held: &mut Held) -> Result<(), Stopped> {
        let Some(orders) = self.stores().orders.clone() else { return Ok(()) };
        let Job { person, asked, .. } = &held.job;
        let order = ErasureOrder {
            erasure: held.job.id.clone(),
            namespace: person.namespace.clone(),
            join_key: person.join_key.clone(),
            key_type: person.key_type,
            value: person.value.clone(),
            up_to: held.tombstone.up_to,
            requested_at: Timestamp(held.job.requested_at),
            by: asked.by.clone(),
            requested_by: asked.requested_by.clone(),
            reason: asked.reason.clone(),
        };
        // Tried once: who looks for erasures that nobody works on comes back to it.
        match orders.leave(&order).await {
            Ok(_) => {
                held.job.order_left = true;
                Ok(())
            }
            Err(error) => Err(Stopped::Failed(format!("the registry: {error}"))),
        }
    }
}
