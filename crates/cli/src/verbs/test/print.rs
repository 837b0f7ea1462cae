//! What a test found, for people.

use anstyle::Style;
use serde_json::Value as Json;
use trivium_model::Severity;

use super::{
    Compared, Report,
    compare::{Comparison, RowDifference},
};
use crate::{
    frame::{Frame, plain, shortened},
    output,
};

/// Prints all of it.
pub fn report(report: &Report, frame: &Frame, rows: &[usize]) {
    let carried = match report.rows_carried {
        0 => String::new(),
        carried => format!(", {carried} of them carried over"),
    };
    output::line(format!(
        "{} {}, {}: {} rows from SQL, {} as they would be published{carried}",
        output::paint(output::GOOD, "tested"),
        output::paint(output::STRONG, &report.view),
        report.period.name,
        report.rows_from_sql,
        report.rows_published,
    ));
    if !rows.is_empty() {
        output::line("");
        print_rows(frame, rows);
    }
    if rows.len() < frame.rows {
        let more = frame.rows - rows.len();
        let text = format!("{more} more rows; --rows or --sample shows them");
        output::line(output::paint(output::FAINT, text));
    }
    output::line("");
    print_columns(report);
    output::line("");
    print_quality(report);
    if let Some(compared) = &report.compared {
        output::line("");
        print_comparison(compared);
    }
    for note in &report.notes {
        output::note(format!("{} {}", output::paint(output::WARN, "note:"), output::shown(note)));
    }
}

fn print_rows(frame: &Frame, rows: &[usize]) {
    let headings: Vec<&str> = frame.columns.iter().map(|column| column.name.as_str()).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| frame.columns.iter().map(|column| column.cell(*row)).collect())
        .collect();
    output::table(
        &headings,
        &cells,
        |_, _, cell| {
            if cell == "null" { output::FAINT } else { Style::new() }
        },
    );
}

fn print_columns(report: &Report) {
    let headings =
        ["column", "type", "rows", "nulls", "min", "median", "max", "mean", "distinct", "lengths"];
    let shown =
        |json: &Option<Json>| json.as_ref().map_or(String::new(), |it| shortened(&plain(it)));
    let cells: Vec<Vec<String>> = report
        .columns
        .iter()
        .map(|column| {
            let mean = column.mean.as_ref().map_or(String::new(), |mean| {
                mean.as_f64().map_or_else(|| plain(mean), |mean| format!("{mean:.6}"))
            });
            let distinct = column.distinct.map_or(String::new(), |distinct| {
                format!("{}{}", if distinct.exact { "" } else { "some " }, distinct.count)
            });
            let nulls = match column.nan_count {
                Some(nans) if nans > 0 => format!("{}, {nans} NaN", column.null_count),
                _ => column.null_count.to_string(),
            };
            vec![
                column.column.clone(),
                column.data_type.clone(),
                column.count.to_string(),
                nulls,
                shown(&column.min),
                shown(&column.quantiles.get("0.5").cloned()),
                shown(&column.max),
                mean,
                distinct,
                column
                    .lengths
                    .map_or(String::new(), |lengths| format!("{} to {}", lengths.min, lengths.max)),
            ]
        })
        .collect();
    output::table(&headings, &cells, output::plain);
}

fn print_quality(report: &Report) {
    for check in &report.quality {
        let (word, style) = match (check.passed, check.severity) {
            (true, _) => ("ok  ", output::GOOD),
            (false, Severity::Warn) => ("warn", output::WARN),
            (false, Severity::Error) => ("fail", output::BAD),
        };
        output::line(format!(
            "{} {}",
            output::paint(style, word),
            output::shown(&check.to_string())
        ));
    }
}

fn print_comparison(compared: &Compared) {
    let Comparison { added, removed, changed, unchanged, .. } = &compared.rows;
    let from = if compared.from == "lake" { "as published" } else { "run as it was accepted" };
    output::line(format!(
        "beside {} ({from}): {added} rows added, {removed} removed, {changed} changed, {unchanged} unchanged",
        output::paint(output::STRONG, &compared.with),
    ));
    for (names, word) in [
        (&compared.rows.columns_added, "only here"),
        (&compared.rows.columns_removed, "only there"),
    ] {
        if !names.is_empty() {
            output::line(format!("  columns {word}: {}", names.join(", ")));
        }
    }
    let by_column: Vec<String> = compared
        .rows
        .changed_by_column
        .iter()
        .map(|(column, rows)| format!("{column} in {rows}"))
        .collect();
    if !by_column.is_empty() {
        output::line(format!("  changed: {}", by_column.join(", ")));
    }
    compared.rows.first.iter().for_each(print_difference);
    let differing = added + removed + changed;
    if let Some(more) = differing.checked_sub(compared.rows.first.len()).filter(|more| *more > 0) {
        output::line(output::paint(output::FAINT, format!("  {more} more rows differ")));
    }
}

fn print_difference(row: &RowDifference) {
    let (sign, style) = match row.kind {
        "added" => ("+", output::GOOD),
        "removed" => ("-", output::BAD),
        _ => ("~", output::WARN),
    };
    let key: Vec<String> =
        row.key.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    let columns: Vec<String> = row
        .columns
        .iter()
        .map(|(name, change)| {
            let (old, new) = (plain(&change.old), plain(&change.new));
            format!("{name} {} → {}", shortened(&old), shortened(&new))
        })
        .collect();
    let gap = if columns.is_empty() { "" } else { ": " };
    let text = format!("{}{gap}{}", key.join(" "), columns.join(", "));
    output::line(format!("  {} {}", output::paint(style, sign), output::shown(&text)));
}
