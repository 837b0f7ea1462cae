//! What the index does through its port, for the figures of `docs/decisions/0008-embeddings.md`:
//! `cargo run --release -p trivium-index-embedded --example embedded_figures [documents] [dimension]`.

use std::{path::Path, sync::Arc, time::Instant};

use trivium_index_embedded::EmbeddedIndex;
use trivium_model::{Distance, Name};
use trivium_store::{
    conformance::embedding::{document, unique_spec},
    embedding::{Document, EmbeddingIndex as _, Filter, MetaValue, Nearest, Visible},
};

const BATCH: usize = 500;
const QUERIES: usize = 300;

fn vector(seed: usize, dimension: usize) -> Vec<f32> {
    let mut state = seed as u64 + 1;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..dimension).map(|_| next()).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let documents = arguments.next().transpose()?.unwrap_or(20_000);
    let dimension = arguments.next().transpose()?.unwrap_or(128);
    let folder = std::env::temp_dir().join(format!("trivium-figures-{}", std::process::id()));
    let outcome = measure(&folder, documents, dimension).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn measure(
    folder: &Path,
    documents: usize,
    dimension: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let index = EmbeddedIndex::open(folder)?;
    let spec = unique_spec(dimension as u32, Distance::Cosine);
    index.ensure(&spec, None).await?;
    let number = Name::new("number")?;
    let batches: Vec<Vec<Document>> = (0..documents)
        .collect::<Vec<_>>()
        .chunks(BATCH)
        .map(|batch| {
            let one = |&n: &usize| Document {
                metadata: vec![(number.clone(), MetaValue::Int(n as i64 % 100))],
                ..document(&spec, &n.to_string(), 1, &vector(n, dimension))
            };
            batch.iter().map(one).collect()
        })
        .collect();
    let started = Instant::now();
    for batch in batches {
        for outcome in index.put(&spec, batch, Visible::Later, None).await {
            outcome?;
        }
    }
    let put = documents as f64 / started.elapsed().as_secs_f64();
    let mut rates = Vec::new();
    let one_in_100 = Filter::Equals { field: number, value: MetaValue::Int(7) };
    for filter in [None, Some(one_in_100)] {
        let started = Instant::now();
        for n in 0..QUERIES {
            let vector = Arc::from(vector(documents + n, dimension));
            let query = Nearest { vector, k: 10, filter: filter.clone(), score_min: None };
            index.nearest(&spec, &query, None).await?;
        }
        rates.push(QUERIES as f64 / started.elapsed().as_secs_f64());
    }
    drop(index);
    let started = Instant::now();
    let index = EmbeddedIndex::open(folder)?;
    let opened = started.elapsed();
    drop(index);
    println!(
        "{documents} × {dimension}: put {put:.0}/s, nearest {:.0}/s, filtered to 1 % {:.0}/s, opened in {} ms",
        rates[0],
        rates[1],
        opened.as_millis()
    );
    Ok(())
}
