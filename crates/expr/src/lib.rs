//! A small SQL expression language over the columns of one row (`docs/expressions.md`).
//!
//! What an author writes in Spark's SQL is parsed and typed once ([`Expression::parse`]) and then evaluated row by
//! row ([`Expression::evaluate`]), without an engine and without ever failing: what Spark refuses at run time (an
//! overflow, a division by zero, a text that is no number) is null. [`Expression::to_sql`] writes the same as SQL that
//! an engine computes, nulls included.
//!
//! Pure: no I/O, no clock, no engine. Text, nesting and the texts that it makes are bounded.

mod calls;
mod cast;
mod columns;
mod compile;
mod datum;
mod filter;
mod flink;
#[doc(hidden)]
pub mod fuzzing;
mod like;
mod literals;
mod node;
mod number;
mod parse;
mod problem;
mod render;
mod service;
mod text;
mod time;
mod types;

use trivium_model::DataType;

pub use columns::{Column, Columns};
pub use datum::Datum;
pub use filter::{SourceFilter, WindowFilter};
pub use problem::Problem;
pub use service::{Computed, OnDemand, Origin, Wrong};

use node::Node;

/// The longest text of an expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// The deepest tree: a sum of so many terms, a call within a call.
pub const EXPRESSION_DEPTH_MAX: usize = 100;
/// The longest text that an expression puts together, in bytes; what would be longer is null.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// The longest pattern of LIKE, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

/// An expression, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Expression {
    node: Node,
    data_type: DataType,
    columns: Vec<usize>,
}

impl Expression {
    /// Reads and types an expression over these columns.
    ///
    /// # Errors
    ///
    /// What is wrong, where in the text, and what to do about it.
    pub fn parse(text: &str, columns: &Columns) -> Result<Self, Problem> {
        parse::parse(text, columns)
    }

    /// The type of its values.
    pub const fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The columns that it reads, by their places in [`Columns`], ascending, each once.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Its value, where `values` gives that of each column. An unset value is [`Datum::Null`]; so is one that has
    /// not the type that was declared for its column. A column's value may be asked for several times.
    pub fn evaluate<'v>(&'v self, values: &dyn Fn(usize) -> Datum<'v>) -> Datum<'v> {
        self.node.evaluate(values)
    }

    /// The same as SQL for Spark in ANSI mode, in words that the local engine has too; `name` writes a column.
    ///
    /// It gives what [`Self::evaluate`] gives, save that it knows no bound of texts and no end of the calendar.
    pub fn to_sql(&self, name: &dyn Fn(usize) -> String) -> String {
        let mut out = String::new();
        render::render(&self.node, name, &mut out);
        out
    }

    /// The same as SQL for Flink, over the columns that it was read over; `name` writes a column's value. It gives
    /// what [`Self::evaluate`] gives, save that it knows no bound of texts.
    ///
    /// # Errors
    ///
    /// What Flink has no equal for, and why.
    pub fn to_flink(
        &self,
        columns: &Columns,
        name: &dyn Fn(usize) -> String,
    ) -> Result<String, String> {
        flink::Flink { columns, name }.write(&self.node)
    }
}

#[cfg(test)]
mod tests;
