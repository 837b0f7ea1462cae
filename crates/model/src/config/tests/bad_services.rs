//! Services that are wrong.

use expect_test::expect;

use super::check_service;

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
        9:23: error[unknown-field]: unknown field `online` in a feature service, known: `$schema`, `namespace`, `name`, `version`, `description`, `owner`, `features`, `precomputed`, `tags`
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
