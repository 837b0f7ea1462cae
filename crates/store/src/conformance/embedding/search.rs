//! Searches: scores, filters, order, and how much of the exact answer is found.

use std::{ops::Bound, sync::Arc};

use trivium_model::Distance;

use super::fixtures::{
    TOLERANCE, document, exact, filterable, key_of, made, near, nearest, put, random_vector, share,
};
use crate::{
    conformance::support::{Random, name},
    embedding::{
        Document, DocumentId, EmbeddingIndex, Filter, Hit, MetaValue, Nearest, by_nearness, score,
    },
};

/// Scores are what `embedding::score` says, in every metric and sign.
pub async fn scores_are_the_definition(index: Arc<impl EmbeddingIndex>) {
    let mut random = Random(7);
    for metric in [Distance::Cosine, Distance::L2, Distance::Dot] {
        let spec = made(&*index, 8, metric).await;
        let mut documents: Vec<Document> = (0..30)
            .map(|n| document(&spec, &n.to_string(), 1, &random_vector(&mut random, 8)))
            .collect();
        let query = random_vector(&mut random, 8);
        let opposite: Vec<f32> = query.iter().map(|part| -part).collect();
        documents.push(document(&spec, "same", 1, &query));
        documents.push(document(&spec, "opposite", 1, &opposite));
        put(&*index, &spec, documents.clone()).await;
        let hits = nearest(&*index, &spec, &near(&query, 50)).await;
        assert_eq!(hits.len(), documents.len(), "fewer documents than k: all of them");
        for hit in &hits {
            let Some(found) = documents.iter().find(|document| document.id == hit.id) else {
                unreachable!("{hit:?} was never put")
            };
            let wanted = score(metric, &found.vector, &query);
            assert!((hit.score - wanted).abs() <= TOLERANCE, "{metric}: {hit:?}, not {wanted}");
        }
        assert!(hits.windows(2).all(|pair| by_nearness(&pair[0], &pair[1]).is_lt()));
        if metric == Distance::Cosine {
            assert_eq!(hits.last().map(|hit| hit.id.key.clone()), Some(key_of(&spec, "opposite")));
            let longer: Vec<f32> = query.iter().map(|part| part * 1e-20).collect();
            let again = nearest(&*index, &spec, &near(&longer, 3)).await;
            assert!((again[0].score - 1.0).abs() < TOLERANCE, "only direction counts: {again:?}");
        }
    }
}

/// Nearly everything that an exact search finds is found.
pub async fn recall_is_near_exact(index: Arc<impl EmbeddingIndex>) {
    for metric in [Distance::Cosine, Distance::L2, Distance::Dot] {
        let mut random = Random(11);
        let spec = made(&*index, 16, metric).await;
        let documents: Vec<Document> = (0..600)
            .map(|n| document(&spec, &n.to_string(), 1, &random_vector(&mut random, 16)))
            .collect();
        for batch in documents.chunks(200) {
            put(&*index, &spec, batch.to_vec()).await;
        }
        let (mut hit, mut wanted) = (0, 0);
        for _ in 0..40 {
            let query = near(&random_vector(&mut random, 16), 10);
            let hits = nearest(&*index, &spec, &query).await;
            assert_eq!(hits.len(), 10);
            let (found, all) = share(&hits, &exact(&spec, &documents, &query));
            hit += found;
            wanted += all;
        }
        assert!(hit * 100 >= wanted * 97, "{metric}: {hit} of {wanted} found");
    }
}

/// A filter lets through what it says, to the last digit, and never what lacks the field.
pub async fn filters_are_exact(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    let documents: Vec<Document> =
        (0..40).map(|n| filterable(&spec, n, &[n as f32, 1.0])).collect();
    put(&*index, &spec, documents.clone()).await;
    let int = |n: i64| MetaValue::Int((1 << 53) + n);
    let text = |word: &str| MetaValue::Text(Arc::from(word));
    let equals = |field: &str, value| Filter::Equals { field: name(field), value };
    let range = |field: &str, from, to| Filter::Range { field: name(field), from, to };
    use Bound::{Excluded, Included, Unbounded};
    for filter in [
        Filter::All(Vec::new()),
        equals("number", int(7)),
        equals("number", int(41)),
        equals("flag", MetaValue::Bool(false)),
        equals("word", text("w04")),
        equals("word", text("w0")),
        equals("ratio", MetaValue::Float(0.125)),
        equals("ratio", MetaValue::Float(-0.0)),
        range("number", Included(int(3)), Excluded(int(9))),
        range("number", Excluded(int(38)), Unbounded),
        range("number", Included(int(9)), Included(int(3))),
        range("number", Excluded(int(3)), Excluded(int(4))),
        range("number", Included(MetaValue::Int(i64::MIN)), Included(MetaValue::Int(i64::MAX))),
        range("ratio", Unbounded, Excluded(MetaValue::Float(-1.875))),
        range("ratio", Included(MetaValue::Float(-1e300)), Included(MetaValue::Float(-0.0))),
        range("word", Included(text("w01")), Excluded(text("w03"))),
        range("word", Unbounded, Unbounded),
        Filter::All(vec![
            equals("flag", MetaValue::Bool(true)),
            range("number", Included(int(10)), Unbounded),
            Filter::All(vec![range("word", Excluded(text("w02")), Unbounded)]),
        ]),
    ] {
        let query = Nearest { filter: Some(filter), ..near(&[0.0, 0.0], 100) };
        let ids =
            |hits: Vec<Hit>| -> Vec<DocumentId> { hits.into_iter().map(|hit| hit.id).collect() };
        let hits = ids(nearest(&*index, &spec, &query).await);
        assert_eq!(hits, ids(exact(&spec, &documents, &query)), "{:?}", query.filter);
    }
}

