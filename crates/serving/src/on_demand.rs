//! Features that are computed when a service is read: from what the caller sends and what was read.

use std::{borrow::Cow, cell::Cell, sync::Arc};

use trivium_api::{ApiError, suggest};
use trivium_expr::{Computed, Datum, OnDemand, Origin};
use trivium_model::{DataType, FeatureService, Value, json::value_from_json};
use trivium_proto::{
    v1::{InputColumn, Status, Value as WireValue},
    wire::value_from_wire,
};

use crate::{
    json_text::{Node, Text},
    limits,
    plan::{KeySet, ReadPlan},
    read::{RowState, Shown, cell},
    request::value_bytes,
};

/// The derived features of a service, compiled over the types of what it lists. `types` is `None` where a view is
/// missing, which reading the service tells.
pub(crate) fn compile(
    service: &FeatureService,
    types: Option<Vec<DataType>>,
) -> Result<Option<Arc<OnDemand>>, String> {
    let Some(types) = types else { return Ok(None) };
    match OnDemand::of(service, &types) {
        Ok(on_demand) => Ok(on_demand.map(Arc::new)),
        Err(wrong) => {
            let wrong: Vec<String> = wrong
                .iter()
                .map(|wrong| {
                    let name =
                        service.derived.get(wrong.index).map_or("?", |derived| &derived.name);
                    format!("`{name}`: {}", wrong.problem)
                })
                .collect();
            // No registry takes such a service: this is for definitions that came another way.
            let wrong = wrong.join("; ");
            tracing::error!(service = %service.reference(), wrong, "a service cannot be served");
            Err(wrong)
        }
    }
}

/// What a request sends beside its entities: one value of each input for each entity. Takes no memory where a plan
/// has no inputs.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Vec<Sent>);

#[derive(Debug, Clone)]
enum Sent {
    /// Not at all: null.
    No,
    ForAll(Value),
    /// In the order of the entities.
    ForEach(Vec<Value>),
}

impl Inputs {
    pub(crate) fn new(plan: &ReadPlan) -> Self {
        let inputs = plan.on_demand.as_ref().map_or(0, |on_demand| on_demand.inputs().len());
        Self(vec![Sent::No; inputs])
    }

    /// Those that a JSON request says for all entities.
    pub(crate) fn of_json(
        plan: &ReadPlan,
        shared: Option<Vec<(Text<'_>, Node<'_>)>>,
    ) -> Result<Self, ApiError> {
        let mut inputs = Self::new(plan);
        for (name, node) in shared.into_iter().flatten() {
            let field = || format!("inputs.{}", &*name);
            let (place, data_type) = find(plan, &name, field)?;
            let value = from_json(data_type, &node, field)?;
            if !matches!(inputs.0[place], Sent::No) {
                return Err(twice(&name, field()));
            }
            inputs.0[place] = Sent::ForAll(value);
        }
        Ok(inputs)
    }

    /// Takes what stands in an entity's object beside its join keys; an error if it is nothing that is asked for.
    pub(crate) fn take_json(
        &mut self,
        plan: &ReadPlan,
        name: &str,
        node: &Node<'_>,
        (entity, entities): (usize, usize),
        field: impl Fn() -> String,
    ) -> Result<(), ApiError> {
        let Some(on_demand) = &plan.on_demand else {
            return Err(plan.keys.unknown(name, field()));
        };
        let Some(place) = on_demand.input(name) else {
            return Err(neither(&plan.keys, on_demand, name, field()));
        };
        let data_type = &on_demand.inputs()[place].data_type;
        let value = from_json(data_type, node, &field)?;
        let sent = &mut self.0[place];
        if matches!(sent, Sent::No) {
            *sent = Sent::ForEach(Vec::with_capacity(entities));
        }
        match sent {
            Sent::ForEach(values) if values.len() <= entity => {
                // Entities before this one did not say it.
                values.resize(entity, Value::Null);
                values.push(value);
                Ok(())
            }
            Sent::ForEach(_) | Sent::No => Err(twice(name, field())),
            Sent::ForAll(_) => Err(ApiError::invalid(format!(
                "input `{name}` is given for all entities, and for this one"
            ))
            .at(field())
            .help("give it in `inputs`, or in the entities")),
        }
    }

    /// Those of a message about one entity.
    pub(crate) fn of_map(
        plan: &ReadPlan,
        given: impl IntoIterator<Item = (String, WireValue)>,
    ) -> Result<Self, ApiError> {
        let mut inputs = Self::new(plan);
        for (name, value) in given {
            let field = || format!("inputs.{name}");
            let (place, data_type) = find(plan, &name, field)?;
            inputs.0[place] = Sent::ForAll(from_wire(data_type, value, field)?);
        }
        Ok(inputs)
    }

