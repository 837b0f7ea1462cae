//! What must hold of the text before it is parsed: parameters, size, nesting.

use std::ops::Range;

use sqlparser::{
    keywords::Keyword,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace},
};
use trivium_model::{Diagnostic, LineIndex};

use crate::SparkDialect;

/// The longest SQL file. Feature SQL is a page or two; this keeps parsing bounded.
pub const SQL_BYTES_MAX: usize = 256 * 1024;
/// The most tokens between two commas, parentheses or clauses. It bounds how deep the tree of
/// `a + b + c + …` grows, and so the stack.
pub const TOKENS_IN_ONE_EXPRESSION_MAX: usize = 1000;
/// The deepest parentheses; the parser has a limit of its own for everything else that nests.
pub const PARENTHESES_DEPTH_MAX: usize = 48;
/// The most open parentheses that directly follow another. The parser tries `((` in FROM both as
/// a query and as a join, so each doubles its work.
pub const DOUBLED_PARENTHESES_MAX: usize = 8;
/// The most uses of parameters.
pub const PARAMETERS_MAX: usize = 1000;
/// The most UNION, EXCEPT and INTERSECT in one query.
pub const SET_OPERATIONS_MAX: usize = 100;

/// What a query can ask about its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// The day that the period begins on: `2013-01-01`.
    Ds,
    /// The first instant of the period: `2013-01-01 00:00:00`.
    PeriodStart,
    /// The first instant after the period.
    PeriodEnd,
}

impl Parameter {
    /// The word between the braces.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ds => "ds",
            Self::PeriodStart => "period_start",
            Self::PeriodEnd => "period_end",
        }
    }
    /// The parameters in the text of a literal.
    pub(crate) fn all_in(text: &str) -> impl Iterator<Item = Self> {
        let inner = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
        inner.filter_map(|(word, _)| Self::from_word(word.trim()))
    }
    fn from_word(word: &str) -> Option<Self> {
        [Self::Ds, Self::PeriodStart, Self::PeriodEnd].into_iter().find(|p| p.word() == word)
    }
}

/// One use of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterUse {
    /// Which one.
    pub parameter: Parameter,
    /// The bytes of `{{ … }}` in the text.
    pub bytes: Range<usize>,
    /// Where it is, from 1.
    pub position: (u32, u32),
}

/// A text that may be parsed.
pub(crate) struct Scanned {
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) parameters: Vec<ParameterUse>,
}

/// Line and column of the parser as those of a diagnostic.
pub(crate) fn position(location: Location) -> (u32, u32) {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    (narrow(location.line), narrow(location.column))
}

/// Turns the parser's lines and columns (in characters) into byte offsets. Tokens come in order,
/// so each look-up goes on from the last: long lines would cost their length for each token.
struct Offsets<'t> {
    text: &'t str,
    line: u32,
    column: u32,
    byte: usize,
}

impl<'t> Offsets<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, line: 1, column: 1, byte: 0 }
    }

    /// The offset of a position at or after the one asked for before.
    fn byte(&mut self, location: Location) -> usize {
        let wanted = position(location);
        let rest = self.text.get(self.byte..).unwrap_or("");
        for c in rest.chars() {
            if (self.line, self.column) >= wanted {
                break;
            }
            self.byte += c.len_utf8();
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.byte
    }
}

pub(crate) const PARAMETERS_HELP: &str = "the only parameters are `{{ ds }}`, `{{ period_start }}` and `{{ period_end }}`, inside literals, as in `DATE '{{ ds }}'`";

/// Reads the tokens; all errors in one go.
pub(crate) fn scan(path: &str, text: &str) -> Result<Scanned, Vec<Diagnostic>> {
    if text.len() > SQL_BYTES_MAX {
        return Err(vec![Diagnostic::error(
            path,
            (1, 1),
            "sql-too-long",
            format!("the SQL has {} bytes, the limit is {SQL_BYTES_MAX}", text.len()),
            "split the view, or move constant data into a table",
        )]);
    }
    let dialect = SparkDialect;
    let tokens = Tokenizer::new(&dialect, text)
        // Literals stay as they are written: what an escape means is the engine's business.
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|error| {
            vec![Diagnostic::error(
                path,
                position(error.location),
                "sql-syntax",
                lower_first(&error.message),
                "close the literal, comment or quoted name",
            )]
        })?;
    let mut scanner = Scanner {
        path,
        offsets: Offsets::new(text),
        lines: LineIndex::new(text),
        errors: Vec::new(),
        parameters: Vec::new(),
    };
    scanner.literals_and_braces(&tokens);
    scanner.neighbours(&tokens);
    scanner.size(&tokens);
    if scanner.errors.is_empty() {
        Ok(Scanned { tokens, parameters: scanner.parameters })
    } else {
        Err(scanner.errors)
    }
}

