//! The sweeper: deletes documents that no row names, some time after they were written. Any number of
//! servers may sweep; they take the same documents, and a deletion may be repeated.

use std::time::{Duration, Instant};

use metrics::counter;
use trivium_model::Timestamp;
use trivium_runtime::Shutdown;
use trivium_store::{
    Error,
    embedding::{IndexSpec, Swept, sweep},
};

use super::owners::RowOwners;
use crate::Serving;

/// When the sweeper runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOptions {
    /// From the end of one sweep to the next, give or take a quarter: servers that were started together
    /// do not stay together.
    pub every: Duration,
    /// How old a document must be, by its writer's clock. Safety does not depend on it; a younger one may
    /// be of a write under way, which would have to begin again.
    pub age_min: Duration,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { every: Duration::from_secs(600), age_min: Duration::from_secs(600) }
    }
}

/// How long the sweep of one index may take.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(600);

impl Serving {
    /// Makes the indexes of the definitions, again with every change of these, and sweeps them until
    /// the shutdown. Returns at once without an index.
    pub async fn keep_embeddings(self, options: SweepOptions, shutdown: Shutdown) {
        if self.indexes().is_none() {
            return;
        }
        /// How soon new definitions, and an index that came back, are noticed.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        let mut made: Option<trivium_registry::Revision> = None;
        let mut sweep_at = Instant::now() + jittered(options.every);
        loop {
            let revision = self.definitions().revision();
            if made != Some(revision) || !self.index_problems().is_empty() {
                self.ensure_indexes().await;
                made = Some(revision);
            }
            if Instant::now() >= sweep_at {
                tokio::select! {
                    _ = self.sweep_embeddings(options.age_min) => {}
                    () = shutdown.wait() => return,
                }
                // An index that was removed behind our back is made again.
                made = None;
                sweep_at = Instant::now() + jittered(options.every);
            }
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(LOOK_EVERY.min(options.every)) => {}
            }
        }
    }

    /// Sweeps every index once; what failed is said in the log and left for the next time.
    pub async fn sweep_embeddings(&self, age_min: Duration) -> Swept {
        let mut all = Swept::default();
        let Some(indexes) = self.indexes() else { return all };
        let definitions = self.definitions();
        let age = i64::try_from(age_min.as_micros()).unwrap_or(i64::MAX);
        let now = i64::try_from(self.seed()).unwrap_or(i64::MAX);
        let before = Timestamp(now.saturating_sub(age));
        for spec in definitions.indexes() {
            match self.sweep_one(&*indexes.index, spec, before).await {
                Ok(swept) => {
                    for (what, documents) in [
                        ("listed", swept.listed),
                        ("deleted", swept.deleted),
                        ("rows_moved", swept.moved),
                        ("left", swept.left),
                    ] {
                        counter!("trivium_embeddings_swept_total", "what" => what)
                            .increment(documents);
                    }
                    all.listed += swept.listed;
                    all.deleted += swept.deleted;
                    all.moved += swept.moved;
                    all.left += swept.left;
                }
                Err(error) => {
                    tracing::warn!(index = %spec, %error, "the sweep of leftovers was given up");
                }
            }
        }
        all
    }

    async fn sweep_one(
        &self,
        index: &dyn trivium_store::EmbeddingIndex,
        spec: &IndexSpec,
        before: Timestamp,
    ) -> Result<Swept, Error> {
        let definitions = self.definitions();
        let found = definitions.find(&spec.view).and_then(|view| {
            let part =
                view.embeddings.iter().position(|known| known.spec.feature == spec.feature)?;
            Some((view, part))
        });
        let Some((view, part)) = found else { return Ok(Swept::default()) };
        let owners = RowOwners::new(self, view, part);
        let deadline = Instant::now().checked_add(SWEEP_TIME_MAX);
        sweep(index, spec, &owners, before, deadline).await
    }
}

/// Between three and five quarters.
fn jittered(every: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let dice = RandomState::new().hash_one(0) % 1_024;
    every.mul_f64(0.75 + dice as f64 / 2_048.0)
}
