//! The local engine gives Spark's answers, or refuses; nothing on the allow-list is unproven.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parity;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use parity::{Answer, Case, answers, cases, same, same_sketch, tables, type_name, value};
use serde_json::Value;
use trivium_engine::{Error, QueryEngine, Table};
use trivium_engine_datafusion::{AllowList, DataFusionEngine, Options};

/// Names and types of the columns, and the rows.
type Answered = (Vec<(String, String)>, Vec<Vec<Value>>);

async fn ask(engine: &DataFusionEngine, sql: &str, tables: &[Table]) -> Result<Answered, Error> {
    let described = engine.describe(sql, tables).await?;
    let batches: Vec<RecordBatch> = engine.query(sql, tables).await?.try_collect().await?;
    let columns: Vec<(String, String)> = described
        .fields()
        .iter()
        .map(|field| (field.name().clone(), type_name(field.data_type())))
        .collect();
    let mut rows = Vec::new();
    for batch in &batches {
        if described.fields() != batch.schema().fields() {
            return Err(Error::Internal(format!(
                "described otherwise than answered: {:?}",
                batch.schema()
            )));
        }
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| value(column, row)).collect());
        }
    }
    Ok((columns, rows))
}

/// What is wrong with the engine's answer to a case.
fn differences(case: &Case, theirs: &Answer, ours: &Result<Answered, Error>) -> Option<String> {
    if case.refused {
        return match ours {
            Err(Error::Unsupported { help, .. }) if help.contains("--engine spark") => None,
            other => Some(format!("should be refused: {other:?}")),
        };
    }
    let (columns, rows) = match (theirs, ours) {
        (
            Answer::Error(_),
            Err(Error::Data(_) | Error::Invalid { .. } | Error::Unsupported { .. }),
        ) => return None,
        (Answer::Error(theirs), other) => {
            return Some(format!("Spark fails with {theirs}, we: {other:?}"));
        }
        (_, Err(error)) => return Some(format!("{error}")),
        (Answer::Rows { columns, rows }, Ok((our_columns, our_rows))) => {
            let names: Vec<_> =
                columns.iter().map(|(name, kind)| (name.to_lowercase(), kind.clone())).collect();
            if names != *our_columns {
                return Some(format!("columns\n  Spark {names:?}\n  ours  {our_columns:?}"));
            }
            if rows.len() != our_rows.len() {
                return Some(format!("{} rows for {}: {our_rows:?}", our_rows.len(), rows.len()));
            }
            (columns, rows.iter().zip(our_rows))
        }
    };
    let mut text = String::new();
    for (row, (theirs, ours)) in rows.enumerate() {
        for (index, (name, kind)) in columns.iter().enumerate() {
            let (theirs, ours) = (&theirs[index], &ours[index]);
            let agree = if case.sketches && kind == "binary" {
                same_sketch(theirs, ours)
            } else {
                same(theirs, ours, kind, case.close)
            };
            if !agree {
                writeln!(text, "row {row}, {name}: Spark {theirs}, ours {ours}").unwrap();
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

#[tokio::test]
async fn answers_are_those_of_spark() {
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let (tables, answers) = (tables(), answers());
    let only = std::env::var("CASE").ok();
    let mut wrong = String::new();
    let (mut total, mut failed) = (0, 0);
    for case in cases() {
        if only.as_ref().is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        let Some(theirs) = answers.get(&case.name) else {
            panic!("`{}` has no answer: run testdata/spark-parity/record.py", case.name);
        };
        total += 1;
        let ours = ask(&engine, &case.sql, &tables).await;
        if let Some(difference) = differences(&case, theirs, &ours) {
            failed += 1;
            writeln!(wrong, "--- {}\n{}\n{difference}", case.name, case.sql).unwrap();
        }
    }
    assert!(failed == 0, "{failed} of {total} cases differ from Spark\n{wrong}");
    assert!(only.is_some() || total >= 150, "only {total} cases");
}

/// Which cases prove each entry: the ones with an answer that we give too.
async fn proofs(engine: &DataFusionEngine, tables: &[Table]) -> BTreeMap<String, Vec<Case>> {
    let answers = answers();
    let mut proofs: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        if case.refused || !matches!(answers.get(&case.name), Some(Answer::Rows { .. })) {
            continue;
        }
        for entry in engine.uses(&case.sql, tables).await.unwrap_or_default() {
            proofs.entry(entry).or_default().push(case.clone());
        }
    }
    proofs
}

#[tokio::test]
async fn every_entry_is_proven_and_its_removal_refuses() {
    let engine = DataFusionEngine::new(&Options::default()).unwrap();
    let tables = tables();
    let proofs = proofs(&engine, &tables).await;
    let allowed = AllowList::proven().unwrap();
    let unproven: BTreeSet<String> =
        allowed.entries().into_iter().filter(|entry| !proofs.contains_key(entry)).collect();
    assert!(unproven.is_empty(), "no case proves: {unproven:?}");
    let mut missing = Vec::new();
    for (entry, cases) in &proofs {
        // Nulls: every table has some in every kind of column.
        let sees_null = cases.iter().any(|case| {
            case.sql.contains(" FROM ") || case.sql.contains("\nFROM ") || case.sql.contains("NULL")
        });
        if !sees_null {
            missing.push(format!("{entry}: no case with nulls"));
        }
        let without =
            DataFusionEngine::with_allow_list(&Options::default(), allowed.clone().without(entry))
                .unwrap();
        let name = entry.split_once(' ').unwrap().1;
        let wanted = if entry.starts_with("cast ") { "CAST" } else { name };
        match without.describe(&cases[0].sql, &tables).await {
            Err(Error::Unsupported { what, help, .. })
                if what.contains(wanted) && help.contains("--engine spark") => {}
            other => missing.push(format!("{entry}: removed, yet {other:?}")),
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(
        allowed.functions.len()
            + allowed.operators.len()
            + allowed.aggregates.len()
            + allowed.windows.len()
            >= 80
    );
}
