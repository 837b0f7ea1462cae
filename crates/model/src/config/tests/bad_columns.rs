//! Files, columns and defaults whose form is right and whose meaning is wrong.

use expect_test::expect;

use super::{check, check_view_text};

#[test]
fn file_names() {
    check(
        &[(r#""name": "carrier_daily""#, r#""name": "carrier_weekly""#)],
        expect![[r#"
        4:11: error[wrong-file-name]: the file is named `carrier_daily.v1.json`, rename it to `carrier_weekly.v1.json`, or mend `name` or `version`
    "#]],
    );
    check(
        &[(r#""version": 1"#, r#""version": 2"#)],
        expect![[r#"
        5:14: error[wrong-file-name]: the file is named `carrier_daily.v1.json`, rename it to `carrier_daily.v2.json`, or mend `name` or `version`
    "#]],
    );
    check(
        &[(r#""namespace": "flights""#, r#""namespace": "trains""#)],
        expect![[r#"
        3:16: error[wrong-folder]: the file is in the folder `flights`, move it to `trains`, or mend `namespace`
    "#]],
    );
    check(
        &[("feature-view.v1.json", "feature-service.v1.json")],
        expect![[r#"
        2:14: warning[wrong-schema]: `$schema` is `../../schemas/feature-service.v1.json`, point it at `schemas/feature-view.v1.json`
    "#]],
    );
}

#[test]
fn columns() {
    check(
        &[(r#""name": "late""#, r#""name": "flights""#)],
        expect![[r#"
            25:15: error[duplicate-feature]: the feature `flights` is defined twice, rename one of them
        "#]],
    );
    check(
        &[(r#""name": "origin", "type""#, r#""name": "carrier", "type""#)],
        expect![[r#"
        12:15: error[duplicate-entity]: the entity `carrier` is defined twice, rename one of them
        38:49: error[unknown-column]: `origin` is no column of the view's SQL, known: `carrier`, `event_ts`, `created_ts`, `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
        40:45: error[unknown-column]: `origin` is no column of the view's SQL, known: `carrier`, `event_ts`, `created_ts`, `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "carrier""#)],
        expect![[r#"
        25:15: error[name-collision]: `carrier` is a join key and cannot be a feature too, rename one of them
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "event_ts""#)],
        expect![[r#"
        25:15: error[name-collision]: `event_ts` is the event timestamp and cannot be a feature too, rename one of them
    "#]],
    );
    check(
        &[(r#""event_timestamp": "event_ts""#, r#""event_timestamp": "origin""#)],
        expect![[r#"
        14:22: error[name-collision]: `origin` is a join key and cannot be the event timestamp too, rename one of them
    "#]],
    );
    check(
        &[(r#""created_timestamp": "created_ts""#, r#""created_timestamp": "event_ts""#)],
        expect![[r#"
            15:24: error[name-collision]: `event_ts` is the event timestamp and cannot be the created timestamp too, rename one of them
        "#]],
    );
    check(
        &[(r#""created_timestamp": "created_ts""#, r#""created_timestamp": "late""#)],
        expect![[r#"
        25:15: error[name-collision]: `late` is the created timestamp and cannot be a feature too, rename one of them
    "#]],
    );
    check(
        &[(r#""subject": "carrier""#, r#""subject": "carier""#)],
        expect![[r#"
        16:14: error[unknown-subject]: subject `carier` is no join key of the view, did you mean `carrier`?
    "#]],
    );
    check(
        &[(r#""subject": "carrier""#, r#""subject": "flights""#)],
        expect![[r#"
        16:14: error[unknown-subject]: subject `flights` is no join key of the view, known: `carrier`, `origin`
    "#]],
    );
    check(
        &[(r#""tags": ["volume"]"#, r#""tags": ["volume", "volume"]"#)],
        expect![[r#"
        19:106: error[duplicate-item]: tag `volume` is written twice, keep one
    "#]],
    );
    check(
        &[(r#""tags": ["punctuality"]"#, r#""tags": ["a", "b", "a"]"#)],
        expect![[r#"
        44:22: error[duplicate-item]: tag `a` is written twice, keep one
    "#]],
    );
}

#[test]
fn defaults() {
    check(
        &[(r#""default": 0"#, r#""default": "0""#)],
        expect![[r#"
        19:84: error[bad-default]: the default does not fit: expected int64 (a number without fraction; beyond 2^53 as a string), found the string "0", write a value of type int64, or remove it
    "#]],
    );
    check(
        &[(r#""default": 0"#, r#""default": 0.5"#)],
        expect![[r#"
        19:84: error[bad-default]: the default does not fit: expected int64 (a number without fraction; beyond 2^53 as a string), found the number 0.5, write a value of type int64, or remove it
    "#]],
    );
    check(
        &[(r#""default": 0"#, r#""default": 99999999999999999999"#)],
        expect![[r#"
        19:84: error[bad-default]: the default does not fit: expected int64 (a number without fraction; beyond 2^53 as a string), found the number 1e+20, write a value of type int64, or remove it
    "#]],
    );
    check(
        &[(r#""default": 0"#, r#""default": true"#)],
        expect![[r#"
        19:84: error[bad-default]: the default does not fit: expected int64 (a number without fraction; beyond 2^53 as a string), found the boolean true, write a value of type int64, or remove it
    "#]],
    );
    check(
        &[(r#""default": "1.50""#, r#""default": 1.5"#)],
        expect![[r#"
        22:114: error[bad-default]: the default does not fit: expected decimal(10, 2) (a string such as "1.5" with at most 8 digits before and 2 after the point), found the number 1.5, write a value of type decimal(10, 2), or remove it
    "#]],
    );
    check(
        &[(r#""default": "1.50""#, r#""default": "1.505""#)],
        expect![[r#"
        22:114: error[bad-default]: the default does not fit: expected decimal(10, 2) (a string such as "1.5" with at most 8 digits before and 2 after the point), found the string "1.505", write a value of type decimal(10, 2), or remove it
    "#]],
    );
    check(
        &[(r#""default": "1.50""#, r#""default": "123456789.00""#)],
        expect![[r#"
        22:114: error[bad-default]: the default does not fit: expected decimal(10, 2) (a string such as "1.5" with at most 8 digits before and 2 after the point), found the string "123456789.00", write a value of type decimal(10, 2), or remove it
    "#]],
    );
    check(
        &[(r#""default": "1.50""#, r#""default": "one""#)],
        expect![[r#"
        22:114: error[bad-default]: the default does not fit: expected decimal(10, 2) (a string such as "1.5" with at most 8 digits before and 2 after the point), found the string "one", write a value of type decimal(10, 2), or remove it
    "#]],
    );
    check(
        &[(r#""default": ["LAX", null]"#, r#""default": ["LAX", 5]"#)],
        expect![[r#"
        23:97: error[bad-default]: the default does not fit: item 1: expected string, found the number 5, write a value of type list<string>, or remove it
    "#]],
    );
    check(
        &[(r#""default": ["LAX", null]"#, r#""default": "LAX""#)],
        expect![[r#"
        23:97: error[bad-default]: the default does not fit: expected list<string> (an array), found the string "LAX", write a value of type list<string>, or remove it
    "#]],
    );
    check(
        &[(r#""description": "Profile.""#, r#""description": "Profile.", "default": [1]"#)],
        expect![[r#"
            24:125: error[bad-default]: the default does not fit: expected embedding(2, cosine), found an array of 1 numbers, write a value of type embedding(2, cosine), or remove it
        "#]],
    );
    check(
        &[(r#""description": "Profile.""#, r#""description": "Profile.", "default": [1, "NaN"]"#)],
        expect![[r#"
            24:125: error[bad-default]: the default does not fit: component 1: expected a finite float32, found the string "NaN", write a value of type embedding(2, cosine), or remove it
        "#]],
    );
    check(
        &[(
            r#""description": "Sum of delays, minutes.""#,
            r#""description": "Sum.", "default": "nan""#,
        )],
        expect![[r#"
            21:81: error[bad-default]: the default does not fit: expected float64 (a number, "NaN", "Infinity" or "-Infinity"), found the string "nan", write a value of type float64, or remove it
        "#]],
    );
    check(
        &[(r#""description": "Whether late.""#, r#""description": "Whether late.", "default": 0"#)],
        expect![[r#"
            25:82: error[bad-default]: the default does not fit: expected bool, found the number 0, write a value of type bool, or remove it
        "#]],
    );
    check(
        &[(
            r#""type": "bool", "description": "Whether late.""#,
            r#""type": "bytes", "description": "Raw.", "default": "a*b""#,
        )],
        expect![[r#"
            25:74: error[bad-default]: the default does not fit: expected bytes (a string of standard base64), found the string "a*b", write a value of type bytes, or remove it
        "#]],
    );
    check(
        &[(
            r#""type": "bool", "description": "Whether late.""#,
            r#""type": "date", "description": "Day.", "default": "2013-02-29""#,
        )],
        expect![[r#"
            25:73: error[bad-default]: the default does not fit: expected date (a string such as "2014-01-01"), found the string "2013-02-29", write a value of type date, or remove it
        "#]],
    );
    check(
        &[(
            r#""type": "bool", "description": "Whether late.""#,
            r#""type": "timestamp", "description": "When.", "default": 5"#,
        )],
        expect![[r#"
            25:79: error[bad-default]: the default does not fit: expected timestamp (a string such as "2014-01-01T00:00:00Z"), found the number 5, write a value of type timestamp, or remove it
        "#]],
    );
    check(
        &[(
            r#""type": "bool", "description": "Whether late.""#,
            r#""type": "int32", "description": "n", "default": 2147483648"#,
        )],
        expect![[r#"
            25:71: error[bad-default]: the default does not fit: expected int32 (a number without fraction, 32 bits), found the number 2147483648, write a value of type int32, or remove it
        "#]],
    );
    check(
        &[(
            r#""type": "bool", "description": "Whether late.""#,
            r#""type": "float32", "description": "n", "default": 1e39"#,
        )],
        expect![[r#"
            25:73: error[bad-default]: the default does not fit: expected float32 (a number, "NaN", "Infinity" or "-Infinity"), found the number 1e+39, write a value of type float32, or remove it
        "#]],
    );
    check(
        &[(r#""scale": 2"#, r#""scale": 11"#)],
        expect![[r#"
            22:31: error[bad-type]: decimal(10, 11) has more digits after the point than in all, write a `scale` of at most 10
        "#]],
    );
}

#[test]
fn many_at_once() {
    check(
        &[
            (r#""ttl": "14d""#, r#""tll": "14d""#),
            (r#""urgency_tier": 2"#, r#""urgency_tier": 9"#),
            (r#""name": "late""#, r#""name": "flights""#),
            (r#""default": 0"#, r#""default": "x""#),
            (r#""column": "fare""#, r#""column": "fair""#),
            (r#""contact": "ops-ml@example.com""#, r#""contact": 5"#),
            (r#""lane": "batch""#, r#""lane": "batched""#),
        ],
        expect![[r#"
            6:11: error[unknown-word]: `lane` cannot be `batched`, did you mean `batch`?
            8:43: error[wrong-type]: `contact` is the number 5, write a string
            9:19: error[out-of-range]: `urgency_tier` is 9, write a whole number from 0 to 3
            19:84: error[bad-default]: the default does not fit: expected int64 (a number without fraction; beyond 2^53 as a string), found the string "x", write a value of type int64, or remove it
            25:15: error[duplicate-feature]: the feature `flights` is defined twice, rename one of them
            28:3: error[unknown-field]: unknown field `tll` in a feature view, did you mean `ttl`?
            42:43: error[unknown-column]: `fair` is no column of the view's SQL, did you mean `fare`?
        "#]],
    );
    check_view_text(
        "{}",
        expect![[r#"
        1:1: error[missing-field]: missing field `namespace` in a feature view, add it, as in `"namespace": "flights"`
        1:1: error[missing-field]: missing field `name` in a feature view, add it, as in `"name": "carrier_daily"`
        1:1: error[missing-field]: missing field `version` in a feature view, add it, as in `"version": 1`
        1:1: error[missing-field]: missing field `lane` in a feature view, add it, as in `"lane": "batch"`
        1:1: error[missing-field]: missing field `description` in a feature view, add it, as in `"description": "Punctuality of a carrier, by day."`
        1:1: error[missing-field]: missing field `owner` in a feature view, add it, as in `"owner": { "team": "ops-ml", "contact": "ops-ml@example.com" }`
        1:1: error[missing-field]: missing field `urgency_tier` in a feature view, add it, as in `"urgency_tier": 2`
        1:1: error[missing-field]: missing field `entities` in a feature view, add it, as in `"entities": [{ "name": "carrier", "type": "string" }]`
        1:1: error[missing-field]: missing field `event_timestamp` in a feature view, add it, as in `"event_timestamp": "event_ts"`
        1:1: error[missing-field]: missing field `features` in a feature view, add it, as in `"features": [{ "name": "flights", "type": "int64", "description": "Departures." }]`
    "#]],
    );
}
