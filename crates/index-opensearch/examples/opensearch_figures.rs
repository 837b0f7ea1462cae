//! What a real OpenSearch does through the port, for the figures of `docs/decisions/0008-embeddings.md`:
//! `cargo run -p trivium-index-opensearch --example opensearch_figures [documents] [dimension]`. The server is the
//! tests': one node, 512 MB, the client compiler alone; a tuned one does more.

use std::{error::Error, sync::Arc, time::Instant};

use trivium_index_opensearch::{OpenSearchIndex, Options};
use trivium_model::Distance;
use trivium_store::{
    conformance::embedding::{document, unique_spec},
    embedding::{Document, DocumentId, EmbeddingIndex as _, Hit, Nearest, Visible, score},
};
use trivium_testkit::OpenSearch;

const BATCH: usize = 500;
const QUERIES: usize = 200;
const K: usize = 10;

/// Uniform in -1 to 1.
fn noise(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / 8_388_608.0 - 1.0
}

/// A noisy copy of one of 300 centres, as embeddings of things that come in kinds are.
fn vector(seed: usize, dimension: usize) -> Vec<f32> {
    let mut centre = seed as u64 % 300 + 1_000_000;
    let mut own = seed as u64;
    noise(&mut own);
    (0..dimension).map(|_| noise(&mut centre) + 0.7 * noise(&mut own)).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(20_000);
    let dimension = arguments.next().transpose()?.unwrap_or(128);
    let started = Instant::now();
    let server = tokio::task::spawn_blocking(OpenSearch::start).await??;
    let ready = started.elapsed();
    let options = Options { replicas: 0, ..Options::new(server.endpoint()) };
    let index = OpenSearchIndex::new(Options { attempt_timeout_ms: 120_000, ..options }, None)?;
    let spec = unique_spec(dimension as u32, Distance::Cosine);
    index.ensure(&spec, None).await?;
    let documents: Vec<Document> =
        (0..count).map(|n| document(&spec, &n.to_string(), 1, &vector(n, dimension))).collect();

    let started = Instant::now();
    for batch in documents.chunks(BATCH) {
        for outcome in index.put(&spec, batch.to_vec(), Visible::Later, None).await {
            outcome?;
        }
    }
    index.refresh(&spec, None).await?;
    let put = count as f64 / started.elapsed().as_secs_f64();

    let ids: Vec<DocumentId> = documents.iter().map(|document| document.id.clone()).collect();
    let started = Instant::now();
    for batch in ids.chunks(100).take(QUERIES) {
        for found in index.get(&spec, batch, None).await {
            found?.ok_or("a document is missing")?;
        }
    }
    let got = ids.len().min(100 * QUERIES) as f64 / started.elapsed().as_secs_f64();

    let queries: Vec<Nearest> = (0..QUERIES)
        .map(|n| Nearest {
            vector: Arc::from(vector(count + n, dimension)),
            k: K,
            filter: None,
            score_min: None,
        })
        .collect();
    let started = Instant::now();
    let mut answers = Vec::new();
    for query in &queries {
        answers.push(index.nearest(&spec, query, None).await?);
    }
    let rate = QUERIES as f64 / started.elapsed().as_secs_f64();
    let found: usize = queries
        .iter()
        .zip(&answers)
        .map(|(query, hits)| {
            let wanted = exact(&documents, query);
            hits.iter().filter(|hit| wanted.contains(&hit.id)).count()
        })
        .sum();
    println!(
        "{count} × {dimension}: server ready in {:.1} s, put {put:.0}/s, get {got:.0}/s (by 100), nearest {rate:.0}/s (one at a time), recall@{K} {:.3}",
        ready.as_secs_f64(),
        found as f64 / (QUERIES * K) as f64
    );
    Ok(())
}

fn exact(documents: &[Document], query: &Nearest) -> Vec<DocumentId> {
    let mut hits: Vec<Hit> = documents
        .iter()
        .map(|document| Hit {
            id: document.id.clone(),
            score: score(Distance::Cosine, &document.vector, &query.vector),
        })
        .collect();
    hits.sort_by(trivium_store::embedding::by_nearness);
    hits.truncate(K);
    hits.into_iter().map(|hit| hit.id).collect()
}
