//! The atomic steps, in Lua. A script checks the marker before it does anything, and its text names
//! the epoch: see the crate's header.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use fred::util::sha1_hash;
use trivium_store::CacheEpoch;

/// Lease, fill and fence. They need memory: a full cache refuses them whole, before they begin.
const STEP: &str = include_str!("lua/step.lua");
/// Unfence. Must work in a full cache.
const UNFENCE: &str = include_str!("lua/unfence.lua");

/// A script of one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) text: String,
    /// SHA-1 of the text, in hex.
    pub(crate) name: String,
}

/// The scripts of one epoch.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) step: Script,
    pub(crate) unfence: Script,
    proofs: Proofs,
}

/// Of each client, the number of connections that had been made when its server was last found to know
/// the scripts; 0: never.
///
/// A server forgets scripts only by ending, which ends its connections (or when it is told to, and
/// then its data are the same): so as long as no connection has been made since, the one that the
/// client has leads to a server that has known them all the time.
#[derive(Debug)]
struct Proofs(Box<[AtomicU64]>);

impl Scripts {
    fn of(epoch: CacheEpoch, clients: usize) -> Self {
        let script = |flags: &str, body: &str| {
            let CacheEpoch { number, marker } = epoch;
            let text = format!("#!lua{flags}\n-- trivium: epoch {number}, {marker:032x}\n{body}");
            Script { name: sha1_hash(&text), text }
        };
        Self {
            step: script("", STEP),
            unfence: script(" flags=allow-oom", UNFENCE),
            proofs: Proofs((0..clients).map(|_| AtomicU64::new(0)).collect()),
        }
    }

    /// Whether the server of this client was found to know them when as many connections had been made.
    pub(crate) fn are_proven(&self, client: usize, made: u64) -> bool {
        made > 0 && self.proofs.0.get(client).is_some_and(|at| at.load(Ordering::Acquire) == made)
    }
    /// They were found there, while so many had been made.
    pub(crate) fn prove(&self, client: usize, made: u64) {
        if let Some(at) = self.proofs.0.get(client) {
            at.store(made, Ordering::Release);
        }
    }
}

/// The scripts of the epoch that was asked for last: hashing them anew for each command would cost
/// more than the command.
#[derive(Debug, Default)]
pub(crate) struct LastScripts(Mutex<Option<(CacheEpoch, Arc<Scripts>)>>);

impl LastScripts {
    pub(crate) fn get(&self, epoch: CacheEpoch, clients: usize) -> Arc<Scripts> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, scripts)) if *of == epoch => scripts.clone(),
            _ => {
                let scripts = Arc::new(Scripts::of(epoch, clients));
                *last = Some((epoch, scripts.clone()));
                scripts
            }
        }
    }
}
