//! A stream view's SQL, in Flink's dialect.
//!
//! It is checked in two ways. [`lex`] reads it as Flink does, and lets through one query and nothing that could
//! end the statement that it is put into; that holds whatever else is in it. Then sqlparser reads it: what it
//! understands is held against the view and its inputs, with places. What it does not understand is Flink's
//! own to judge (`trivium streams test`), and a warning says so.

mod lex;

pub use lex::is_bad as is_hidden;

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{
        Expr, ObjectName, Query, SelectItem, SetExpr, Spanned as _, Statement, Visit as _, Visitor,
    },
    dialect::Dialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};
use trivium_model::{Diagnostic, FeatureView};

use crate::{
    scan::{SQL_BYTES_MAX, lower_first, nearest, position},
    walk::on_a_large_stack,
};

/// The SQL beside a stream view's JSON, read.
#[derive(Debug, Clone)]
pub struct FlinkQuery {
    path: String,
    text: String,
    statement: String,
    tokens: Vec<String>,
    understood: Result<Understood, Diagnostic>,
}

/// What the parser made of it. Names are as they are written: Flink tells case apart.
#[derive(Debug, Clone)]
struct Understood {
    start: (u32, u32),
    columns: Vec<Named>,
    tables: Vec<Named>,
    findings: Vec<Diagnostic>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    at: (u32, u32),
}

impl FlinkQuery {
    /// Reads one query. `path` only goes into the diagnostics.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > SQL_BYTES_MAX {
            return Err(vec![Diagnostic::error(
                path,
                (1, 1),
                "sql-too-long",
                format!("the SQL has {} bytes, the limit is {SQL_BYTES_MAX}", text.len()),
                "split the view",
            )]);
        }
        let lexed = lex::lex(path, text)?;
        let understood = on_a_large_stack(|| understand(path, &lexed.statement));
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            statement: lexed.statement,
            tokens: lexed.tokens,
            understood,
        })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same, its file named from above a folder.
    #[must_use]
    pub fn at(mut self, folder: &std::path::Path) -> Self {
        self.path = folder.join(&self.path).display().to_string();
        self
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The query without what may stand after it, lines ended by line feeds.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Whether only blanks and comments differ.
    pub fn means_the_same(&self, other: &Self) -> bool {
        self.tokens == other.tokens
    }

    /// Holds it against the view that it stands beside.
    pub fn check_against(&self, view: &FeatureView) -> Vec<Diagnostic> {
        let understood = match &self.understood {
            Ok(understood) => understood,
            Err(warning) => return vec![warning.clone()],
        };
        let mut found = understood.findings.clone();
        let is_whole = found.is_empty();
        let wrong = |at: (u32, u32), code: &'static str, message: String, help: String| {
            Diagnostic::error(&self.path, at, code, message, help)
        };
        let inputs: Vec<&str> =
            view.job.iter().flat_map(|job| &job.inputs).map(|input| input.name.as_str()).collect();
        for table in &understood.tables {
            if !inputs.contains(&table.name.as_str()) {
                let help = match nearest(&table.name, inputs.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it; the view's inputs: {}", inputs.join(", ")),
                };
                let message = format!("the view has no input `{}`", table.name);
                found.push(wrong(table.at, "sql-unknown-input", message, help));
            }
        }
        let wanted = crate::check::wanted(view);
        let given = |name: &str| understood.columns.iter().any(|column| column.name == name);
        let missing: Vec<_> = wanted.iter().filter(|(name, _)| !given(name)).collect();
        for column in &understood.columns {
            if wanted.iter().any(|(name, _)| *name == column.name) {
                continue;
            }
            let help = match nearest(&column.name, missing.iter().map(|(name, _)| *name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add the feature to the JSON, or leave the column out".to_owned(),
            };
            let message = format!("`{}` is no column of {}", column.name, view.reference());
            found.push(wrong(column.at, "sql-unknown-column", message, help));
        }
        // A column that could not be named may be the one.
        for (name, what) in missing.iter().filter(|_| is_whole) {
            let help = format!("add `… AS {name}`");
            let message = format!("the {what} `{name}` is missing");
            found.push(wrong(understood.start, "sql-missing-column", message, help));
        }
        found.sort_by_key(|finding| (finding.line, finding.column));
        found
    }
}

/// Reads it with the parser; a warning where that cannot.
fn understand(path: &str, statement: &str) -> Result<Understood, Diagnostic> {
    let unread = |at: (u32, u32), what: &str| {
        let message = format!("Trivium cannot read this part of Flink SQL: {}", lower_first(what));
        let help =
            "columns and tables are not checked here; `trivium streams test` has Flink check them";
        Diagnostic::error(path, at, "sql-unchecked", message, help).into_warning()
    };
    let tokens = Tokenizer::new(&FlinkDialect, statement)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|error| unread(position(error.location), &error.message))?;
    let (tokens, mut tables) = without_table_words(tokens);
    let start = tokens
        .iter()
        .find(|token| !matches!(token.token, Token::Whitespace(_)))
        .map_or((1, 1), |token| position(token.span.start));
    let statements =
        Parser::new(&FlinkDialect).with_tokens_with_locations(tokens).parse_statements();
    let statements = statements.map_err(|error| {
        let (what, at) = place_of(&error);
        unread(at, &what)
    })?;
    let query = match statements.as_slice() {
        [Statement::Query(query)] => query,
        _ => return Err(unread(start, "it is no query")),
    };
    let mut findings = Vec::new();
    let columns = columns(path, query, &mut findings);
    let mut relations = Relations::default();
    let _ = query.visit(&mut relations);
    tables.extend(relations.found);
    tables.retain(|table| !relations.own.contains(&table.name));
    tables.sort_by_key(|table| table.at);
    Ok(Understood { start, columns, tables, findings })
}

