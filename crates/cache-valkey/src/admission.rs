//! Which servers may answer.

use std::sync::{Mutex, PoisonError};

use trivium_store::CacheError;

/// The servers that were admitted, and those that were there when they were asked last.
///
/// That a server is another than it was *since* it was asked needs no look here: it does not know the
/// epoch's scripts.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Ids>);

/// Sorted; `None`: not told yet.
#[derive(Debug, Default)]
struct Ids {
    admitted: Option<Vec<String>>,
    seen: Option<Vec<String>>,
}

impl Admission {
    pub(crate) fn admit(&self, servers: &[String]) {
        let mut servers = servers.to_vec();
        servers.sort();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admitted = Some(servers);
    }
    pub(crate) fn see(&self, mut servers: Vec<String>) {
        servers.sort();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen = Some(servers);
    }
    /// Strangers are not believed.
    pub(crate) fn check(&self) -> Result<(), CacheError> {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&ids.admitted, &ids.seen) {
            (Some(admitted), Some(seen)) if admitted != seen => Err(CacheError::NotMarked),
            _ => Ok(()),
        }
    }
}
