//! Sums that do not overflow, and those of floats.

use serde::{Deserialize, Serialize};

/// A sum of whole numbers of up to 128 bits: exact, whatever is added, so that it does not depend on
/// the order, and none that leaves its type for a while is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// Of the upper 64 bits.
    high: i128,
    /// Of the lower ones, which are never negative.
    low: i128,
}

const LOW: i128 = (1 << 64) - 1;

impl Whole {
    pub fn add(&mut self, value: i128) {
        self.high += value >> 64;
        self.low += value & LOW;
        self.carry();
    }

    pub fn merge(&mut self, other: &Self) {
        self.high += other.high;
        self.low += other.low;
        self.carry();
    }

    fn carry(&mut self) {
        self.high += self.low >> 64;
        self.low &= LOW;
    }

    /// None where it has more than 128 bits.
    pub fn total(&self) -> Option<i128> {
        i64::try_from(self.high).ok().map(|high| (i128::from(high) << 64) | self.low)
    }

    pub fn float(&self) -> f64 {
        const HIGH: f64 = 18_446_744_073_709_551_616.0;
        self.total().map_or(self.high as f64 * HIGH + self.low as f64, |total| total as f64)
    }
}

/// A sum of floats, with what its rounding has left out (Neumaier): nearly independent of the order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Float {
    sum: f64,
    left_out: f64,
}

impl Float {
    pub fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        // Of infinities and NaN nothing is left out that could be known.
        if sum.is_finite() {
            self.left_out += if self.sum.abs() >= value.abs() {
                (self.sum - sum) + value
            } else {
                (value - sum) + self.sum
            };
        }
        self.sum = sum;
    }

    pub fn merge(&mut self, other: &Self) {
        self.add(other.sum);
        self.left_out += other.left_out;
    }

    pub fn total(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.left_out } else { self.sum }
    }
}
