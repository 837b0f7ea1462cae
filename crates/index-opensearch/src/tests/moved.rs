//! What indexes remember of the ones whose place they take.

use super::support::{endpoint, options};
use crate::{OpenSearchIndex, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_complete_is_remembered_until_a_copying_begins() {
    let endpoint = endpoint().await;
    let index = |prefix: &str, endpoint: &str| {
        let prefix = prefix.to_owned();
        let options = Options { prefix, ..options(endpoint.to_owned()) };
        OpenSearchIndex::new(options, None).unwrap()
    };
    let (old, new, third) =
        (index("mv-old-", &endpoint), index("mv-new-", &endpoint), index("mv-3-", &endpoint));
    // The same ones on another way.
    let again = index("mv-old-", &endpoint.replace("127.0.0.1", "localhost"));
    assert!(old.is_same(&again).await.unwrap());
    assert!(!old.is_same(&new).await.unwrap());
    assert!(!new.is_complete(&old).await.unwrap());
    new.unset_complete().await.unwrap();
    // Twice: a second comparison finds the same.
    new.set_complete(&old).await.unwrap();
    new.set_complete(&old).await.unwrap();
    assert!(new.is_complete(&old).await.unwrap());
    assert!(new.is_complete(&again).await.unwrap());
    assert!(!new.is_complete(&third).await.unwrap(), "it was compared with another");
    assert!(!old.is_complete(&new).await.unwrap());
    new.unset_complete().await.unwrap();
    assert!(!new.is_complete(&old).await.unwrap());
}
