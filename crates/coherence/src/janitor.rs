//! Fences of dead writers on keys that nobody reads: found by going through the cache's fences, a page
//! at a time, and repaired as a reader would.

use std::{sync::Arc, time::Duration};

use tracing::debug;
use trivium_runtime::Shutdown;
use trivium_store::{Authority, RowCache};

use crate::{options::micros, store::Node};

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    /// Goes through the fences until shutdown.
    pub(crate) async fn tidy(self: &Arc<Self>, shutdown: &Shutdown) {
        let mut cursor = 0;
        while !shutdown.is_triggered() {
            let pause = self.environment.jittered(micros(self.options.janitor_every));
            tokio::select! {
                biased;
                () = shutdown.wait() => return,
                () = tokio::time::sleep(Duration::from_micros(pause)) => {}
            }
            cursor = self.tidy_page(cursor).await;
        }
    }

    /// Repairs what is overdue on one page; the next page's cursor.
    async fn tidy_page(self: &Arc<Self>, cursor: u64) -> u64 {
        // Without a lease the cache may not be the one it was; another time.
        let Some(lease) = self.keeper.lease() else { return 0 };
        match self.cache.fences(lease.epoch, cursor).await {
            Ok((page, next)) => {
                for (key, ids) in page {
                    self.repair_overdue(lease.epoch, &key, ids).await;
                }
                next
            }
            Err(error) => {
                debug!(%error, "the cache's fences could not be listed");
                0
            }
        }
    }
}
