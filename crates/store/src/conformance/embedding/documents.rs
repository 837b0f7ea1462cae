//! Documents: put once, read back as they were put, refused one by one.

use std::{ops::Bound, sync::Arc};

use futures::future::join_all;
use trivium_model::{Distance, Timestamp};

use super::fixtures::{
    document, get, is_invalid, key_of, listed, made, near, nearest, put, put_one, unique_spec,
};
use crate::{
    conformance::support::{must, name},
    embedding::{
        Document, DocumentId, EmbeddingIndex, Filter, K_MAX, Listing, MetaValue, Nearest,
        PutOutcome, Visible,
    },
};

/// What is put is what is read, at once and whatever the bits.
pub async fn documents_come_back_bit_by_bit(index: Arc<impl EmbeddingIndex>) {
    for metric in [Distance::Cosine, Distance::L2, Distance::Dot] {
        let spec = made(&*index, 4, metric).await;
        let odd = [f32::MIN_POSITIVE, -0.0, 0.1, -1e15];
        let tiny = [1e-45, -1e-30, 1e-38, 3e-39];
        let full = Document {
            subject: Some(Arc::from("person \"ü\" 1")),
            metadata: vec![
                (name("word"), MetaValue::Text(Arc::from("a \"b\" \\ ü \n"))),
                (name("flag"), MetaValue::Bool(true)),
                (name("number"), MetaValue::Int(i64::MAX)),
                (name("ratio"), MetaValue::Float(0.1)),
            ],
            event_time: Timestamp(-5),
            written: Timestamp(i64::from(u32::MAX) * 1_000_000),
            ..document(&spec, "ä|#%", 1_700_000_000_000_001, &odd)
        };
        let bare = document(&spec, "b", i64::MAX as u64, &tiny);
        for document in [&full, &bare] {
            assert_eq!(must(put_one(&*index, &spec, document.clone()).await), PutOutcome::Stored);
        }
        let missing = DocumentId { rev: 2, ..full.id.clone() };
        let ids = [bare.id.clone(), missing, full.id.clone(), bare.id.clone()];
        let found = get(&*index, &spec, &ids).await;
        for (at, wanted) in [(0, &bare), (2, &full), (3, &bare)] {
            let Some(found) = &found[at] else { unreachable!("document {at} is missing") };
            assert!(found.is_same(wanted), "{found:?} is not {wanted:?}");
            assert_eq!(found.written, wanted.written);
        }
        assert!(found[1].is_none());
        assert!(get(&*index, &spec, &[]).await.is_empty());
    }
}

/// The first put of an id decides; the same again is told the same; another changes nothing.
pub async fn ids_are_decided_once(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::Cosine).await;
    let first = Document {
        metadata: vec![(name("number"), MetaValue::Int(1)), (name("ratio"), MetaValue::Float(0.5))],
        ..document(&spec, "a", 5, &[1.0, 0.5])
    };
    assert_eq!(must(put_one(&*index, &spec, first.clone()).await), PutOutcome::Stored);
    let mut again = Document { written: Timestamp(9_999), ..first.clone() };
    again.metadata.reverse();
    assert_eq!(must(put_one(&*index, &spec, again).await), PutOutcome::Stored);
    for other in [
        // The same direction, but not the same embedding.
        Document { vector: Arc::from([2.0, 1.0]), ..first.clone() },
        Document { subject: Some(Arc::from("p")), ..first.clone() },
        Document { metadata: vec![(name("number"), MetaValue::Int(1))], ..first.clone() },
        Document { event_time: Timestamp(1), ..first.clone() },
    ] {
        assert_eq!(must(put_one(&*index, &spec, other).await), PutOutcome::Taken);
    }
    let found = get(&*index, &spec, std::slice::from_ref(&first.id)).await;
    assert!(found[0].as_ref().is_some_and(|found| found.is_same(&first)), "{found:?}");
}

