//! What every embedding index must do. An adapter's tests are one line:
//! `trivium_store::embedding_conformance_tests!(make);`, where `make` is an async function that gives an
//! `Arc<impl EmbeddingIndex>` (and may hand out the same one again): every check makes indexes of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use trivium_codec::{KeyShape, RowKey};
use trivium_model::{Distance, KeyType, KeyValue, Timestamp, ViewRef};

use super::support::{Random, must, name};
use crate::{
    Error,
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Filter, Hit, Hnsw, IndexSpec, K_MAX,
        Listing, MetaType, MetaValue, Nearest, PutOutcome, Visible, by_nearness, delete_subject,
        score,
    },
};

/// One `#[tokio::test]` for each check of an embedding index.
#[macro_export]
macro_rules! embedding_conformance_tests {
    ($make:path) => {
        mod embedding_conformance {
            use super::*;
            $crate::embedding_conformance_tests!(@each $make:
                indexes_are_ensured, other_indexes_are_refused, fields_are_added,
                documents_come_back_bit_by_bit, ids_are_decided_once, racing_puts_decide_once,
                nonsense_is_refused, one_bad_document_harms_no_other, scores_are_the_definition,
                recall_is_near_exact, filters_are_exact, filtered_recall, equal_scores_are_ordered,
                least_scores, deletes_are_seen, subjects_are_deleted, listings_are_complete,
                puts_can_wait_to_be_seen, long_keys, missing_indexes,
                late_embedding_work_is_refused);
        }
    };
    (@each $make:path: $($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            $crate::conformance::embedding::$check($make().await).await;
        }
    )*};
}

/// Float32 arithmetic beside our float64, on vectors of length one or so.
const TOLERANCE: f32 = 1e-4;

/// An index that no other check uses, in this process or (by the clock) an earlier one.
pub fn unique_spec(dimension: u32, metric: Distance) -> IndexSpec {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    IndexSpec {
        view: ViewRef {
            namespace: name("conformance"),
            view: name(&format!("e_{}_{started}_{own}", std::process::id())),
            version: 1,
        },
        feature: name("vector"),
        dimension,
        metric,
        hnsw: Hnsw::default(),
        metadata: [
            ("flag", MetaType::Bool),
            ("number", MetaType::Int),
            ("ratio", MetaType::Float),
            ("word", MetaType::Text),
        ]
        .map(|(field, meta_type)| (name(field), meta_type))
        .to_vec(),
    }
}

async fn made(
    index: &(impl EmbeddingIndex + ?Sized),
    dimension: u32,
    metric: Distance,
) -> IndexSpec {
    let spec = unique_spec(dimension, metric);
    assert_eq!(must(index.ensure(&spec, None).await), Ensured::Created);
    spec
}

/// A row of the index's view.
pub fn key_of(spec: &IndexSpec, entity: &str) -> RowKey {
    let shape = KeyShape::from_parts(&spec.view, [(name("entity"), KeyType::String)]);
    match shape.encode(&[KeyValue::String(entity.to_owned())]) {
        Ok(key) => key,
        Err(error) => unreachable!("{error}"),
    }
}

/// A document without subject and metadata.
pub fn document(spec: &IndexSpec, entity: &str, rev: u64, vector: &[f32]) -> Document {
    Document {
        id: DocumentId { key: key_of(spec, entity), rev },
        vector: Arc::from(vector),
        subject: None,
        metadata: Vec::new(),
        event_time: Timestamp(1_000),
        written: Timestamp(2_000),
    }
}

fn random_vector(random: &mut Random, dimension: u32) -> Vec<f32> {
    (0..dimension).map(|_| (random.below(2_000_001) as f32 - 1_000_000.0) / 1_000_000.0).collect()
}

async fn put(index: &(impl EmbeddingIndex + ?Sized), spec: &IndexSpec, documents: Vec<Document>) {
    let count = documents.len();
    let outcomes = index.put(spec, documents, Visible::Later, None).await;
    assert_eq!(outcomes.len(), count, "as many outcomes as documents");
    for outcome in outcomes {
        assert_eq!(must(outcome), PutOutcome::Stored);
    }
    must(index.refresh(spec, None).await);
}

async fn put_one(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    document: Document,
) -> Result<PutOutcome, Error> {
    let mut outcomes = index.put(spec, vec![document], Visible::Later, None).await;
    assert_eq!(outcomes.len(), 1, "one outcome for one document");
    outcomes.pop().unwrap_or(Ok(PutOutcome::Taken))
}

async fn get(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    ids: &[DocumentId],
) -> Vec<Option<Document>> {
    let found = index.get(spec, ids, None).await;
    assert_eq!(found.len(), ids.len(), "as many results as ids");
    found.into_iter().map(must).collect()
}

fn near(vector: &[f32], k: usize) -> Nearest {
    Nearest { vector: Arc::from(vector), k, filter: None, score_min: None }
}

async fn nearest(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    query: &Nearest,
) -> Vec<Hit> {
    let hits = must(index.nearest(spec, query, None).await);
    assert!(hits.len() <= query.k);
    hits
}

/// What an index that looks at everything finds.
fn exact(spec: &IndexSpec, documents: &[Document], query: &Nearest) -> Vec<Hit> {
    let passes =
        |document: &&Document| query.filter.as_ref().is_none_or(|filter| filter.passes(document));
    let mut hits: Vec<Hit> = documents
        .iter()
        .filter(passes)
        .map(|document| Hit {
            id: document.id.clone(),
            score: score(spec.metric, &document.vector, &query.vector),
        })
        .collect();
    hits.sort_by(by_nearness);
    hits.truncate(query.k);
    hits
}

fn is_invalid<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Invalid(_)))
}

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

fn share(found: &[Hit], wanted: &[Hit]) -> (usize, usize) {
    let found: BTreeSet<&DocumentId> = found.iter().map(|hit| &hit.id).collect();
    (wanted.iter().filter(|hit| found.contains(&hit.id)).count(), wanted.len())
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

fn filterable(spec: &IndexSpec, n: i64, vector: &[f32]) -> Document {
    let mut metadata = vec![
        (name("number"), MetaValue::Int((1 << 53) + n)),
        (name("flag"), MetaValue::Bool(n % 2 == 0)),
        (name("ratio"), MetaValue::Float(n as f64 / 8.0 - 2.0)),
    ];
    // Every third lacks one.
    if n % 3 != 0 {
        metadata.push((name("word"), MetaValue::Text(Arc::from(format!("w{:02}", n % 10)))));
    }
    Document { metadata, ..document(spec, &n.to_string(), 1, vector) }
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

async fn listed(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    listing: &Listing,
) -> Vec<DocumentId> {
    let mut ids = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = must(index.list(spec, listing, after.as_deref(), None).await);
        ids.extend(page.ids);
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
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
