//! The gRPC answers of reads. A batch is answered by column ([`crate::answer_wire`]); a column that is
//! not simply copied is gathered here into one typed vector.

use bytes::Bytes;
use trivium_codec::ValueRef;
use trivium_expr::{Computed, Datum};
use trivium_model::{DataType, Value as Owned, json::decimal_to_text};
use trivium_proto::v1::{
    BoolList, BytesList, DoubleList, Embedding, EmbeddingList, FeatureColumn, FloatList,
    GetResponse, Int32List, Int64List, ListList, ListValue, NullValue, RowColumn, RowInfo, Status,
    StringList, Value, feature_column::Values, value::Kind,
};

use crate::{
    on_demand::{Inputs, compute},
    plan::{PlanColumn, ReadPlan},
    read::{RowState, Shown, cell},
};

/// The answer for one entity; states in the order of the plan's views.
pub(crate) fn answer_one(plan: &ReadPlan, states: &[RowState<'_>], inputs: &Inputs) -> GetResponse {
    let mut values = Vec::with_capacity(plan.names.len());
    let mut statuses = Vec::with_capacity(plan.names.len());
    for column in &plan.columns {
        let (status, shown) = cell(column, &states[column.view]);
        statuses.push(status as i32);
        values.push(match shown {
            Shown::Own(value) => to_value(value, &column.data_type),
            Shown::Default => to_value(ValueRef::from(&column.default), &column.data_type),
            Shown::Nothing => to_value(ValueRef::Null, &column.data_type),
        });
    }
    for feature in plan.computed() {
        let (status, value) = compute(plan, feature, inputs, 0, states);
        statuses.push(status as i32);
        values.push(to_value(value.as_row(), feature.data_type()));
    }
    if statuses.iter().all(|status| *status == Status::Present as i32) {
        statuses.clear();
    }
    let rows = plan.views.iter().zip(states).map(|(planned, state)| RowInfo {
        view: planned.view.name.clone(),
        event_time_micros: state.stamp().map(|(event_time, _)| event_time.0),
        rev: state.stamp().map_or(0, |(_, rev)| rev),
    });
    GetResponse { features: plan.names.clone(), values, statuses, rows: rows.collect() }
}

pub(crate) fn to_value(value: ValueRef<'_>, data_type: &DataType) -> Value {
    let kind = match value {
        ValueRef::Null => Kind::Null(NullValue::NullValue as i32),
        ValueRef::Bool(value) => Kind::Bool(value),
        ValueRef::Int32(value) => Kind::Int32(value),
        ValueRef::Int64(value) => Kind::Int64(value),
        ValueRef::Float32(value) => Kind::Float32(value),
        ValueRef::Float64(value) => Kind::Float64(value),
        ValueRef::String(text) => Kind::String(text.to_owned()),
        ValueRef::Bytes(bytes) => Kind::Bytes(Bytes::copy_from_slice(bytes)),
        ValueRef::Timestamp(at) => Kind::TimestampMicros(at.0),
        ValueRef::Date(days) => Kind::Date(days),
        ValueRef::Decimal(unscaled) => Kind::Decimal(decimal_to_text(unscaled, scale(data_type))),
        ValueRef::List(items) => {
            let item_type = if let DataType::List(item) = data_type { item } else { data_type };
            Kind::List(ListValue {
                items: items.iter().map(|item| to_value(item, item_type)).collect(),
            })
        }
        ValueRef::Embedding(components) => {
            Kind::Embedding(Embedding { components: components.iter().collect() })
        }
    };
    Value { kind: Some(kind) }
}

fn scale(data_type: &DataType) -> u8 {
    if let DataType::Decimal { scale, .. } = data_type { *scale } else { 0 }
}

/// One for each view: when its rows were true, and their revs.
pub(crate) fn row_columns<'p>(
    plan: &'p ReadPlan,
    states: &'p [RowState<'_>],
) -> impl Iterator<Item = RowColumn> + use<'p> {
    let views = plan.views.len().max(1);
    plan.views.iter().enumerate().map(move |(index, planned)| {
        let stamps = states.iter().skip(index).step_by(views).map(RowState::stamp);
        RowColumn {
            view: planned.view.name.clone(),
            event_times_micros: stamps
                .clone()
                .map(|stamp| stamp.map_or(0, |(at, _)| at.0))
                .collect(),
            revs: stamps.map(|stamp| stamp.map_or(0, |(_, rev)| rev)).collect(),
        }
    })
}

/// What a column is gathered from.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'s, 'a> {
    /// One of each view for each entity, the views of an entity side by side.
    pub(crate) states: &'s [RowState<'a>],
    pub(crate) views: usize,
}

impl<'s, 'a> Rows<'s, 'a> {
    fn of_view(self, view: usize) -> impl Iterator<Item = (usize, &'s RowState<'a>)> {
        self.states.iter().skip(view).step_by(self.views).enumerate()
    }
}

