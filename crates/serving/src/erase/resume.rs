//! Going on with erasures that nobody works on: their node died, or could not go on.

use std::{sync::Arc, time::Duration};

use trivium_runtime::Shutdown;
use trivium_store::{Error, SubjectStore, SubjectTombstone};

use super::{
    job::{Job, Lease},
    run::Held,
};
use crate::Serving;

impl Serving {
    /// Looks for open erasures now and then, until shutdown, and goes on with them one at a time. Any
    /// number of nodes may do so. The cost is that of the open ones.
    pub async fn resume_erasures(self, shutdown: Shutdown) {
        let Some(store) = self.stores().subjects.clone() else { return };
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
                resumed = self.resume_round(&store) => {
                    if let Err(error) = resumed {
                        tracing::debug!(%error, "open erasures could not be looked for");
                    }
                }
            }
        }
    }

    /// One look at the open ones; how many were gone on with.
    pub(crate) async fn resume_round(&self, store: &Arc<dyn SubjectStore>) -> Result<u64, Error> {
        let mut resumed = 0;
        let mut after: Option<String> = None;
        loop {
            let page = store.open_tombstones(after.as_deref()).await?;
            for subject in page.subjects {
                if let Some(held) = self.take(store, &subject).await? {
                    tracing::info!(erasure = held.job.id, "going on with an erasure");
                    self.in_turn(held).await;
                    resumed += 1;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(resumed);
            }
        }
    }

    /// Takes an erasure that nobody holds; `None`: there is none, or another node was faster.
    async fn take(
        &self,
        store: &Arc<dyn SubjectStore>,
        subject: &str,
    ) -> Result<Option<Held>, Error> {
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
        Ok(Some(Held::new(Arc::from(subject), Arc::clone(store), new, job, holder)))
    }
}
