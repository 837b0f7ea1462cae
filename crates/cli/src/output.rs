//! Printing: answers to standard output, everything else to standard error; colours only on a
//! terminal (and not where `NO_COLOR` says so).

use std::{
    borrow::Cow,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use trivium_model::Diagnostic;

use crate::{
    args::Output,
    failure::{self, Failure},
};

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

/// Text that others wrote, as it may stand in a line: a control character would move the cursor,
/// hide or colour what follows, or change the terminal's settings; so would one that turns the
/// direction of writing.
pub fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

/// The same for texts of several lines.
fn shown_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_control(c) && !matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_bad(c) { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    Cow::Owned(clean)
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path as a shell takes it.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    // Behind `./`, a leading `-` is no option.
    let dash = if text.starts_with('-') { "./" } else { "" };
    if !text.is_empty() && text.chars().all(plain) {
        format!("{dash}{text}")
    } else {
        format!("'{dash}{}'", shown(&text).replace('\'', r"'\''"))
    }
}

/// Prints one line of an answer.
pub fn line(text: impl std::fmt::Display) {
    written(writeln!(anstream::stdout(), "{text}"), Output::Table);
}

/// How a write to standard output ended. A reader that has gone (`| head`) has read enough, and the
/// verb does its work to the end. An answer that is lost in any other way (a full disk) ends the
/// program as a failure: nobody may take silence for success.
pub fn written(outcome: io::Result<()>, output: Output) {
    match outcome {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            let failure = failure::io("standard output", &error);
            report(&failure, output);
            std::process::exit(i32::from(failure.error.kind.exit()));
        }
    }
}

/// Prints a JSON answer's bytes as they are, and a line end.
pub fn raw(bytes: &[u8]) {
    bytes_as(Output::Json, bytes);
}

/// Prints bytes as they are, and a line end; `output` is how a failure is said.
pub fn bytes_as(output: Output, bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let outcome = out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
    written(outcome.and_then(|()| out.flush()), output);
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
    table_lines(headings, rows, style).into_iter().for_each(line);
}

fn table_lines(
    headings: &[&str],
    rows: &[Vec<String>],
    style: impl Fn(usize, usize, &str) -> Style,
) -> Vec<String> {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let print = |cells: &[Cow<'_, str>], style: &dyn Fn(usize, &str) -> Style| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(&paint(style(column, cell), cell));
            if column + 1 < cells.len() {
                let pad = widths.get(column).map_or(0, |width| width - cell.chars().count());
                text.extend(std::iter::repeat_n(' ', pad + 2));
            }
        }
        text
    };
    let headings: Vec<Cow<'_, str>> = headings.iter().map(|heading| Cow::from(*heading)).collect();
    let mut lines = vec![print(&headings, &|_, _| STRONG)];
    lines.extend(
        rows.iter()
            .enumerate()
            .map(|(index, row)| print(row, &|column, cell| style(index, column, cell))),
    );
    lines
}

/// No colours in a table.
pub fn plain(_row: usize, _column: usize, _cell: &str) -> Style {
    Style::new()
}

/// Prints a finding as one line, its severity coloured.
pub fn finding(finding: &Diagnostic) {
    let text = finding.to_string();
    let text = shown(&text);
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
                shown_lines(&error.message)
            ));
            if !error.field.is_empty() {
                note(format!("  where: {}", shown(&error.field)));
            }
            if !error.help.is_empty() {
                note(format!("  do:    {}", shown_lines(&error.help)));
            }
        }
    }
    ExitCode::from(error.kind.exit())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(shown("snow, \u{e9}t\u{e9} \u{2744}"), "snow, \u{e9}t\u{e9} \u{2744}");
        assert_eq!(shown("a\x1b[2Jb\r\n\0"), r"a\u{1b}[2Jb\r\n\u{0}");
        assert_eq!(shown("\u{9b}31m\u{202e}x"), r"\u{9b}31m\u{202e}x");
        assert_eq!(shown_lines("a\n\tb\x1b"), "a\n\tb\\u{1b}");
    }

    #[test]
    fn cells_are_as_wide_as_they_are_shown() {
        let rows = [
            vec!["a\x1b[1m".to_owned(), "one".to_owned()],
            vec!["b".to_owned(), "two\nthree".to_owned()],
        ];
        let lines = table_lines(&["name", "text"], &rows, plain);
        let lines: Vec<String> =
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        expect![[r#"
            name        text
            a\u{1b}[1m  one
            b           two\nthree
        "#]]
        .assert_eq(&format!("{}\n", lines.join("\n")));
    }

    #[test]
    fn paths_as_a_shell_takes_them() {
        let word = |path: &str| shell_word(Path::new(path));
        assert_eq!(word("shop"), "shop");
        assert_eq!(word("/tmp/my-shop_1.x"), "/tmp/my-shop_1.x");
        assert_eq!(word("my shop"), "'my shop'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("$HOME;x"), "'$HOME;x'");
        assert_eq!(word("-x"), "./-x");
        assert_eq!(word("-x y"), "'./-x y'");
        assert_eq!(word("~x"), "'~x'");
    }
}
