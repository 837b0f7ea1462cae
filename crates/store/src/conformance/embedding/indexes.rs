//! What an index is: made, widened, missing, late, and there again after a restart.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use trivium_model::{Distance, Timestamp};

use super::fixtures::{
    document, exact, filterable, get, is_invalid, key_of, made, near, nearest, put, put_one,
    random_vector, share, unique_spec,
};
use crate::{
    Error,
    conformance::support::{Random, must, name},
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Filter, Hnsw, IndexSpec, Listing, MetaType,
        MetaValue, Nearest, PutOutcome, Visible,
    },
};

/// An index is made once, and then it is there.
pub async fn indexes_are_ensured(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 3, Distance::Cosine).await;
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Present);
    put(&*index, &spec, vec![document(&spec, "a", 1, &[1.0, 0.0, 0.0])]).await;
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Present);
    assert_eq!(nearest(&*index, &spec, &near(&[1.0, 0.0, 0.0], 5)).await.len(), 1);
    // Features of one view have indexes of their own.
    let other = IndexSpec { feature: name("other"), dimension: 2, ..spec.clone() };
    assert_eq!(must(index.ensure(&other, None).await), Ensured::Created);
    assert!(nearest(&*index, &other, &near(&[1.0, 0.0], 5)).await.is_empty());
    let ensured = join_all((0..4).map(|_| {
        let (index, spec) = (Arc::clone(&index), unique_spec(2, Distance::L2));
        async move { join_all([index.ensure(&spec, None), index.ensure(&spec, None)]).await }
    }));
    for outcomes in ensured.await {
        assert!(outcomes.into_iter().map(must).any(|ensured| ensured == Ensured::Created));
    }
    must(index.remove(&spec, None).await);
    must(index.remove(&spec, None).await);
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Created);
    assert!(nearest(&*index, &spec, &near(&[1.0, 0.0, 0.0], 5)).await.is_empty());
}

/// An index of another shape is not taken for ours, and the error says what differs.
pub async fn other_indexes_are_refused(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 3, Distance::Cosine).await;
    let mut retyped = spec.clone();
    retyped.metadata[1].1 = MetaType::Text;
    for (other, word) in [
        (IndexSpec { dimension: 4, ..spec.clone() }, "dimension"),
        (IndexSpec { metric: Distance::L2, ..spec.clone() }, "metric"),
        (retyped, "number"),
    ] {
        match index.ensure(&other, None).await {
            Err(Error::Invalid(text)) => assert!(text.contains(word), "{text}"),
            other => unreachable!("expected it to be refused, it was {other:?}"),
        }
    }
    for spec in [
        IndexSpec { dimension: 0, ..unique_spec(1, Distance::L2) },
        IndexSpec { dimension: 16_001, ..unique_spec(1, Distance::L2) },
        IndexSpec { hnsw: Hnsw { m: 1, ..Hnsw::default() }, ..unique_spec(2, Distance::L2) },
    ] {
        assert!(is_invalid(&index.ensure(&spec, None).await), "{spec:?}");
    }
}

/// A field that came later is added; the documents before have none of it.
pub async fn fields_are_added(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    put(&*index, &spec, vec![document(&spec, "a", 1, &[1.0, 0.0])]).await;
    let mut wider = spec.clone();
    wider.metadata.push((name("added"), MetaType::Int));
    assert_eq!(must(index.ensure(&wider, None).await), Ensured::Present);
    let added = vec![(name("added"), MetaValue::Int(7))];
    let new = Document { metadata: added, ..document(&wider, "b", 1, &[0.0, 1.0]) };
    put(&*index, &wider, vec![new]).await;
    let filter = Filter::Equals { field: name("added"), value: MetaValue::Int(7) };
    let query = Nearest { filter: Some(filter), ..near(&[1.0, 0.0], 5) };
    let hits = nearest(&*index, &wider, &query).await;
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].id.key, key_of(&spec, "b"));
    // A node that has the older definition goes on.
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Present);
    put(&*index, &spec, vec![document(&spec, "c", 1, &[0.0, 1.0])]).await;
}

