//! Statistics of a published partition, from the rows that are staged: the same whichever engine
//! gave them.
//!
//! **Deterministic.** Rows come in canonical order ([`crate::canonical`]), so that sums are made in
//! one order; nothing is drawn at random.
//!
//! **Bounded.** One column at a time. Quantiles are exact up to [`VALUES_MAX`] values, and of more
//! those of every n-th value. Different values are counted exactly up to [`DISTINCT_MAX`], by a 64-bit
//! hash, and beyond by adaptive sampling (Wegman's): only hashes that end in n zero bits are kept,
//! n grows when there are too many, and their number times 2ⁿ is the estimate, within some 2 %.
//!
//! **No person's words.** Of strings and bytes only lengths are kept, and of join keys nothing that
//! was in a row: a pointer, the registry and catalogues must not repeat what an erasure removes.
//! Edges of other numbers and times may be a single row's. In the lake they go when an erasure rewrites
//! the partition; where a view has a subject they never leave it ([`crate::record`]).

use std::{cmp::Ordering, collections::BTreeMap};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use serde_json::Value as Json;
use trivium_model::{
    ColumnStatistics, DataType, Distinct, FeatureView, Lengths, Timestamp, Value,
    json::value_to_json,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, columns::published_columns};

/// The quantiles that are kept, as they are written and in hundredths.
const QUANTILES: [(&str, usize); 7] =
    [("0.01", 1), ("0.05", 5), ("0.25", 25), ("0.5", 50), ("0.75", 75), ("0.95", 95), ("0.99", 99)];
/// Values of a column that are looked through for quantiles: 32 MiB of them, 64 of decimals.
const VALUES_MAX: usize = 1 << 22;
/// Different values of a column that are told apart: some megabyte of hashes.
const DISTINCT_MAX: usize = 1 << 16;

/// The statistics of each published column, in the order of the file; `_sequence`, which says nothing
/// of the data, has none.
pub fn of(view: &FeatureView, rows: &RecordBatch) -> Result<Vec<ColumnStatistics>, Error> {
    published_columns(view)
        .into_iter()
        .filter_map(|column| rows.column_by_name(&column.name).map(|array| (column, array)))
        .map(|(column, array)| {
            let is_key = view.entities.iter().any(|entity| entity.name.as_str() == column.name);
            let mut one = of_column(&column.name, &column.data_type, array, VALUES_MAX)?;
            if is_key {
                (one.min, one.max, one.mean, one.lengths) = (None, None, None, None);
                one.quantiles.clear();
            }
            Ok(one)
        })
        .collect()
}