/// A filter that leaves little does not make the search come back empty-handed.
pub async fn filtered_recall(index: Arc<impl EmbeddingIndex>) {
    let mut random = Random(13);
    let spec = made(&*index, 16, Distance::Cosine).await;
    let documents: Vec<Document> =
        (0..500).map(|n| filterable(&spec, n, &random_vector(&mut random, 16))).collect();
    put(&*index, &spec, documents.clone()).await;
    let (mut hit, mut wanted) = (0, 0);
    for n in 0..20 {
        let words = Filter::Equals {
            field: name("word"),
            value: MetaValue::Text(Arc::from(format!("w{:02}", n % 10))),
        };
        let few = Filter::Range {
            field: name("number"),
            from: Bound::Included(MetaValue::Int((1 << 53) + n * 10)),
            to: Bound::Excluded(MetaValue::Int((1 << 53) + n * 10 + 5)),
        };
        for filter in [words, few] {
            let vector = random_vector(&mut random, 16);
            let query = Nearest { filter: Some(filter), ..near(&vector, 10) };
            let hits = nearest(&*index, &spec, &query).await;
            let truth = exact(&spec, &documents, &query);
            assert_eq!(hits.len(), truth.len(), "{:?}", query.filter);
            let (found, all) = share(&hits, &truth);
            hit += found;
            wanted += all;
        }
    }
    assert!(hit * 100 >= wanted * 97, "{hit} of {wanted} found");
}

/// Equal scores come by key, then rev; revs of one row are documents of their own.
pub async fn equal_scores_are_ordered(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::Cosine).await;
    let mut documents = Vec::new();
    for entity in ["c", "a", "b"] {
        for rev in [9, 10, 2] {
            documents.push(document(&spec, entity, rev, &[1.0, 1.0]));
        }
    }
    documents.push(document(&spec, "far", 1, &[1.0, 0.0]));
    put(&*index, &spec, documents.clone()).await;
    let query = near(&[1.0, 1.0], 9);
    let ids: Vec<(String, u64)> = nearest(&*index, &spec, &query)
        .await
        .into_iter()
        .map(|hit| (hit.id.key.partition().to_owned(), hit.id.rev))
        .collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(ids, sorted);
    assert_eq!(ids.len(), 9);
    assert!(!ids.iter().any(|(partition, _)| partition.contains("far")));
    // Which are cut off is open; how many are given is not.
    assert_eq!(nearest(&*index, &spec, &near(&[1.0, 1.0], 4)).await.len(), 4);
}

/// A least score cuts off what is farther, and only that.
pub async fn least_scores(index: Arc<impl EmbeddingIndex>) {
    for metric in [Distance::Cosine, Distance::L2, Distance::Dot] {
        let spec = made(&*index, 2, metric).await;
        let documents: Vec<Document> = (0..20_u16)
            .map(|n| {
                let angle = f32::from(n) * 0.15;
                document(&spec, &n.to_string(), 1, &[angle.cos(), angle.sin()])
            })
            .collect();
        put(&*index, &spec, documents.clone()).await;
        for between in [0, 5, 12, 18] {
            let all = exact(&spec, &documents, &near(&[1.0, 0.0], 20));
            let least = (all[between].score + all[between + 1].score) / 2.0;
            let query = Nearest { score_min: Some(least), ..near(&[1.0, 0.0], 20) };
            let hits = nearest(&*index, &spec, &query).await;
            assert_eq!(hits.len(), between + 1, "{metric}: above {least} in {all:?}");
        }
        let query = Nearest { score_min: Some(50.0), ..near(&[1.0, 0.0], 20) };
        assert!(nearest(&*index, &spec, &query).await.is_empty());
        let query = Nearest { score_min: Some(f32::NEG_INFINITY), ..near(&[1.0, 0.0], 20) };
        assert_eq!(nearest(&*index, &spec, &query).await.len(), 20);
    }
}
