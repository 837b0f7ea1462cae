//! Two versions' rows of one period, side by side.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::ArrayRef,
    row::{RowConverter, SortField},
};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use trivium_api::ApiError;
use trivium_model::FeatureView;

use crate::{failure::Failure, frame::Frame};

/// Rows that differ are shown up to this number.
const SHOWN_MAX: usize = 10;

/// How the rows differ.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// Rows that only the new one has.
    pub added: usize,
    /// Rows that only the old one has.
    pub removed: usize,
    /// Rows of both whose values differ in a column that both have.
    pub changed: usize,
    /// Rows that are equal in all columns that both have.
    pub unchanged: usize,
    /// Columns of the new one alone.
    pub columns_added: Vec<String>,
    /// Columns of the old one alone.
    pub columns_removed: Vec<String>,
    /// In how many rows each column differs, where it does.
    pub changed_by_column: BTreeMap<String, usize>,
    /// The first rows that differ.
    pub first: Vec<RowDifference>,
}

/// One row that differs.
#[derive(Debug, Serialize)]
pub struct RowDifference {
    /// `added`, `removed`, `changed`.
    pub kind: &'static str,
    /// The row's keys.
    pub key: Map<String, Json>,
    /// Of a changed row: column → old and new value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Change>,
}

/// A value that changed.
#[derive(Debug, Serialize)]
pub struct Change {
    /// What it was.
    pub old: Json,
    /// What it is.
    pub new: Json,
}

/// Compares; `Err(why)` inside where the two have no common key. Frames are in canonical order.
pub fn compare(
    view: &FeatureView,
    old: &Frame,
    new: &Frame,
) -> Result<Result<Comparison, String>, Failure> {
    let mut keys: Vec<String> =
        view.sorted_entities().iter().map(|entity| entity.name.to_string()).collect();
    for key in &keys {
        match (old.column(key), new.column(key)) {
            (Some(old), Some(new)) if old.data_type == new.data_type => {}
            _ => return Ok(Err(format!("the join key `{key}` is not in both with one type"))),
        }
    }
    let mut by_key = grouped(&keys, old, new)?;
    let event_time = view.event_timestamp.as_str();
    // Several rows of one entity are told apart by when they were true.
    let several = |groups: &Groups| groups.values().any(|(old, new)| old.len().max(new.len()) > 1);
    if several(&by_key) && old.column(event_time).is_some() && new.column(event_time).is_some() {
        keys.push(event_time.to_owned());
        by_key = grouped(&keys, old, new)?;
    }
    let names = |frame: &Frame| -> BTreeSet<String> {
        frame.columns.iter().map(|column| column.name.clone()).collect()
    };
    let (old_names, new_names) = (names(old), names(new));
    let mut found = Comparison {
        columns_added: new_names.difference(&old_names).cloned().collect(),
        columns_removed: old_names.difference(&new_names).cloned().collect(),
        ..Comparison::default()
    };
    let shared: Vec<&String> =
        old_names.intersection(&new_names).filter(|name| !keys.contains(name)).collect();
    let values =
        shared.iter().map(|name| Pair::of(old, new, name)).collect::<Result<Vec<_>, _>>()?;
    for (olds, news) in by_key.values() {
        for at in 0..olds.len().max(news.len()) {
            let (kind, frame, row, columns) = match (olds.get(at), news.get(at)) {
                (Some(was), Some(is)) => {
                    let differing: Vec<&Pair<'_>> =
                        values.iter().filter(|pair| pair.differs(*was, *is)).collect();
                    if differing.is_empty() {
                        found.unchanged += 1;
                        continue;
                    }
                    found.changed += 1;
                    for pair in &differing {
                        *found.changed_by_column.entry(pair.name.to_owned()).or_default() += 1;
                    }
                    if found.first.len() >= SHOWN_MAX {
                        continue;
                    }
                    let columns = differing
                        .into_iter()
                        .map(|pair| (pair.name.to_owned(), pair.change(*was, *is)))
                        .collect();
                    ("changed", new, *is, columns)
                }
                (Some(was), None) => {
                    found.removed += 1;
                    ("removed", old, *was, BTreeMap::new())
                }
                (None, Some(is)) => {
                    found.added += 1;
                    ("added", new, *is, BTreeMap::new())
                }
                (None, None) => continue,
            };
            if found.first.len() < SHOWN_MAX {
                let key = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), frame.column(key)?.json(row))))
                    .collect();
                found.first.push(RowDifference { kind, key, columns });
            }
        }
    }
    Ok(Ok(found))
}

/// The rows of each key, old and new.
type Groups = BTreeMap<Vec<u8>, (Vec<usize>, Vec<usize>)>;

fn grouped(keys: &[String], old: &Frame, new: &Frame) -> Result<Groups, Failure> {
    let arrays = |frame: &Frame| -> Vec<ArrayRef> {
        keys.iter().filter_map(|key| Some(frame.column(key)?.array.clone())).collect()
    };
    let fields =
        arrays(old).iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(internal)?;
    let mut groups = Groups::new();
    let olds = converter.convert_columns(&arrays(old)).map_err(internal)?;
    for (index, row) in olds.iter().enumerate() {
        groups.entry(row.as_ref().to_vec()).or_default().0.push(index);
    }
    let news = converter.convert_columns(&arrays(new)).map_err(internal)?;
    for (index, row) in news.iter().enumerate() {
        groups.entry(row.as_ref().to_vec()).or_default().1.push(index);
    }
    Ok(groups)
}

fn internal(error: arrow::error::ArrowError) -> Failure {
    ApiError::internal(format!("comparing rows: {error}")).into()
}

/// A column that both have.
struct Pair<'f> {
    name: &'f str,
    old: &'f crate::frame::FrameColumn,
    new: &'f crate::frame::FrameColumn,
    /// Comparable bytes, where the types are the same.
    rows: Option<(arrow::row::Rows, arrow::row::Rows)>,
}

impl<'f> Pair<'f> {
    fn of(old: &'f Frame, new: &'f Frame, name: &'f str) -> Result<Self, Failure> {
        let missing = || -> Failure { ApiError::internal(format!("`{name}` is gone")).into() };
        let old = old.column(name).ok_or_else(missing)?;
        let new = new.column(name).ok_or_else(missing)?;
        let rows = if old.array.data_type() == new.array.data_type() {
            let field = SortField::new(old.array.data_type().clone());
            let converter = RowConverter::new(vec![field]).map_err(internal)?;
            let rows = |array: &ArrayRef| {
                converter.convert_columns(std::slice::from_ref(array)).map_err(internal)
            };
            Some((rows(&old.array)?, rows(&new.array)?))
        } else {
            None
        };
        Ok(Self { name, old, new, rows })
    }

    fn differs(&self, was: usize, is: usize) -> bool {
        match &self.rows {
            Some((old, new)) => old.row(was) != new.row(is),
            None => self.old.json(was) != self.new.json(is),
        }
    }

    fn change(&self, was: usize, is: usize) -> Change {
        Change { old: self.old.json(was), new: self.new.json(is) }
    }
}
