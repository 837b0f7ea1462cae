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
