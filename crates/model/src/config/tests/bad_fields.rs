//! Fields that are unknown, absent, written twice or of another JSON type: each case is an edit of
//! the sample and what is said about it.

use expect_test::expect;

use super::check;

#[test]
fn fields() {
    check(
        &[(r#""ttl""#, r#""tll""#)],
        expect![[r#"
            28:3: error[unknown-field]: unknown field `tll` in a feature view, did you mean `ttl`?
        "#]],
    );
    check(
        &[(r#""owner": { "team": "ops-ml""#, r#""owner": { "taem": "ops-ml""#)],
        expect![[r#"
        8:12: error[missing-field]: missing field `team` in an owner, add it, as in `"team": "ops-ml"`
        8:14: error[unknown-field]: unknown field `taem` in an owner, did you mean `team`?
    "#]],
    );
    check(
        &[(r#""urgency_tier""#, r#""urgency""#)],
        expect![[r#"
        1:1: error[missing-field]: missing field `urgency_tier` in a feature view, add it, as in `"urgency_tier": 2`
        9:3: error[unknown-field]: unknown field `urgency` in a feature view, did you mean `urgency_tier`?
    "#]],
    );
    check(
        &[(r#""tags": ["punctuality"]"#, r#""tags": ["punctuality"], "colour": 1"#)],
        expect![[r#"
            44:28: error[unknown-field]: unknown field `colour` in a feature view, known: `$schema`, `namespace`, `name`, `version`, `lane`, `description`, `owner`, `urgency_tier`, `entities`, `event_timestamp`, `created_timestamp`, `subject`, `time_zone`, `features`, `source`, `inputs`, `job`, `window`, `schedule`, `ttl`, `carryover`, `rollup`, `online`, `quality`, `tags`
        "#]],
    );
    check(
        &[(r#""description": "Departures.""#, r#""describtion": "Departures.""#)],
        expect![[r#"
        19:5: error[missing-field]: missing field `description` in a feature, add it, as in `"description": "Departures."`
        19:43: error[unknown-field]: unknown field `describtion` in a feature, did you mean `description`?
    "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""evry": "1d""#)],
        expect![[r#"
        27:15: error[missing-field]: missing field `every` in a schedule, add it, as in `"every": "1d"`
        27:17: error[unknown-field]: unknown field `evry` in a schedule, did you mean `every`?
    "#]],
    );
    check(
        &[(r#""max_periods": 7"#, r#""max_period": 7"#)],
        expect![[r#"
        29:16: error[missing-field]: missing field `max_periods` in a carryover of mode `last_value`, add it, as in `"max_periods": 7`
        29:40: error[unknown-field]: unknown field `max_period` in a carryover of mode `last_value`, did you mean `max_periods`?
    "#]],
    );
    check(
        &[(r#""windows""#, r#""window""#)],
        expect![[r#"
        30:13: error[missing-field]: missing field `windows` in a rollup, add it, as in `"windows": ["7d", "30d"]`
        31:5: error[unknown-field]: unknown field `window` in a rollup, did you mean `windows`?
    "#]],
    );
    check(
        &[(r#""column": "carrier" }"#, r#""colum": "carrier" }"#)],
        expect![[r#"
        37:5: error[missing-field]: missing field `column` in a `not_null` check, add it, as in `"column": "flights"`
        37:28: error[unknown-field]: unknown field `colum` in a `not_null` check, did you mean `column`?
    "#]],
    );
    check(
        &[(r#""max_age""#, r#""maxage""#)],
        expect![[r#"
        41:5: error[missing-field]: missing field `max_age` in a `freshness` check, add it, as in `"max_age": "2d"`
        41:29: error[unknown-field]: unknown field `maxage` in a `freshness` check, did you mean `max_age`?
    "#]],
    );
    check(
        &[(r#""dimension": 2,"#, r#""dimensions": 2,"#)],
        expect![[r#"
        24:45: error[missing-field]: missing field `dimension` in an embedding, add it, as in `"dimension": 384`
        24:47: error[unknown-field]: unknown field `dimensions` in an embedding, did you mean `dimension`?
    "#]],
    );
    check(
        &[(r#""sum": "delay_sum""#, r#""summ": "delay_sum""#)],
        expect![[r#"
        32:60: error[missing-field]: missing field `sum` in a mean, add it, as in `"sum": "delay_sum"`
        32:62: error[unknown-field]: unknown field `summ` in a mean, did you mean `sum`?
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "14d", "ttl": "15d""#)],
        expect![[r#"
        28:17: error[duplicate-field]: field `ttl` is written twice, keep one
    "#]],
    );
    check(
        &[(r#""team": "ops-ml","#, r#""team": "ops-ml", "team": "other","#)],
        expect![[r#"
        8:32: error[duplicate-field]: field `team` is written twice, keep one
    "#]],
    );
    check(
        &[(
            r#"  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `owner` in a feature view, add it, as in `"owner": { "team": "ops-ml", "contact": "ops-ml@example.com" }`
        "#]],
    );
    check(
        &[(r#", "contact": "ops-ml@example.com""#, "")],
        expect![[r#"
        8:12: error[missing-field]: missing field `contact` in an owner, add it, as in `"contact": "ops-ml@example.com"`
    "#]],
    );
    check(
        &[(
            r#"  "namespace": "flights",
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `namespace` in a feature view, add it, as in `"namespace": "flights"`
        "#]],
    );
    check(
        &[(
            r#"  "lane": "batch",
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `lane` in a feature view, add it, as in `"lane": "batch"`
        "#]],
    );
    check(
        &[(
            r#"  "version": 1,
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `version` in a feature view, add it, as in `"version": 1`
        "#]],
    );
    check(
        &[(
            r#"  "description": "Punctuality of a carrier at an origin airport, by day.",
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `description` in a feature view, add it, as in `"description": "Punctuality of a carrier, by day."`
        "#]],
    );
    check(
        &[(
            r#"  "urgency_tier": 2,
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `urgency_tier` in a feature view, add it, as in `"urgency_tier": 2`
        "#]],
    );
    check(
        &[(
            r#"  "event_timestamp": "event_ts",
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `event_timestamp` in a feature view, add it, as in `"event_timestamp": "event_ts"`
        "#]],
    );
    check(
        &[(r#", "type": "string", "description": "IATA code.""#, "")],
        expect![[r#"
        11:5: error[missing-field]: missing field `type` in an entity, add it, as in `"type": "string"`
    "#]],
    );
    check(
        &[(r#""name": "late", "#, "")],
        expect![[r#"
        25:5: error[missing-field]: missing field `name` in a feature, add it, as in `"name": "flights"`
    "#]],
    );
    check(
        &[(r#", "description": "Whether late.""#, "")],
        expect![[r#"
        25:5: error[missing-field]: missing field `description` in a feature, add it, as in `"description": "Departures."`
    "#]],
    );
    check(
        &[(r#""mode": "last_value", "#, "")],
        expect![[r#"
        29:16: error[missing-field]: missing field `mode` in `carryover`, add it with one of `none`, `last_value`
    "#]],
    );
    check(
        &[(r#", "max_periods": 7"#, "")],
        expect![[r#"
        29:16: error[missing-field]: missing field `max_periods` in a carryover of mode `last_value`, add it, as in `"max_periods": 7`
    "#]],
    );
    check(
        &[(r#""check": "freshness", "#, "")],
        expect![[r#"
        41:5: error[missing-field]: missing field `check` in an item of `quality`, add it with one of `row_count`, `not_null`, `unique`, `between`, `accepted_values`, `freshness`, `null_fraction`
    "#]],
    );
    check(
        &[(r#""column": "origin", "#, "")],
        expect![[r#"
        40:5: error[missing-field]: missing field `column` in an `accepted_values` check, add it, as in `"column": "flights"`
    "#]],
    );
    check(
        &[(r#", "values": ["JFK", "LGA", "EWR"]"#, "")],
        expect![[r#"
        40:5: error[missing-field]: missing field `values` in an `accepted_values` check, add it, as in `"values": ["JFK", "LGA", "EWR"]`
    "#]],
    );
    check(
        &[(r#", "start": "2013-01-01""#, "")],
        expect![[r#"
        27:15: error[missing-field]: missing field `start` in a schedule, add it, as in `"start": "2013-01-01"`
    "#]],
    );
}

#[test]
fn types_of_fields() {
    check(
        &[(r#""version": 1"#, r#""version": "1""#)],
        expect![[r#"
            5:14: error[wrong-type]: `version` is a string, write a whole number
        "#]],
    );
    check(
        &[(r#""version": 1"#, r#""version": 1.0"#)],
        expect![[r#"
            5:14: error[wrong-type]: `version` is the number 1.0, write a whole number
        "#]],
    );
    check(
        &[(r#""version": 1"#, r#""version": null"#)],
        expect![[r#"
            5:14: error[wrong-type]: `version` is null, write a whole number
        "#]],
    );
    check(
        &[(r#""namespace": "flights""#, r#""namespace": 5"#)],
        expect![[r#"
            3:16: error[wrong-type]: `namespace` is the number 5, write a string
        "#]],
    );
    check(
        &[(
            r#""owner": { "team": "ops-ml", "contact": "ops-ml@example.com" }"#,
            r#""owner": "ops-ml""#,
        )],
        expect![[r#"
            8:12: error[wrong-type]: `owner` is a string, write an object
        "#]],
    );
    check(
        &[(
            r#""entities": [
"#,
            r#""entities": [ "carrier",
"#,
        )],
        expect![[r#"
            10:17: error[wrong-type]: an item of `entities` is a string, write an object
        "#]],
    );
    check(
        &[(r#""online": true"#, r#""online": "yes""#)],
        expect![[r#"
            34:13: error[wrong-type]: `online` is a string, write true or false
        "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": 14"#)],
        expect![[r#"
            28:10: error[wrong-type]: `ttl` is the number 14, write a string
        "#]],
    );
    check(
        &[(r#""tags": ["punctuality"]"#, r#""tags": "punctuality""#)],
        expect![[r#"
            44:11: error[wrong-type]: `tags` is a string, write an array
        "#]],
    );
    check(
        &[(r#""tags": ["punctuality"]"#, r#""tags": [1]"#)],
        expect![[r#"
            44:12: error[wrong-type]: an item of `tags` is the number 1, write a string
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": 64"#)],
        expect![[r#"
            19:34: error[wrong-type]: `type` is the number 64, write a string or an object
        "#]],
    );
    check(
        &[(r#""min": -120"#, r#""min": "-120""#)],
        expect![[r#"
            39:57: error[wrong-type]: `min` is a string, write a number
        "#]],
    );
    check(
        &[(r#""max": 0.5"#, r#""max": "half""#)],
        expect![[r#"
            42:58: error[wrong-type]: `max` is a string, write a number from 0 to 1
        "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""flights": 1"#)],
        expect![[r#"
            32:30: error[wrong-type]: `flights` in `features` is the number 1, write a string or an object
        "#]],
    );
    check(
        &[(
            r#""carryover": { "mode": "last_value", "max_periods": 7 }"#,
            r#""carryover": "last_value""#,
        )],
        expect![[r#"
            29:16: error[wrong-type]: `carryover` is a string, write an object
        "#]],
    );
    check(
        &[(r#""mode": "last_value""#, r#""mode": 1"#)],
        expect![[r#"
            29:26: error[wrong-type]: `mode` is the number 1, write a string
        "#]],
    );
    check(
        &[(r#""schedule": { "every": "1d", "start": "2013-01-01" }"#, r#""schedule": "1d""#)],
        expect![[r#"
            27:15: error[wrong-type]: `schedule` is a string, write an object
        "#]],
    );
    check(
        &[(r#""check": "freshness""#, r#""check": true"#)],
        expect![[r#"
            41:16: error[wrong-type]: `check` is true, write a string
        "#]],
    );
    check(
        &[(r#""subject": "carrier""#, r#""subject": ["carrier"]"#)],
        expect![[r#"
            16:14: error[wrong-type]: `subject` is an array, write a string
        "#]],
    );
}
