//! Connections that only read: each carries one `MGET` at a time, from the task that wants its answer.
//!
//! What the client of everything else does for a read (a queue, a task that writes, a task that
//! parses any answer there may be, values of any kind) costs more than the read itself. These
//! are an optimisation and no more: where none is free, one could not be made or the one that was taken
//! is broken, the read goes the other way.

mod answer;
mod connection;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fred::types::config::Server;
use tokio::sync::Semaphore;

pub(crate) use self::connection::{Failed, Reader};
use crate::{Options, client::Credentials};

/// After a connection could not be made.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections to one server.
#[derive(Debug)]
pub(crate) struct Readers {
    server: Server,
    credentials: Arc<Credentials>,
    connect_timeout: Duration,
    /// The last that was used is taken first: what is not needed stays at the bottom.
    idle: Mutex<Vec<Reader>>,
    /// One permit for each connection that there may still be.
    room: Arc<Semaphore>,
    is_opening: AtomicBool,
}

impl Readers {
    pub(crate) fn new(
        server: Server,
        credentials: Arc<Credentials>,
        options: &Options,
    ) -> Arc<Self> {
        Arc::new(Self {
            server,
            credentials,
            connect_timeout: options.connect_timeout(),
            idle: Mutex::default(),
            room: Arc::new(Semaphore::new(options.read_connections)),
            is_opening: AtomicBool::new(false),
        })
    }

    /// A connection that nobody uses. `None`: there is none, and unless there are as many as may be,
    /// another is being made now.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Reader> {
        let reader = self.idle().pop();
        if reader.is_none() {
            self.open_one();
        }
        reader
    }

    /// Gives it back after an answer.
    pub(crate) fn give(&self, reader: Reader) {
        self.idle().push(reader);
    }

    /// One has turned out to be broken; the others may well be.
    pub(crate) fn forget(&self) {
        let broken = std::mem::take(&mut *self.idle());
        drop(broken);
    }

    /// In the background, one at a time: a read does not wait for it.
    fn open_one(self: &Arc<Self>) {
        if self.room.available_permits() == 0 || self.is_opening.swap(true, Ordering::AcqRel) {
            return;
        }
        let readers = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(permit) = Arc::clone(&readers.room).try_acquire_owned() {
                let opening = Reader::open(&readers.server, &readers.credentials, permit);
                match tokio::time::timeout(readers.connect_timeout, opening).await {
                    Ok(Ok(reader)) => readers.give(reader),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a connection for reads could not be made");
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(_) => tracing::debug!("a connection for reads was not made in time"),
                }
            }
            readers.is_opening.store(false, Ordering::Release);
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn idle_count(&self) -> usize {
        self.idle().len()
    }
    #[cfg(test)]
    pub(crate) fn is_opening(&self) -> bool {
        self.is_opening.load(Ordering::Acquire)
    }
}