/// Takes out `TABLE` before a name that is an argument, as in `TUMBLE(TABLE departures, …)`, which the parser does
/// not know; gives these names.
fn without_table_words(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Named>) {
    let is_blank = |token: &Token| matches!(token, Token::Whitespace(_));
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tables = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let is_table = matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.keyword == Keyword::TABLE);
        let before = kept.iter().rev().find(|token| !is_blank(&token.token));
        let is_argument = before.is_some_and(|token| {
            matches!(token.token, Token::LParen | Token::Comma | Token::RArrow)
        });
        if !is_table || !is_argument {
            kept.push(token);
            continue;
        }
        let mut blanks = Vec::new();
        while let Some(blank) = rest.next_if(|next| is_blank(&next.token)) {
            blanks.push(blank);
        }
        match rest.peek() {
            Some(TokenWithSpan { token: Token::Word(word), span }) => {
                tables.push(Named { name: word.value.clone(), at: position(span.start) });
            }
            _ => kept.push(token),
        }
        kept.extend(blanks);
    }
    (kept, tables)
}

/// The names of the outermost query's columns.
fn columns(path: &str, query: &Query, findings: &mut Vec<Diagnostic>) -> Vec<Named> {
    let mut body = query.body.as_ref();
    let select = loop {
        body = match body {
            SetExpr::Select(select) => break select,
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            _ => return Vec::new(),
        };
    };
    let mut columns: Vec<Named> = Vec::new();
    for item in &select.projection {
        let at = position(item.span().start);
        let mut wrong = |code: &'static str, message: &str, help: &str| {
            findings.push(Diagnostic::error(path, at, code, message, help));
        };
        let name = match item {
            SelectItem::ExprWithAlias { alias, .. } => alias,
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => name,
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) if !parts.is_empty() => {
                &parts[parts.len() - 1]
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                let help = "name each column; `*` is fine in a subquery";
                wrong("sql-wildcard", "`*` leaves open which columns the view gets", help);
                continue;
            }
            _ => {
                wrong("sql-unnamed-column", "this column has no name", "add `AS` and a name");
                continue;
            }
        };
        if columns.iter().any(|column| column.name == name.value) {
            let message = format!("two columns are named `{}`", name.value);
            wrong("sql-duplicate-column", &message, "rename or remove one");
        }
        columns.push(Named { name: name.value.clone(), at });
    }
    columns
}

/// What a query reads, and what it names itself.
#[derive(Default)]
struct Relations {
    found: Vec<Named>,
    own: BTreeSet<String>,
}

impl Visitor for Relations {
    type Break = ();
    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.extend(with.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts: Vec<String> = relation
            .0
            .iter()
            .map(|part| part.as_ident().map_or_else(|| part.to_string(), |name| name.value.clone()))
            .collect();
        let at = position(relation.span().start);
        // A function's name is a relation to the parser; which functions there are is Flink's to know.
        const FUNCTIONS: &[&str] =
            &["TUMBLE", "HOP", "CUMULATE", "SESSION", "UNNEST", "DESCRIPTOR"];
        let name = parts.join(".");
        if !FUNCTIONS.contains(&name.to_ascii_uppercase().as_str()) {
            self.found.push(Named { name, at });
        }
        ControlFlow::Continue(())
    }
}

/// The parser ends its messages in ` at Line: 1, Column: 7`.
fn place_of(error: &ParserError) -> (String, (u32, u32)) {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => return ("it nests too deeply".to_owned(), (1, 1)),
    };
    match message.rsplit_once(" at Line: ") {
        Some((what, rest)) => {
            let mut numbers = rest.split(", Column: ").map(|number| number.trim().parse().ok());
            let line = numbers.next().flatten().unwrap_or(1);
            (what.to_owned(), (line, numbers.next().flatten().unwrap_or(1)))
        }
        None => (message.clone(), (1, 1)),
    }
}

/// As much of Flink's dialect as sqlparser can be told of.
#[derive(Debug, Default, Clone, Copy)]
struct FlinkDialect;

impl Dialect for FlinkDialect {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_group_by_expr(&self) -> bool {
        true
    }
    fn supports_match_recognize(&self) -> bool {
        true
    }
    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }
    fn supports_values_as_table_factor(&self) -> bool {
        true
    }
    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }
    fn supports_table_versioning(&self) -> bool {
        true
    }
    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }
    fn supports_limit_comma(&self) -> bool {
        false
    }
    fn require_interval_qualifier(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