/// Of writers that took the same id, one gets it, and all learn whose it is.
pub async fn racing_puts_decide_once(index: Arc<impl EmbeddingIndex + 'static>) {
    const WRITERS: u16 = 6;
    let spec = made(&*index, 2, Distance::L2).await;
    for round in 1..=10 {
        let writers = (0..WRITERS).map(|writer| {
            let (index, spec) = (Arc::clone(&index), spec.clone());
            tokio::spawn(async move {
                let own = document(&spec, "a", round, &[f32::from(writer), 1.0]);
                put_one(&*index, &spec, own).await
            })
        });
        let outcomes = join_all(writers.collect::<Vec<_>>()).await;
        let stored: Vec<usize> = outcomes
            .into_iter()
            .enumerate()
            .filter_map(|(writer, outcome)| match outcome.map(must) {
                Ok(PutOutcome::Stored) => Some(writer),
                Ok(PutOutcome::Taken) => None,
                Err(error) => unreachable!("{error}"),
            })
            .collect();
        assert_eq!(stored.len(), 1, "one of the racing writers gets the id");
        let id = DocumentId { key: key_of(&spec, "a"), rev: round };
        let found = get(&*index, &spec, &[id]).await;
        let Some(found) = &found[0] else { unreachable!("the winner's document is missing") };
        assert_eq!(found.vector[0], stored[0] as f32);
    }
}

/// What can never work is refused, and never stored.
pub async fn nonsense_is_refused(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 3, Distance::Cosine).await;
    let good = document(&spec, "a", 1, &[1.0, 2.0, 3.0]);
    let vector = |vector: &[f32]| Document { vector: Arc::from(vector), ..good.clone() };
    let meta = |field: &str, value: MetaValue| Document {
        metadata: vec![(name(field), value)],
        ..good.clone()
    };
    let twice = vec![(name("number"), MetaValue::Int(1)); 2];
    let elsewhere = unique_spec(3, Distance::Cosine);
    for bad in [
        vector(&[1.0, 2.0]),
        vector(&[1.0; 4]),
        vector(&[]),
        vector(&[1.0, f32::NAN, 0.0]),
        vector(&[f32::INFINITY, 1.0, 0.0]),
        vector(&[1.0, f32::NEG_INFINITY, 0.0]),
        vector(&[1.0, 2e15, 0.0]),
        vector(&[0.0, -0.0, 0.0]),
        meta("unknown", MetaValue::Int(1)),
        meta("number", MetaValue::Float(1.0)),
        meta("word", MetaValue::Bool(true)),
        meta("ratio", MetaValue::Float(f64::NAN)),
        meta("ratio", MetaValue::Float(f64::INFINITY)),
        meta("word", MetaValue::Text(Arc::from("x".repeat(8_001)))),
        Document { metadata: twice, ..good.clone() },
        Document { id: DocumentId { rev: 0, ..good.id.clone() }, ..good.clone() },
        Document { id: DocumentId { rev: u64::MAX, ..good.id.clone() }, ..good.clone() },
        Document { id: DocumentId { key: key_of(&elsewhere, "a"), rev: 1 }, ..good.clone() },
    ] {
        let outcome = put_one(&*index, &spec, bad.clone()).await;
        assert!(is_invalid(&outcome), "{bad:?} ended with {outcome:?}");
    }
    assert!(get(&*index, &spec, std::slice::from_ref(&good.id)).await[0].is_none());
    let fine = near(&[1.0, 0.0, 0.0], 1);
    let filtered = |filter: Filter| Nearest { filter: Some(filter), ..fine.clone() };
    let equals = |field: &str, value| Filter::Equals { field: name(field), value };
    let deep = (0..20).fold(Filter::All(Vec::new()), |inner, _| Filter::All(vec![inner]));
    let flag = MetaValue::Bool(true);
    let range =
        Filter::Range { field: name("flag"), from: Bound::Included(flag), to: Bound::Unbounded };
    let open =
        Filter::Range { field: name("unknown"), from: Bound::Unbounded, to: Bound::Unbounded };
    for bad in [
        near(&[1.0, 0.0], 1),
        near(&[0.0, 0.0, 0.0], 1),
        near(&[f32::NAN, 0.0, 0.0], 1),
        near(&[1.0, 0.0, 0.0], 0),
        near(&[1.0, 0.0, 0.0], K_MAX + 1),
        Nearest { score_min: Some(f32::NAN), ..fine.clone() },
        filtered(equals("unknown", MetaValue::Int(1))),
        filtered(equals("number", MetaValue::Text(Arc::from("1")))),
        filtered(equals("ratio", MetaValue::Float(f64::NAN))),
        filtered(range),
        filtered(open),
        filtered(deep),
        filtered(Filter::All(vec![equals("number", MetaValue::Int(1)); 65])),
    ] {
        let outcome = index.nearest(&spec, &bad, None).await;
        assert!(is_invalid(&outcome), "{bad:?} ended with {outcome:?}");
    }
    let mislaid = DocumentId { key: key_of(&elsewhere, "a"), rev: 1 };
    assert!(is_invalid(&index.get(&spec, std::slice::from_ref(&mislaid), None).await[0]));
    assert!(is_invalid(&index.delete(&spec, std::slice::from_ref(&mislaid), None).await[0]));
    for token in ["", "x", "1", "1:nonsense"] {
        let listed = index.list(&spec, &Listing::default(), Some(token), None).await;
        assert!(is_invalid(&listed.map(|page| page.ids)), "{token}");
    }
    // Where there are no angles, zero is a vector like any other.
    for metric in [Distance::L2, Distance::Dot] {
        let spec = made(&*index, 2, metric).await;
        put(&*index, &spec, vec![document(&spec, "a", 1, &[0.0, 0.0])]).await;
        assert_eq!(nearest(&*index, &spec, &near(&[0.0, 0.0], 1)).await.len(), 1);
    }
}

