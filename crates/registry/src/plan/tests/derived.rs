//! Derived features of services, typed over the views of a project and over those that only the registry has.

use expect_test::{Expect, expect};

use super::{JSON, JSON_PATH, SERVICE_PATH, SQL, SQL_PATH, accepted, check, edited, project};
use crate::{File, load_project, plan};

const DERIVING: &str = r#"{
  "namespace": "flights", "name": "delay_model", "version": 1,
  "description": "Predicts delays.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "features": ["punctuality@1:flights", "punctuality@1:max_delay"],
  "inputs": [{ "name": "seats", "type": "int32", "description": "Seats." }],
  "derived": [
    { "name": "seats_all", "type": "int64", "description": "Seats.", "sql": "seats * flights" },
    { "name": "worst", "type": "int32", "description": "Worst.", "sql": "coalesce(punctuality.max_delay, seats)" }
  ]
}
"#;
/// Compatible for whoever reads the view, but the expression is of another type then.
const WIDER: (&str, &str) = (r#""max_delay", "type": "int32""#, r#""max_delay", "type": "int64""#);

fn wrong(edits: &[(&str, &str)], expected: Expect) {
    let files = [
        File::new(JSON_PATH, JSON),
        File::new(SQL_PATH, SQL),
        File::new(SERVICE_PATH, edited(DERIVING, edits)),
    ];
    let found = load_project(&files).unwrap_err();
    expected.assert_eq(&found.iter().map(|one| format!("{one}\n")).collect::<String>());
}

#[test]
fn every_expression_that_is_wrong_is_told_at_its_place() {
    wrong(
        &[("seats * flights", "seats * flihgts"), ("max_delay, seats", "max_delay, 'none'")],
        expect![[r#"
            flights/delay_model.v1.service.json:8:86: error[bad-expression]: `seats_all`: there is no `flihgts`, did you mean `punctuality.flights`?
            flights/delay_model.v1.service.json:9:74: error[bad-expression]: `worst`: `coalesce` of int32 and string, cast one of them, as in `CAST(x AS DOUBLE)`
        "#]],
    );
    // The JSON's escapes count as they are written.
    wrong(
        &[("seats * flights", r"seats\n\t* \u0066lihgts")],
        expect![[r#"
        flights/delay_model.v1.service.json:8:89: error[bad-expression]: `seats_all`: there is no `flihgts`, did you mean `punctuality.flights`?
    "#]],
    );
    wrong(
        &[("seats * flights", "'\u{1F600}\\ud83d\\ude00é' = flihgts")],
        expect![[r#"
        flights/delay_model.v1.service.json:8:97: error[bad-expression]: `seats_all`: there is no `flihgts`, did you mean `punctuality.flights`?
    "#]],
    );
    wrong(
        &[(r#""type": "int64""#, r#""type": "int32""#)],
        expect![[r#"
        flights/delay_model.v1.service.json:8:78: error[bad-expression]: `seats_all`: it is of type int32, but its SQL gives int64, make its `type` int64, or write a CAST around the SQL
    "#]],
    );
    // What the service does not list is not there, whatever the view has.
    wrong(
        &[("seats * flights", "seats * avg_delay")],
        expect![[r#"
        flights/delay_model.v1.service.json:8:86: error[bad-expression]: `seats_all`: there is no `avg_delay`, did you mean `punctuality.max_delay`?
    "#]],
    );
    // What is wrong with the list is not told twice.
    wrong(
        &[("punctuality@1:flights", "punctuality@1:flihgts")],
        expect![[r#"
        flights/delay_model.v1.service.json:5:16: error[unknown-feature]: flights/punctuality@1 has no feature `flihgts`, did you mean `flights`?
    "#]],
    );
    wrong(
        &[
            (r#""seats", "type""#, r#""origin", "type""#),
            ("seats * flights", "flights"),
            (", seats)", ", 1)"),
        ],
        expect![[r#"
            flights/delay_model.v1.service.json:6:24: error[name-collision]: the input `origin` has the name of a join key of flights/punctuality@1, rename the input: in a request and in a frame the name is the key
        "#]],
    );
}

#[test]
fn a_view_may_not_change_below_an_expression() {
    let wider = edited(JSON, &[WIDER]);
    let both = [(JSON_PATH, wider.as_str()), (SQL_PATH, SQL), (SERVICE_PATH, DERIVING)];
    let files: Vec<File> = both.iter().map(|(path, text)| File::new(*path, *text)).collect();
    let told = load_project(&files).unwrap_err();
    expect![[r#"
        flights/delay_model.v1.service.json:9:74: error[bad-expression]: `worst`: it is of type int32, but its SQL gives int64, make its `type` int64, or write a CAST around the SQL
    "#]].assert_eq(&told.iter().map(|one| format!("{one}\n")).collect::<String>());
    // The service is in the registry only: the view is held against it all the same.
    let before = [(JSON_PATH, JSON), (SQL_PATH, SQL), (SERVICE_PATH, DERIVING)];
    let next = [(JSON_PATH, wider.as_str()), (SQL_PATH, SQL)];
    check(
        &[&before],
        &next,
        expect![[r#"
        base 1
        flights/punctuality@1: compatible
          compatible: features.max_delay.type: int32 → int64, wider: every old value fits
        refused: the registry's flights/delay_model@1:9:74: error[bad-expression]: `worst`: it is of type int32, but its SQL gives int64, make its `type` int64, or write a CAST around the SQL
        notice: service flights/delay_model@1 is in the registry but not in the files: it stays as it is
    "#]],
    );
}

#[test]
fn a_service_that_computes_is_accepted_as_it_is() {
    let files = [(JSON_PATH, JSON), (SQL_PATH, SQL), (SERVICE_PATH, DERIVING)];
    let current = accepted(&[project(&files)]);
    let service = &current.services.values().next().unwrap().service;
    assert_eq!(service.derived[0].sql, "seats * flights");
    assert_eq!(service.inputs[0].name, *"seats");
    assert!(plan(&current, &project(&files)).changes.is_empty());
    let text: String = serde_json::to_string(service).unwrap();
    let back: trivium_model::FeatureService = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *service);
}
