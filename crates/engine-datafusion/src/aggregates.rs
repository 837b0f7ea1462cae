//! Aggregates that DataFusion computes otherwise than Spark: checked exact sums, decimal means,
//! percentiles, values by their order.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array},
    datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, i256},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    functions_aggregate::{average::avg_udaf, sum::sum_udaf},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature,
        Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use crate::{
    error::{data_error, invalid_error, unsupported_error},
    functions::{arithmetic::plain, cast, decimal, overflow},
    types::{is_float, is_numeric, spark_name},
};

/// How the state of an exact sum travels: any sum of 38 digits.
const EXACT: DataType = DataType::Decimal128(38, 0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Avg,
    Percentile,
    Median,
    MaxBy,
    MinBy,
}

/// One of this module's aggregates.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SparkAggregate {
    kind: Kind,
    signature: Signature,
}

impl SparkAggregate {
    fn named(kind: Kind) -> (String, Arc<AggregateUDF>) {
        let this = Self { kind, signature: Signature::user_defined(Volatility::Immutable) };
        (this.name().to_owned(), Arc::new(AggregateUDF::new_from_impl(this)))
    }

    /// The types that the arguments are cast to.
    fn wanted(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        use DataType::{Decimal128, Float64, Int32, Int64, Null};
        let refuse = |given: &DataType| {
            Err(unsupported_error(format!(
                "`{}` of {} (cast it to a number)",
                self.name(),
                spark_name(given)
            )))
        };
        match (self.kind, given) {
            (Kind::Sum, [Int32 | Int64]) => Ok(vec![Int64]),
            (Kind::Sum | Kind::Avg, [Decimal128(..)]) => Ok(given.to_vec()),
            (Kind::Sum | Kind::Avg | Kind::Median, [value])
                if is_numeric(value) || *value == Null =>
            {
                Ok(vec![Float64])
            }
            (Kind::Percentile, [value, share])
                if is_numeric(share) && (is_numeric(value) || *value == Null) =>
            {
                Ok(vec![Float64, Float64])
            }
            (Kind::MaxBy | Kind::MinBy, [_, DataType::List(_)]) => {
                Err(unsupported_error(format!("`{}` by an array", self.name())))
            }
            (Kind::MaxBy | Kind::MinBy, [_, _]) => Ok(given.to_vec()),
            (Kind::Percentile, [value, _]) => refuse(value),
            (_, [value]) => refuse(value),
            _ => Err(invalid_error(format!("`{}` with {} arguments", self.name(), given.len()))),
        }
    }

    /// DataFusion's own, which is right for floats.
    fn native(&self) -> Arc<AggregateUDF> {
        if self.kind == Kind::Sum { sum_udaf() } else { avg_udaf() }
    }
}

/// By internal name.
pub fn all() -> Vec<(String, Arc<AggregateUDF>)> {
    let mut all: Vec<_> =
        [Kind::Sum, Kind::Avg, Kind::Percentile, Kind::Median, Kind::MaxBy, Kind::MinBy]
            .into_iter()
            .map(SparkAggregate::named)
            .collect();
    all.push(("collect_list".to_owned(), datafusion_spark::function::aggregate::collect_list()));
    all.push(("collect_set".to_owned(), datafusion_spark::function::aggregate::collect_set()));
    all
}

/// Whether the input is summed exactly, as an integer of 128 bits.
fn is_exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Decimal128(..))
}

fn input(args: &AccumulatorArgs<'_>) -> DataType {
    args.expr_fields.first().map_or(DataType::Null, |field| field.data_type().clone())
}

