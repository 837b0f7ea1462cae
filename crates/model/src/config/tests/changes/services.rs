//! Changes of services.

use expect_test::{Expect, expect};

use super::lines;
use crate::config::tests::{SERVICE, SERVICE_PATH, edited};
use crate::config::{classify_service, parse_service};

fn check_service(features: &str, expected: Expect) {
    let parse =
        |edits: &[(&str, &str)]| parse_service(SERVICE_PATH, &edited(SERVICE, edits)).unwrap();
    let sample = "[\"carrier_daily@1:flights\", \"carrier_daily@1:flights_7d\"]";
    expected.assert_eq(&lines(&classify_service(&parse(&[]), &parse(&[(sample, features)]))));
}

#[test]
fn services() {
    check_service("[\"carrier_daily@1:flights\", \"carrier_daily@1:flights_7d\"]", expect![]);
    check_service(
        "[\"carrier_daily@1:flights\", \"carrier_daily@1:flights_7d\", \"carrier_daily@1:late\"]",
        expect![[r#"
            behaviour: features: `carrier_daily@1:late` added at the end: the vector grows
        "#]],
    );
    check_service(
        "[\"carrier_daily@1:late\", \"carrier_daily@1:flights\", \"carrier_daily@1:flights_7d\"]",
        expect![[r#"
            breaking: features: the order changed: the model reads by position
            behaviour: features: `carrier_daily@1:late` added: the vector changes
        "#]],
    );
    check_service(
        "[\"carrier_daily@1:flights\"]",
        expect![[r#"
        breaking: features: `carrier_daily@1:flights_7d` removed: the model misses it
    "#]],
    );
    check_service(
        "[\"carrier_daily@1:flights_7d\", \"carrier_daily@1:flights\"]",
        expect![[r#"
        breaking: features: the order changed: the model reads by position
    "#]],
    );
    check_service(
        "[\"carrier_daily@2:flights\", \"carrier_daily@1:flights_7d\"]",
        expect![[r#"
        breaking: features: `carrier_daily@1:flights` removed: the model misses it
        behaviour: features: `carrier_daily@2:flights` added: the vector changes
    "#]],
    );
}

#[test]
fn service_texts() {
    let parse =
        |edits: &[(&str, &str)]| parse_service(SERVICE_PATH, &edited(SERVICE, edits)).unwrap();
    let new = parse(&[
        ("Inputs", "All inputs"),
        ("\"team\": \"ops-ml\"", "\"team\": \"ml\""),
        ("[\"delays\"]", "[]"),
    ]);
    expect![[r#"
        cosmetic: description: the text changed
        cosmetic: owner: ops-ml <ops-ml@example.com> → ml <ops-ml@example.com>
        cosmetic: tags: [delays] → []
    "#]]
    .assert_eq(&lines(&classify_service(&parse(&[]), &new)));
}

/// A service with these inputs (`name type`) and derived features (`name type: sql`).
fn computing(inputs: &[&str], derived: &[&str]) -> crate::FeatureService {
    let described = |text: &str| {
        let (name, data_type) = text.split_once(' ').unwrap();
        format!(r#"{{ "name": "{name}", "type": "{data_type}", "description": "X.""#)
    };
    let inputs: Vec<String> = inputs.iter().map(|input| described(input) + " }").collect();
    let derived = derived.iter().map(|derived| {
        let (typed, sql) = derived.split_once(": ").unwrap();
        format!(r#"{}, "sql": "{sql}" }}"#, described(typed))
    });
    let derived: Vec<String> = derived.collect();
    let fields =
        format!(r#""inputs": [{}], "derived": [{}]"#, inputs.join(", "), derived.join(", "));
    parse_service(SERVICE_PATH, &edited(SERVICE, &[(r#""tags": ["delays"]"#, &fields)])).unwrap()
}

#[test]
fn inputs_and_derived_features() {
    let old = computing(&["a int32", "b string"], &["x bool: a > 1", "y int32: a"]);
    let check = |inputs: &[&str], derived: &[&str], expected: Expect| {
        expected.assert_eq(&lines(&classify_service(&old, &computing(inputs, derived))));
    };
    let (inputs, derived) = (["a int32", "b string"], ["x bool: a > 1", "y int32: a"]);
    check(&inputs, &derived, expect![]);
    check(
        &["b string", "a int32", "c date"],
        &derived,
        expect![[r#"
        compatible: inputs.c: added
        cosmetic: inputs: the order changed
    "#]],
    );
    check(
        &["a int64"],
        &derived,
        expect![[r#"
        breaking: inputs.a: int32 → int64, callers send the old type
        breaking: inputs.b: removed: who sends it is refused
    "#]],
    );
    check(
        &inputs,
        &["x bool: a > 2", "y int64: a"],
        expect![[r#"
        breaking: derived.y: int32 → int64, the model reads another type
        behaviour: derived.x.sql: a > 1 → a > 2, it is computed otherwise
    "#]],
    );
    check(
        &inputs,
        &["x bool: a > 1", "y int32: a", "z int32: a"],
        expect![[r#"
        behaviour: derived: `z` added: the vector grows
    "#]],
    );
    check(
        &inputs,
        &["z int32: a", "x bool: a > 1", "y int32: a"],
        expect![[r#"
        breaking: derived: the order changed: the model reads by position
        behaviour: derived: `z` added: the vector grows
    "#]],
    );
    check(
        &inputs,
        &["y int32: a", "x bool: a > 1"],
        expect![[r#"
        breaking: derived: the order changed: the model reads by position
    "#]],
    );
    check(
        &inputs,
        &["y int32: a", "z int32: a"],
        expect![[r#"
        breaking: derived.x: removed: the model misses it
        behaviour: derived: `z` added: the vector grows
    "#]],
    );
    check(
        &[],
        &[],
        expect![[r#"
        breaking: inputs.a: removed: who sends it is refused
        breaking: inputs.b: removed: who sends it is refused
        breaking: derived.x: removed: the model misses it
        breaking: derived.y: removed: the model misses it
    "#]],
    );
}
