//! The atomic steps, in Lua. A script checks the marker before it does anything, and its text names
//! the epoch: see the crate's header.

use std::sync::{Arc, Mutex, PoisonError};

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
}

impl Scripts {
    fn of(epoch: CacheEpoch) -> Self {
        let script = |flags: &str, body: &str| {
            let CacheEpoch { number, marker } = epoch;
            let text = format!("#!lua{flags}\n-- trivium: epoch {number}, {marker:032x}\n{body}");
            Script { name: sha1_hash(&text), text }
        };
        Self { step: script("", STEP), unfence: script(" flags=allow-oom", UNFENCE) }
    }
}

/// The scripts of the epoch that was asked for last: hashing them anew for each command would cost
/// more than the command.
#[derive(Debug, Default)]
pub(crate) struct LastScripts(Mutex<Option<(CacheEpoch, Arc<Scripts>)>>);

impl LastScripts {
    pub(crate) fn get(&self, epoch: CacheEpoch) -> Arc<Scripts> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, scripts)) if *of == epoch => scripts.clone(),
            _ => {
                let scripts = Arc::new(Scripts::of(epoch));
                *last = Some((epoch, scripts.clone()));
                scripts
            }
        }
    }
}
