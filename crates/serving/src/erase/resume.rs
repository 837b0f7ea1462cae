//! Going on with erasures that nobody holds: their node died, could not go on, or had no room.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use trivium_runtime::Shutdown;
use trivium_store::{Error, SubjectStore, SubjectTombstone};

use super::{
    job::{Job, Lease},
    room::Room,
    run::Held,
};
use crate::Serving;

impl Serving {
    /// Looks for open erasures now and then, until shutdown, and goes on with them: with as many beside each
    /// other as there is room for. Any number of nodes may do so. The cost is that of the open ones.
    pub async fn resume_erasures(self, shutdown: Shutdown) {
        let Some(store) = self.stores().subjects.clone() else { return };
        // Dropped at the end, and with it all that is in hand: their leases end by themselves.
        let mut in_hand = JoinSet::new();
        loop {
            // Half to one and a half times the interval: nodes that were started together part.
            let every = self.options().erasure.resume_every().max(Duration::from_millis(1));
            let part = self.erasing().draw() % 1024;
            let pause = every.mul_f64(0.5 + part as f64 / 1024.0);
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = shutdown.wait() => return,
                looked = self.resume_round(&store, &mut in_hand) => {
                    if let Err(error) = looked {
                        tracing::debug!(%error, "open erasures could not be looked for");
                    }
                }
            }
        }
    }

    /// One look at the open ones: takes each that nobody holds, as soon as there is room for it.
    pub(crate) async fn resume_round(
        &self,
        store: &Arc<dyn SubjectStore>,
        in_hand: &mut JoinSet<()>,
    ) -> Result<(), Error> {
        let mut room: Option<Room> = None;
        let mut after: Option<String> = None;
        loop {
            let page = store.open_tombstones(after.as_deref()).await?;
            for subject in page.subjects {
                while in_hand.try_join_next().is_some() {}
                // Before it is taken: who waits for room holds nothing that another node has room for.
                if room.is_none() {
                    room = self.erasing().rooms.for_left_behind().await;
                }
                let taken = match self.take(store, &subject).await {
                    // This one's record cannot be read: that must not keep the others from being erased.
                    Err(error @ Error::Corrupt(_)) => {
                        tracing::error!(%error, "an open erasure cannot be gone on with");
                        None
                    }
                    taken => taken?,
                };
                if let Some(taken) = taken
                    && let Some(room) = room.take()
                {
                    tracing::info!(erasure = taken.job.id, "going on with an erasure");
                    let Taken { tombstone, job, holder } = taken;
                    let (subject, store) = (Arc::from(subject), Arc::clone(store));
                    let held = Held::new(subject, store, tombstone, job, holder, room);
                    let serving = self.clone();
                    in_hand.spawn(async move { serving.work_on(held).await });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes an erasure that nobody holds; `None`: there is none, or another node was faster.
    async fn take(
        &self,
        store: &Arc<dyn SubjectStore>,
        subject: &str,
    ) -> Result<Option<Taken>, Error> {
        let Some(tombstone) = store.tombstone(subject).await? else { return Ok(None) };
        let mut job = Job::of(&tombstone)?;
        let now = self.wall_now().0;
        if !tombstone.is_open || job.is_held(now) {
            return Ok(None);
        }
        let holder = self.erasing().draw();
        let lease = self.options().erasure.lease();
        let until = now.saturating_add(lease.as_micros().try_into().unwrap_or(0));
        job.lease = Some(Lease { holder, until });
        let new: SubjectTombstone = job.in_place_of(&tombstone)?;
        // A lost answer is as good as a no: the next look tells.
        if !store.swap_tombstone(subject, Some(&tombstone), &new).await? {
            return Ok(None);
        }
        Ok(Some(Taken { tombstone: new, job, holder }))
    }
}

/// An erasure that belongs to this process now.
struct Taken {
    tombstone: SubjectTombstone,
    job: Job,
    holder: u64,
}