/// Documents of one batch are stored or refused one by one.
pub async fn one_bad_document_harms_no_other(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    let taken = document(&spec, "1", 1, &[9.0, 9.0]);
    assert_eq!(must(put_one(&*index, &spec, taken).await), PutOutcome::Stored);
    let batch = vec![
        document(&spec, "0", 1, &[1.0, 0.0]),
        document(&spec, "1", 1, &[1.0, 0.0]),
        document(&spec, "2", 1, &[f32::NAN, 0.0]),
        document(&spec, "3", 1, &[1.0, 0.0, 0.0]),
        document(&spec, "4", 1, &[1.0, 0.0]),
    ];
    let ids: Vec<DocumentId> = batch.iter().map(|document| document.id.clone()).collect();
    let outcomes = index.put(&spec, batch, Visible::Later, None).await;
    assert_eq!(outcomes.len(), 5);
    assert!(matches!(outcomes[0], Ok(PutOutcome::Stored)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Ok(PutOutcome::Taken)), "{outcomes:?}");
    assert!(is_invalid(&outcomes[2]) && is_invalid(&outcomes[3]), "{outcomes:?}");
    assert!(matches!(outcomes[4], Ok(PutOutcome::Stored)), "{outcomes:?}");
    let found = get(&*index, &spec, &ids).await;
    let there: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, true, false, false, true]);
    assert!(index.put(&spec, Vec::new(), Visible::Later, None).await.is_empty());
}

/// A put that waits is seen by the next search.
pub async fn puts_can_wait_to_be_seen(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::Cosine).await;
    for n in 1..=2_u64 {
        let document = document(&spec, "a", n, &[1.0, 0.0]);
        let outcomes = index.put(&spec, vec![document], Visible::Now, None).await;
        assert!(outcomes.into_iter().map(must).all(|outcome| outcome == PutOutcome::Stored));
        assert_eq!(nearest(&*index, &spec, &near(&[1.0, 0.0], 9)).await.len() as u64, n);
    }
    // Also one whose first put did not wait.
    let third = document(&spec, "a", 3, &[1.0, 0.0]);
    assert_eq!(must(put_one(&*index, &spec, third.clone()).await), PutOutcome::Stored);
    let outcomes = index.put(&spec, vec![third], Visible::Now, None).await;
    assert!(outcomes.into_iter().map(must).all(|outcome| outcome == PutOutcome::Stored));
    assert_eq!(nearest(&*index, &spec, &near(&[1.0, 0.0], 9)).await.len(), 3);
}

/// The longest keys are keys too.
pub async fn long_keys(index: Arc<impl EmbeddingIndex>) {
    let spec = made(&*index, 2, Distance::L2).await;
    let long = |rest: &str| format!("{}{rest}", "x".repeat(1_900));
    let documents = vec![
        document(&spec, &long("a"), 1, &[1.0, 0.0]),
        document(&spec, &long("b"), 1, &[0.0, 1.0]),
        document(&spec, &long("b"), 2, &[0.0, 2.0]),
        document(&spec, &"y".repeat(500), 2, &[0.0, 3.0]),
    ];
    put(&*index, &spec, documents.clone()).await;
    let ids: Vec<DocumentId> = documents.iter().map(|document| document.id.clone()).collect();
    let found = get(&*index, &spec, &ids).await;
    for (found, wanted) in found.iter().zip(&documents) {
        assert!(found.as_ref().is_some_and(|found| found.is_same(wanted)));
    }
    let hits = nearest(&*index, &spec, &near(&[0.0, 1.0], 1)).await;
    assert_eq!(hits[0].id, documents[1].id);
    assert_eq!(listed(&*index, &spec, &Listing::default()).await.len(), 4);
}