/// Statuses and nulls of a column, made only where a row needs them.
struct Marks {
    rows: usize,
    statuses: Vec<u8>,
    nulls: Vec<u8>,
}

impl Marks {
    #[cold]
    fn mark(&mut self, row: usize, status: Status, is_null: bool) {
        if self.statuses.is_empty() {
            self.statuses.resize(self.rows, Status::Present as u8);
        }
        self.statuses[row] = status as u8;
        if is_null {
            if self.nulls.is_empty() {
                self.nulls.resize(self.rows, 0);
            }
            self.nulls[row] = 1;
        }
    }
}

/// Takes one value from each row. `take` gives `None` for a value of another type, which no schema
/// lets through; it is then told as an error of that row.
fn gather<'a, T>(
    column: &'a PlanColumn,
    rows: Rows<'_, 'a>,
    marks: &mut Marks,
    zero: impl Fn() -> T,
    mut take: impl FnMut(ValueRef<'a>) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(marks.rows);
    for (row, state) in rows.of_view(column.view) {
        values.push(gather_cell(column, state, row, marks, &zero, &mut take));
    }
    values
}

fn gather_cell<'a, T>(
    column: &'a PlanColumn,
    state: &RowState<'a>,
    row: usize,
    marks: &mut Marks,
    zero: &impl Fn() -> T,
    take: &mut impl FnMut(ValueRef<'a>) -> Option<T>,
) -> T {
    let (status, shown) = cell(column, state);
    let value = match shown {
        Shown::Own(value) => take(value),
        Shown::Default => match &column.default {
            Owned::Null => None,
            default => take(ValueRef::from(default)),
        },
        Shown::Nothing => None,
    };
    if status != Status::Present || value.is_none() {
        let told = if status == Status::Present { Status::Error } else { status };
        marks.mark(row, told, value.is_none());
    }
    value.unwrap_or_else(zero)
}

/// The same for values of fixed width, most of which are there and need no more than their bytes.
fn gather_fixed<'a, const WIDTH: usize, T>(
    column: &'a PlanColumn,
    rows: Rows<'_, 'a>,
    marks: &mut Marks,
    zero: impl Fn() -> T,
    from_bytes: impl Fn([u8; WIDTH]) -> T,
    mut take: impl FnMut(ValueRef<'a>) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(marks.rows);
    for (row, state) in rows.of_view(column.view) {
        values.push(match state.fixed(column) {
            Some(bytes) => from_bytes(bytes),
            None => gather_cell(column, state, row, marks, &zero, &mut take),
        });
    }
    values
}

/// A column of any type.
pub(crate) fn gather_column(
    column: &PlanColumn,
    rows: Rows<'_, '_>,
    bytes: &mut usize,
) -> FeatureColumn {
    let mut marks =
        Marks { rows: rows.states.len() / rows.views, statuses: Vec::new(), nulls: Vec::new() };
    macro_rules! typed {
        ($zero:expr, $pattern:pat => $value:expr) => {
            gather(
                column,
                rows,
                &mut marks,
                || $zero,
                |value| match value {
                    $pattern => Some($value),
                    _ => None,
                },
            )
        };
    }
    macro_rules! fixed {
        ($number:ty, $pattern:pat => $value:expr) => {
            gather_fixed(
                column,
                rows,
                &mut marks,
                <$number>::default,
                <$number>::from_le_bytes,
                |value| match value {
                    $pattern => Some($value),
                    _ => None,
                },
            )
        };
    }
    let values = match &column.data_type {
        DataType::Bool => {
            Values::Bools(BoolList { values: typed!(false, ValueRef::Bool(value) => value) })
        }
        DataType::Int32 => {
            Values::Int32s(Int32List { values: fixed!(i32, ValueRef::Int32(value) => value) })
        }
        DataType::Int64 => {
            Values::Int64s(Int64List { values: fixed!(i64, ValueRef::Int64(value) => value) })
        }
        DataType::Float32 => {
            Values::Float32s(FloatList { values: fixed!(f32, ValueRef::Float32(value) => value) })
        }
        DataType::Float64 => {
            Values::Float64s(DoubleList { values: fixed!(f64, ValueRef::Float64(value) => value) })
        }
        DataType::Timestamp => Values::TimestampsMicros(Int64List {
            values: fixed!(i64, ValueRef::Timestamp(value) => value.0),
        }),
        DataType::Date => {
            Values::Dates(Int32List { values: fixed!(i32, ValueRef::Date(value) => value) })
        }
        DataType::String => Values::Strings(StringList {
            values: typed!(String::new(), ValueRef::String(text) => {
                *bytes += text.len();
                text.to_owned()
            }),
        }),
        DataType::Bytes => Values::Bytes(BytesList {
            values: typed!(Bytes::new(), ValueRef::Bytes(value) => {
                *bytes += value.len();
                Bytes::copy_from_slice(value)
            }),
        }),
        DataType::Decimal { scale, .. } => Values::Decimals(StringList {
            values: typed!(String::new(), ValueRef::Decimal(unscaled) => {
                decimal_to_text(unscaled, *scale)
            }),
        }),
        DataType::List(item_type) => Values::Lists(ListList {
            values: typed!(ListValue { items: Vec::new() }, ValueRef::List(items) => {
                let values: Vec<Value> = items.iter().map(|item| to_value(item, item_type)).collect();
                *bytes += values.iter().map(prost::Message::encoded_len).sum::<usize>();
                ListValue { items: values }
            }),
        }),
        DataType::Embedding { dimension, .. } => {
            let width = *dimension as usize;
            let mut components = Vec::with_capacity(width * marks.rows);
            // Each row's vector, or zeros in its place, goes straight into the one list.
            let taken = typed!(false, ValueRef::Embedding(vector) => {
                components.extend(vector.iter());
                true
            });
            if taken.contains(&false) {
                components = spread(&components, &taken, width);
            }
            *bytes += components.len() * 4;
            Values::Embeddings(EmbeddingList { dimension: *dimension, components })
        }
    };
    FeatureColumn {
        values: Some(values),
        statuses: Bytes::from(marks.statuses),
        nulls: Bytes::from(marks.nulls),
    }
}