/// A column's statistics, quantiles from at most about `values_max` values.
fn of_column(
    name: &str,
    data_type: &DataType,
    array: &ArrayRef,
    values_max: usize,
) -> Result<ColumnStatistics, Error> {
    let (count, null_count) = (array.len(), array.null_count());
    let mut one = ColumnStatistics {
        column: name.to_owned(),
        data_type: data_type.to_string(),
        count: count as u64,
        null_count: null_count as u64,
        null_fraction: if count == 0 { 0.0 } else { null_count as f64 / count as f64 },
        nan_count: None,
        distinct: None,
        min: None,
        max: None,
        mean: None,
        quantiles: BTreeMap::new(),
        lengths: None,
    };
    let shown = |value: Value| value_to_json(data_type, &value);
    match data_type {
        DataType::Bool => {
            let mut distinct = Counter::default();
            array.as_boolean().iter().flatten().for_each(|value| distinct.add(&[u8::from(value)]));
            one.distinct = Some(distinct.count());
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().iter().flatten();
            let numbers = Numbers::of(values.map(i64::from), values_max);
            one.put(numbers, |n| shown(Value::Int64(n)), 1.0);
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().iter().flatten();
            one.put(Numbers::of(values, values_max), |n| shown(Value::Int64(n)), 1.0);
        }
        DataType::Decimal { scale, .. } => {
            let values = array.as_primitive::<Decimal128Type>().iter().flatten();
            let unit = 10f64.powi(i32::from(*scale));
            one.put(Numbers::of(values, values_max), |n| shown(Value::Decimal(n)), unit);
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter().flatten();
            let (numbers, nans) = floats(values.map(f64::from), values_max);
            one.nan_count = Some(nans);
            one.put(numbers, |n| shown(Value::Float32(n.0 as f32)), 1.0);
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter().flatten();
            let (numbers, nans) = floats(values, values_max);
            one.nan_count = Some(nans);
            one.put(numbers, |n| shown(Value::Float64(n.0)), 1.0);
        }
        DataType::Timestamp => {
            let values = array.as_primitive::<TimestampMicrosecondType>().iter().flatten();
            one.put_edges(values, |at| shown(Value::Timestamp(Timestamp(at))));
        }
        DataType::Date => {
            let values = array.as_primitive::<Date32Type>().iter().flatten();
            one.put_edges(values.map(i64::from), |day| {
                i32::try_from(day).map_or(Json::Null, |day| shown(Value::Date(day)))
            });
        }
        DataType::String => {
            let values = array.as_string::<i32>().iter().flatten();
            let mut distinct = Counter::default();
            one.lengths = lengths(values.map(|text| {
                distinct.add(text.as_bytes());
                text.chars().count()
            }));
            one.distinct = Some(distinct.count());
        }
        DataType::Bytes => {
            let values = array.as_binary::<i32>().iter().flatten();
            let mut distinct = Counter::default();
            one.lengths = lengths(values.map(|bytes| {
                distinct.add(bytes);
                bytes.len()
            }));
            one.distinct = Some(distinct.count());
        }
        DataType::List(_) | DataType::Embedding { .. } => {
            let lists = array.as_list::<i32>();
            let present = (0..lists.len()).filter(|row| !lists.is_null(*row));
            one.lengths =
                lengths(present.map(|row| usize::try_from(lists.value_length(row)).unwrap_or(0)));
        }
    }
    Ok(one)
}

trait Put {
    /// Edges, quantiles, mean and different values of numbers, of which `unit` make one.
    fn put<T: Number>(&mut self, numbers: Numbers<T>, shown: impl Fn(T) -> Json, unit: f64);
    /// Edges and different values of instants and days.
    fn put_edges(&mut self, values: impl Iterator<Item = i64>, shown: impl Fn(i64) -> Json);
}

impl Put for ColumnStatistics {
    fn put<T: Number>(&mut self, numbers: Numbers<T>, shown: impl Fn(T) -> Json, unit: f64) {
        self.distinct = Some(numbers.distinct.count());
        let (Some(min), Some(max)) = (numbers.min, numbers.max) else { return };
        (self.min, self.max) = (Some(shown(min)), Some(shown(max)));
        let mean = numbers.sum.get() / numbers.count as f64 / unit;
        self.mean = Some(value_to_json(&DataType::Float64, &Value::Float64(mean)));
        let mut values = numbers.values;
        let mut from = 0;
        for (name, hundredths) in QUANTILES {
            // The nearest rank, ceil(n × q), counted from 0. Ranks grow: what is left of the last
            // one is in place already.
            let rank = (values.len() * hundredths).div_ceil(100).max(1) - 1;
            let (_, value, _) = values[from..].select_nth_unstable(rank - from);
            self.quantiles.insert(name.to_owned(), shown(*value));
            from = rank;
        }
    }

    fn put_edges(&mut self, values: impl Iterator<Item = i64>, shown: impl Fn(i64) -> Json) {
        let mut distinct = Counter::default();
        let mut edges: Option<(i64, i64)> = None;
        for value in values {
            distinct.add(&value.to_le_bytes());
            edges = Some(edges.map_or((value, value), |(a, b)| (a.min(value), b.max(value))));
        }
        self.distinct = Some(distinct.count());
        (self.min, self.max) = (edges.map(|(min, _)| shown(min)), edges.map(|(_, max)| shown(max)));
    }
}

/// A number that statistics are made of.
trait Number: Copy + Ord {
    /// What two equal ones have in common.
    fn hash(self) -> u64;
    fn as_f64(self) -> f64;
}

impl Number for i64 {
    fn hash(self) -> u64 {
        xxh3_64(&self.to_le_bytes())
    }
    fn as_f64(self) -> f64 {
        self as f64
    }
}

