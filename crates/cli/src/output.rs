//! Printing: answers to standard output, everything else to standard error; colours only on a
//! terminal (and not where `NO_COLOR` says so).

use std::{io::Write, process::ExitCode};

use anstyle::{AnsiColor, Style};
use trivium_model::Diagnostic;

use crate::{args::Output, failure::Failure};

/// What went well, what is new.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What deserves a look.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// What failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();
/// What matters more.
pub const STRONG: Style = Style::new().bold();

/// Text in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints one line of an answer. A reader that has gone (`| head`) ends the program quietly.
pub fn line(text: impl std::fmt::Display) {
    if writeln!(anstream::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints bytes of an answer as they are, and a line end.
pub fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err()
    {
        std::process::exit(0);
    }
}

/// Prints JSON on one line.
pub fn json(value: &impl serde::Serialize) {
    // Our own types and trees: they serialise.
    raw(&serde_json::to_vec(value).unwrap_or_default());
}

/// Says something to the person, apart from the answer.
pub fn note(text: impl std::fmt::Display) {
    // Nothing better can be done where standard error is closed.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints rows under bold headings, in columns as wide as their widest cell. Cells are plain text;
/// `style` may colour one by its row, column and text.
pub fn table(headings: &[&str], rows: &[Vec<String>], style: impl Fn(usize, usize, &str) -> Style) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let print = |cells: &[String], style: &dyn Fn(usize, &str) -> Style| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(&paint(style(column, cell), cell));
            if column + 1 < cells.len() {
                let pad = widths.get(column).map_or(0, |width| width - cell.chars().count());
                text.extend(std::iter::repeat_n(' ', pad + 2));
            }
        }
        line(text);
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    print(&headings, &|_, _| STRONG);
    for (index, row) in rows.iter().enumerate() {
        print(row, &|column, cell| style(index, column, cell));
    }
}

/// No colours in a table.
pub fn plain(_row: usize, _column: usize, _cell: &str) -> Style {
    Style::new()
}

/// Prints a finding as one line, its severity coloured.
pub fn finding(finding: &Diagnostic) {
    let text = finding.to_string();
    let (word, style) = if finding.is_error() { ("error", BAD) } else { ("warning", WARN) };
    let marker = format!(": {word}[{}]: ", finding.code);
    match text.split_once(&marker) {
        Some((place, rest)) => {
            note(format!("{place}: {} {rest}", paint(style, marker[2..].trim_end())))
        }
        None => note(text),
    }
}

/// Prints a failure and gives its exit code.
pub fn report(failure: &Failure, output: Output) -> ExitCode {
    let Failure { error, findings } = failure;
    match output {
        Output::Json => {
            #[derive(serde::Serialize)]
            struct Report<'a> {
                #[serde(flatten)]
                error: trivium_api::error::ErrorBody,
                #[serde(skip_serializing_if = "<[_]>::is_empty")]
                findings: &'a [Diagnostic],
            }
            let report = Report { error: error.body(), findings };
            note(serde_json::to_string(&report).unwrap_or_default());
        }
        Output::Table => {
            findings.iter().for_each(finding);
            note(format!(
                "{} {}",
                paint(BAD, format!("error[{}]:", error.kind.code())),
                error.message
            ));
            if !error.field.is_empty() {
                note(format!("  where: {}", error.field));
            }
            if !error.help.is_empty() {
                note(format!("  do:    {}", error.help));
            }
        }
    }
    ExitCode::from(error.kind.exit())
}
