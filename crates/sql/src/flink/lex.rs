//! Flink SQL as text: where literals, names and comments end.
//!
//! The text is put into a script, `CREATE TEMPORARY VIEW … AS <text>;`, which Flink cuts at semicolons and then
//! parses. The two read some texts differently: to the one that cuts, `//` begins no comment, `/*/` is a whole one, and
//! double quotes are quotes. Such texts are refused, so that what is one query here is one query there.

use trivium_model::{Diagnostic, LineIndex};

/// What the text holds.
pub(super) struct Lexed {
    /// The query, without the semicolon after it and what follows that.
    pub statement: String,
    /// Its tokens; hints are among them, other comments are not.
    pub tokens: Vec<String>,
}

struct Lexer<'t> {
    path: &'t str,
    text: &'t str,
    lines: LineIndex<'t>,
    at: usize,
}

impl Lexer<'_> {
    fn error(
        &self,
        offset: usize,
        code: &'static str,
        message: impl Into<String>,
        help: &str,
    ) -> Vec<Diagnostic> {
        let at = self.lines.position(offset);
        vec![Diagnostic::error(self.path, at, code, message, help)]
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Goes to the end of a literal or a quoted name; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char) -> Result<(), Vec<Diagnostic>> {
        let start = self.at;
        self.at += quote.len_utf8();
        loop {
            let Some(end) = self.rest().find(quote) else {
                let what = if quote == '`' { "quoted name" } else { "literal" };
                let message = format!("the {what} is not closed");
                return Err(self.error(start, "sql-syntax", message, "close it"));
            };
            self.at += end + quote.len_utf8();
            if !self.rest().starts_with(quote) {
                return Ok(());
            }
            self.at += quote.len_utf8();
        }
    }

    fn block_comment(&mut self) -> Result<(), Vec<Diagnostic>> {
        let start = self.at;
        if self.rest().starts_with("/*/") {
            let message = "`/*/` is a whole comment to some and the beginning of one to others";
            return Err(self.error(start, "sql-literal", message, "put a blank after `/*`"));
        }
        self.at += 2;
        let Some(end) = self.rest().find("*/") else {
            return Err(self.error(start, "sql-syntax", "the comment is not closed", "close it"));
        };
        self.at += end + 2;
        Ok(())
    }
}

/// Reads the text, or says what in it is no part of one query.
pub(super) fn lex(path: &str, text: &str) -> Result<Lexed, Vec<Diagnostic>> {
    let unix = text.replace("\r\n", "\n");
    let mut lexer = Lexer { path, text: &unix, lines: LineIndex::new(&unix), at: 0 };
    let mut tokens: Vec<String> = Vec::new();
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut end: Option<usize> = None;
    while let Some(c) = lexer.rest().chars().next() {
        let start = lexer.at;
        if is_bad(c) {
            let message = format!("there is a control character, `{}`", c.escape_unicode());
            return Err(lexer.error(start, "sql-syntax", message, "take it out"));
        }
        if c.is_whitespace() {
            lexer.at += c.len_utf8();
            continue;
        }
        if lexer.rest().starts_with("--") {
            lexer.at += lexer.rest().find('\n').unwrap_or(lexer.rest().len());
            no_controls(&lexer, start)?;
            continue;
        }
        if lexer.rest().starts_with("//") {
            let help = "begin comments of a line with `--`";
            return Err(lexer.error(start, "sql-literal", "`//` begins no comment here", help));
        }
        let is_hint = lexer.rest().starts_with("/*+");
        if lexer.rest().starts_with("/*") {
            lexer.block_comment()?;
            no_controls(&lexer, start)?;
            if !is_hint {
                continue;
            }
        }
        if end.is_some() {
            let help = "keep one SELECT; a WITH clause can hold the steps before it";
            return Err(lexer.error(
                start,
                "sql-statements",
                "there is more than one statement",
                help,
            ));
        }
        if is_hint {
            tokens.push(unix[start..lexer.at].to_owned());
            continue;
        }
        match c {
            '\'' | '`' => {
                lexer.quoted(c)?;
                no_controls(&lexer, start)?;
            }
            '"' => {
                let message = "double quotes are neither a literal's nor a name's";
                let help = "write literals in `'…'` and names in backticks";
                return Err(lexer.error(start, "sql-literal", message, help));
            }
            ';' => {
                end = Some(start);
                lexer.at += 1;
                continue;
            }
            '(' | '[' => {
                open.push((start, c));
                lexer.at += 1;
            }
            ')' | ']' => {
                let expected = if c == ')' { '(' } else { '[' };
                if open.pop().is_none_or(|(_, before)| before != expected) {
                    let message = format!("`{c}` closes nothing");
                    return Err(lexer.error(start, "sql-syntax", message, "take it out"));
                }
                lexer.at += 1;
            }
            '{' | '}' | '$' => {
                let message =
                    format!("`{c}` has no meaning here: the SQL of streams has no parameters");
                return Err(lexer.error(start, "sql-parameter", message, "take it out"));
            }
            c if is_word(c) => {
                let word = lexer.rest();
                lexer.at += word.find(|c| !is_word(c) && c != '$').unwrap_or(word.len());
            }
            c => lexer.at += c.len_utf8(),
        }
        tokens.push(unix[start..lexer.at].to_owned());
    }
    if let Some((start, c)) = open.last() {
        let message = format!("`{c}` is not closed");
        return Err(lexer.error(*start, "sql-syntax", message, "close it"));
    }
    let Some(first) = tokens.iter().find(|token| !token.starts_with("/*")) else {
        let help = "write one SELECT that gives the view's columns";
        return Err(lexer.error(0, "sql-empty", "there is no SELECT", help));
    };
    if !["SELECT", "WITH", "("].iter().any(|word| first.eq_ignore_ascii_case(word)) {
        let start = unix.find(first.as_str()).unwrap_or(0);
        let help = "write one SELECT: the job around it is written for you";
        return Err(lexer.error(start, "sql-not-select", "only a SELECT is allowed", help));
    }
    let statement = unix[..end.unwrap_or(unix.len())].trim_end().to_owned();
    Ok(Lexed { statement, tokens })
}

/// What no text of SQL needs and some reader takes for a line's end, or refuses: the script stands in YAML,
/// too.
pub fn is_bad(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A carriage return ends a comment to Flink's parser, and does not to what cuts its scripts.
fn no_controls(lexer: &Lexer<'_>, start: usize) -> Result<(), Vec<Diagnostic>> {
    let part = lexer.text.get(start..lexer.at).unwrap_or("");
    match part.char_indices().find(|(_, c)| is_bad(*c)) {
        Some((offset, c)) => {
            let message = format!("there is a control character, `{}`", c.escape_unicode());
            Err(lexer.error(start + offset, "sql-syntax", message, "take it out"))
        }
        None => Ok(()),
    }
}