/// A column of what is computed.
pub(crate) fn computed_column(
    plan: &ReadPlan,
    feature: &Computed,
    inputs: &Inputs,
    rows: Rows<'_, '_>,
    bytes: &mut usize,
) -> FeatureColumn {
    let entities = rows.states.len() / rows.views;
    let mut marks = Marks { rows: entities, statuses: Vec::new(), nulls: Vec::new() };
    macro_rules! computed {
        ($zero:expr, $pattern:pat => $value:expr) => {{
            let mut values = Vec::with_capacity(entities);
            for (entity, row) in rows.states.chunks_exact(rows.views).enumerate() {
                let (status, value) = compute(plan, feature, inputs, entity, row);
                values.push(match value {
                    $pattern => $value,
                    _ => {
                        // An expression has one type: whatever else comes is null.
                        let told = if status == Status::Present { Status::Error } else { status };
                        marks.mark(entity, told, true);
                        $zero
                    }
                });
            }
            values
        }};
    }
    let values = match feature.data_type() {
        DataType::Bool => {
            Values::Bools(BoolList { values: computed!(false, Datum::Bool(value) => value) })
        }
        DataType::Int32 => {
            Values::Int32s(Int32List { values: computed!(0, Datum::Int32(value) => value) })
        }
        DataType::Int64 => {
            Values::Int64s(Int64List { values: computed!(0, Datum::Int64(value) => value) })
        }
        DataType::Float32 => {
            Values::Float32s(FloatList { values: computed!(0.0, Datum::Float32(value) => value) })
        }
        DataType::Float64 => {
            Values::Float64s(DoubleList { values: computed!(0.0, Datum::Float64(value) => value) })
        }
        DataType::Timestamp => Values::TimestampsMicros(Int64List {
            values: computed!(0, Datum::Timestamp(value) => value.0),
        }),
        DataType::Date => {
            Values::Dates(Int32List { values: computed!(0, Datum::Date(value) => value) })
        }
        DataType::String => Values::Strings(StringList {
            values: computed!(String::new(), Datum::String(text) => {
                *bytes += text.len();
                text.into_owned()
            }),
        }),
        DataType::Bytes => Values::Bytes(BytesList {
            values: computed!(Bytes::new(), Datum::Bytes(value) => {
                *bytes += value.len();
                Bytes::from(value.into_owned())
            }),
        }),
        DataType::Decimal { scale, .. } => Values::Decimals(StringList {
            values: computed!(String::new(), Datum::Decimal(unscaled) => {
                decimal_to_text(unscaled, *scale)
            }),
        }),
        // No expression gives any.
        DataType::List(_) | DataType::Embedding { .. } => Values::Lists(ListList {
            values: computed!(ListValue { items: Vec::new() }, Datum::Opaque => ListValue { items: Vec::new() }),
        }),
    };
    FeatureColumn {
        values: Some(values),
        statuses: Bytes::from(marks.statuses),
        nulls: Bytes::from(marks.nulls),
    }
}

/// Vectors of the rows that have one, with zeros for the others.
fn spread(components: &[f32], taken: &[bool], width: usize) -> Vec<f32> {
    let mut vectors = components.chunks_exact(width);
    let mut spread = Vec::with_capacity(taken.len() * width);
    for taken in taken {
        match taken.then(|| vectors.next()).flatten() {
            Some(vector) => spread.extend_from_slice(vector),
            None => spread.resize(spread.len() + width, 0.0),
        }
    }
    spread
}
