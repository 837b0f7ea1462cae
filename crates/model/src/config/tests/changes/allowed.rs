//! Changes in place.

use expect_test::expect;

use super::check;

#[test]
fn cosmetic() {
    check(&[], &[], expect![]);
    check(
        &[],
        &[(r#"by day.""#, r#"by day and airport.""#)],
        expect![[r#"
        cosmetic: description: the text changed
    "#]],
    );
    check(
        &[],
        &[(r#""team": "ops-ml""#, r#""team": "ml-ops""#)],
        expect![[r#"
        cosmetic: owner: ops-ml <ops-ml@example.com> → ml-ops <ops-ml@example.com>
    "#]],
    );
    check(
        &[],
        &[(r#""contact": "ops-ml@example.com""#, r##""contact": "#ops""##)],
        expect![[r#"
        cosmetic: owner: ops-ml <ops-ml@example.com> → ops-ml <#ops>
    "#]],
    );
    check(
        &[],
        &[(r#""urgency_tier": 2"#, r#""urgency_tier": 0"#)],
        expect![[r#"
        cosmetic: urgency_tier: 2 → 0
    "#]],
    );
    check(
        &[],
        &[(r#"["punctuality"]"#, r#"["punctuality", "carriers"]"#)],
        expect![[r#"
        cosmetic: tags: [punctuality] → [punctuality, carriers]
    "#]],
    );
    check(
        &[],
        &[(r#""severity": "warn""#, r#""severity": "error""#)],
        expect![[r#"
        cosmetic: quality.between(avg_delay).severity: warn → error
    "#]],
    );
    check(
        &[],
        &[(r#""description": "IATA code.""#, r#""description": "IATA code of the carrier.""#)],
        expect![[r#"
            cosmetic: entities: a description changed
        "#]],
    );
    check(
        &[],
        &[(r#""Departures.""#, r#""Departures, cancelled ones left out.""#)],
        expect![[r#"
        cosmetic: features.flights.description: the text changed
    "#]],
    );
    check(
        &[],
        &[(r#""tags": ["volume"]"#, r#""tags": []"#)],
        expect![[r#"
        cosmetic: features.flights.tags: [volume] → []
    "#]],
    );
    check(
        &[],
        &[(r#", "owner": { "team": "x", "contact": "y" }"#, "")],
        expect![[r#"
        cosmetic: features.avg_delay.owner: x <y> → none
    "#]],
    );
    check(
        &[],
        &[(
            r#"{ "name": "carrier", "type": "string", "description": "IATA code." },
    { "name": "origin", "type": "string" }"#,
            r#"{ "name": "origin", "type": "string" },
    { "name": "carrier", "type": "string", "description": "IATA code." }"#,
        )],
        expect![[r#"
            cosmetic: entities: the order changed; keys are sorted
        "#]],
    );
    check(
        &[],
        &[
            (
                r#""Sum of delays, minutes." },"#,
                r#""Sum of delays, minutes." },
{ "name": "late", "type": "bool", "description": "Whether late." },"#,
            ),
            (
                r#",
    { "name": "late", "type": "bool", "description": "Whether late." }
"#,
                "\n",
            ),
        ],
        expect![[r#"
            cosmetic: features: the order changed; features are read by name
        "#]],
    );
    check(
        &[],
        &[(r#"["7d", "30d"]"#, r#"["30d", "7d"]"#)],
        expect![[r#"
        cosmetic: rollup.windows: the order changed; features are read by name
    "#]],
    );
    check(&[], &[(r#""7d", "30d""#, r#""1w", "30d""#)], expect![]);
    check(&[], &[(r#""ttl": "14d""#, r#""ttl": "2w""#)], expect![]);
    check(
        &[],
        &[(
            r#""online": true,
"#,
            "",
        )],
        expect![],
    );
    check(&[], &[(r#""start": "2013-01-01""#, r#""start": "2013-01-01T00:00:00Z""#)], expect![]);
    check(
        &[],
        &[(
            r#"{ "check": "freshness", "max_age": "1d" },
    { "check": "null_fraction", "column": "fare", "max": 0.5 }"#,
            r#"{ "check": "null_fraction", "column": "fare", "max": 0.5 },
    { "check": "freshness", "max_age": "1d" }"#,
        )],
        expect![[r#"
            cosmetic: quality: the order changed
        "#]],
    );
    check(&[], &[(r#""Whether late.""#, r#""Whether late.", "default": null"#)], expect![]);
}

#[test]
fn compatible() {
    check(
        &[],
        &[(
            r#""features": [
"#,
            r#""features": [
    { "name": "cancelled", "type": "int64", "description": "Cancelled." },
"#,
        )],
        expect![[r#"
            compatible: features.cancelled: added as int64: nobody reads it yet, older rows show its default
        "#]],
    );
    check(
        &[],
        &[(
            r#""Whether late." }"#,
            r#""Whether late." }, { "name": "cancelled", "type": "int64", "description": "Cancelled.", "default": 0 }"#,
        )],
        expect![[r#"
            compatible: features.cancelled: added as int64: nobody reads it yet, older rows show its default
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": "int32""#)],
        &[],
        expect![[r#"
        compatible: features.flights.type: int32 → int64, wider: every old value fits
    "#]],
    );
    check(
        &[(r#""type": "bool""#, r#""type": "float32""#)],
        &[(r#""type": "bool""#, r#""type": "float64""#)],
        expect![[r#"
            compatible: features.late.type: float32 → float64, wider: every old value fits
        "#]],
    );
    check(
        &[],
        &[(r#""precision": 10"#, r#""precision": 12"#)],
        expect![[r#"
        compatible: features.fare.type: decimal(10, 2) → decimal(12, 2), wider: every old value fits
    "#]],
    );
    check(
        &[
            (r#""list": "string""#, r#""list": "int32""#),
            (r#""default": ["LAX", null]"#, r#""default": [1, null]"#),
        ],
        &[
            (r#""list": "string""#, r#""list": "int64""#),
            (r#""default": ["LAX", null]"#, r#""default": [1, null]"#),
        ],
        expect![[r#"
            compatible: features.dests.type: list<int32> → list<int64>, wider: every old value fits
        "#]],
    );
    check(
        &[],
        &[(r#"["7d", "30d"]"#, r#"["7d", "14d", "30d"]"#)],
        expect![[r#"
        compatible: rollup.windows: window 14d added
    "#]],
    );
    check(
        &[],
        &[(r#""flights": "sum""#, r#""flights": "sum", "fare": "max""#)],
        expect![[r#"
        compatible: rollup.features.fare: added
    "#]],
    );
    check(
        &[(
            r#""rollup": {
    "windows": ["7d", "30d"],
    "features": { "flights": "sum", "avg_delay": { "mean": { "sum": "delay_sum", "count": "flights" } } }
  },
"#,
            "",
        )],
        &[],
        expect![[r#"
            compatible: rollup.windows: window 7d added
            compatible: rollup.windows: window 30d added
            compatible: rollup.features.flights: added
            compatible: rollup.features.avg_delay: added
        "#]],
    );
    check(
        &[],
        &[(r#""min": -120"#, r#""min": -200"#)],
        expect![[r#"
        compatible: quality.between(avg_delay): what is published is checked otherwise; values stay
    "#]],
    );
    check(
        &[],
        &[(
            r#"    { "check": "freshness", "max_age": "1d" },
"#,
            "",
        )],
        expect![[r#"
            compatible: quality.freshness: removed; values stay
        "#]],
    );
    check(
        &[],
        &[(r#""quality": ["#, r#""quality": [ { "check": "not_null", "column": "flights" },"#)],
        expect![[r#"
            compatible: quality.not_null(flights): added; values stay
        "#]],
    );
    check(
        &[],
        &[(r#"["JFK", "LGA", "EWR"]"#, r#"["JFK", "LGA"]"#)],
        expect![[r#"
        compatible: quality.accepted_values(origin): what is published is checked otherwise; values stay
    "#]],
    );
    check(
        &[],
        &[(r#""min": -120, "max": 3000, "severity": "warn""#, r#""min": -100, "max": 3000"#)],
        expect![[r#"
            compatible: quality.between(avg_delay): what is published is checked otherwise; values stay
            cosmetic: quality.between(avg_delay).severity: warn → error
        "#]],
    );
}
