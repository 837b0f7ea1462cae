//! Readable differences: unified diff, as everybody knows it.

use similar::TextDiff;

/// Texts with more lines than this, both together, are not shown as a diff: its cost grows with
/// their product, and nobody would read it.
const LINES_MAX: usize = 4_000;

/// The unified diff of two texts, with the files' names; empty if they are equal.
pub(super) fn unified(old_name: &str, new_name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let lines = old.lines().count() + new.lines().count();
    if lines > LINES_MAX {
        return format!(
            "--- {old_name}\n+++ {new_name}\n# {lines} lines: too long to be shown here\n"
        );
    }
    let mut text = TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(old_name, new_name)
        .to_string();
    // A text without a newline at its end would glue the next one's header to its last line.
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
