//! What a service computes, for the rows of a training set: by the code that computes it when the service is read
//! online, from the frame's columns in place of what a caller sends.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
        Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{Field, Schema},
};
use trivium_expr::{Computed, Datum, OnDemand, Origin};
use trivium_model::{DataType, FeatureRef, FeatureService, Value};

use crate::{
    Error, ValueColumn,
    columns::{ZONE, arrow_type},
};

/// What is computed of each row.
#[derive(Debug)]
pub(super) struct Computing {
    on_demand: OnDemand,
    /// Full names.
    pub(super) features: Vec<FeatureRef>,
    /// The columns that are computed, in the order of `features`.
    pub(super) fields: Vec<Field>,
}

impl Computing {
    /// `types` are those of the features that the service lists; `name_of` names a feature's column.
    pub(super) fn new(
        service: &FeatureService,
        types: &[DataType],
        name_of: impl Fn(&FeatureRef) -> String,
    ) -> Result<Option<Self>, Error> {
        let wrong = |wrong: Vec<trivium_expr::Wrong>| {
            let problems = wrong.iter().map(|wrong| {
                let name = service.derived.get(wrong.index).map_or("?", |derived| &derived.name);
                format!("`{name}`: {}", wrong.problem)
            });
            let problems: Vec<String> = problems.collect();
            Error::invalid(
                "service",
                format!("its derived features cannot be computed: {}", problems.join("; ")),
                "mend the service's config, and apply it",
            )
        };
        let Some(on_demand) = OnDemand::of(service, types).map_err(wrong)? else {
            return Ok(None);
        };
        let features: Vec<FeatureRef> =
            service.derived.iter().map(|derived| service.derived_ref(derived)).collect();
        let fields = features.iter().zip(on_demand.features());
        let fields = fields
            .map(|(feature, computed)| {
                Field::new(name_of(feature), arrow_type(computed.data_type()), true)
            })
            .collect();
        Ok(Some(Self { on_demand, features, fields }))
    }

    /// The types of `features`.
    pub(super) fn types(&self) -> impl Iterator<Item = DataType> + '_ {
        self.on_demand.features().iter().map(|computed| computed.data_type().clone())
    }

    /// The columns that the frame must have, with their types: inputs that some expression reads.
    pub(super) fn inputs(&self) -> Vec<(String, DataType)> {
        let reads: Vec<Origin> =
            self.on_demand.features().iter().flat_map(Computed::reads).collect();
        let inputs = self.on_demand.inputs().iter().enumerate();
        inputs
            .filter(|(place, _)| reads.contains(&Origin::Input(*place)))
            .map(|(_, input)| (input.name.to_string(), input.data_type.clone()))
            .collect()
    }

    /// The computed columns of some rows. `columns` are the frame's, as `schema` names them, and then the service's
    /// features; `types` are the latters'.
    pub(super) fn compute(
        &self,
        schema: &Schema,
        columns: &[ArrayRef],
        frame_columns: usize,
        types: &[DataType],
        rows: usize,
    ) -> Result<Vec<ArrayRef>, String> {
        let missing = || "a column that is computed from is missing".to_owned();
        let column = |place: usize, data_type: &DataType| -> Result<ValueColumn, String> {
            ValueColumn::new(columns.get(place).ok_or_else(missing)?, data_type)
        };
        let mut computed = Vec::with_capacity(self.fields.len());
        for feature in self.on_demand.features() {
            let mut inputs: Vec<Option<ValueColumn>> = Vec::new();
            inputs.resize_with(self.on_demand.inputs().len(), || None);
            let mut listed: Vec<Option<ValueColumn>> = Vec::new();
            listed.resize_with(types.len(), || None);
            for origin in feature.reads() {
                match origin {
                    Origin::Input(at) => {
                        let input = &self.on_demand.inputs()[at];
                        let place =
                            schema.index_of(&input.name).map_err(|error| error.to_string())?;
                        inputs[at] = Some(column(place, &input.data_type)?);
                    }
                    Origin::Feature(at) => {
                        let data_type = types.get(at).ok_or_else(missing)?;
                        listed[at] = Some(column(frame_columns + at, data_type)?);
                    }
                }
            }
            let value = |row: usize| {
                feature.evaluate(&|origin| {
                    let column = match origin {
                        Origin::Input(at) => inputs.get(at),
                        Origin::Feature(at) => listed.get(at),
                    };
                    let value = column.and_then(Option::as_ref).and_then(|one| one.value(row));
                    value.map_or(Datum::Null, Datum::of_row)
                })
            };
            computed.push(array(feature.data_type(), (0..rows).map(value))?);
        }
        Ok(computed)
    }
}

/// Scalar values of one type as a column; what is of another type is null.
///
/// # Errors
///
/// The type is that of lists or of embeddings.
pub fn column_of(data_type: &DataType, values: &[Value]) -> Result<ArrayRef, String> {
    array(data_type, values.iter().map(Datum::of))
}

/// Values of one type as a column. An expression has one type: whatever else comes is null.
fn array<'v>(
    data_type: &DataType,
    values: impl Iterator<Item = Datum<'v>>,
) -> Result<ArrayRef, String> {
    macro_rules! of {
        ($array:ty, $pattern:pat => $value:expr) => {
            values
                .map(|value| match value {
                    $pattern => Some($value),
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    Ok(match data_type {
        DataType::Bool => Arc::new(of!(BooleanArray, Datum::Bool(value) => value)),
        DataType::Int32 => Arc::new(of!(Int32Array, Datum::Int32(value) => value)),
        DataType::Int64 => Arc::new(of!(Int64Array, Datum::Int64(value) => value)),
        DataType::Float32 => Arc::new(of!(Float32Array, Datum::Float32(value) => value)),
        DataType::Float64 => Arc::new(of!(Float64Array, Datum::Float64(value) => value)),
        DataType::String => Arc::new(of!(StringArray, Datum::String(text) => text)),
        DataType::Bytes => Arc::new(of!(BinaryArray, Datum::Bytes(bytes) => bytes)),
        DataType::Timestamp => Arc::new(
            of!(TimestampMicrosecondArray, Datum::Timestamp(at) => at.0).with_timezone(ZONE),
        ),
        DataType::Date => Arc::new(of!(Date32Array, Datum::Date(day) => day)),
        DataType::Decimal { .. } => {
            let arrow::datatypes::DataType::Decimal128(precision, scale) = arrow_type(data_type)
            else {
                return Err(format!("{data_type} is no decimal"));
            };
            let array = of!(Decimal128Array, Datum::Decimal(unscaled) => unscaled);
            let array = array.with_precision_and_scale(precision, scale);
            Arc::new(array.map_err(|error| error.to_string())?)
        }
        DataType::List(_) | DataType::Embedding { .. } => {
            return Err(format!("no expression gives a {data_type}"));
        }
    })
}
