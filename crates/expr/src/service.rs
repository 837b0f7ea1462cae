//! The derived features of a service: typed once, computed wherever the service is read.

use trivium_model::{DataType, FeatureService, Name, ServiceInput};

use crate::{Columns, Datum, Expression, Problem};

/// What is computed when a service is read.
#[derive(Debug, Clone)]
pub struct OnDemand {
    inputs: Vec<ServiceInput>,
    features: Vec<Computed>,
}

/// One derived feature.
#[derive(Debug, Clone)]
pub struct Computed {
    name: Name,
    expression: Expression,
    inputs: usize,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// One of the service's inputs, by its place in [`OnDemand::inputs`].
    Input(usize),
    /// One of the features that the service lists, by its place in `FeatureService::features`.
    Feature(usize),
}

/// What is wrong with a derived feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its place in `FeatureService::derived`.
    pub index: usize,
    /// What is wrong; the offset counts in its SQL.
    pub problem: Problem,
}

impl OnDemand {
    /// Types the derived features of a service; `types` are those of the features that it lists, in their order.
    /// `None`: the service has neither derived features nor inputs.
    ///
    /// # Errors
    ///
    /// Every derived feature that is wrong: its SQL, or its type, which is not that of its SQL.
    pub fn of(service: &FeatureService, types: &[DataType]) -> Result<Option<Self>, Vec<Wrong>> {
        if service.derived.is_empty() && service.inputs.is_empty() {
            return Ok(None);
        }
        let mut columns = Columns::new();
        for input in &service.inputs {
            columns.add(input.name.as_str(), input.data_type.clone());
        }
        for (listed, data_type) in service.features.iter().zip(types) {
            columns.add_qualified(listed.view.as_str(), listed.feature.as_str(), data_type.clone());
        }
        let mut wrong = Vec::new();
        let mut features = Vec::with_capacity(service.derived.len());
        for (index, derived) in service.derived.iter().enumerate() {
            let problem = match Expression::parse(&derived.sql, &columns) {
                Ok(expression) if *expression.data_type() == derived.data_type => {
                    let inputs = service.inputs.len();
                    features.push(Computed { name: derived.name.clone(), expression, inputs });
                    continue;
                }
                Ok(expression) => {
                    let given = expression.data_type();
                    Problem::new(
                        0,
                        format!("it is of type {}, but its SQL gives {given}", derived.data_type),
                        format!("make its `type` {given}, or write a CAST around the SQL"),
                    )
                }
                Err(problem) => problem,
            };
            wrong.push(Wrong { index, problem });
        }
        if wrong.is_empty() {
            return Ok(Some(Self { inputs: service.inputs.clone(), features }));
        }
        Err(wrong)
    }

    /// What the caller sends.
    pub fn inputs(&self) -> &[ServiceInput] {
        &self.inputs
    }
    /// The place of an input.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|input| *input.name == *name)
    }
    /// What is computed, in the order of the answer.
    pub fn features(&self) -> &[Computed] {
        &self.features
    }
}

impl Computed {
    /// The feature's name.
    pub const fn name(&self) -> &Name {
        &self.name
    }
    /// The type of its values.
    pub const fn data_type(&self) -> &DataType {
        self.expression.data_type()
    }
    /// What it is computed from, each once.
    pub fn reads(&self) -> impl Iterator<Item = Origin> + '_ {
        self.expression.columns().iter().map(|place| self.origin(*place))
    }
    const fn origin(&self, place: usize) -> Origin {
        match place.checked_sub(self.inputs) {
            None => Origin::Input(place),
            Some(feature) => Origin::Feature(feature),
        }
    }
    /// Its value, where `values` gives what was sent and what was read; see [`Expression::evaluate`]. Of a feature
    /// that has no value of its own, null is wanted and not its default: so a training set has it.
    pub fn evaluate<'v>(&'v self, values: &dyn Fn(Origin) -> Datum<'v>) -> Datum<'v> {
        self.expression.evaluate(&|place| values(self.origin(place)))
    }
}