    /// Those of a message about many entities.
    pub(crate) fn of_columns(
        plan: &ReadPlan,
        given: Vec<InputColumn>,
        entities: usize,
    ) -> Result<Self, ApiError> {
        let mut inputs = Self::new(plan);
        for (position, InputColumn { name, mut values }) in given.into_iter().enumerate() {
            let field = || format!("inputs[{position}]");
            let (place, data_type) = find(plan, &name, field)?;
            if !matches!(inputs.0[place], Sent::No) {
                return Err(twice(&name, field()));
            }
            let count = values.len();
            inputs.0[place] = match (count, values.pop()) {
                (1, Some(value)) => Sent::ForAll(from_wire(data_type, value, field)?),
                (_, last) if count == entities => {
                    let values = values.into_iter().chain(last).enumerate();
                    let values = values.map(|(index, value)| {
                        from_wire(data_type, value, || format!("{}.values[{index}]", field()))
                    });
                    Sent::ForEach(values.collect::<Result<_, _>>()?)
                }
                _ => {
                    return Err(ApiError::invalid(format!(
                        "input `{name}` has {count} values for {entities} entities"
                    ))
                    .at(field())
                    .help("give one value for each entity, or one for all of them"));
                }
            };
        }
        Ok(inputs)
    }

    fn value(&self, input: usize, entity: usize) -> Datum<'_> {
        match self.0.get(input) {
            Some(Sent::ForAll(value)) => Datum::of(value),
            Some(Sent::ForEach(values)) => values.get(entity).map_or(Datum::Null, Datum::of),
            Some(Sent::No) | None => Datum::Null,
        }
    }
}

/// One derived feature of one entity, whose rows are `row`, one for each view of the plan. What is not there is null
/// to it, as in training sets, and no default; what could not be read and makes a difference is an error.
pub(crate) fn compute<'v>(
    plan: &'v ReadPlan,
    feature: &'v Computed,
    inputs: &'v Inputs,
    entity: usize,
    row: &[RowState<'v>],
) -> (Status, Datum<'v>) {
    let failed = Cell::new(false);
    let value = feature.evaluate(&|origin| match origin {
        Origin::Input(input) => inputs.value(input, entity),
        Origin::Feature(listed) => {
            let Some(column) = plan.columns.get(listed) else { return Datum::Null };
            match cell(column, &row[column.view]) {
                (Status::Error, _) => {
                    failed.set(true);
                    Datum::Null
                }
                (_, Shown::Own(value)) => Datum::of_row(value),
                (_, Shown::Default | Shown::Nothing) => Datum::Null,
            }
        }
    });
    match value {
        _ if failed.get() => (Status::Error, Datum::Null),
        Datum::Null => (Status::Null, Datum::Null),
        value => (Status::Present, value),
    }
}

/// An input's place and type.
fn find<'p>(
    plan: &'p ReadPlan,
    name: &str,
    field: impl Fn() -> String,
) -> Result<(usize, &'p DataType), ApiError> {
    let known = plan.on_demand.as_ref().map_or(&[][..], |on_demand| on_demand.inputs());
    if let Some(place) = known.iter().position(|input| *input.name == *name) {
        return Ok((place, &known[place].data_type));
    }
    let help = if known.is_empty() {
        Cow::Borrowed("only services whose config has `inputs` take any")
    } else {
        Cow::Owned(suggest::hint(name, known.iter().map(|input| input.name.as_str())))
    };
    Err(ApiError::invalid(format!("`{name}` is no input of what is asked for"))
        .at(field())
        .help(help))
}

#[cold]
fn neither(keys: &KeySet, on_demand: &OnDemand, name: &str, field: String) -> ApiError {
    let keys = keys.as_slice().iter().map(|(known, _)| known.as_str());
    let inputs = on_demand.inputs().iter().map(|input| input.name.as_str());
    ApiError::invalid(format!("`{name}` is neither a join key nor an input of what is asked for"))
        .at(field)
        .help(suggest::hint(name, keys.chain(inputs)))
}

#[cold]
fn twice(name: &str, field: String) -> ApiError {
    ApiError::invalid(format!("input `{name}` stands twice")).at(field)
}

fn from_json(
    data_type: &DataType,
    node: &Node<'_>,
    field: impl Fn() -> String,
) -> Result<Value, ApiError> {
    let value = node.to_json().and_then(|json| value_from_json(data_type, &json));
    checked(value, field)
}

fn from_wire(
    data_type: &DataType,
    value: WireValue,
    field: impl Fn() -> String,
) -> Result<Value, ApiError> {
    checked(value_from_wire(data_type, value), field)
}

/// Inputs are within the bounds of what is stored.
fn checked(value: Result<Value, String>, field: impl Fn() -> String) -> Result<Value, ApiError> {
    let value = value.map_err(|message| {
        ApiError::invalid(message)
            .at(field())
            .help("the service's config says the types of its inputs")
    })?;
    if !value.in_calendar() {
        return Err(ApiError::invalid("the value lies outside of the years 0001 to 9999")
            .at(field())
            .help("send null, or leave it out, where there is no such time"));
    }
    let bytes = value_bytes(&value);
    if bytes > limits::VALUE_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "the value takes {bytes} bytes, more than the limit of {}",
            limits::VALUE_BYTES_MAX
        ))
        .at(field()));
    }
    Ok(value)
}