impl AggregateUDFImpl for SparkAggregate {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Avg => "avg",
            Kind::Percentile => "percentile",
            Kind::Median => "median",
            Kind::MaxBy => "max_by",
            Kind::MinBy => "min_by",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // What does not fit is reported by the result's type, whose error DataFusion passes on as it is.
        Ok(self.wanted(given).unwrap_or_else(|_| given.to_vec()))
    }
    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        use DataType::{Decimal128, Float64, Int32, Int64};
        self.wanted(given)?;
        let bounded = |precision: u8, scale: i8| Decimal128(precision.min(38), scale.min(38));
        Ok(match (self.kind, given) {
            (Kind::Sum, [Int32 | Int64, ..]) => Int64,
            (Kind::Sum, [Decimal128(precision, scale), ..]) => {
                bounded(precision.saturating_add(10), *scale)
            }
            (Kind::Avg, [Decimal128(precision, scale), ..]) => {
                bounded(precision.saturating_add(4), scale.saturating_add(4))
            }
            (Kind::MaxBy | Kind::MinBy, [value, ..]) => value.clone(),
            _ => Float64,
        })
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let input =
            args.input_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        let field = |name: &str, data_type| {
            Arc::new(Field::new(format!("{}[{name}]", args.name), data_type, true))
        };
        let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, true)));
        Ok(match self.kind {
            Kind::Sum | Kind::Avg if is_exact(&input) && args.is_distinct => {
                vec![field("values", list(EXACT))]
            }
            Kind::Sum | Kind::Avg if is_exact(&input) => {
                vec![field("sum", EXACT), field("count", DataType::Int64)]
            }
            Kind::Sum | Kind::Avg => return self.native().state_fields(args),
            Kind::Percentile => {
                vec![field("values", list(DataType::Float64)), field("share", DataType::Float64)]
            }
            Kind::Median => vec![field("values", list(DataType::Float64))],
            Kind::MaxBy | Kind::MinBy => {
                let by = args
                    .input_fields
                    .get(1)
                    .map_or(DataType::Null, |field| field.data_type().clone());
                vec![field("value", input), field("by", by), field("tied", DataType::Boolean)]
            }
        })
    }
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let input = input(&args);
        let gives = args.return_field.data_type().clone();
        Ok(match self.kind {
            Kind::Sum | Kind::Avg if is_exact(&input) => Box::new(Exact {
                total: Total::default(),
                distinct: args.is_distinct.then(HashSet::new),
                is_avg: self.kind == Kind::Avg,
                input,
                gives,
            }),
            Kind::Sum | Kind::Avg => return self.native().accumulator(args),
            Kind::Percentile => Box::new(Percentile { values: vec![], share: None }),
            Kind::Median => Box::new(Percentile { values: vec![], share: Some(0.5) }),
            Kind::MaxBy | Kind::MinBy => {
                let by = args
                    .expr_fields
                    .get(1)
                    .map_or(DataType::Null, |field| field.data_type().clone());
                Box::new(ValueBy {
                    value: ScalarValue::try_from(&gives)?,
                    by: ScalarValue::try_from(&by)?,
                    tied: false,
                    greatest: self.kind == Kind::MaxBy,
                })
            }
        })
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.kind {
            Kind::Sum | Kind::Avg if is_exact(&input(&args)) => !args.is_distinct,
            Kind::Sum | Kind::Avg => self.native().groups_accumulator_supported(args),
            _ => false,
        }
    }
    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let input = input(&args);
        if !is_exact(&input) {
            return self.native().create_groups_accumulator(args);
        }
        let gives = args.return_field.data_type().clone();
        Ok(Box::new(ExactGroups { totals: vec![], is_avg: self.kind == Kind::Avg, input, gives }))
    }
    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        if matches!(self.kind, Kind::Sum | Kind::Avg) && is_float(&input(&args)) {
            // Spark sums every frame anew; adding and taking away would leave rounding behind.
            return Ok(Box::new(SlidingFloats {
                values: VecDeque::new(),
                is_avg: self.kind == Kind::Avg,
            }));
        }
        self.accumulator(args)
    }
}

/// An exact sum and how many values are in it.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: i128,
    count: i64,
}

impl Total {
    fn add(&mut self, value: i128, count: i64) -> Result<()> {
        self.sum = self.sum.checked_add(value).ok_or_else(|| overflow("the sum"))?;
        self.count += count;
        Ok(())
    }

    /// The unscaled result; `None` is null.
    fn finish(self, is_avg: bool, input: &DataType, gives: &DataType) -> Result<Option<i128>> {
        if self.count == 0 {
            return Ok(None);
        }
        let scale = match input {
            DataType::Decimal128(_, scale) => i32::from(*scale),
            _ => 0,
        };
        let sum = i256::from_i128(self.sum);
        if is_avg {
            let digits = 39 - scale;
            let mean = u32::try_from(digits)
                .ok()
                .and_then(decimal::power_of_ten)
                .and_then(|factor| sum.checked_mul(factor))
                .and_then(|scaled| {
                    decimal::divide_half_up(scaled, i256::from_i128(i128::from(self.count)))
                });
            return match mean {
                Some(mean) => decimal::fit(Some(mean), 39, gives, "the mean").map(Some),
                None => Err(unsupported_error("the mean of decimals this long")),
            };
        }
        match gives {
            DataType::Int64 => i64::try_from(self.sum)
                .map(|sum| Some(i128::from(sum)))
                .map_err(|_| overflow("the sum as bigint")),
            _ => decimal::fit(Some(sum), scale, gives, "the sum").map(Some),
        }
    }
}

