//! What near means: one definition for every index.

use std::cmp::Ordering;

use trivium_model::Distance;

use super::Hit;

/// How near two vectors are; larger is nearer. Cosine: the cosine of their angle, −1 to 1. Dot: the inner
/// product. L2: 1 / (1 + squared distance), 0 to 1. Indexes that compute in float32 are off by some 10⁻⁵
/// of the vectors' size.
pub fn score(metric: Distance, left: &[f32], right: &[f32]) -> f32 {
    let score = match metric {
        Distance::Dot => dot(left, right),
        // Rounding must not lead out of the range that callers were told.
        Distance::Cosine => (dot(left, right) / (norm(left) * norm(right))).clamp(-1.0, 1.0),
        Distance::L2 => {
            let squared: f64 = left
                .iter()
                .zip(right)
                .map(|(left, right)| (f64::from(*left) - f64::from(*right)).powi(2))
                .sum();
            1.0 / (1.0 + squared)
        }
    };
    score as f32
}

/// The inner product, summed in float64.
pub fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}

/// The length.
pub fn norm(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

/// A vector's direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction(pub Vec<f32>);

/// The vector at unit length; `None` for the zero vector. Indexes store it under cosine: squares of tiny
/// components would vanish in float32.
pub fn unit(vector: &[f32]) -> Option<Direction> {
    let norm = norm(vector);
    (norm > 0.0)
        .then(|| Direction(vector.iter().map(|part| (f64::from(*part) / norm) as f32).collect()))
}

/// The order of hits: nearest first; equal scores by key, then rev.
pub fn by_nearness(left: &Hit, right: &Hit) -> Ordering {
    right.score.total_cmp(&left.score).then_with(|| left.id.cmp(&right.id))
}
