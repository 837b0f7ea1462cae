//! What is wrong with a file that an author wrote, where, and what to do about it.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::Severity;

/// One finding in one file: `path:line:column: error[code]: message, help`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters, not bytes.
    pub column: u32,
    /// Errors refuse the file; warnings do not.
    pub severity: Severity,
    /// A short stable word to look up in `docs/config-errors.md`.
    pub code: Cow<'static, str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// An error at a position (both from 1).
    pub fn error(
        path: impl Into<String>,
        (line, column): (u32, u32),
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line,
            column,
            severity: Severity::Error,
            code: code.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// The same finding as a warning.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { severity: Severity::Warn, ..self }
    }

    /// Whether it refuses the file.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, severity, code, message, help } = self;
        let word = match severity {
            Severity::Error => "error",
            Severity::Warn => "warning",
        };
        write!(f, "{path}:{line}:{column}: {word}[{code}]: {message}")?;
        if help.is_empty() { Ok(()) } else { write!(f, ", {help}") }
    }
}

/// Where the lines of a text begin: turns byte offsets into lines and columns.
#[derive(Debug, Clone)]
pub struct LineIndex<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    /// Reads the text once.
    pub fn new(text: &'t str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, line_starts }
    }

    /// Line and column, both from 1, of a byte offset; an offset past the end or inside a
    /// character counts as the nearest character before it.
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (narrow(line), narrow(column + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_are_one_line() {
        let error = Diagnostic::error("a.json", (3, 7), "syntax", "it is wrong", "mend it");
        assert_eq!(error.to_string(), "a.json:3:7: error[syntax]: it is wrong, mend it");
        let warning = Diagnostic { help: String::new(), ..error }.into_warning();
        assert_eq!(warning.to_string(), "a.json:3:7: warning[syntax]: it is wrong");
        assert!(!warning.is_error());
    }

    #[test]
    fn columns_count_characters() {
        let lines = LineIndex::new("aé\r\n\nx€y");
        for (offset, position) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 2)),
            (3, (1, 3)),
            (5, (2, 1)),
            (6, (3, 1)),
            (7, (3, 2)),
            (10, (3, 3)),
            (11, (3, 4)),
            (99, (3, 4)),
        ] {
            assert_eq!(lines.position(offset), position, "at {offset}");
        }
        assert_eq!(LineIndex::new("").position(0), (1, 1));
    }
}
