//! One author's query: parsed, checked, rendered.

use std::sync::Arc;

use sqlparser::{
    ast::{Query, Statement},
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan},
};
use trivium_model::{Diagnostic, FeatureView};

use crate::{
    Period, SparkDialect, check,
    lineage::Lineage,
    literal,
    normal::Normal,
    rules,
    scan::{self, Parameter, ParameterUse, Scanned, position},
    walk::on_a_large_stack,
};

/// The SQL beside a view's JSON, parsed.
#[derive(Debug, Clone)]
pub struct AuthorQuery {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) query: Arc<Query>,
    pub(crate) parameters: Vec<ParameterUse>,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) tables: Vec<String>,
    pub(crate) aggregates: bool,
}

/// One column that a query gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name, in lower case: Spark compares names without case.
    pub name: String,
    /// Where it is written, from 1.
    pub position: (u32, u32),
    /// The columns it is calculated from, as far as the text tells; sorted.
    pub sources: Vec<ColumnSource>,
    /// Whether it is nothing but the period's first day or instant.
    pub(crate) names_period_only: bool,
    pub(crate) uses_period_end: bool,
}

/// A column that an output column is calculated from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnSource {
    /// The table; absent where the text alone does not say which of several it is.
    pub table: Option<String>,
    /// The column; absent where it may be any of the table's (`*`).
    pub column: Option<String>,
}

impl AuthorQuery {
    /// Parses one SELECT. `path` only goes into the diagnostics.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        on_a_large_stack(|| Self::parse_here(path, text))
    }

    fn parse_here(path: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let Scanned { tokens, parameters } = scan::scan(path, text)?;
        let starts = statement_starts(&tokens);
        let start_of = |nth: usize| starts.get(nth).copied().unwrap_or((1, 1));
        let dialect = SparkDialect;
        let statements = Parser::new(&dialect)
            .with_tokens_with_locations(tokens)
            .parse_statements()
            .map_err(|error| vec![syntax_error(path, &error)])?;
        let mut statements = statements.into_iter();
        let query = match (statements.next(), statements.next()) {
            (Some(Statement::Query(query)), None) => query,
            (None, _) => {
                return Err(vec![Diagnostic::error(
                    path,
                    (1, 1),
                    "sql-empty",
                    "there is no SELECT",
                    "write one SELECT that gives the view's columns",
                )]);
            }
            (Some(Statement::Query(_)), Some(_)) => {
                return Err(vec![Diagnostic::error(
                    path,
                    start_of(1),
                    "sql-statements",
                    "there is more than one statement",
                    "keep one SELECT; a WITH clause can hold the steps before it",
                )]);
            }
            (Some(_), _) => {
                return Err(vec![Diagnostic::error(
                    path,
                    start_of(0),
                    "sql-not-select",
                    "only a SELECT is allowed",
                    "write one SELECT: the platform writes the tables itself",
                )]);
            }
        };
        let errors = rules::check(path, &query);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut lineage = Lineage::default();
        let found = lineage.of(&query);
        let columns = found
            .named
            .into_iter()
            .map(|column| OutputColumn {
                name: column.name,
                position: column.position,
                names_period_only: column.from.sources.is_empty()
                    && (column.from.ds || column.from.period_start)
                    && !column.from.period_end,
                uses_period_end: column.from.period_end,
                sources: column.from.sources.into_iter().collect(),
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            query: Arc::from(query),
            parameters,
            columns,
            tables: lineage.tables.into_iter().collect(),
            aggregates: found.aggregates,
        })
    }

    /// The file that it was read from, as the caller named it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters that it uses, in order.
    pub fn parameters(&self) -> &[ParameterUse] {
        &self.parameters
    }

    /// The columns that it gives, in order, with what they are calculated from.
    pub fn output_columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// The tables that it reads, in lower case, sorted; names of a WITH clause are not among them.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Whether many rows become one on the way to its result.
    pub fn aggregates(&self) -> bool {
        self.aggregates
    }

    /// Whether it gives exactly the view's columns: entities, event timestamp, created timestamp
    /// if the view has one, and features, in any order. Types are only known to an engine.
    pub fn check_against(&self, view: &FeatureView) -> Vec<Diagnostic> {
        check::check(self, view)
    }

    /// One writing for all queries that surely mean the same, as SQL. For showing and hashing;
    /// `compare` says what a difference means.
    pub fn normalised(&self) -> String {
        on_a_large_stack(|| Normal::of(&self.query).text())
    }

    /// The SQL for one period: parameters replaced by what they stand for, everything else as the
    /// author wrote it. Only digits, `-`, `:`, `.` and spaces are put in, so nothing can end the
    /// literal they stand in.
    pub fn render(&self, period: &Period) -> String {
        let mut out = String::with_capacity(self.text.len() + 16);
        let mut from = 0;
        for used in &self.parameters {
            out.push_str(self.text.get(from..used.bytes.start).unwrap_or(""));
            out.push_str(&value(used.parameter, period));
            from = used.bytes.end;
        }
        out.push_str(self.text.get(from..).unwrap_or(""));
        out
    }

    /// Where in the author's text a line and column of the rendered SQL are, so that an engine's
    /// message points at what the author wrote. Rendering moves columns and keeps lines.
    pub fn author_position(&self, period: &Period, (line, column): (u32, u32)) -> (u32, u32) {
        let mut shift: i64 = 0;
        for used in self.parameters.iter().filter(|used| used.position.0 == line) {
            // Both are ASCII, so bytes are characters.
            let written = i64::try_from(used.bytes.len()).unwrap_or(0);
            let rendered = i64::try_from(value(used.parameter, period).len()).unwrap_or(0);
            let start = i64::from(used.position.1) + shift;
            if i64::from(column) < start {
                break;
            }
            if i64::from(column) < start + rendered {
                return used.position;
            }
            shift += rendered - written;
        }
        (line, u32::try_from(i64::from(column) - shift).unwrap_or(1).max(1))
    }
}

fn value(parameter: Parameter, period: &Period) -> String {
    match parameter {
        Parameter::Ds => period.day(),
        Parameter::PeriodStart => literal::instant_text(period.start),
        Parameter::PeriodEnd => literal::instant_text(period.end),
    }
}

/// Where each statement begins.
fn statement_starts(tokens: &[TokenWithSpan]) -> Vec<(u32, u32)> {
    let mut starts = Vec::new();
    let mut ended = true;
    for token in tokens {
        match token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon => ended = true,
            _ if ended => {
                starts.push(position(token.span.start));
                ended = false;
            }
            _ => {}
        }
    }
    starts
}

/// The parser ends its messages in ` at Line: 1, Column: 7`.
fn syntax_error(path: &str, error: &ParserError) -> Diagnostic {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return Diagnostic::error(
                path,
                (1, 1),
                "sql-too-deep",
                "the SQL nests too deeply",
                "move inner parts into a WITH clause",
            );
        }
    };
    let (what, at) = match message.rsplit_once(" at Line: ") {
        Some((what, rest)) => {
            let mut numbers = rest.split(", Column: ").map(|number| number.trim().parse().ok());
            let line = numbers.next().flatten().unwrap_or(1);
            (what, (line, numbers.next().flatten().unwrap_or(1)))
        }
        None => (message.as_str(), (1, 1)),
    };
    Diagnostic::error(
        path,
        at,
        "sql-syntax",
        scan::lower_first(what),
        "write one SELECT in Spark's dialect",
    )
}

#[cfg(test)]
mod tests;
