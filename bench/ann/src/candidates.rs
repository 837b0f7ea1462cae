//! The indexes compared (hnswlib-rs 0.10 would be one, but needs a nightly compiler). All get m = 16, 100 candidates while building, 100 while searching.

use anyhow::Result;
use hnsw_rs::prelude::{DistDot, Hnsw as HnswRs};
use usearch::{Index as Usearch, IndexOptions, MetricKind, ScalarKind};

const M: usize = 16;
const EF: usize = 100;

pub const NAMES: [&str; 4] = ["scan", "usearch", "hnsw_rs", "instant-distance"];

#[derive(Clone)]
pub struct Unit(Vec<f32>);

impl instant_distance::Point for Unit {
    fn distance(&self, other: &Self) -> f32 {
        1.0 - dot(&self.0, &other.0)
    }
}

pub enum Candidate {
    /// Every vector in one block, compared one after the other.
    Scan {
        dimension: usize,
        block: Vec<f32>,
        live: Vec<bool>,
    },
    Usearch(Usearch),
    HnswRs(HnswRs<'static, f32, DistDot>),
    InstantDistance(instant_distance::HnswMap<Unit, u32>),
}

/// Sixteen sums side by side: the compiler makes vector instructions of it.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0_f32; 16];
    let (lefts, left_rest) = left.as_chunks::<16>();
    let (rights, right_rest) = right.as_chunks::<16>();
    for (a, b) in lefts.iter().zip(rights) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum::<f32>()
}

type Pass<'a> = Option<&'a dyn Fn(usize) -> bool>;

impl Candidate {
    pub fn new(name: &str, data: &[Vec<f32>]) -> Result<Option<Self>> {
        let dimension = data.first().map_or(0, Vec::len);
        Ok(Some(match name {
            "scan" => Self::Scan { dimension, block: data.concat(), live: vec![true; data.len()] },
            "usearch" => {
                let index = Usearch::new(&IndexOptions {
                    dimensions: dimension,
                    metric: MetricKind::IP,
                    quantization: ScalarKind::F32,
                    connectivity: M,
                    expansion_add: EF,
                    expansion_search: EF,
                    multi: false,
                })?;
                index.reserve(data.len())?;
                for (i, vector) in data.iter().enumerate() {
                    index.add(i as u64, vector)?;
                }
                Self::Usearch(index)
            }
            "hnsw_rs" => {
                let index = HnswRs::new(M, data.len(), 16, EF, DistDot {});
                for (i, vector) in data.iter().enumerate() {
                    index.insert((vector, i));
                }
                Self::HnswRs(index)
            }
            "instant-distance" => {
                let points = data.iter().cloned().map(Unit).collect();
                let values = (0..data.len() as u32).collect();
                Self::InstantDistance(
                    instant_distance::Builder::default()
                        .ef_construction(EF)
                        .ef_search(EF)
                        .build(points, values),
                )
            }
            _ => return Ok(None),
        }))
    }

    pub fn search(&self, query: &[f32], k: usize, pass: Pass) -> Result<Vec<usize>> {
        Ok(match self {
            Self::Scan { dimension, block, live } => {
                let mut best: Vec<(f32, usize)> = Vec::with_capacity(k + 1);
                for (i, vector) in block.chunks_exact(*dimension).enumerate() {
                    if !live[i] || pass.is_some_and(|pass| !pass(i)) {
                        continue;
                    }
                    let score = dot(vector, query);
                    if best.len() < k || best.last().is_some_and(|last| last.0 < score) {
                        let at = best.partition_point(|other| other.0 >= score);
                        best.insert(at, (score, i));
                        best.truncate(k);
                    }
                }
                best.into_iter().map(|(_, i)| i).collect()
            }
            Self::Usearch(index) => {
                let found = match pass {
                    None => index.search(query, k)?,
                    Some(pass) => index.filtered_search(query, k, |i| pass(i as usize))?,
                };
                found.keys.into_iter().map(|i| i as usize).collect()
            }
            Self::HnswRs(index) => {
                let found = match pass {
                    None => index.search(query, k, EF),
                    Some(pass) => index.search_filter(query, k, EF, Some(&|i: &usize| pass(*i))),
                };
                found.into_iter().map(|near| near.d_id).collect()
            }
            Self::InstantDistance(index) => {
                let mut search = instant_distance::Search::default();
                // It has no filters: what does not pass is dropped from what it found.
                let found = index.search(&Unit(query.to_vec()), &mut search);
                found
                    .map(|item| *item.value as usize)
                    .filter(|&i| pass.is_none_or(|pass| pass(i)))
                    .take(k)
                    .collect()
            }
        })
    }

    /// Whether it can.
    pub fn remove(&mut self, which: impl Iterator<Item = usize>) -> Result<bool> {
        match self {
            Self::Scan { live, .. } => which.for_each(|i| live[i] = false),
            Self::Usearch(index) => {
                for i in which {
                    index.remove(i as u64)?;
                }
            }
            Self::HnswRs(_) | Self::InstantDistance(_) => return Ok(false),
        }
        Ok(true)
    }
}
