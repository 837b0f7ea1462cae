//! Which events count in a view's windows.

use trivium_model::{DataType, FeatureView, KeyValue, Timestamp, Value};

use crate::{Columns, Datum, Expression, Problem};

/// A view's `window.filter`, ready to be asked.
#[derive(Debug, Clone)]
pub struct WindowFilter {
    expression: Expression,
    columns: Columns,
    /// How many join keys there are: they come first, then the event time, then the events' columns.
    keys: usize,
}

impl WindowFilter {
    /// Of a view; none where all its events count, or it has no windows.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression, where in its text, and what to do about it.
    pub fn of(view: &FeatureView) -> Result<Option<Self>, Problem> {
        let Some(window) = &view.window else { return Ok(None) };
        let Some(text) = &window.filter else { return Ok(None) };
        let mut columns = Columns::new();
        let keys = view.sorted_entities();
        for key in &keys {
            columns.add(key.name.as_str(), key.key_type.data_type());
        }
        columns.add(view.event_timestamp.as_str(), DataType::Timestamp);
        for column in &window.columns {
            columns.add(column.name.as_str(), column.data_type.clone());
        }
        let expression = Expression::parse(text, &columns)?;
        if *expression.data_type() != DataType::Bool {
            let message =
                format!("a filter is true or false, and this is {}", expression.data_type());
            return Err(Problem::new(0, message, "write a condition, such as `delay > 15`"));
        }
        Ok(Some(Self { expression, keys: keys.len(), columns }))
    }

    /// Whether an event counts: the condition is true of it, and neither false nor null. Join keys are in the order
    /// of their sorted names, values in that of the window's columns.
    pub fn holds(&self, entity: &[KeyValue], time: Timestamp, values: &[Value]) -> bool {
        let of = |column: usize| match column.checked_sub(self.keys) {
            None => entity.get(column).map_or(Datum::Null, Datum::of_key),
            Some(0) => Datum::Timestamp(time),
            Some(place) => values.get(place - 1).map_or(Datum::Null, Datum::of),
        };
        self.expression.evaluate(&of).truth() == Some(true)
    }

    /// The condition as SQL for Flink; `value` writes the value of the join key, event time or column of a name.
    ///
    /// # Errors
    ///
    /// What Flink has no equal for, and why.
    pub fn to_flink(&self, value: &dyn Fn(&str) -> String) -> Result<String, String> {
        let name = |column: usize| {
            self.columns.get(column).map_or_else(String::new, |column| value(&column.name))
        };
        self.expression.to_flink(&self.columns, &name)
    }
}
