//! Deletions, by id and by subject, and listings.

use std::{collections::BTreeMap, sync::Arc};

use trivium_codec::RowKey;
use trivium_model::{Distance, Timestamp};

use super::fixtures::{document, get, key_of, listed, made, near, nearest, put};
use crate::{
    conformance::support::{Random, must},
    embedding::{Document, DocumentId, EmbeddingIndex, Listing, delete_subject},
};

/// A deleted document is gone at once by id, and after a refresh from searches; its id may be taken again.
pub async fn deletes_are_seen(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    let documents: Vec<Document> =
        (0..10).map(|n| document(&spec, &n.to_string(), 1, &[n as f32, 0.0])).collect();
    put(&*index, &spec, documents.clone()).await;
    let never = DocumentId { key: key_of(&spec, "never"), rev: 1 };
    let ids = [documents[3].id.clone(), never, documents[7].id.clone()];
    let deleted: Vec<bool> = index.delete(&spec, &ids, None).await.into_iter().map(must).collect();
    assert_eq!(deleted, [true, false, true]);
    assert!(get(&*index, &spec, &ids).await.iter().all(Option::is_none));
    let deleted: Vec<bool> = index.delete(&spec, &ids, None).await.into_iter().map(must).collect();
    assert_eq!(deleted, [false, false, false]);
    must(index.refresh(&spec, None).await);
    let hits = nearest(&*index, &spec, &near(&[3.0, 0.0], 10)).await;
    assert_eq!(hits.len(), 8);
    assert!(hits.iter().all(|hit| !ids.contains(&hit.id)));
    let again = document(&spec, "3", 1, &[50.0, 0.0]);
    put(&*index, &spec, vec![again.clone()]).await;
    let hits = nearest(&*index, &spec, &near(&[49.0, 0.0], 1)).await;
    assert_eq!(hits.first().map(|hit| hit.id.clone()), Some(again.id));
}

/// A subject's documents are found and deleted, all of them and no other's.
pub async fn subjects_are_deleted(index: Arc<impl EmbeddingIndex>) {
    const EACH: usize = 700;
    let spec = made(&*index, 2, Distance::Dot).await;
    let mut documents = Vec::new();
    for subject in ["p1", "p2", "P1", "p1 "] {
        let count = if subject == "p1" { EACH } else { 5 };
        for n in 0..count {
            documents.push(Document {
                subject: Some(Arc::from(subject)),
                ..document(&spec, &format!("{subject}-{n}"), 1 + n as u64 % 3, &[1.0, n as f32])
            });
        }
    }
    documents.push(document(&spec, "nobody", 1, &[0.0, 1.0]));
    put(&*index, &spec, documents).await;
    assert_eq!(must(delete_subject(&*index, &spec, "p1", None).await), EACH as u64);
    assert_eq!(must(delete_subject(&*index, &spec, "p1", None).await), 0);
    let left = listed(&*index, &spec, &Listing::default()).await;
    assert_eq!(left.len(), 16);
    assert_eq!(nearest(&*index, &spec, &near(&[1.0, 1.0], 100)).await.len(), 16);
    assert_eq!(must(delete_subject(&*index, &spec, "p2", None).await), 5);
}

/// Listings give every document once, by rev and key, over pages, and by each condition.
pub async fn listings_are_complete(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 1, Distance::L2).await;
    let mut random = Random(17);
    let documents: Vec<Document> = (0..1_300_u64)
        .map(|n| Document {
            subject: (n % 4 != 0).then(|| Arc::from(format!("s{}", n % 4))),
            written: Timestamp(random.below(1_000) as i64),
            ..document(&spec, &format!("k{}", n % 433), 1 + n / 433, &[n as f32])
        })
        .collect();
    put(&*index, &spec, documents.clone()).await;
    let subject: Option<Arc<str>> = Some(Arc::from("s2"));
    let age = Some(Timestamp(300));
    for listing in [
        Listing::default(),
        Listing { rev_below: Some(2), ..Listing::default() },
        Listing { rev_below: Some(1), ..Listing::default() },
        Listing { written_before: age, ..Listing::default() },
        Listing { subject: subject.clone(), ..Listing::default() },
        Listing { subject: Some(Arc::from("s")), ..Listing::default() },
        Listing { subject, rev_below: Some(3), written_before: age },
    ] {
        let wanted: BTreeMap<(u64, RowKey), DocumentId> = documents
            .iter()
            .filter(|document| listing.wants(document))
            .map(|document| ((document.id.rev, document.id.key.clone()), document.id.clone()))
            .collect();
        let wanted: Vec<DocumentId> = wanted.into_values().collect();
        assert_eq!(listed(&*index, &spec, &listing).await, wanted, "{listing:?}");
    }
    // Deleting what a page gave does not make the next one skip anything.
    let mut after: Option<String> = None;
    loop {
        let page = must(index.list(&spec, &Listing::default(), after.as_deref(), None).await);
        index.delete(&spec, &page.ids, None).await.into_iter().for_each(|result| {
            assert!(must(result));
        });
        must(index.refresh(&spec, None).await);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(listed(&*index, &spec, &Listing::default()).await.is_empty());
}
