//! Which messages of a source are the view's.

use std::cell::{OnceCell, RefCell};

use trivium_expr::{Datum, SourceFilter};
use trivium_model::{FeatureView, Value};

use crate::{Poison, change::Change, column::Column};

/// A source's filter, over the columns that stand in messages.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    filter: SourceFilter,
    /// By the filter's number of a column its place among the columns; most it does not read.
    places: Vec<Option<usize>>,
}

/// What a message is to the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meets {
    /// What it says.
    Kept,
    /// A row that has changed so that it is not the view's any more.
    Left,
    /// Nothing.
    Passed,
}

/// What columns hold, as far as they were read.
pub(crate) type Known = Vec<OnceCell<Result<Option<Value>, Poison>>>;

impl Condition {
    pub fn of(view: &FeatureView, columns: &[Column]) -> Result<Option<Self>, String> {
        let filter = SourceFilter::of(view)
            .map_err(|wrong| format!("`source.filter`: {}; {}", wrong.message, wrong.help))?;
        let Some(filter) = filter else { return Ok(None) };
        let mut places = Vec::new();
        for (number, name) in filter.reads() {
            places.resize(places.len().max(number + 1), None);
            places[number] = columns.iter().position(|column| column.name == *name);
        }
        Ok(Some(Self { filter, places }))
    }

    /// What a message is to the view, and what was read of it to know. A column that the filter did not come to,
    /// as behind an AND that is false already, is not looked at: it may hold anything.
    pub fn meets(
        &self,
        columns: usize,
        change: Change,
        value: impl FnMut(usize) -> Result<Option<Value>, Poison>,
    ) -> Result<(Meets, Known), Poison> {
        let known: Known = vec![OnceCell::new(); columns];
        let value = RefCell::new(value);
        let truth = self.filter.truth(&|number| {
            let place = self.places.get(number).copied().flatten();
            let Some((place, cell)) = place.and_then(|place| Some((place, known.get(place)?)))
            else {
                return Datum::Null;
            };
            match cell.get_or_init(|| (value.borrow_mut())(place)) {
                Ok(Some(value)) => Datum::of(value),
                Ok(None) | Err(_) => Datum::Null,
            }
        });
        if let Some(Err(poison)) = known.iter().filter_map(OnceCell::get).find(|read| read.is_err())
        {
            return Err(poison.clone());
        }
        let meets = match (truth, change) {
            (Some(true), _) => Meets::Kept,
            // A deletion does not say all that the row was; one of a row that is not there does nothing.
            (None, Change::Delete) => Meets::Kept,
            // Whether it met the condition before is not asked: the same holds.
            (_, Change::Update) => Meets::Left,
            (_, Change::Put | Change::Delete | Change::Nothing) => Meets::Passed,
        };
        Ok((meets, known))
    }
}
