//! Changes that demand a new version.

use expect_test::expect;

use super::check;

#[test]
fn behaviour() {
    check(
        &[],
        &[(r#""default": 0"#, r#""default": 1"#)],
        expect![[r#"
        behaviour: features.flights.default: 0 → 1, missing rows show another value
    "#]],
    );
    check(
        &[],
        &[(r#", "default": 0"#, "")],
        expect![[r#"
        behaviour: features.flights.default: 0 → null, missing rows show another value
    "#]],
    );
    check(
        &[],
        &[(r#""Whether late.""#, r#""Whether late.", "default": false"#)],
        expect![[r#"
        behaviour: features.late.default: null → false, missing rows show another value
    "#]],
    );
    check(&[], &[(r#""default": "1.50""#, r#""default": "1.5""#)], expect![]);
    check(
        &[],
        &[(r#""default": "1.50""#, r#""default": "1.51""#)],
        expect![[r#"
        behaviour: features.fare.default: "1.50" → "1.51", missing rows show another value
    "#]],
    );
    check(
        &[],
        &[(r#""ttl": "14d""#, r#""ttl": "15d""#)],
        expect![[r#"
        behaviour: ttl: 14d → 15d, rows count for another time
    "#]],
    );
    check(
        &[],
        &[(
            r#"  "ttl": "14d",
"#,
            "",
        )],
        expect![[r#"
            behaviour: ttl: 14d → none, rows count for another time
        "#]],
    );
    check(
        &[],
        &[(r#""max_periods": 7"#, r#""max_periods": 8"#)],
        expect![[r#"
        behaviour: carryover: last_value for 7 periods → last_value for 8 periods, absent entities keep something else
    "#]],
    );
    check(
        &[],
        &[(r#""mode": "last_value", "max_periods": 7"#, r#""mode": "none""#)],
        expect![[r#"
        behaviour: carryover: last_value for 7 periods → none, absent entities keep something else
    "#]],
    );
    check(
        &[],
        &[(
            r#"  "carryover": { "mode": "last_value", "max_periods": 7 },
"#,
            "",
        )],
        expect![[r#"
            behaviour: carryover: last_value for 7 periods → none, absent entities keep something else
        "#]],
    );
    check(
        &[],
        &[(r#""flights": "sum""#, r#""flights": "max""#)],
        expect![[r#"
        behaviour: rollup.features.flights: merged by another aggregate: the windows mean something else
    "#]],
    );
    let sketches = (
        r#"{ "name": "late", "type": "bool", "description": "Whether late." }"#,
        r#"{ "name": "late", "type": "bytes", "description": "Sketch." }, { "name": "other", "type": "bytes", "description": "Sketch." }"#,
    );
    let distinct =
        |sketch: &str| format!(r#""flights": {{ "approx_distinct": {{ "sketch": "{sketch}" }} }}"#);
    let sum = r#""flights": "sum""#;
    check(
        &[sketches],
        &[sketches, (sum, &distinct("late"))],
        expect![[r#"
        behaviour: rollup.features.flights: merged by another aggregate: the windows mean something else
    "#]],
    );
    check(
        &[sketches, (sum, &distinct("late"))],
        &[sketches, (sum, &distinct("other"))],
        expect![[r#"
            behaviour: rollup.features.flights: merged by another aggregate: the windows mean something else
        "#]],
    );
    check(
        &[],
        &[(r#""sum": "delay_sum""#, r#""sum": "flights""#)],
        expect![[r#"
        behaviour: rollup.features.avg_delay: merged by another aggregate: the windows mean something else
    "#]],
    );
    check(
        &[],
        &[(r#""every": "1d""#, r#""every": "12h""#)],
        expect![[r#"
        behaviour: schedule.every: 1d → 12h, periods are other periods
    "#]],
    );
    check(
        &[],
        &[(r#""start": "2013-01-01""#, r#""start": "2012-01-01""#)],
        expect![[r#"
        behaviour: schedule.start: 2013-01-01T00:00:00Z → 2012-01-01T00:00:00Z, history starts elsewhere
    "#]],
    );
    check(
        &[],
        &[(r#""online": true"#, r#""online": false"#)],
        expect![[r#"
        behaviour: online: true → false, readers find or lose it online
    "#]],
    );
    check(
        &[],
        &[(r#""subject": "carrier""#, r#""subject": null"#)],
        expect![[r#"
        behaviour: subject: carrier → none, erasure finds other rows
    "#]],
    );
    check(
        &[],
        &[(r#""subject": "carrier""#, r#""subject": "origin""#)],
        expect![[r#"
        behaviour: subject: carrier → origin, erasure finds other rows
    "#]],
    );
    check(
        &[],
        &[(r#""America/New_York""#, r#""UTC""#)],
        expect![[r#"
        behaviour: time_zone: America/New_York → UTC, zone-less times mean other instants
    "#]],
    );
    check(
        &[],
        &[(r#""event_ts""#, r#""event_time""#)],
        expect![[r#"
        behaviour: event_timestamp: event_ts → event_time, another column decides
    "#]],
    );
    check(
        &[],
        &[(r#""created_ts""#, "null")],
        expect![[r#"
        behaviour: created_timestamp: created_ts → none, ties are broken otherwise
    "#]],
    );
    check(
        &[
            (r#""lane": "batch""#, r#""lane": "stream""#),
            (
                r#"  "schedule": { "every": "1d", "start": "2013-01-01" },
"#,
                "",
            ),
            (
                r#"  "carryover": { "mode": "last_value", "max_periods": 7 },
"#,
                "",
            ),
            (
                r#"  "rollup": {
    "windows": ["7d", "30d"],
    "features": { "flights": "sum", "avg_delay": { "mean": { "sum": "delay_sum", "count": "flights" } } }
  },
"#,
                "",
            ),
        ],
        &[
            (r#""lane": "batch""#, r#""lane": "direct""#),
            (
                r#"  "schedule": { "every": "1d", "start": "2013-01-01" },
"#,
                "",
            ),
            (
                r#"  "carryover": { "mode": "last_value", "max_periods": 7 },
"#,
                "",
            ),
            (
                r#"  "rollup": {
    "windows": ["7d", "30d"],
    "features": { "flights": "sum", "avg_delay": { "mean": { "sum": "delay_sum", "count": "flights" } } }
  },
"#,
                "",
            ),
        ],
        expect![[r#"
            behaviour: lane: stream → direct, rows arrive another way
        "#]],
    );
}

#[test]
fn breaking() {
    check(
        &[],
        &[(
            r#",
    { "name": "late", "type": "bool", "description": "Whether late." }"#,
            "",
        )],
        expect![[r#"
            breaking: features.late: removed: its readers break
        "#]],
    );
    check(
        &[],
        &[(r#""name": "late""#, r#""name": "is_late""#)],
        expect![[r#"
        breaking: features.late: removed, perhaps renamed to `is_late`: its readers break
        compatible: features.is_late: added as bool: nobody reads it yet, older rows show its default
    "#]],
    );
    check(
        &[],
        &[(r#""type": "int64", "description""#, r#""type": "int32", "description""#)],
        expect![[r#"
            breaking: features.flights.type: int64 → int32: readers expect the old type
        "#]],
    );
    check(
        &[],
        &[(r#""type": "float64", "description": "Sum"#, r#""type": "int64", "description": "Sum"#)],
        expect![[r#"
            breaking: features.delay_sum.type: float64 → int64: readers expect the old type
        "#]],
    );
    check(
        &[(r#""type": "bool""#, r#""type": "float64""#)],
        &[(r#""type": "bool""#, r#""type": "float32""#)],
        expect![[r#"
            breaking: features.late.type: float64 → float32: readers expect the old type
        "#]],
    );
    check(
        &[(r#""type": "bool""#, r#""type": "int32""#)],
        &[(r#""type": "bool""#, r#""type": "float64""#)],
        expect![[r#"
            breaking: features.late.type: int32 → float64: readers expect the old type
        "#]],
    );
    check(
        &[],
        &[(r#""precision": 10"#, r#""precision": 9"#)],
        expect![[r#"
        breaking: features.fare.type: decimal(10, 2) → decimal(9, 2): readers expect the old type
    "#]],
    );
    check(
        &[],
        &[(r#""scale": 2"#, r#""scale": 3"#)],
        expect![[r#"
            breaking: features.fare.type: decimal(10, 2) → decimal(10, 3): readers expect the old type
        "#]],
    );
    check(
        &[],
        &[(r#""precision": 10, "scale": 2"#, r#""precision": 11, "scale": 3"#)],
        expect![[r#"
            breaking: features.fare.type: decimal(10, 2) → decimal(11, 3): readers expect the old type
        "#]],
    );
    check(
        &[],
        &[(r#""dimension": 2"#, r#""dimension": 3"#)],
        expect![[r#"
        breaking: features.vec.type: embedding(2, cosine) → embedding(3, cosine): readers expect the old type
    "#]],
    );
    check(
        &[],
        &[(r#""metric": "cosine""#, r#""metric": "l2""#)],
        expect![[r#"
        breaking: features.vec.type: embedding(2, cosine) → embedding(2, l2): readers expect the old type
    "#]],
    );
    check(
        &[],
        &[
            (r#""list": "string""#, r#""list": "int64""#),
            (r#""default": ["LAX", null]"#, r#""default": [null]"#),
        ],
        expect![[r#"
            breaking: features.dests.type: list<string> → list<int64>: readers expect the old type
            behaviour: features.dests.default: ["LAX",null] → [null], missing rows show another value
        "#]],
    );
    check(
        &[],
        &[(r#""type": "bool""#, r#""type": "string""#)],
        expect![[r#"
        breaking: features.late.type: bool → string: readers expect the old type
    "#]],
    );
    check(
        &[],
        &[(r#""type": "bool""#, r#""type": { "list": "bool" }"#)],
        expect![[r#"
        breaking: features.late.type: bool → list<bool>: readers expect the old type
    "#]],
    );
    check(
        &[],
        &[
            (r#""origin", "type": "string""#, r#""origin", "type": "int64""#),
            (r#"["JFK", "LGA", "EWR"]"#, "[1]"),
        ],
        expect![[r#"
            breaking: entities: carrier string, origin string → carrier string, origin int64, stored keys are other keys
            compatible: quality.accepted_values(origin): what is published is checked otherwise; values stay
        "#]],
    );
    check(
        &[],
        &[(
            r#"{ "name": "origin", "type": "string" }"#,
            r#"{ "name": "origin", "type": "string" }, { "name": "dest", "type": "string" }"#,
        )],
        expect![[r#"
            breaking: entities: carrier string, origin string → carrier string, dest string, origin string, stored keys are other keys
        "#]],
    );
    check(
        &[],
        &[
            (r#""name": "carrier", "type""#, r#""name": "airline", "type""#),
            (r#""subject": "carrier""#, r#""subject": "airline""#),
            (r#""column": "carrier""#, r#""column": "airline""#),
            (r#"["carrier", "origin"]"#, r#"["airline", "origin"]"#),
        ],
        expect![[r#"
            breaking: entities: carrier string, origin string → airline string, origin string, stored keys are other keys
            behaviour: subject: carrier → airline, erasure finds other rows
            compatible: quality.not_null(carrier): removed; values stay
            compatible: quality.unique(carrier, origin): removed; values stay
            compatible: quality.not_null(airline): added; values stay
            compatible: quality.unique(airline, origin): added; values stay
        "#]],
    );
    check(
        &[],
        &[(r#"["7d", "30d"]"#, r#"["7d"]"#)],
        expect![[r#"
        breaking: rollup.windows: window 30d removed: its features are gone
    "#]],
    );
    check(
        &[],
        &[(r#""flights": "sum", "#, "")],
        expect![[r#"
        breaking: rollup.features.flights: removed: its windows are gone
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""fare": "max""#)],
        &[
            (r#""flights": "sum""#, r#""fare": "max""#),
            (r#""precision": 10, "scale": 2"#, r#""precision": 10, "scale": 3"#),
        ],
        expect![[r#"
            breaking: features.fare.type: decimal(10, 2) → decimal(10, 3): readers expect the old type
            breaking: rollup.features.fare: the windows' type changes: decimal(10, 2) → decimal(10, 3)
        "#]],
    );
}

#[test]
fn many_changes() {
    check(
        &[],
        &[
            (r#""ttl": "14d""#, r#""ttl": "20d""#),
            (r#"by day.""#, r#"daily.""#),
            (r#""precision": 10"#, r#""precision": 12"#),
            (r#""name": "late""#, r#""name": "is_late""#),
        ],
        expect![[r#"
            breaking: features.late: removed, perhaps renamed to `is_late`: its readers break
            behaviour: ttl: 14d → 20d, rows count for another time
            compatible: features.fare.type: decimal(10, 2) → decimal(12, 2), wider: every old value fits
            compatible: features.is_late: added as bool: nobody reads it yet, older rows show its default
            cosmetic: description: the text changed
        "#]],
    );
}
