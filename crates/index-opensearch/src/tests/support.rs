//! Servers and what tests say to them.

use std::sync::{Arc, Mutex, OnceLock};

use trivium_testkit::OpenSearch;

use crate::{OpenSearchIndex, Options};

/// One server a process: it takes seconds to start. The test process's end ends it.
fn server() -> &'static OpenSearch {
    static SERVER: OnceLock<OpenSearch> = OnceLock::new();
    SERVER.get_or_init(|| OpenSearch::start().unwrap())
}

/// Without copies, since there is one node; quick to be seen.
pub(super) fn options(endpoint: String) -> Options {
    Options { replicas: 0, refresh_ms: 100, attempt_timeout_ms: 60_000, ..Options::new(endpoint) }
}

pub(super) fn index(endpoint: String) -> OpenSearchIndex {
    OpenSearchIndex::new(options(endpoint), None).unwrap()
}

pub(super) async fn endpoint() -> String {
    // Starting blocks; the tests' own threads would all wait.
    tokio::task::spawn_blocking(|| server().endpoint()).await.unwrap()
}

pub(super) async fn port() -> u16 {
    tokio::task::spawn_blocking(|| server().server().port()).await.unwrap()
}

pub(super) async fn shared() -> OpenSearchIndex {
    index(endpoint().await)
}

/// A server of a test's own.
pub(super) async fn own() -> Arc<Mutex<OpenSearch>> {
    let server = tokio::task::spawn_blocking(|| OpenSearch::start().unwrap()).await.unwrap();
    Arc::new(Mutex::new(server))
}

/// Something that blocks, done to a test's own server.
pub(super) async fn with<T: Send + 'static>(
    server: &Arc<Mutex<OpenSearch>>,
    work: impl FnOnce(&mut OpenSearch) -> T + Send + 'static,
) -> T {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || work(&mut server.lock().unwrap())).await.unwrap()
}
