//! Which events count in a view's windows, and which messages are a view's rows.

use trivium_model::{DataType, FeatureView, KeyValue, Timestamp, Value};

use crate::{Columns, Datum, Expression, Problem};

fn condition(text: &str, columns: &Columns) -> Result<Expression, Problem> {
    let expression = Expression::parse(text, columns)?;
    if *expression.data_type() != DataType::Bool {
        let message = format!("a filter is true or false, and this is {}", expression.data_type());
        return Err(Problem::new(0, message, "write a condition, such as `delay > 15`"));
    }
    Ok(expression)
}

/// A view's `source.filter`, ready to be asked.
#[derive(Debug, Clone)]
pub struct SourceFilter {
    expression: Expression,
    columns: Columns,
}

impl SourceFilter {
    /// Of a view; none where all messages of its source are its own.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression, where in its text, and what to do about it.
    pub fn of(view: &FeatureView) -> Result<Option<Self>, Problem> {
        let Some(source) = view.row_source() else { return Ok(None) };
        let Some(text) = &source.filter else { return Ok(None) };
        let mut columns = Columns::new();
        for key in &view.sorted_entities() {
            columns.add(key.name.as_str(), key.key_type.data_type());
        }
        columns.add(view.event_timestamp.as_str(), DataType::Timestamp);
        for feature in &view.features {
            columns.add(feature.name.as_str(), feature.data_type.clone());
        }
        for column in &source.filter_columns {
            columns.add(column.name.as_str(), column.data_type.clone());
        }
        Ok(Some(Self { expression: condition(text, &columns)?, columns }))
    }

    /// The columns that it reads: the number that [`truth`](Self::truth) asks for, and the name.
    pub fn reads(&self) -> impl Iterator<Item = (usize, &str)> {
        let named = |&number: &usize| Some((number, self.columns.get(number)?.name.as_str()));
        self.expression.columns().iter().filter_map(named)
    }

    /// Whether it is true or false of a message; none: it is null.
    pub fn truth<'v>(&'v self, values: &dyn Fn(usize) -> Datum<'v>) -> Option<bool> {
        self.expression.evaluate(values).truth()
    }
}

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
        let expression = condition(text, &columns)?;
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