/// Calls `each` with the row and the exact value of every row that is not null.
fn each_exact(array: &ArrayRef, mut each: impl FnMut(usize, i128) -> Result<()>) -> Result<()> {
    match array.data_type() {
        DataType::Int64 => {
            for (row, value) in array.as_primitive::<Int64Type>().iter().enumerate() {
                if let Some(value) = value {
                    each(row, i128::from(value))?;
                }
            }
        }
        DataType::Decimal128(..) => {
            for (row, value) in array.as_primitive::<Decimal128Type>().iter().enumerate() {
                if let Some(value) = value {
                    each(row, value)?;
                }
            }
        }
        other => return Err(DataFusionError::Internal(format!("an exact sum of {other}"))),
    }
    Ok(())
}

#[derive(Debug)]
struct Exact {
    total: Total,
    /// Values seen, if each counts once.
    distinct: Option<HashSet<i128>>,
    is_avg: bool,
    input: DataType,
    gives: DataType,
}

impl Exact {
    fn take(&mut self, value: i128) -> Result<()> {
        if let Some(seen) = &mut self.distinct
            && !seen.insert(value)
        {
            return Ok(());
        }
        self.total.add(value, 1)
    }
}

fn exact_scalar(value: Option<i128>, gives: &DataType) -> Result<ScalarValue> {
    match gives {
        DataType::Decimal128(precision, scale) => {
            Ok(ScalarValue::Decimal128(value, *precision, *scale))
        }
        _ => Ok(ScalarValue::Int64(
            value.map(i64::try_from).transpose().map_err(|_| overflow("the sum as bigint"))?,
        )),
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_exact(&values[0], |_, value| self.take(value))
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        exact_scalar(self.total.finish(self.is_avg, &self.input, &self.gives)?, &self.gives)
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.distinct.as_ref().map_or(0, |seen| seen.capacity() * 24)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let exact = |value: i128| ScalarValue::Decimal128(Some(value), 38, 0);
        Ok(match &self.distinct {
            Some(seen) => {
                let values: Vec<_> = seen.iter().map(|value| exact(*value)).collect();
                vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &EXACT))]
            }
            None => vec![exact(self.total.sum), ScalarValue::Int64(Some(self.total.count))],
        })
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if self.distinct.is_some() {
            for list in states[0].as_list::<i32>().iter().flatten() {
                each_exact(&list, |_, value| self.take(value))?;
            }
            return Ok(());
        }
        let counts = states[1].as_primitive::<Int64Type>();
        each_exact(&states[0], |row, value| self.total.add(value, counts.value(row)))
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_exact(&values[0], |_, value| self.total.add(-value, -1))
    }
    fn supports_retract_batch(&self) -> bool {
        self.distinct.is_none()
    }
}

/// As [`Exact`], for many groups at once.
#[derive(Debug)]
struct ExactGroups {
    totals: Vec<Total>,
    is_avg: bool,
    input: DataType,
    gives: DataType,
}

impl ExactGroups {
    fn state_of(totals: &[Total]) -> Vec<ArrayRef> {
        let sums = totals
            .iter()
            .map(|total| Some(total.sum))
            .collect::<Decimal128Array>()
            .with_data_type(EXACT);
        let counts: Int64Array = totals.iter().map(|total| Some(total.count)).collect();
        vec![Arc::new(sums), Arc::new(counts)]
    }
}

/// Whether an aggregate's own `FILTER` lets the row in.
pub fn is_kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupsAccumulator for ExactGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.totals.resize(total, Total::default());
        each_exact(&values[0], |row, value| {
            if is_kept(filter, row) { self.totals[groups[row]].add(value, 1) } else { Ok(()) }
        })
    }
    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let values = emit
            .take_needed(&mut self.totals)
            .into_iter()
            .map(|total| total.finish(self.is_avg, &self.input, &self.gives))
            .collect::<Result<Vec<_>>>()?;
        Ok(match &self.gives {
            DataType::Int64 => Arc::new(
                values
                    .into_iter()
                    .map(|value| value.and_then(|value| i64::try_from(value).ok()))
                    .collect::<Int64Array>(),
            ),
            gives => Arc::new(
                values.into_iter().collect::<Decimal128Array>().with_data_type(gives.clone()),
            ),
        })
    }
    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let totals = emit.take_needed(&mut self.totals);
        Ok(Self::state_of(&totals))
    }
    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.totals.resize(total, Total::default());
        let counts = states[1].as_primitive::<Int64Type>();
        each_exact(&states[0], |row, value| self.totals[groups[row]].add(value, counts.value(row)))
    }
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut totals = vec![Total::default(); values[0].len()];
        each_exact(&values[0], |row, value| {
            if is_kept(filter, row) { totals[row].add(value, 1) } else { Ok(()) }
        })?;
        Ok(Self::state_of(&totals))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.totals.capacity() * size_of::<Total>()
    }
}

