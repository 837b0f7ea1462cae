//! How long a store that cannot keep up is waited for.

use std::time::Duration;

use trivium_runtime::Shutdown;

use super::MaterializeOptions;
use crate::Error;

/// The pause before something is tried again; doubled each time.
const PAUSE: Duration = Duration::from_millis(200);

/// Pauses between tries, which end when the run is stopped. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    tries: u32,
    shutdown: Shutdown,
}

impl Patience {
    pub(super) fn new(options: &MaterializeOptions) -> Self {
        Self { tries: options.tries.max(1), shutdown: options.shutdown.clone() }
    }

    /// The pause after so many failures in a row; `None`: that was the last try.
    pub(super) fn pause(&self, failures: u32) -> Option<Duration> {
        (failures < self.tries).then(|| PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1)))
    }

    /// What comes of it, unless the run is stopped before.
    pub(super) async fn unless_stopped<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            // A stop comes first.
            biased;
            () = self.shutdown.wait() => Err(Error::Stopped),
            done = wait => Ok(done),
        }
    }

    /// Waits between two tries.
    pub(super) async fn wait(&self, pause: Duration) -> Result<(), Error> {
        self.unless_stopped(tokio::time::sleep(pause)).await
    }

    pub(super) fn stop_if_asked(&self) -> Result<(), Error> {
        if self.shutdown.is_triggered() { Err(Error::Stopped) } else { Ok(()) }
    }
}
