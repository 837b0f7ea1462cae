//! From text to a parsed tree: what must hold of the text before, and where in it something stands.

use sqlparser::{
    ast::{Expr, Spanned},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer},
};
use trivium_sql::SparkDialect;

use crate::{Columns, EXPRESSION_BYTES_MAX, Expression, Problem, compile::Compiler};

/// The deepest nesting that the parser follows.
const NESTING_MAX: usize = 48;
/// The most open parentheses that directly follow another: the parser may try each in several ways.
const DOUBLED_PARENTHESES_MAX: usize = 8;
/// A parsed sum is a tree as deep as it has terms; walking it must not depend on the caller's stack.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Words that begin what has no place in an expression, and for which the parser would look far ahead.
const REFUSED: [(Keyword, &str); 6] = [
    (Keyword::SELECT, "a query"),
    (Keyword::WITH, "a query"),
    (Keyword::VALUES, "a query"),
    (Keyword::EXISTS, "a query"),
    (Keyword::OVER, "a window"),
    (Keyword::INTERVAL, "an interval"),
];

pub(crate) fn parse(text: &str, columns: &Columns) -> Result<Expression, Problem> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression has {} bytes", text.len());
        let help = format!("at most {EXPRESSION_BYTES_MAX}: compute a part of it in the view");
        return Err(Problem::new(0, message, help));
    }
    if text.trim().is_empty() {
        let help = "write what is computed, such as `a / nullif(b, 0)`";
        return Err(Problem::new(0, "the expression is empty", help));
    }
    if let Some(at) = text.find('\\') {
        let help =
            "write texts without it; a quote within a text goes between quotes of the other kind";
        return Err(Problem::new(at, "a backslash has no place in an expression", help));
    }
    stacker::maybe_grow(STACK_BYTES, 2 * STACK_BYTES, || {
        let places = Places::new(text);
        let tree = tree(text, &places)?;
        Compiler::new(columns, &places).expression(&tree)
    })
}

fn tree(text: &str, places: &Places<'_>) -> Result<Expr, Problem> {
    let tokens = Tokenizer::new(&SparkDialect, text).tokenize_with_location().map_err(|error| {
        let help = "close quotes, and leave out signs that SQL does not have";
        Problem::new(places.offset(error.location), sentence(&error.message), help)
    })?;
    check_tokens(&tokens, places)?;
    let mut parser = Parser::new(&SparkDialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens);
    let tree = parser.parse_expr().map_err(|error| parse_problem(&error, places))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("`{}` is not expected here", next.token);
        let help = "write one expression; numbers have no suffix but `L`, as in `10L`";
        return Err(Problem::new(places.offset(next.span.start), message, help));
    }
    Ok(tree)
}

fn check_tokens(tokens: &[TokenWithSpan], places: &Places<'_>) -> Result<(), Problem> {
    let (mut depth, mut doubled) = (0usize, 0usize);
    let mut after_open = false;
    for token in tokens {
        let at = || places.offset(token.span.start);
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => {
                depth += 1;
                doubled += usize::from(after_open);
                if depth > NESTING_MAX || doubled > DOUBLED_PARENTHESES_MAX {
                    let help =
                        "leave out parentheses that nothing needs, or compute a part in the view";
                    return Err(Problem::new(at(), "the parentheses nest too deeply", help));
                }
            }
            Token::RParen => depth = depth.saturating_sub(1),
            Token::LBracket | Token::LBrace | Token::Arrow => {
                let message = format!("`{}` has no place in an expression", token.token);
                let help =
                    "expressions compute single values: take what is in lists apart in the view";
                return Err(Problem::new(at(), message, help));
            }
            Token::Word(word) if word.quote_style.is_none() => {
                if let Some((_, what)) = REFUSED.iter().find(|(word_, _)| *word_ == word.keyword) {
                    let message = format!(
                        "`{}`: an expression holds no {}",
                        word.value,
                        &what[2..].trim_start()
                    );
                    let help = "compute it in the view, or quote the name with backticks if it is a column";
                    return Err(Problem::new(at(), message, help));
                }
            }
            _ => {}
        }
        after_open = token.token == Token::LParen;
    }
    Ok(())
}

fn parse_problem(error: &ParserError, places: &Places<'_>) -> Problem {
    let help = "write one expression in Spark's SQL";
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            let help = "compute a part of it in the view";
            return Problem::new(0, "the expression nests too deeply", help);
        }
    };
    // The parser writes the position into its message.
    let found = text.rsplit_once(" at Line: ").and_then(|(message, at)| {
        let (line, column) = at.split_once(", Column: ")?;
        Some((message, Location { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    match found {
        Some((message, location)) => Problem::new(places.offset(location), sentence(message), help),
        None => Problem::new(places.text.trim_end().len(), sentence(text), help),
    }
}

/// The parser's message among ours.
fn sentence(message: &str) -> String {
    format!("the expression cannot be read: {}", message.trim_end_matches('.'))
}

/// Turns the parser's lines and columns (in characters) into bytes.
pub(crate) struct Places<'t> {
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let breaks =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }
    fn offset(&self, location: Location) -> usize {
        let place = |number: u64| usize::try_from(number).ok()?.checked_sub(1);
        let start = place(location.line).and_then(|line| self.lines.get(line).copied());
        let (Some(start), Some(column)) = (start, place(location.column)) else {
            // The parser does not know where: at the end, for instance.
            return if location.line == 0 { 0 } else { self.text.len() };
        };
        let line = &self.text[start..];
        line.char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }
    /// Where a node starts; 0 if the parser does not tell.
    pub(crate) fn of(&self, node: &impl Spanned) -> usize {
        self.of_span(node.span())
    }
    pub(crate) fn of_span(&self, span: Span) -> usize {
        self.offset(span.start)
    }
}
