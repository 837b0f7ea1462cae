//! Follows the registry: whoever reads definitions on a hot path holds the newest snapshot and is
//! told when another takes its place.
//!
//! The head is asked every interval, and at once after [`SnapshotWatch::nudge`] (an apply in this
//! process). A registry that is away changes nothing for readers: they keep the last snapshot, and
//! [`SnapshotWatch::problem`] says what is wrong.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use trivium_runtime::{Shutdown, trace};

use crate::{Error, Registry, Snapshot};

/// How the registry is followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchOptions {
    /// How often the head is asked, in milliseconds: how long an apply elsewhere may go unnoticed.
    pub interval_ms: u64,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { interval_ms: 1000 }
    }
}

/// The newest known snapshot. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct SnapshotWatch(Arc<Shared>);

struct Shared {
    registry: Arc<dyn Registry>,
    options: WatchOptions,
    published: watch::Sender<Arc<Snapshot>>,
    nudged: Notify,
    problem: Mutex<Option<String>>,
    /// When the registry was last read with success, in this process.
    read_at: Mutex<Option<Instant>>,
    /// One refresh at a time, or an older snapshot could overtake a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl SnapshotWatch {
    /// Reads the first snapshot: without one there is nothing to serve.
    pub async fn new(registry: Arc<dyn Registry>, options: WatchOptions) -> Result<Self, Error> {
        let first = registry.snapshot(None).await?;
        Ok(Self::over(registry, options, first, Some(Instant::now())))
    }

    /// Begins with a snapshot that was read at another time: the registry may be away now.
    pub fn starting_with(
        registry: Arc<dyn Registry>,
        options: WatchOptions,
        snapshot: Snapshot,
    ) -> Self {
        Self::over(registry, options, snapshot, None)
    }

    fn over(
        registry: Arc<dyn Registry>,
        options: WatchOptions,
        first: Snapshot,
        read_at: Option<Instant>,
    ) -> Self {
        Self(Arc::new(Shared {
            registry,
            options,
            published: watch::Sender::new(Arc::new(first)),
            nudged: Notify::new(),
            problem: Mutex::new(None),
            read_at: Mutex::new(read_at),
            refreshing: tokio::sync::Mutex::new(()),
        }))
    }

    /// The newest known snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.published.borrow())
    }

    /// Told of every new snapshot; sees the newest one only, if several came.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.published.subscribe()
    }

    /// What is wrong, if the registry could not be read the last time: the snapshot may be old.
    pub fn problem(&self) -> Option<String> {
        self.0.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the registry was last read with success: what is served was current then. `None`: never
    /// in this process.
    pub fn read_at(&self) -> Option<Instant> {
        *self.0.read_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at the registry now. Returns at once.
    pub fn nudge(&self) {
        self.0.nudged.notify_one();
    }

    /// Looks now and publishes what is new. On failure the last snapshot stays.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, Error> {
        let _one = self.0.refreshing.lock().await;
        let began = Instant::now();
        let read = self.read().await;
        if read.is_ok() {
            *self.0.read_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        }
        let problem = read.as_ref().err().map(ToString::to_string);
        *self.0.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        if let Some(snapshot) = read? {
            self.0.published.send_replace(Arc::new(snapshot));
        }
        Ok(self.current())
    }

    /// The head's snapshot, if it is another than the published one.
    async fn read(&self) -> Result<Option<Snapshot>, Error> {
        // Not `<`: a registry restored from a backup may have gone back.
        if self.0.registry.head().await? == self.current().revision {
            return Ok(None);
        }
        self.0.registry.snapshot(None).await.map(Some)
    }

    /// A look that nobody asked for, told of if it is one of the sample.
    async fn refresh_followed(&self) -> Result<Arc<Snapshot>, Error> {
        let Some(followed) = trace::chore("registry poll") else { return self.refresh().await };
        let refreshed = followed.run(self.refresh()).await;
        match &refreshed {
            Ok(snapshot) => {
                let revision = i64::try_from(snapshot.revision.0).unwrap_or(i64::MAX);
                followed.tell("trivium.revision", revision);
            }
            Err(error) => followed.failed(match error {
                Error::Unavailable(_) => "unavailable",
                Error::Corrupt(_) => "corrupt",
                _ => "_OTHER",
            }),
        }
        refreshed
    }

    /// Follows the registry until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let interval = Duration::from_millis(self.0.options.interval_ms.max(1));
        let mut was_well = true;
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                () = self.0.nudged.notified() => {}
                () = tokio::time::sleep(interval) => {}
            }
            // Said once when it begins and once when it ends, not every interval.
            match self.refresh_followed().await {
                Ok(_) if !was_well => tracing::info!("the registry can be read again"),
                Err(error) if was_well => tracing::warn!(
                    %error, "the registry cannot be read; the last snapshot stays in use"
                ),
                _ => {}
            }
            was_well = self.problem().is_none();
        }
    }
}

