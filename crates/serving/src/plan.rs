//! What a read needs to know, worked out once for each list of features: which rows, which fields
//! of them, which join keys, and the parts of the answer that are always the same.

use std::sync::Arc;

use trivium_api::ApiError;
use trivium_codec::FixedSlot;
use trivium_expr::{Computed, OnDemand};
use trivium_model::{DataType, KeyType, Name, Value, json::value_to_json};
use trivium_store::Together;

use crate::{answer_wire, definitions::ViewDefinition, json_out};

/// How to answer one list of features.
#[derive(Debug)]
pub struct ReadPlan {
    /// Full names of the answer's values: of the columns, as asked for, and of what is computed.
    pub names: Vec<String>,
    /// The columns, in the order asked for.
    pub columns: Vec<PlanColumn>,
    /// What is computed from the columns and from inputs of the request, in a service that has any.
    pub(crate) on_demand: Option<Arc<OnDemand>>,
    /// The views that are read, in order of first mention.
    pub views: Vec<PlanView>,
    /// What is kept together of the entities, if what is read is precomputed.
    pub(crate) together: Option<Arc<Together>>,
    /// Embeddings among the columns: index in `views`, index in the view's embeddings; none twice.
    pub(crate) embeddings: Vec<(usize, usize)>,
    /// Every join key that one of the views needs, sorted by name.
    pub keys: KeySet,
    /// `{"features":[…],"rows":[`
    pub(crate) json_head: Vec<u8>,
    /// `features` of `BatchGetResponse`, encoded.
    pub(crate) wire_head: Vec<u8>,
    /// What a row of the answer takes at most, where values have no length of their own: a buffer
    /// that has to grow is copied as a whole.
    pub(crate) json_row_bytes: usize,
}

/// One column of the answer.
#[derive(Debug)]
pub struct PlanColumn {
    /// Index in [`ReadPlan::views`].
    pub view: usize,
    /// Index in the view's current schema.
    pub field: usize,
    /// The feature's type.
    pub data_type: DataType,
    /// Shown where there is no value.
    pub default: Value,
    /// The default as JSON.
    pub(crate) default_json: Vec<u8>,
    /// Where the value stands in a row, if it is of fixed width.
    pub(crate) slot: Option<FixedSlot>,
}

/// One view of a plan.
#[derive(Debug)]
pub struct PlanView {
    /// The view.
    pub view: Arc<ViewDefinition>,
    /// For each of its join keys, the index in [`ReadPlan::keys`].
    pub key_slots: Vec<usize>,
    /// `"flights/carrier_daily@1":`
    pub(crate) json_name: Vec<u8>,
}

/// Join keys by name and type, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<(Name, KeyType)>);

impl KeySet {
    /// The join keys of one view.
    pub fn of_view(view: &ViewDefinition) -> Self {
        Self(
            view.keys
                .key_names()
                .iter()
                .cloned()
                .zip(view.keys.key_types().iter().copied())
                .collect(),
        )
    }
    /// The keys.
    pub fn as_slice(&self) -> &[(Name, KeyType)] {
        &self.0
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The index of a key.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        // A handful at most: comparing beats hashing.
        self.0.iter().position(|(known, _)| *known == *name)
    }
    /// An error for a name that is none of them.
    #[cold]
    pub fn unknown(&self, name: &str, field: String) -> ApiError {
        let known = self.0.iter().map(|(known, _)| known.as_str());
        ApiError::invalid(format!("`{name}` is no join key of what is asked for"))
            .at(field)
            .help(trivium_api::suggest::hint(name, known))
    }
    /// An error for a key that was not given.
    #[cold]
    pub fn missing(&self, index: usize, field: &str) -> ApiError {
        let (name, key_type) = match self.0.get(index) {
            Some((name, key_type)) => (name.as_str(), key_type.word()),
            None => ("?", "?"),
        };
        ApiError::invalid(format!("join key `{name}` is missing"))
            .at(field)
            .help(format!("give `{name}`, a value of type {key_type}"))
    }
}

