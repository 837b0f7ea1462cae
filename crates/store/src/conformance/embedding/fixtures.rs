//! What the checks share.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use trivium_codec::{KeyShape, RowKey};
use trivium_model::{Distance, KeyType, KeyValue, Timestamp, ViewRef};

use crate::{
    Error,
    conformance::support::{Random, must, name},
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Hit, Hnsw, IndexSpec, Listing, MetaType,
        MetaValue, Nearest, PutOutcome, Visible, by_nearness, score,
    },
};

/// Float32 arithmetic beside our float64, on vectors of length one or so.
pub(super) const TOLERANCE: f32 = 1e-4;

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

pub(super) async fn made(
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

pub(super) fn random_vector(random: &mut Random, dimension: u32) -> Vec<f32> {
    (0..dimension).map(|_| (random.below(2_000_001) as f32 - 1_000_000.0) / 1_000_000.0).collect()
}

pub(super) async fn put(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    documents: Vec<Document>,
) {
    let count = documents.len();
    let outcomes = index.put(spec, documents, Visible::Later, None).await;
    assert_eq!(outcomes.len(), count, "as many outcomes as documents");
    for outcome in outcomes {
        assert_eq!(must(outcome), PutOutcome::Stored);
    }
    must(index.refresh(spec, None).await);
}

pub(super) async fn put_one(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    document: Document,
) -> Result<PutOutcome, Error> {
    let mut outcomes = index.put(spec, vec![document], Visible::Later, None).await;
    assert_eq!(outcomes.len(), 1, "one outcome for one document");
    outcomes.pop().unwrap_or(Ok(PutOutcome::Taken))
}

pub(super) async fn get(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    ids: &[DocumentId],
) -> Vec<Option<Document>> {
    let found = index.get(spec, ids, None).await;
    assert_eq!(found.len(), ids.len(), "as many results as ids");
    found.into_iter().map(must).collect()
}

pub(super) fn near(vector: &[f32], k: usize) -> Nearest {
    Nearest { vector: Arc::from(vector), k, filter: None, score_min: None }
}

pub(super) async fn nearest(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    query: &Nearest,
) -> Vec<Hit> {
    let hits = must(index.nearest(spec, query, None).await);
    assert!(hits.len() <= query.k);
    hits
}

/// What an index that looks at everything finds.
pub(super) fn exact(spec: &IndexSpec, documents: &[Document], query: &Nearest) -> Vec<Hit> {
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

pub(super) fn is_invalid<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Invalid(_)))
}

pub(super) fn share(found: &[Hit], wanted: &[Hit]) -> (usize, usize) {
    let found: BTreeSet<&DocumentId> = found.iter().map(|hit| &hit.id).collect();
    (wanted.iter().filter(|hit| found.contains(&hit.id)).count(), wanted.len())
}

pub(super) fn filterable(spec: &IndexSpec, n: i64, vector: &[f32]) -> Document {
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

pub(super) async fn listed(
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