impl Number for i128 {
    fn hash(self) -> u64 {
        xxh3_64(&self.to_le_bytes())
    }
    fn as_f64(self) -> f64 {
        self as f64
    }
}

/// A float that is no NaN; zeros have no sign.
#[derive(Clone, Copy, PartialEq)]
struct Float(f64);

impl Eq for Float {}
impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl Number for Float {
    fn hash(self) -> u64 {
        xxh3_64(&self.0.to_bits().to_le_bytes())
    }
    fn as_f64(self) -> f64 {
        self.0
    }
}

/// Floats without their NaNs, and how many of those there were.
fn floats(values: impl Iterator<Item = f64>, values_max: usize) -> (Numbers<Float>, u64) {
    let mut nans = 0;
    let numbers = Numbers::of(
        values.filter_map(|value| {
            nans += u64::from(value.is_nan());
            // -0.0 + 0.0 is 0.0.
            (!value.is_nan()).then_some(Float(value + 0.0))
        }),
        values_max,
    );
    (numbers, nans)
}

/// What one pass over numbers gives.
struct Numbers<T> {
    /// Each, or each n-th, in the order of the rows.
    values: Vec<T>,
    count: u64,
    min: Option<T>,
    max: Option<T>,
    sum: Sum,
    distinct: Counter,
}

impl<T: Number> Numbers<T> {
    fn of(numbers: impl Iterator<Item = T>, values_max: usize) -> Self {
        let mut all = Self {
            values: Vec::new(),
            count: 0,
            min: None,
            max: None,
            sum: Sum::default(),
            distinct: Counter::default(),
        };
        let mut step: u64 = 1;
        for number in numbers {
            all.min = Some(all.min.map_or(number, |min| min.min(number)));
            all.max = Some(all.max.map_or(number, |max| max.max(number)));
            all.sum.add(number.as_f64());
            all.distinct.add_hash(number.hash());
            if all.count.is_multiple_of(step) {
                if all.values.len() == values_max {
                    let mut keep = false;
                    all.values.retain(|_| {
                        keep = !keep;
                        keep
                    });
                    step *= 2;
                }
                if all.count.is_multiple_of(step) {
                    all.values.push(number);
                }
            }
            all.count += 1;
        }
        all
    }
}

/// A sum that keeps what rounding takes away (Neumaier's).
#[derive(Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }
    fn get(&self) -> f64 {
        // Beside an infinity nothing is lost, and what is calculated of it is no number.
        if self.lost.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

/// Counts different values; see the module.
#[derive(Default)]
struct Counter {
    /// Hashes that end in at least `zeros` zero bits, some of them twice.
    hashes: Vec<u64>,
    zeros: u32,
    last: Option<u64>,
}

impl Counter {
    fn add(&mut self, bytes: &[u8]) {
        self.add_hash(xxh3_64(bytes));
    }

    fn add_hash(&mut self, hash: u64) {
        // Sorted columns repeat themselves.
        if self.last == Some(hash) || hash.trailing_zeros() < self.zeros {
            return;
        }
        self.last = Some(hash);
        self.hashes.push(hash);
        if self.hashes.len() >= 2 * DISTINCT_MAX {
            self.settle();
        }
    }

    /// Leaves each hash once, and at most [`DISTINCT_MAX`] of them. The outcome does not depend on the
    /// order in which values come.
    fn settle(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        while self.hashes.len() > DISTINCT_MAX {
            self.zeros += 1;
            let zeros = self.zeros;
            self.hashes.retain(|hash| hash.trailing_zeros() >= zeros);
        }
    }

    fn count(mut self) -> Distinct {
        self.settle();
        Distinct { count: (self.hashes.len() as u64) << self.zeros, exact: self.zeros == 0 }
    }
}

fn lengths(each: impl Iterator<Item = usize>) -> Option<Lengths> {
    let (mut count, mut sum, mut min, mut max) = (0u64, 0u64, u64::MAX, 0);
    for length in each {
        let length = length as u64;
        (count, sum) = (count + 1, sum + length);
        (min, max) = (min.min(length), max.max(length));
    }
    (count > 0).then(|| Lengths { min, max, mean: sum as f64 / count as f64 })
}

#[cfg(test)]
mod tests;