/// The sum or mean of the floats in a moving frame, summed anew for every frame.
#[derive(Debug)]
struct SlidingFloats {
    values: VecDeque<Option<f64>>,
    is_avg: bool,
}

/// Exact for both floats.
pub fn floats(array: &ArrayRef) -> Result<ArrayRef> {
    cast::convert(array, &DataType::Float64, false)
}

impl Accumulator for SlidingFloats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(floats(&values[0])?.as_primitive::<Float64Type>().iter());
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (mut sum, mut count) = (0.0, 0_u32);
        for value in self.values.iter().flatten() {
            sum += value;
            count += 1;
        }
        let result = (count > 0).then(|| if self.is_avg { sum / f64::from(count) } else { sum });
        Ok(ScalarValue::Float64(result))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * 16
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a moving frame has no state to send".to_owned()))
    }
    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("a moving frame has no state to merge".to_owned()))
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.drain(..values[0].len().min(self.values.len()));
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// The exact percentile, between two values if it falls between them.
#[derive(Debug)]
struct Percentile {
    values: Vec<f64>,
    share: Option<f64>,
}

impl Percentile {
    fn take(&mut self, values: &ArrayRef) {
        self.values.extend(values.as_primitive::<Float64Type>().iter().flatten());
    }
    fn take_share(&mut self, shares: Option<&ArrayRef>) {
        if let Some(share) =
            shares.and_then(|shares| shares.as_primitive::<Float64Type>().iter().flatten().next())
        {
            self.share = Some(share);
        }
    }
}

impl Accumulator for Percentile {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(&values[0]);
        self.take_share(values.get(1));
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(share) = self.share else {
            return Ok(ScalarValue::Float64(None));
        };
        if !(0.0..=1.0).contains(&share) {
            return Err(invalid_error("the share of a percentile is between 0 and 1"));
        }
        if self.values.is_empty() {
            return Ok(ScalarValue::Float64(None));
        }
        for value in &mut self.values {
            *value = plain(*value);
        }
        self.values.sort_by(f64::total_cmp);
        let position = (self.values.len() - 1) as f64 * share;
        let (lower, higher) = (position.floor(), position.ceil());
        let (low, high) = (self.values[lower as usize], self.values[higher as usize]);
        let result = if lower == higher || low == high {
            low
        } else {
            (higher - position) * low + (position - lower) * high
        };
        Ok(ScalarValue::Float64(Some(result)))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * 8
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<_> =
            self.values.iter().map(|value| ScalarValue::Float64(Some(*value))).collect();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64)),
            ScalarValue::Float64(self.share),
        ])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.take(&list);
        }
        self.take_share(states.get(1));
        Ok(())
    }
}

/// `max_by` and `min_by`. On a tie Spark takes any row: that is an error here, unless the values agree.
#[derive(Debug)]
struct ValueBy {
    value: ScalarValue,
    by: ScalarValue,
    tied: bool,
    greatest: bool,
}

impl ValueBy {
    fn take(&mut self, value: ScalarValue, by: ScalarValue, tied: bool) {
        if by.is_null() {
            return;
        }
        let ordering = if self.by.is_null() { None } else { by.partial_cmp(&self.by) };
        match ordering {
            Some(std::cmp::Ordering::Equal) => self.tied |= tied || value != self.value,
            Some(ordering) if ordering.is_gt() != self.greatest => {}
            _ => {
                self.value = value;
                self.by = by;
                self.tied = tied;
            }
        }
    }
}

impl Accumulator for ValueBy {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in 0..values[0].len() {
            self.take(
                ScalarValue::try_from_array(&values[0], row)?,
                ScalarValue::try_from_array(&values[1], row)?,
                false,
            );
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.tied {
            let name = if self.greatest { "max_by" } else { "min_by" };
            return Err(data_error(format!(
                "`{name}`: several values share the {} of the second argument, and any could be taken; order by more",
                self.by
            )));
        }
        Ok(self.value.clone())
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.value.size() + self.by.size()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.by.clone(), ScalarValue::Boolean(Some(self.tied))])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let tied = states[2].as_boolean();
        for row in 0..tied.len() {
            self.take(
                ScalarValue::try_from_array(&states[0], row)?,
                ScalarValue::try_from_array(&states[1], row)?,
                tied.is_valid(row) && tied.value(row),
            );
        }
        Ok(())
    }
}
