//! Against real Valkey servers.

mod cluster;
mod faults;
mod proofs;
mod steps;
mod support;

use std::sync::{Arc, LazyLock};

use trivium_testkit::{Valkey, ValkeyCluster};

use crate::{Options, ValkeyCache};

/// End with the process.
static SERVER: LazyLock<Valkey> = LazyLock::new(|| Valkey::start(&[]).unwrap());
static CLUSTER: LazyLock<ValkeyCluster> = LazyLock::new(|| ValkeyCluster::start(3).unwrap());

mod one_server {
    use super::*;
    async fn make() -> Arc<ValkeyCache> {
        Arc::new(support::connected(support::options(SERVER.address())).await)
    }
    trivium_store::row_cache_conformance_tests!(make);
}

mod three_servers {
    use super::*;
    async fn make() -> Arc<ValkeyCache> {
        let options = support::options(CLUSTER.nodes()[0].address());
        Arc::new(support::connected(Options { cluster: true, ..options }).await)
    }
    trivium_store::row_cache_conformance_tests!(make);
}
