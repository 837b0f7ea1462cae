//! Group fsync: whoever commits while one is under way shares the next.

use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
struct State {
    begun: u64,
    done: u64,
    running: bool,
    failure: Option<String>,
}

/// Hands out fsyncs.
#[derive(Debug, Default)]
pub(crate) struct GroupFlush {
    state: Mutex<State>,
    changed: Condvar,
}

impl GroupFlush {
    /// Returns once a flush that began after this call has ended. After a failure every later call
    /// fails: what the disk lost cannot be told (the engine refuses further writes as well).
    pub(crate) fn flush(&self, sync: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let own = state.begun + 1;
        let mut sync = Some(sync);
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.done >= own {
                return Ok(());
            }
            match sync.take_if(|_| !state.running) {
                Some(sync) => {
                    state.running = true;
                    state.begun += 1;
                    let number = state.begun;
                    drop(state);
                    let result = sync();
                    state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.running = false;
                    state.done = number;
                    state.failure = result.err();
                    self.changed.notify_all();
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
