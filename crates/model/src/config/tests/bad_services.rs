//! Services that are wrong.

use expect_test::expect;

use super::check_service;

/// Inputs and derived features, in place of the tags.
fn computing(inputs: &str, derived: &str, expected: expect_test::Expect) {
    let fields = format!("\"inputs\": [{inputs}],\n  \"derived\": [{derived}]");
    check_service(&[(r#""tags": ["delays"]"#, &fields)], expected);
}

#[test]
fn inputs_and_derived_features() {
    let seats = r#"{ "name": "seats", "type": "int32", "description": "Seats." }"#;
    let late =
        r#"{ "name": "late", "type": "bool", "description": "Late.", "sql": "flights > 1" }"#;
    computing(seats, late, expect![[r#""#]]);
    computing(
        &format!("{seats}, {seats}"),
        "",
        expect![[r#"
        9:87: error[name-collision]: two inputs are named `seats`, rename one
    "#]],
    );
    computing(
        "",
        &format!("{late}, {late}"),
        expect![[r#"
        10:107: error[name-collision]: two derived features are named `late`, rename one
    "#]],
    );
    // Both in one go, in whichever list they are.
    computing(
        &seats.replace("seats", "flights").replace("int32", "int33"),
        &late.replace("\"late\"", "\"ds\"").replace(r#", "sql": "flights > 1""#, ""),
        expect![[r#"
            9:24: error[name-collision]: the input `flights` has the name of the feature `carrier_daily@1:flights`, rename the input: in an expression the name would be both
            9:43: error[unknown-word]: `int33` is not a type, did you mean `int32`?
            10:15: error[missing-field]: missing field `sql` in a derived feature, add it, as in `"sql": "carrier_daily.avg_delay > 15"`
            10:25: error[reserved-name]: the name `ds` is reserved, take a name other than `ds`, `period`, `period_start`, `period_end`, `carried_from`, `rev`, `sequence`, `write_id`
        "#]],
    );
    computing(
        &seats.replace("\"int32\"", r#"{ "list": "int32" }"#),
        &late.replace("\"bool\"", r#"{ "embedding": { "dimension": 3, "metric": "cosine" } }"#),
        expect![[r#"
            9:41: error[bad-type]: an input cannot be of type list<int32>, take a scalar type: expressions give single values
            10:41: error[bad-type]: a derived feature cannot be of type embedding(3, cosine), take a scalar type: expressions give single values
        "#]],
    );
    computing(
        &seats.replace("\"int32\"", r#"{ "decimal": { "precision": 2, "scale": 3 } }"#),
        &late.replace("flights > 1", ""),
        expect![[r#"
            9:41: error[bad-type]: decimal(2, 3) has more digits after the point than in all, write a `scale` of at most 2
            10:80: error[empty]: `sql` is empty, say something
        "#]],
    );
    let long = format!("flights > {}", "1".repeat(4_096));
    computing(
        "",
        &late.replace("flights > 1", &long),
        expect![[r#"
        10:80: error[too-long]: `sql` has 4106 characters, at most 4096
    "#]],
    );
}

#[test]
fn services() {
    check_service(
        &[(r#""features": ["#, r#""features": ["flights/carrier_daily@1:flights", "#)],
        expect![[r#"
            8:16: error[bad-reference]: `flights/carrier_daily@1:flights` is not a feature of a view, write `view@version:feature`, as in `carrier_daily@1:flights`, without the namespace
        "#]],
    );
    check_service(
        &[(r#""carrier_daily@1:flights""#, r#""carrier_daily:flights""#)],
        expect![[r#"
        8:16: error[bad-reference]: `carrier_daily:flights` is not a feature of a view, write `view@version:feature`, as in `carrier_daily@1:flights`, without the namespace
    "#]],
    );
    check_service(
        &[(r#""carrier_daily@1:flights""#, r#""carrier_daily@0:flights""#)],
        expect![[r#"
        8:16: error[bad-reference]: `carrier_daily@0:flights` is not a feature of a view, write `view@version:feature`, as in `carrier_daily@1:flights`, without the namespace
    "#]],
    );
    check_service(
        &[(r#""carrier_daily@1:flights""#, r#""carrier_daily@1""#)],
        expect![[r#"
        8:16: error[bad-reference]: `carrier_daily@1` is not a feature of a view, write `view@version:feature`, as in `carrier_daily@1:flights`, without the namespace
    "#]],
    );
    check_service(
        &[(r#""carrier_daily@1:flights""#, r#""carrier_daily@1:flights_7d""#)],
        expect![[r#"
            8:46: error[duplicate-item]: the feature `carrier_daily@1:flights_7d` is listed twice, keep one
        "#]],
    );
    check_service(
        &[(r#"["carrier_daily@1:flights", "carrier_daily@1:flights_7d"]"#, "[]")],
        expect![[r#"
            8:15: error[empty]: `features` is empty, write at least one item
        "#]],
    );
    check_service(
        &[(r#"["carrier_daily@1:flights", "carrier_daily@1:flights_7d"]"#, "{}")],
        expect![[r#"
            8:15: error[wrong-type]: `features` is an object, write an array
        "#]],
    );
    check_service(
        &[(r#""features""#, r#""feature""#)],
        expect![[r#"
        1:1: error[missing-field]: missing field `features` in a feature service, add it, as in `"features": ["carrier_daily@1:flights"]`
        8:3: error[unknown-field]: unknown field `feature` in a feature service, did you mean `features`?
    "#]],
    );
    check_service(
        &[(r#""name": "delay_model""#, r#""name": "delays""#)],
        expect![[r#"
        4:11: error[wrong-file-name]: the file is named `delay_model.v1.service.json`, rename it to `delays.v1.service.json`, or mend `name` or `version`
    "#]],
    );
    check_service(
        &[(r#""version": 1"#, r#""version": 3"#)],
        expect![[r#"
        5:14: error[wrong-file-name]: the file is named `delay_model.v1.service.json`, rename it to `delay_model.v3.service.json`, or mend `name` or `version`
    "#]],
    );
    check_service(
        &[(
            r#"  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-field]: missing field `owner` in a feature service, add it, as in `"owner": { "team": "ops-ml", "contact": "ops-ml@example.com" }`
        "#]],
    );
    check_service(
        &[("feature-service.v1.json", "feature-view.v1.json")],
        expect![[r#"
        2:14: warning[wrong-schema]: `$schema` is `../../schemas/feature-view.v1.json`, point it at `schemas/feature-service.v1.json`
    "#]],
    );
    check_service(
        &[(r#""tags": ["delays"]"#, r#""tags": ["delays"], "online": true"#)],
        expect![[r#"
            9:23: error[unknown-field]: unknown field `online` in a feature service, known: `$schema`, `namespace`, `name`, `version`, `description`, `owner`, `features`, `inputs`, `derived`, `precomputed`, `tags`
        "#]],
    );
    check_service(
        &[(r#""carrier_daily@1:flights""#, "5")],
        expect![[r#"
            8:16: error[wrong-type]: an item of `features` is the number 5, write a string
        "#]],
    );
    check_service(
        &[(r#""namespace": "flights""#, r#""namespace": "information_schema""#)],
        expect![[r#"
            3:16: error[reserved-name]: the name `information_schema` is reserved, take a name other than `trivium`, `information_schema`
        "#]],
    );
    check_service(
        &[(r#""tags": ["delays"]"#, r#""tags": ["d", "d"]"#)],
        expect![[r#"
        9:17: error[duplicate-item]: tag `d` is written twice, keep one
    "#]],
    );
}
