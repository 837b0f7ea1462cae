//! The store with a cache in front keeps every promise of a store without one.

use std::{sync::Arc, time::Duration};

use trivium_coherence::{CoherentStore, Options};
use trivium_runtime::Shutdown;
use trivium_store::{MemoryCache, MemoryStore};

type Store = CoherentStore<MemoryStore, MemoryCache>;

/// A store whose cache is enabled and stays so.
async fn cached() -> Arc<Store> {
    let options = Options { renew_every: Duration::from_millis(50), ..Options::default() };
    let store = Arc::new(CoherentStore::new(MemoryStore::new(), MemoryCache::new(), options));
    let kept = Arc::clone(&store);
    tokio::spawn(async move { kept.run(&Shutdown::new()).await });
    while !store.has_lease() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store
}

/// A store whose keeper never runs: the authority alone.
async fn uncached() -> Arc<Store> {
    Arc::new(CoherentStore::new(MemoryStore::new(), MemoryCache::new(), Options::default()))
}

mod with_a_cache {
    use super::cached;
    trivium_store::conformance_tests!(cached);
    trivium_store::subject_conformance_tests!(cached);
}

mod without_a_cache {
    use super::uncached;
    trivium_store::conformance_tests!(uncached);
    trivium_store::subject_conformance_tests!(uncached);
}

mod of_a_node_that_has_none {
    use std::sync::Arc;

    use trivium_coherence::{CoherentStore, NoCache, Options};
    use trivium_runtime::Shutdown;
    use trivium_store::MemoryStore;

    async fn plain() -> Arc<CoherentStore<MemoryStore, NoCache>> {
        let store = Arc::new(CoherentStore::new(MemoryStore::new(), NoCache, Options::default()));
        let kept = Arc::clone(&store);
        tokio::spawn(async move { kept.run(&Shutdown::new()).await });
        store
    }

    trivium_store::conformance_tests!(plain);
    trivium_store::subject_conformance_tests!(plain);
}

/// As a serving node stacks them: copies in the process, the protocol, measured stores.
mod as_in_a_node {
    use std::{sync::Arc, time::Duration};

    use trivium_coherence::{CoherentStore, NearCopies, Options};
    use trivium_runtime::Shutdown;
    use trivium_store::{MemoryCache, MemoryStore, Metered};

    type Store = NearCopies<CoherentStore<Metered<MemoryStore>, Metered<MemoryCache>>>;

    async fn stacked() -> Arc<Store> {
        let options = Options { renew_every: Duration::from_millis(50), ..Options::default() };
        let authority = Metered::new("memory", MemoryStore::new());
        let cache = Metered::new("memory_cache", MemoryCache::new());
        let store = CoherentStore::new(authority, cache, options);
        let kept = store.clone();
        tokio::spawn(async move { kept.run(&Shutdown::new()).await });
        while !store.has_lease() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Arc::new(NearCopies::new(store, 1 << 20))
    }

    trivium_store::conformance_tests!(stacked);
    trivium_store::subject_conformance_tests!(stacked);
}
