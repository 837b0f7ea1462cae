//! The columns of a view, and where each stands in a message.

use trivium_codec::{KeyShape, Schema};
use trivium_model::{DataType, FeatureView, FieldPath, Name};

/// What a column is in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A join key, by its place among the sorted ones.
    Key(usize),
    /// The event time.
    EventTime,
    /// A feature, by its place in the schema.
    Feature(usize),
    /// None: only the source's filter reads it.
    Filter,
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: Name,
    pub role: Role,
    pub data_type: DataType,
    pub path: FieldPath,
}

/// The columns of a view: join keys, event time, features, and those of its source's filter.
pub(crate) fn columns(view: &FeatureView, keys: &KeyShape, schema: &Schema) -> Vec<Column> {
    let source = view.row_source();
    let path = |name: &Name| {
        let mapped = source.as_ref().and_then(|source| source.columns.get(name));
        mapped.cloned().unwrap_or_else(|| FieldPath::own(name))
    };
    let column = |name: &Name, role: Role, data_type: DataType| Column {
        name: name.clone(),
        role,
        data_type,
        path: path(name),
    };
    let keys = keys.key_names().iter().zip(keys.key_types()).enumerate();
    let mut columns: Vec<Column> = keys
        .map(|(index, (name, key_type))| column(name, Role::Key(index), key_type.data_type()))
        .collect();
    columns.push(column(&view.event_timestamp, Role::EventTime, DataType::Timestamp));
    let features = schema.fields().iter().enumerate();
    columns.extend(
        features.map(|(index, f)| column(&f.name, Role::Feature(index), f.data_type.clone())),
    );
    let filter = source.iter().flat_map(|source| &source.filter_columns);
    columns.extend(filter.map(|c| column(&c.name, Role::Filter, c.data_type.clone())));
    columns
}
