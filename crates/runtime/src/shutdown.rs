//! Shutdown: a signal stops the intake, what is under way is drained, then the process exits.

use tokio_util::sync::CancellationToken;

/// Tells every part to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that only [`Shutdown::trigger`] fires.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT fire.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let fired = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            fired.trigger();
        });
        Ok(shutdown)
    }

    /// Asks everybody to stop.
    pub fn trigger(&self) {
        self.0.cancel();
    }
    /// Whether stopping was asked for.
    pub fn is_triggered(&self) -> bool {
        self.0.is_cancelled()
    }
    /// Waits until stopping is asked for.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::Shutdown;

    #[tokio::test]
    async fn every_clone_hears_it() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        assert!(!other.is_triggered());
        shutdown.trigger();
        other.wait().await;
        assert!(other.is_triggered());
    }
}
