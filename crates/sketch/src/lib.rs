//! Sketches of distinct values (HyperLogLog), in the bytes of Apache DataSketches, as Spark's
//! `hll_sketch_agg` writes them and its `hll_union_agg` and `hll_sketch_estimate` read them.
//!
//! Runs no SQL and knows no files. The library behind it trusts what it reads; [`Sketch::read`] is
//! the one door, and lets nothing in whose parts contradict each other.
//!
//! Two sketches of the same values may differ in their bytes: values come in any order, and an engine
//! may leave room for more of them. [`Sketch::canonical`] is the one form that depends on the values
//! alone.

mod form;

use datasketches::{
    hash::value::raw_bytes,
    hll::{HllSketch, HllType, HllUnion},
};

/// The least binary logarithm of a sketch's registers.
pub const LG_K_MIN: u8 = 4;
/// The greatest.
pub const LG_K_MAX: u8 = 21;
/// What Spark takes where the query names none: a standard error of 1.6 %.
pub const LG_K_DEFAULT: u8 = 12;

/// Why a sketch cannot be made, read or merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are none that `hll_sketch_agg` gives.
    #[error("no sketch of distinct values: {0}")]
    Spoiled(String),
    /// The size is out of bounds.
    #[error("a sketch's `lgConfigK` is between {LG_K_MIN} and {LG_K_MAX}, not {0}")]
    LgK(i64),
    /// Sketches of different sizes are merged only where the caller allows it.
    #[error("sketches have different `lgConfigK`: {0} and {1}")]
    DifferentLgK(u8, u8),
}

/// A sketch of distinct values.
#[derive(Debug, Clone)]
pub struct Sketch(HllSketch);

impl Sketch {
    /// Of no values, with 2^`lg_k` registers.
    pub fn new(lg_k: i64) -> Result<Self, Error> {
        let size = u8::try_from(lg_k).map_err(|_| Error::LgK(lg_k))?;
        HllSketch::new(size, HllType::Hll8).map(Self).map_err(|_| Error::LgK(lg_k))
    }

    /// What was written by any engine.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let checked = form::check(bytes).map_err(Error::Spoiled)?;
        HllSketch::deserialize(&checked)
            .map(Self)
            .map_err(|error| Error::Spoiled(error.to_string()))
    }

    /// Adds a number; an `int` and a `bigint` of one value are one.
    pub fn add_integer(&mut self, value: i64) {
        self.0.update(value);
    }

    /// Adds a text by its UTF-8, or bytes; empty ones are left out, as Spark leaves them out.
    pub fn add_bytes(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.0.update(raw_bytes::from_slice(value));
        }
    }

    /// The binary logarithm of the number of registers.
    pub fn lg_k(&self) -> u8 {
        self.0.lg_config_k()
    }

    /// How many distinct values there are, about; exact up to some hundred of them, rounded as Spark does.
    pub fn estimate(&self) -> i64 {
        (self.0.estimate() + 0.5).floor() as i64
    }

    /// The bytes, which every engine reads.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.serialize()
    }

    /// The bytes that follow from the values alone, whoever saw them in whichever order.
    pub fn canonical(&self) -> Vec<u8> {
        form::canonical(self.0.serialize())
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.0.estimated_size()
    }
}

/// Sketches on their way to one.
#[derive(Debug, Clone)]
pub struct Union(HllUnion);

impl Union {
    /// Begins with a sketch.
    pub fn of(first: &Sketch) -> Result<Self, Error> {
        let mut union = Self::with_lg_k(first.lg_k())?;
        union.0.update(&first.0);
        Ok(union)
    }

    /// Of nothing yet; larger sketches are folded to this size.
    pub fn with_lg_k(lg_k: u8) -> Result<Self, Error> {
        HllUnion::new(lg_k).map(Self).map_err(|_| Error::LgK(i64::from(lg_k)))
    }

    /// Merges a sketch in; one of another size only if that is allowed.
    pub fn add(&mut self, sketch: &Sketch, allow_different_lg_k: bool) -> Result<(), Error> {
        if !allow_different_lg_k && self.lg_k() != sketch.lg_k() {
            return Err(Error::DifferentLgK(self.lg_k(), sketch.lg_k()));
        }
        self.0.update(&sketch.0);
        Ok(())
    }

    /// The binary logarithm of the number of registers.
    pub fn lg_k(&self) -> u8 {
        self.0.lg_config_k()
    }

    /// The sketch of all.
    pub fn sketch(&self) -> Sketch {
        Sketch(self.0.to_sketch(HllType::Hll8))
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.0.estimated_size()
    }
}

#[cfg(test)]
mod tests;