impl std::fmt::Debug for SnapshotWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWatch")
            .field("revision", &self.current().revision)
            .field("problem", &self.problem())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use trivium_model::{ServiceRef, ViewRef};

    use super::*;
    use crate::{
        Apply, AuditEntry, AuditFilter, MemoryRegistry, Revision, StoredService, StoredView,
        conformance::{change, view},
    };

    #[derive(Default)]
    struct Flaky {
        inner: MemoryRegistry,
        away: AtomicBool,
    }

    impl Flaky {
        fn here(&self) -> Result<&MemoryRegistry, Error> {
            if self.away.load(Ordering::SeqCst) {
                return Err(Error::Unavailable("away".to_owned()));
            }
            Ok(&self.inner)
        }
    }

    #[async_trait]
    impl Registry for Flaky {
        async fn head(&self) -> Result<Revision, Error> {
            self.here()?.head().await
        }
        async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
            self.here()?.snapshot(at).await
        }
        async fn apply(&self, change: Apply) -> Result<Revision, Error> {
            self.here()?.apply(change).await
        }
        async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error> {
            self.here()?.view_history(view).await
        }
        async fn service_history(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error> {
            self.here()?.service_history(service).await
        }
        async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
            self.here()?.audit(filter).await
        }
    }

    fn one_view(base: u64) -> Apply {
        change(base, vec![view(&format!("v{base}"), 1, &[("x", "\"int64\"", None)])])
    }

    #[tokio::test]
    async fn the_last_snapshot_stays_while_the_registry_is_away() {
        let registry = Arc::new(Flaky::default());
        registry.apply(one_view(0)).await.unwrap();
        let watch = SnapshotWatch::new(registry.clone(), WatchOptions::default()).await.unwrap();
        registry.away.store(true, Ordering::SeqCst);
        watch.refresh().await.unwrap_err();
        assert_eq!(watch.current().revision, Revision(1));
        assert_eq!(
            watch.problem().as_deref(),
            Some("the registry's database is unavailable: away")
        );
        registry.away.store(false, Ordering::SeqCst);
        registry.apply(one_view(1)).await.unwrap();
        assert_eq!(watch.refresh().await.unwrap().revision, Revision(2));
        assert_eq!(watch.problem(), None);
    }

    #[tokio::test]
    async fn an_old_snapshot_is_enough_to_begin_with() {
        let registry = Arc::new(Flaky::default());
        registry.apply(one_view(0)).await.unwrap();
        let old = registry.snapshot(None).await.unwrap();
        registry.away.store(true, Ordering::SeqCst);
        let watch = SnapshotWatch::starting_with(registry.clone(), WatchOptions::default(), old);
        watch.refresh().await.unwrap_err();
        assert_eq!((watch.current().revision, watch.read_at()), (Revision(1), None));
        registry.away.store(false, Ordering::SeqCst);
        watch.refresh().await.unwrap();
        assert!(watch.read_at().is_some());
    }

    #[tokio::test]
    async fn there_is_no_watch_without_a_first_snapshot() {
        let registry = Arc::new(Flaky::default());
        registry.away.store(true, Ordering::SeqCst);
        assert!(SnapshotWatch::new(registry, WatchOptions::default()).await.is_err());
    }

    #[tokio::test]
    async fn a_nudge_is_followed_at_once_and_a_shutdown_ends_it() {
        let registry = Arc::new(MemoryRegistry::new());
        // An hour: only the nudge can make it look.
        let options = WatchOptions { interval_ms: 3_600_000 };
        let watch = SnapshotWatch::new(registry.clone(), options).await.unwrap();
        let shutdown = Shutdown::new();
        let running = tokio::spawn(watch.clone().run(shutdown.clone()));
        let mut subscriber = watch.subscribe();
        for base in 0..3 {
            registry.apply(one_view(base)).await.unwrap();
            watch.nudge();
            subscriber.changed().await.unwrap();
            assert_eq!(subscriber.borrow_and_update().revision, Revision(base + 1));
        }
        shutdown.trigger();
        running.await.unwrap();
    }
}