struct Scanner<'t> {
    path: &'t str,
    offsets: Offsets<'t>,
    lines: LineIndex<'t>,
    errors: Vec<Diagnostic>,
    parameters: Vec<ParameterUse>,
}

impl Scanner<'_> {
    fn error(&mut self, at: (u32, u32), code: &'static str, message: String, help: &str) {
        self.errors.push(Diagnostic::error(self.path, at, code, message, help));
    }

    fn literals_and_braces(&mut self, tokens: &[TokenWithSpan]) {
        // `{{ ds }}` outside a literal is one mistake, not four tokens' worth.
        let mut skip_until = 0;
        for token in tokens {
            let start = self.offsets.byte(token.span.start);
            if start < skip_until {
                continue;
            }
            let at = position(token.span.start);
            match &token.token {
                Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => {
                    let end = self.offsets.byte(token.span.end);
                    self.literal(start..end);
                }
                Token::LBrace => {
                    let rest = self.offsets.text.get(start..).unwrap_or("");
                    let line = rest.lines().next().unwrap_or("");
                    let length =
                        line.find("}}").or_else(|| line.find("%}")).map_or(1, |length| length + 2);
                    skip_until = start + length;
                    let shown = line.get(..length).unwrap_or("{").to_owned();
                    self.brace(at, &shown);
                }
                Token::RBrace => {
                    self.error(
                        at,
                        "sql-parameter",
                        "`}` has no meaning here".to_owned(),
                        PARAMETERS_HELP,
                    );
                }
                Token::Placeholder(name) => {
                    let rest = self.offsets.text.get(start..).unwrap_or("");
                    let shown = match rest.find('}') {
                        Some(end) if rest.starts_with("${") => {
                            skip_until = start + end + 1;
                            rest.get(..=end).unwrap_or(name).to_owned()
                        }
                        _ => name.clone(),
                    };
                    self.error(
                        at,
                        "sql-parameter",
                        format!("`{shown}` is not a parameter"),
                        PARAMETERS_HELP,
                    );
                }
                _ => {}
            }
        }
    }

    /// Something between braces, outside a literal.
    fn brace(&mut self, at: (u32, u32), shown: &str) {
        let inner = shown.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.map(str::trim).and_then(Parameter::from_word) {
            Some(parameter) => {
                let kind = if parameter == Parameter::Ds { "DATE" } else { "TIMESTAMP" };
                let word = parameter.word();
                self.error(
                    at,
                    "sql-parameter-outside-literal",
                    format!("`{shown}` stands outside a literal"),
                    &format!("write `{kind} '{{{{ {word} }}}}'`"),
                );
            }
            None => self.error(
                at,
                "sql-parameter",
                format!("`{shown}` is not a parameter"),
                PARAMETERS_HELP,
            ),
        }
    }

    /// The parameters inside one literal; `bytes` includes its quotes.
    fn literal(&mut self, bytes: Range<usize>) {
        let text = self.offsets.text;
        let mut at = bytes.start;
        while let Some(rest) = text.get(at..bytes.end) {
            let Some(open) = ["{{", "{%", "{#", "${"].iter().filter_map(|o| rest.find(o)).min()
            else {
                break;
            };
            let start = at + open;
            let rest = rest.get(open..).unwrap_or("");
            let close = match rest.get(..2) {
                Some("{{") => "}}",
                Some("{%") => "%}",
                Some("{#") => "#}",
                _ => "}",
            };
            let Some(end) = rest.find(close).map(|end| end + close.len()) else {
                self.error(
                    self.lines.position(start),
                    "sql-parameter",
                    format!("`{}` is not closed", rest.get(..2).unwrap_or("{{")),
                    PARAMETERS_HELP,
                );
                break;
            };
            let shown = rest.get(..end).unwrap_or(rest);
            let word = shown.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}"));
            let position = self.lines.position(start);
            match word.map(str::trim).and_then(Parameter::from_word) {
                Some(_) if self.parameters.len() >= PARAMETERS_MAX => {
                    self.error(
                        position,
                        "sql-too-long",
                        format!("more than {PARAMETERS_MAX} parameters"),
                        "name the period once, in a WITH clause",
                    );
                    break;
                }
                Some(parameter) => self.parameters.push(ParameterUse {
                    parameter,
                    bytes: start..start + end,
                    position,
                }),
                None => {
                    let help = word.and_then(|word| nearest_parameter(word.trim())).map_or_else(
                        || PARAMETERS_HELP.to_owned(),
                        |near| format!("did you mean `{{{{ {near} }}}}`? {PARAMETERS_HELP}"),
                    );
                    self.error(
                        position,
                        "sql-parameter",
                        format!("`{shown}` is not a parameter"),
                        &help,
                    );
                }
            }
            at = start + end;
        }
    }

    /// Spellings that Spark reads in one way and the parser in another.
    fn neighbours(&mut self, tokens: &[TokenWithSpan]) {
        for pair in tokens.windows(2) {
            let [first, second] = pair else { continue };
            let at = position(first.span.start);
            match (&first.token, &second.token) {
                (Token::Number(number, _), Token::Word(word)) if word.quote_style.is_none() => {
                    self.error(
                        at,
                        "sql-literal",
                        format!("`{number}{}` is a number with a suffix, or a name that begins with a digit", word.value),
                        "write the type as a cast, as in `CAST(1.5 AS DOUBLE)`; put a name that begins with a digit between backticks",
                    );
                }
                (
                    Token::Word(word),
                    Token::SingleQuotedString(_) | Token::DoubleQuotedString(_),
                ) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("r") => {
                    self.error(
                        at,
                        "sql-literal",
                        "raw strings (`r'…'`) are not supported".to_owned(),
                        "write an ordinary literal with `\\\\` for each backslash",
                    );
                }
                _ => {}
            }
        }
    }

    fn size(&mut self, tokens: &[TokenWithSpan]) {
        let mut segments: Vec<usize> = vec![0];
        // For each open parenthesis, whether it directly followed another.
        let mut doubled: Vec<bool> = Vec::new();
        let mut after_parenthesis = false;
        let mut set_operations = 0;
        for token in tokens {
            let at = position(token.span.start);
            match &token.token {
                Token::Whitespace(Whitespace::Space | Whitespace::Tab | Whitespace::Newline)
                | Token::Whitespace(_) => continue,
                Token::LParen | Token::LBracket => {
                    if let Some(segment) = segments.last_mut() {
                        *segment += 1;
                    }
                    segments.push(0);
                    doubled.push(after_parenthesis);
                    after_parenthesis = true;
                    let runs = doubled.iter().filter(|doubled| **doubled).count();
                    if segments.len() > PARENTHESES_DEPTH_MAX || runs > DOUBLED_PARENTHESES_MAX {
                        self.error(
                            at,
                            "sql-too-deep",
                            "too many parentheses are open".to_owned(),
                            "remove those that say nothing, or move inner parts into a WITH clause",
                        );
                        return;
                    }
                    continue;
                }
                Token::RParen | Token::RBracket => {
                    doubled.pop();
                    if segments.len() > 1 {
                        segments.pop();
                    }
                }
                Token::Comma | Token::SemiColon => {
                    if let Some(segment) = segments.last_mut() {
                        *segment = 0;
                    }
                    after_parenthesis = false;
                    continue;
                }
                Token::Word(word) => {
                    let starts_clause = matches!(
                        word.keyword,
                        Keyword::SELECT
                            | Keyword::FROM
                            | Keyword::WHERE
                            | Keyword::JOIN
                            | Keyword::WHEN
                            | Keyword::THEN
                            | Keyword::ELSE
                    );
                    if starts_clause && let Some(segment) = segments.last_mut() {
                        *segment = 0;
                    }
                    if matches!(
                        word.keyword,
                        Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS
                    ) {
                        set_operations += 1;
                        if set_operations > SET_OPERATIONS_MAX {
                            self.error(
                                at,
                                "sql-too-deep",
                                format!("more than {SET_OPERATIONS_MAX} set operations"),
                                "read the parts from one table",
                            );
                            return;
                        }
                    }
                }
                _ => {}
            }
            after_parenthesis = false;
            if let Some(segment) = segments.last_mut() {
                *segment += 1;
                if *segment > TOKENS_IN_ONE_EXPRESSION_MAX {
                    self.error(
                        at,
                        "sql-too-deep",
                        format!("an expression of more than {TOKENS_IN_ONE_EXPRESSION_MAX} parts"),
                        "use IN (…) for lists of values, or put groups of it in parentheses",
                    );
                    return;
                }
            }
        }
    }
}

/// The text of a literal with one writing of its parameters: `{{ ds }}`.
pub(crate) fn write_parameters_alike(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}") {
            Some((word, after)) => {
                out.push_str(&format!("{{{{ {} }}}}", word.trim()));
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn nearest_parameter(word: &str) -> Option<&'static str> {
    let words = [Parameter::Ds, Parameter::PeriodStart, Parameter::PeriodEnd].map(Parameter::word);
    nearest(word, words)
}

/// The nearest of the known names, if one is near enough to be meant.
pub(crate) fn nearest<'n>(word: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(name)
}

/// Messages begin in lower case.
pub(crate) fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