impl ReadPlan {
    pub(crate) fn new(
        names: Vec<String>,
        fields: Vec<(Arc<ViewDefinition>, usize)>,
    ) -> Result<Self, ApiError> {
        let mut views: Vec<PlanView> = Vec::new();
        let mut columns = Vec::with_capacity(fields.len());
        let mut embeddings = Vec::new();
        for (view, field) in fields {
            let position = views.iter().position(|known| known.view.reference == view.reference);
            let position = position.unwrap_or_else(|| {
                let mut json_name = Vec::new();
                json_out::write_string(&mut json_name, &view.name);
                json_name.push(b':');
                views.push(PlanView { view: view.clone(), key_slots: Vec::new(), json_name });
                views.len() - 1
            });
            if let Some(embedding) = view.embeddings.iter().position(|known| known.field == field)
                && !embeddings.contains(&(position, embedding))
            {
                embeddings.push((position, embedding));
            }
            let data_type = view.fields()[field].data_type.clone();
            let default = view.defaults.get(field).cloned().unwrap_or(Value::Null);
            let default_json = value_to_json(&data_type, &default).to_string().into_bytes();
            columns.push(PlanColumn {
                view: position,
                field,
                data_type,
                default,
                default_json,
                slot: view.layouts.fixed_slot(field),
            });
        }
        let keys = union_of_keys(&views)?;
        for planned in &mut views {
            let slots = planned.view.keys.key_names().iter().filter_map(|name| keys.index_of(name));
            planned.key_slots = slots.collect();
        }
        let mut json_head = b"{\"features\":[".to_vec();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                json_head.push(b',');
            }
            json_out::write_string(&mut json_head, name);
        }
        json_head.extend_from_slice(b"],\"rows\":[");
        let values: usize = columns.iter().map(|column| json_bytes(&column.data_type)).sum();
        let stamps: usize = views.iter().map(|view| 2 * view.json_name.len() + 64).sum();
        let json_row_bytes = values + stamps + 64;
        Ok(Self {
            wire_head: answer_wire::encode_names(&names),
            names,
            columns,
            views,
            on_demand: None,
            together: None,
            embeddings,
            keys,
            json_head,
            json_row_bytes,
        })
    }

    /// The same with what a service computes, whose names are among the plan's.
    pub(crate) fn computing(mut self, on_demand: Arc<OnDemand>) -> Self {
        let bytes = on_demand.features().iter().map(|feature| json_bytes(feature.data_type()));
        self.json_row_bytes += bytes.sum::<usize>();
        self.on_demand = Some(on_demand);
        self
    }

    /// What is computed for each entity.
    pub(crate) fn computed(&self) -> &[Computed] {
        self.on_demand.as_deref().map_or(&[], OnDemand::features)
    }
}

/// Bytes of a value's JSON and its comma: nearly the most of numbers, a guess for the rest.
fn json_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Bool => 6,
        DataType::Int32 | DataType::Float32 => 13,
        DataType::Int64 | DataType::Date => 16,
        DataType::Float64 => 23,
        DataType::Timestamp => 30,
        DataType::Decimal { precision, .. } => usize::from(*precision) + 5,
        DataType::String | DataType::Bytes | DataType::List(_) => 32,
        DataType::Embedding { dimension, .. } => 13 * *dimension as usize + 3,
    }
}

/// One name has one type in a namespace; features of two namespaces may still disagree.
fn union_of_keys(views: &[PlanView]) -> Result<KeySet, ApiError> {
    let mut keys: Vec<(Name, KeyType)> = Vec::new();
    for planned in views {
        let shape = &planned.view.keys;
        for (name, key_type) in shape.key_names().iter().zip(shape.key_types()) {
            match keys.iter().find(|(known, _)| known == name) {
                None => keys.push((name.clone(), *key_type)),
                Some((_, known)) if known == key_type => {}
                Some((_, known)) => {
                    return Err(ApiError::invalid(format!(
                        "join key `{name}` is {known} in one of the views and {key_type} in `{}`",
                        planned.view.name
                    ))
                    .at("features")
                    .help("ask for the features of each namespace in a request of its own"));
                }
            }
        }
    }
    keys.sort();
    Ok(KeySet(keys))
}
