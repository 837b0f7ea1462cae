//! Sketches of distinct values, of many rows: `hll_sketch_agg` and `hll_union_agg`. What Spark takes as a
//! constant argument is a part of the name here, so that a sketch of no rows has its size too.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Field, FieldRef, Int64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use trivium_sketch::{LG_K_DEFAULT, LG_K_MAX, LG_K_MIN, Sketch, Union};

use crate::{
    error::{invalid_error, unsupported_error},
    functions::sketch::sketch_error,
    types::spark_name,
};

/// Spark's name of the aggregate that makes sketches.
pub const MAKES: &str = "hll_sketch_agg";
/// Spark's name of the aggregate that merges them.
pub const MERGES: &str = "hll_union_agg";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Makes { lg_k: u8 },
    Merges { allow_different_lg_k: bool },
}

/// One of this module's aggregates.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchAggregate {
    name: String,
    kind: Kind,
    signature: Signature,
}

/// The internal name of `hll_sketch_agg` with this size.
pub fn makes_name(lg_k: i64) -> String {
    format!("{MAKES} {lg_k}")
}

/// The internal name of `hll_union_agg`.
pub fn merges_name(allow_different_lg_k: bool) -> String {
    format!("{MERGES} {allow_different_lg_k}")
}

/// By internal name.
pub fn all() -> Vec<(String, Arc<AggregateUDF>)> {
    let makes =
        (LG_K_MIN..=LG_K_MAX).map(|lg_k| (makes_name(i64::from(lg_k)), Kind::Makes { lg_k }));
    let merges = [true, false].map(|allow_different_lg_k| {
        (merges_name(allow_different_lg_k), Kind::Merges { allow_different_lg_k })
    });
    makes
        .chain(merges)
        .map(|(name, kind)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            let this = SketchAggregate { name: name.clone(), kind, signature };
            (name, Arc::new(AggregateUDF::new_from_impl(this)))
        })
        .collect()
}

impl SketchAggregate {
    /// The type that the argument is cast to.
    fn wanted(&self, given: &[DataType]) -> Result<DataType> {
        use DataType::{Binary, Int32, Int64, Null, Utf8};
        match (self.kind, given) {
            (Kind::Makes { .. }, [Int32 | Int64]) => Ok(Int64),
            (Kind::Makes { .. }, [Utf8]) | (_, [Binary | Null]) => Ok(Binary),
            (Kind::Makes { .. }, [given]) => Err(unsupported_error(format!(
                "`{MAKES}` of {} (cast it to a bigint, a string or binary)",
                spark_name(given)
            ))),
            (Kind::Merges { .. }, [given]) => Err(unsupported_error(format!(
                "`{MERGES}` of {} (give it sketches)",
                spark_name(given)
            ))),
            _ => Err(invalid_error(format!("`{}` with {} arguments", self.name, given.len()))),
        }
    }
}

impl AggregateUDFImpl for SketchAggregate {
    fn name(&self) -> &str {
        &self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // What does not fit is reported by the result's type, whose error DataFusion passes on as it is.
        Ok(self.wanted(given).map_or_else(|_| given.to_vec(), |wanted| vec![wanted]))
    }
    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.wanted(given)?;
        Ok(DataType::Binary)
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[sketch]", args.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }
    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(match self.kind {
            Kind::Makes { lg_k } => Box::new(Makes(
                Sketch::new(i64::from(lg_k)).map_err(|error| sketch_error(MAKES, error))?,
            )),
            Kind::Merges { allow_different_lg_k } => {
                Box::new(Merges { union: None, allow_different_lg_k })
            }
        })
    }
}

fn scalar(sketch: &Sketch) -> ScalarValue {
    ScalarValue::Binary(Some(sketch.bytes()))
}

/// `hll_sketch_agg`.
#[derive(Debug)]
struct Makes(Sketch);

impl Accumulator for Makes {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values[0].data_type() {
            DataType::Int64 => {
                for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
                    self.0.add_integer(value);
                }
            }
            DataType::Binary => {
                for value in values[0].as_binary::<i32>().iter().flatten() {
                    self.0.add_bytes(value);
                }
            }
            other => return Err(DataFusionError::Internal(format!("a sketch of {other}"))),
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar(&self.0))
    }
    fn size(&self) -> usize {
        self.0.size()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![scalar(&self.0)])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let failed = |error| sketch_error(MAKES, error);
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            let mut union = Union::of(&self.0).map_err(failed)?;
            union.add(&Sketch::read(bytes).map_err(failed)?, false).map_err(failed)?;
            self.0 = union.sketch();
        }
        Ok(())
    }
}

/// `hll_union_agg`. Of nothing, it is an empty sketch of the default size, as in Spark.
#[derive(Debug)]
struct Merges {
    union: Option<Union>,
    allow_different_lg_k: bool,
}

impl Accumulator for Merges {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let failed = |error| sketch_error(MERGES, error);
        for bytes in values[0].as_binary::<i32>().iter().flatten() {
            let sketch = Sketch::read(bytes).map_err(failed)?;
            match &mut self.union {
                None => self.union = Some(Union::of(&sketch).map_err(failed)?),
                Some(union) => union.add(&sketch, self.allow_different_lg_k).map_err(failed)?,
            }
        }
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.union {
            Some(union) => Ok(scalar(&union.sketch())),
            None => Sketch::new(i64::from(LG_K_DEFAULT))
                .map(|sketch| scalar(&sketch))
                .map_err(|error| sketch_error(MERGES, error)),
        }
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.union.as_ref().map_or(0, Union::size)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = self.union.as_ref().map(|union| union.sketch().bytes());
        Ok(vec![ScalarValue::Binary(bytes)])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
