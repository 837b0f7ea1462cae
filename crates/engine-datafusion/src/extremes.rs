//! `min` and `max`. DataFusion's own are right but for groups of floats, which begin at the greatest
//! finite number and take a NaN, or not, by where it stands among the rows. Spark's NaN is one, and
//! greater than all numbers.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array},
    datatypes::{DataType, FieldRef, Float64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    functions_aggregate::min_max::{max_udaf, min_udaf},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
        Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use crate::{
    aggregates::{floats, is_kept},
    functions::{arithmetic::plain, cast},
    types::is_float,
};

/// By internal name.
pub fn all() -> [(String, Arc<AggregateUDF>); 2] {
    [(min_udaf(), Ordering::Less), (max_udaf(), Ordering::Greater)].map(|(native, wanted)| {
        let name = native.name().to_owned();
        (name, Arc::new(AggregateUDF::new_from_impl(Extreme { native, wanted })))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    native: Arc<AggregateUDF>,
    /// How a value that takes the other's place compares with it.
    wanted: Ordering,
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.native.name()
    }
    fn signature(&self) -> &Signature {
        self.native.signature()
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.native.coerce_types(given)
    }
    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.native.return_type(given)
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.native.state_fields(args)
    }
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let gives = args.return_field.data_type();
        if is_float(gives) {
            return Ok(Box::new(One { best: None, wanted: self.wanted, gives: gives.clone() }));
        }
        self.native.accumulator(args)
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        is_float(args.return_field.data_type()) || self.native.groups_accumulator_supported(args)
    }
    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let gives = args.return_field.data_type();
        if is_float(gives) {
            return Ok(Box::new(Groups {
                best: Vec::new(),
                wanted: self.wanted,
                gives: gives.clone(),
            }));
        }
        self.native.create_groups_accumulator(args)
    }
    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let gives = args.return_field.data_type();
        if is_float(gives) {
            return Ok(Box::new(Frame {
                came: 0,
                left: 0,
                best: VecDeque::new(),
                wanted: self.wanted,
                gives: gives.clone(),
            }));
        }
        self.native.create_sliding_accumulator(args)
    }
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// Spark's order: NaN above everything, and the zeros are one number, of which the first one stays.
fn compare(left: f64, right: f64) -> Ordering {
    plain(left).total_cmp(&plain(right))
}

fn take(best: &mut Option<f64>, value: f64, wanted: Ordering) {
    match best {
        Some(best) if compare(value, *best) != wanted => {}
        _ => *best = Some(value),
    }
}

fn given(values: impl Iterator<Item = Option<f64>>, gives: &DataType) -> Result<ArrayRef> {
    let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
    cast::convert(&values, gives, false)
}

fn scalar(value: Option<f64>, gives: &DataType) -> ScalarValue {
    match gives {
        // It was one.
        DataType::Float32 => ScalarValue::Float32(value.map(|value| value as f32)),
        _ => ScalarValue::Float64(value),
    }
}

/// Of all rows.
#[derive(Debug)]
struct One {
    best: Option<f64>,
    wanted: Ordering,
    gives: DataType,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in floats(&values[0])?.as_primitive::<Float64Type>().iter().flatten() {
            take(&mut self.best, value, self.wanted);
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar(self.best, &self.gives))
    }
    fn size(&self) -> usize {
        size_of::<Self>()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// As [`One`], for many groups at once.
#[derive(Debug)]
struct Groups {
    best: Vec<Option<f64>>,
    wanted: Ordering,
    gives: DataType,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.best.resize(total, None);
        let values = floats(&values[0])?;
        for (row, value) in values.as_primitive::<Float64Type>().iter().enumerate() {
            let Some(value) = value else { continue };
            if is_kept(filter, row) {
                take(&mut self.best[groups[row]], value, self.wanted);
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        given(emit.take_needed(&mut self.best).into_iter(), &self.gives)
    }
    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }
    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, groups, None, total)
    }
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = floats(&values[0])?;
        let values = values.as_primitive::<Float64Type>().iter().enumerate();
        let own = values.map(|(row, value)| value.filter(|_| is_kept(filter, row)));
        Ok(vec![given(own, &self.gives)?])
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.best.capacity() * size_of::<Option<f64>>()
    }
}

/// Of the rows in a moving frame.
#[derive(Debug)]
struct Frame {
    /// Rows that came into the frame until now, and left it.
    came: usize,
    left: usize,
    /// Values that may still be the answer, by their row: none that came after one is better.
    best: VecDeque<(usize, f64)>,
    wanted: Ordering,
    gives: DataType,
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in floats(&values[0])?.as_primitive::<Float64Type>() {
            let row = self.came;
            self.came += 1;
            let Some(value) = value else { continue };
            let is_worse = |(_, other): &(usize, f64)| compare(value, *other) == self.wanted;
            while self.best.back().is_some_and(is_worse) {
                self.best.pop_back();
            }
            self.best.push_back((row, value));
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar(self.best.front().map(|(_, value)| *value), &self.gives))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.best.capacity() * size_of::<(usize, f64)>()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a moving frame has no state to send".to_owned()))
    }
    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("a moving frame has no state to merge".to_owned()))
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.left += values[0].len();
        while self.best.front().is_some_and(|(row, _)| *row < self.left) {
            self.best.pop_front();
        }
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
}
