//! From Spark's syntax tree to one that DataFusion plans with our functions: an exhaustive walk
//! that refuses by name whatever it does not know, and records what a query uses.

mod build;
mod calls;
mod expression;
mod query;

use std::collections::BTreeSet;

use sqlparser::{
    ast::{Ident, Spanned, Statement},
    dialect::SparkSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::Span,
};
use trivium_engine::Error;
use trivium_sql::spark;

use crate::{allow::AllowList, error::unsupported};

/// The deepest nesting of expressions and queries.
const DEPTH_MAX: usize = 64;
/// The longest SQL text, in bytes.
pub const SQL_BYTES_MAX: usize = 256 * 1024;

/// Result of rewriting.
pub type Result<T> = std::result::Result<T, Error>;

/// Where something stands in the SQL, from 1.
pub type Position = Option<(u32, u32)>;

/// A query that DataFusion may plan.
#[derive(Debug)]
pub struct Rewritten {
    /// The tree.
    pub statement: Statement,
    /// Entries of the allow-list that it uses (casts are found when types are known).
    pub used: BTreeSet<String>,
}

/// Walks one query.
pub struct Rewriter<'a> {
    allowed: &'a AllowList,
    used: BTreeSet<String>,
    /// Names of common table expressions seen so far.
    ctes: BTreeSet<String>,
    tables: &'a BTreeSet<String>,
}

/// Parses and rewrites one SELECT over tables of these (lower-case) names.
pub fn rewrite(sql: &str, allowed: &AllowList, tables: &BTreeSet<String>) -> Result<Rewritten> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::Resources(format!("SQL text: at most {SQL_BYTES_MAX} bytes")));
    }
    let parsed = Parser::new(&SparkSqlDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(parse_error)?;
    let mut statements = parsed.into_iter();
    let (Some(statement), None) = (statements.next(), statements.next()) else {
        return Err(invalid("the SQL must be exactly one SELECT", None));
    };
    let Statement::Query(query) = statement else {
        return Err(invalid("the SQL must be a SELECT", position(&statement)));
    };
    let mut rewriter = Rewriter { allowed, used: BTreeSet::new(), ctes: BTreeSet::new(), tables };
    let query = rewriter.query(*query, query::Naming::Outermost)?;
    Ok(Rewritten { statement: Statement::Query(Box::new(query)), used: rewriter.used })
}

fn parse_error(error: ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return Error::Resources(format!("nesting: at most {DEPTH_MAX} levels"));
        }
    };
    // The parser writes the position into its message.
    let found = text.rsplit_once(" at Line: ").and_then(|(message, at)| {
        let (line, column) = at.split_once(", Column: ")?;
        Some((message.to_owned(), (line.parse().ok()?, column.parse().ok()?)))
    });
    match found {
        Some((message, at)) => invalid(format!("the SQL cannot be parsed: {message}"), Some(at)),
        None => invalid(format!("the SQL cannot be parsed: {text}"), None),
    }
}

/// Where a node starts.
pub fn position(node: &impl Spanned) -> Position {
    start_of(node.span())
}

/// Where a span starts.
pub fn start_of(span: Span) -> Position {
    let start = span.start;
    let line = u32::try_from(start.line).ok()?;
    let column = u32::try_from(start.column).ok()?;
    (line > 0).then_some((line, column))
}

/// The SQL is wrong.
pub fn invalid(message: impl Into<String>, position: Position) -> Error {
    Error::Invalid { message: message.into(), position }
}

/// The variant's name of a node that nobody expected.
pub fn variant(node: &impl std::fmt::Debug) -> String {
    let text = format!("{node:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("").to_owned()
}

impl Rewriter<'_> {
    /// Refuses what is not on the list, and records what is.
    fn allow(&mut self, kind: &str, name: &str, at: Position) -> Result<()> {
        let list = match kind {
            "function" => &self.allowed.functions,
            "aggregate" => &self.allowed.aggregates,
            "window" => &self.allowed.windows,
            "operator" => &self.allowed.operators,
            _ => &self.allowed.clauses,
        };
        if !list.contains(name) {
            return Err(match kind {
                "clause" | "operator" => unsupported(name, at),
                _ if !spark::has_function(name) => {
                    let near = spark::nearest_function(name);
                    let hint = near.map(|near| format!("; did you mean `{near}`?"));
                    let hint = hint.unwrap_or_default();
                    invalid(format!("there is no function `{name}`{hint}"), at)
                }
                _ => unsupported(format!("function `{name}`"), at),
            });
        }
        self.used.insert(format!("{kind} {name}"));
        Ok(())
    }
}

/// Spark's names ignore case; ours are lower case and quoted, so that nothing folds them again.
pub fn lower(ident: &Ident) -> Ident {
    Ident { value: ident.value.to_lowercase(), quote_style: Some('"'), span: ident.span }
}