/// Asking an index that was never made is an error, not an empty answer, and makes none.
pub async fn missing_indexes(index: Arc<impl EmbeddingIndex>) {
    let spec = unique_spec(2, Distance::L2);
    let document = document(&spec, "a", 1, &[1.0, 0.0]);
    let ids = [document.id.clone()];
    for _ in 0..2 {
        let query = near(&[1.0, 0.0], 1);
        assert!(put_one(&*index, &spec, document.clone()).await.is_err());
        assert!(index.get(&spec, &ids, None).await[0].is_err());
        assert!(index.delete(&spec, &ids, None).await[0].is_err());
        assert!(index.nearest(&spec, &query, None).await.is_err());
        assert!(index.list(&spec, &Listing::default(), None, None).await.is_err());
        assert!(index.refresh(&spec, None).await.is_err());
    }
}

/// Work whose deadline has passed is not begun.
pub async fn late_embedding_work_is_refused(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    let late = Instant::now().checked_sub(Duration::from_millis(1));
    assert!(late.is_some());
    let document = document(&spec, "a", 1, &[1.0, 0.0]);
    let ids = [document.id.clone()];
    let refused = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    };
    let put = index.put(&spec, vec![document.clone(), document], Visible::Later, late).await;
    assert_eq!(put.len(), 2);
    put.into_iter().for_each(|result| refused(result.map(drop)));
    refused(index.get(&spec, &ids, late).await.remove(0).map(drop));
    refused(index.delete(&spec, &ids, late).await.remove(0).map(drop));
    refused(index.nearest(&spec, &near(&[1.0, 0.0], 1), late).await.map(drop));
    refused(index.list(&spec, &Listing::default(), None, late).await.map(drop));
    refused(index.refresh(&spec, late).await);
    refused(index.ensure(&spec, late).await.map(drop));
    refused(index.remove(&spec, late).await);
    assert!(get(&*index, &spec, &ids).await[0].is_none());
}

/// What one handle has acknowledged, another one opened after it has died finds: for indexes that
/// persist. `reopened` gives the index as a new process would see it.
pub async fn survives_a_restart<I: EmbeddingIndex>(index: I, reopened: impl AsyncFnOnce(I) -> I) {
    let mut random = Random(19);
    let spec = made(&index, 8, Distance::Cosine).await;
    let documents: Vec<Document> =
        (0..200).map(|n| filterable(&spec, n, &random_vector(&mut random, 8))).collect();
    put(&index, &spec, documents.clone()).await;
    let gone: Vec<DocumentId> = documents[..50].iter().map(|doc| doc.id.clone()).collect();
    index.delete(&spec, &gone, None).await.into_iter().for_each(|result| {
        assert!(must(result));
    });
    let index = reopened(index).await;
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Present);
    let other = IndexSpec { dimension: 9, ..spec.clone() };
    assert!(is_invalid(&index.ensure(&other, None).await));
    must(index.refresh(&spec, None).await);
    assert!(get(&index, &spec, &gone).await.iter().all(Option::is_none));
    let kept = &documents[50..];
    let ids: Vec<DocumentId> = kept.iter().map(|document| document.id.clone()).collect();
    let found = get(&index, &spec, &ids).await;
    assert!(
        found
            .iter()
            .zip(kept)
            .all(|(found, kept)| found.as_ref().is_some_and(|found| found.is_same(kept)))
    );
    let query = near(&random_vector(&mut random, 8), 150);
    let hits = nearest(&index, &spec, &query).await;
    let (found, all) = share(&hits, &exact(&spec, kept, &query));
    assert!(found * 100 >= all * 97, "{found} of {all} found");
    let again = Document { event_time: Timestamp(7), ..documents[60].clone() };
    assert_eq!(must(put_one(&index, &spec, again).await), PutOutcome::Taken);
    let fields = Filter::Equals { field: name("number"), value: MetaValue::Int((1 << 53) + 60) };
    let query = Nearest { filter: Some(fields), ..query };
    assert_eq!(nearest(&index, &spec, &query).await.len(), 1);
}
