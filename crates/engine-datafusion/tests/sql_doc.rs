//! docs/sql.md says what the allow-list says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fmt::Write};

use expect_test::expect_file;
use trivium_engine_datafusion::AllowList;

fn list(text: &mut String, title: &str, about: &str, names: &BTreeSet<String>) {
    writeln!(text, "## {title}\n{about}\n").unwrap();
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    writeln!(text, "{}\n", names.join(", ")).unwrap();
}

#[test]
fn sql_page_is_up_to_date() {
    let allowed = AllowList::proven().unwrap();
    let mut text = String::from(
        "# SQL on the local engine

What `trivium run` accepts: each entry gives the answer that Spark 4.2.0 gave to the cases in
`testdata/spark-parity`, nulls, overflow and errors included (ANSI mode, UTC). Anything else is refused by
name, with the hint `--engine spark`; why, is in [decision 0003](decisions/0003-local-engine.md).
This page is generated from `testdata/spark-parity/allowed.json` (`make codegen`).

Good to know:
- Types are never mixed silently: text beside a number is refused, write the CAST.
- Patterns (LIKE, RLIKE, `split`, `regexp_*`, `date_format`, …), units and scales must be literals. Regular
  expressions: the part where Java and Rust agree; no look-around, no back references.
- `collect_list` and `collect_set` only inside `sort_array`, `size`, `array_min`, `array_max`: their order is not fixed.
- Sketches (`hll_sketch_agg`, `hll_union_agg`, `hll_union`) may have other bytes than Spark's, of the same values: estimate or
  merge them, compare no bytes. Their sizes and flags must be literals.
- LIMIT needs an ORDER BY; `DIV` wants parentheses around a right side that is an expression.
- An overflow, a division by zero and a bad cast are errors; `nullif` and `try_cast` make nulls of them.
- A function makes texts of at most 16 MiB each, 256 MiB for one batch of 8192 rows, and 32 KiB where
  the text depends on no column. More is an error that names the function.

",
    );
    list(&mut text, "Functions", "One value from one row.", &allowed.functions);
    list(&mut text, "Aggregates", "One value from many rows.", &allowed.aggregates);
    list(&mut text, "Windows", "With OVER (PARTITION BY … ORDER BY …).", &allowed.windows);
    list(&mut text, "Operators and expressions", "With a syntax of their own.", &allowed.operators);
    let casts = allowed.casts.iter().map(|cast| cast.replace(' ', " → ")).collect();
    list(&mut text, "Casts", "CAST, `::` and TRY_CAST.", &casts);
    list(&mut text, "Clauses, joins, set operations", "Parts of a SELECT.", &allowed.clauses);
    expect_file!["../../../docs/sql.md"].assert_eq(&format!("{}\n", text.trim_end()));
}
