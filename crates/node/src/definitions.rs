//! Definitions: followed from the registry, kept in the state file, swapped as whole snapshots.

use std::{sync::Arc, time::SystemTime};

use serde_json::json;
use trivium_api::{ApiError, Readiness};
use trivium_registry::{Error, SnapshotWatch, WatchOptions};
use trivium_runtime::{Kind, Shutdown};

use crate::{RegistrySource, registry, state_file::StateFile};

/// The definitions of a node.
pub struct Followed {
    watch: SnapshotWatch,
    state: Option<StateFile>,
    /// When what this node began with was written, if it came from the state file.
    written: Option<SystemTime>,
}

impl Followed {
    /// Reads the registry, or the state file where it is away.
    pub async fn begin(source: &RegistrySource) -> Result<Self, ApiError> {
        let registry = registry::at(&source.address).map_err(|error| told(&error))?;
        let options = WatchOptions { interval_ms: source.poll_ms };
        let mut state = source.state_file.as_deref().map(StateFile::new);
        let error = match SnapshotWatch::new(Arc::clone(&registry), options.clone()).await {
            Ok(watch) => {
                let mut followed = Self { watch, state, written: None };
                followed.keep();
                return Ok(followed);
            }
            Err(error) => error,
        };
        let Some(file) = &mut state else {
            let help = "start the registry, or keep the last definitions in `registry.state_file`";
            return Err(told(&error).help(help));
        };
        let Some((snapshot, written)) = file.load()? else {
            let help = "start the registry: the state file has nothing to begin with yet";
            return Err(told(&error).help(help));
        };
        tracing::warn!(
            %error, revision = snapshot.revision.0,
            "the registry cannot be read; beginning with the definitions of the state file"
        );
        let watch = SnapshotWatch::starting_with(registry, options, snapshot);
        Ok(Self { watch, state, written: Some(written) })
    }

    /// What is followed.
    pub fn watch(&self) -> SnapshotWatch {
        self.watch.clone()
    }

    /// Tells on `/healthz` which definitions are served and how old they are: for how long nobody
    /// has known whether they still are the newest.
    pub fn report(&self, readiness: &Readiness) {
        let (watch, written) = (self.watch.clone(), self.written);
        readiness.report("definitions", move || {
            let age = match watch.read_at() {
                Some(at) => Some(at.elapsed()),
                None => written.and_then(|written| written.elapsed().ok()),
            };
            let from = if watch.read_at().is_some() { "registry" } else { "state file" };
            json!({
                "revision": watch.current().revision.0,
                "from": from,
                "age_seconds": age.map(|age| age.as_secs()),
                "problem": watch.problem(),
            })
        });
    }

    /// Keeps every new snapshot in the state file, until the shutdown.
    pub async fn keep_on(mut self, shutdown: Shutdown) {
        let mut snapshots = self.watch.subscribe();
        loop {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = shutdown.wait() => return,
            }
            snapshots.mark_unchanged();
            self.keep();
        }
    }

    /// Nothing that serving depends on: a full disk is said in the log.
    fn keep(&mut self) {
        if let Some(state) = &mut self.state
            && let Err(error) = state.keep(&self.watch.current())
        {
            tracing::error!(%error, "the definitions are not kept");
        }
    }
}

fn told(error: &Error) -> ApiError {
    let kind = match error {
        Error::Unavailable(_) => Kind::Unavailable,
        Error::Corrupt(_) => Kind::DataLoss,
        Error::Conflict { .. } | Error::NotFound(_) | Error::Invalid(_) => Kind::FailedPrecondition,
    };
    ApiError::new(kind, format!("the registry cannot be read: {error}")).at("registry.url")
}
