//! The codes of diagnostics of SQL: one table, from which `docs/sql-errors.md` is written.

use trivium_model::config::{Code, row};

use crate::scan::SQL_BYTES_MAX;

const fn code(code: &'static str, meaning: &'static str, remedy: &'static str) -> Code {
    Code { code, meaning, remedy }
}

/// Every code of a diagnostic of SQL, in the order of the documentation.
pub const CODES: &[Code] = &[
    code("sql-syntax", "The SQL cannot be read.", "Mend it at the position, in Spark's dialect."),
    code("sql-empty", "The file has no SELECT.", "Write one SELECT that gives the view's columns."),
    code(
        "sql-statements",
        "There is more than one statement.",
        "Keep one SELECT; put its steps into a WITH clause.",
    ),
    code(
        "sql-not-select",
        "The statement is no SELECT.",
        "Write one SELECT: the platform writes the tables itself.",
    ),
    code(
        "sql-too-long",
        "The SQL is larger than allowed.",
        "Split the view, or move constant data into a table.",
    ),
    code(
        "sql-too-deep",
        "The SQL nests too deeply, or one expression is too long.",
        "Move inner parts into a WITH clause.",
    ),
    code(
        "sql-parameter",
        "Something looks like a parameter and is none.",
        "The parameters are `{{ ds }}`, `{{ period_start }}` and `{{ period_end }}`.",
    ),
    code(
        "sql-parameter-outside-literal",
        "A parameter stands outside a literal.",
        "Write `DATE '{{ ds }}'` or `TIMESTAMP '{{ period_end }}'`.",
    ),
    code(
        "sql-literal",
        "A literal is written in a way that engines read differently.",
        "Write numbers without a suffix and cast them; write strings in plain quotes.",
    ),
    code(
        "sql-not-repeatable",
        "The result would depend on when or where the query runs.",
        "Use the period's parameters, keys of the data, or a complete ORDER BY.",
    ),
    code(
        "sql-unsupported",
        "This part of SQL has no place in feature SQL.",
        "Write it as the message says.",
    ),
    code(
        "sql-wildcard",
        "`*` leaves open which columns the view gets.",
        "Name each column; `*` is fine in a subquery.",
    ),
    code("sql-unnamed-column", "A column has no name.", "Add `AS` and a name."),
    code("sql-duplicate-column", "Two columns have one name.", "Rename or remove one."),
    code("sql-duplicate-query", "A WITH clause uses one name twice.", "Rename one."),
    code(
        "sql-column-count",
        "The parts of a UNION give different numbers of columns.",
        "Give the same columns in the same order in every part.",
    ),
    code(
        "sql-unknown-column",
        "The query gives a column that the view does not have.",
        "Add the feature to the JSON, or leave the column out.",
    ),
    code(
        "sql-missing-column",
        "The query lacks a column that the view has.",
        "Add it under the view's name for it.",
    ),
    code(
        "sql-unknown-input",
        "A stream view's query reads a table that is none of its inputs.",
        "Declare it among `inputs`.",
    ),
    code(
        "sql-unchecked",
        "A stream view's query has what Trivium's parser does not know (a warning).",
        "Have Flink check it, by `trivium streams test`.",
    ),
    code(
        "sql-event-time",
        "What is aggregated over a period carries the period's start as event time.",
        "Write `TIMESTAMP '{{ period_end }}'`: the fact is known only then.",
    ),
];

/// The text of `docs/sql-errors.md`. What only the project's tables and an engine tell has `more`
/// codes.
pub fn documentation(more: &[Code]) -> String {
    let mut out = String::from(
        "# SQL errors\n\nEvery finding in the SQL of a view reads `path:line:column: error[code]: what, and what to do`.\nCodes never change their meaning. This page is generated from the tables of codes, first of all\n`crates/sql/src/codes.rs`, by `make codegen`, and held by a test of `trivium-cli`. What is said of\nthe file as a whole: [config-errors.md](config-errors.md).\n\n| code | what is wrong | what to do |\n| --- | --- | --- |\n",
    );
    out.extend(CODES.iter().map(row));
    out.push_str(
        "\n## Against the tables\n\nWhat `validate` and `apply` find in a project that declares the tables, by asking the engine.\n\n| code | what is wrong | what to do |\n| --- | --- | --- |\n",
    );
    out.extend(more.iter().map(row));
    out.push_str(&format!("\nA file of SQL has at most {SQL_BYTES_MAX} bytes.\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that stands in the sources is in the table, and the other way round.
    #[test]
    fn every_code_is_listed() {
        let sources = [
            include_str!("author.rs"),
            include_str!("check.rs"),
            include_str!("rules.rs"),
            include_str!("scan.rs"),
            include_str!("flink.rs"),
            include_str!("flink/lex.rs"),
        ];
        let mut used: Vec<&str> = sources
            .iter()
            .flat_map(|source| source.split('"'))
            .filter(|word| word.starts_with("sql-"))
            .collect();
        used.sort_unstable();
        used.dedup();
        let mut listed: Vec<&str> = CODES.iter().map(|code| code.code).collect();
        listed.sort_unstable();
        assert_eq!(used, listed);
    }
}
