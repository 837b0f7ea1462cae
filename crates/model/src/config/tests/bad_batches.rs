//! Schedules, rollups and checks whose form is right and whose meaning is wrong.

use expect_test::{Expect, expect};

use super::{check, check_view_text};

#[test]
fn schedules() {
    check(
        &[(
            r#"  "schedule": { "every": "1d", "start": "2013-01-01" },
"#,
            "",
        )],
        expect![[r#"
            1:1: error[missing-schedule]: a batch view must have a schedule, add it, as in `"schedule": { "every": "1d", "start": "2013-01-01" }`
        "#]],
    );
    check(
        &[(r#""lane": "batch""#, r#""lane": "stream""#)],
        expect![[r#"
            27:15: error[wrong-lane]: a stream view cannot have `schedule`, remove `schedule`, or make the lane `batch`
            29:16: error[wrong-lane]: a stream view cannot have `carryover`, remove `carryover`, or make the lane `batch`
            30:13: error[wrong-lane]: a stream view cannot have `rollup`, remove `rollup`, or make the lane `batch`
            35:14: warning[no-effect]: the checks are never run: only batch views have partitions, remove them
        "#]],
    );
    check(
        &[(r#""lane": "batch""#, r#""lane": "direct""#)],
        expect![[r#"
            27:15: error[wrong-lane]: a direct view cannot have `schedule`, remove `schedule`, or make the lane `batch`
            29:16: error[wrong-lane]: a direct view cannot have `carryover`, remove `carryover`, or make the lane `batch`
            30:13: error[wrong-lane]: a direct view cannot have `rollup`, remove `rollup`, or make the lane `batch`
            35:14: warning[no-effect]: the checks are never run: only batch views have partitions, remove them
        "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""every": "30s""#)],
        expect![[r#"
        27:26: error[bad-period]: periods of 30s do not align with days, take at least a minute and either a length that divides a day evenly, or whole days up to 366
    "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""every": "7h""#)],
        expect![[r#"
        27:26: error[bad-period]: periods of 7h do not align with days, take at least a minute and either a length that divides a day evenly, or whole days up to 366
    "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""every": "36h""#)],
        expect![[r#"
        27:26: error[bad-period]: periods of 36h do not align with days, take at least a minute and either a length that divides a day evenly, or whole days up to 366
    "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""every": "400d""#)],
        expect![[r#"
        27:26: error[bad-period]: periods of 400d do not align with days, take at least a minute and either a length that divides a day evenly, or whole days up to 366
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "2013-01-01T05:00:00Z""#)],
        expect![[r#"
        27:41: error[unaligned-start]: periods of 1d cannot start at 2013-01-01T05:00:00Z, start at midnight UTC
    "#]],
    );
    check(
        &[(
            r#""every": "1d", "start": "2013-01-01""#,
            r#""every": "6h", "start": "2013-01-01T05:00:00Z""#,
        )],
        expect![[r#"
            27:41: error[unaligned-start]: periods of 6h cannot start at 2013-01-01T05:00:00Z, start at midnight UTC, or a multiple of 6h after it
        "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "2013-01-01T00:00:00-05:00""#)],
        expect![[r#"
        27:41: error[unaligned-start]: periods of 1d cannot start at 2013-01-01T05:00:00Z, start at midnight UTC
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "0001-01-01""#)],
        expect![[r#"
        27:41: error[start-out-of-range]: the period from 0001-01-01T00:00:00Z lies at the edge of the calendar, start between 0001-01-02 and the last period that ends by 9999-12-30
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "9999-12-31""#)],
        expect![[r#"
        27:41: error[start-out-of-range]: the period from 9999-12-31T00:00:00Z lies at the edge of the calendar, start between 0001-01-02 and the last period that ends by 9999-12-30
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "9999-12-30""#)],
        expect![[r#"
        27:41: error[start-out-of-range]: the period from 9999-12-30T00:00:00Z lies at the edge of the calendar, start between 0001-01-02 and the last period that ends by 9999-12-30
    "#]],
    );
    for start in ["0001-01-02", "9999-12-29"] {
        check(&[(r#""start": "2013-01-01""#, &format!(r#""start": "{start}""#))], expect![[r#""#]]);
    }
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "23h""#)],
        expect![[r#"
        28:10: error[ttl-too-short]: the ttl of 23h is shorter than the period of 1d, make it at least 1d, or rows expire before new ones come
    "#]],
    );
    check(
        &[(r#""every": "1d""#, r#""every": "2w""#), (r#""ttl": "14d""#, r#""ttl": "1w""#)],
        expect![[r#"
            28:10: error[ttl-too-short]: the ttl of 7d is shorter than the period of 14d, make it at least 14d, or rows expire before new ones come
            31:17: error[bad-window]: the window of 7d is not a whole number of periods of 14d, take a multiple of 14d
            31:23: error[bad-window]: the window of 30d is not a whole number of periods of 14d, take a multiple of 14d
        "#]],
    );
}

#[test]
fn rollups_of_sketches() {
    let late = r#"{ "name": "late", "type": "bool", "description": "Whether late." }"#;
    let sketch = r#"{ "name": "late", "type": "bytes", "description": "Sketch of planes." }"#;
    let merged = |by: &str| format!(r#""flights": {{ "approx_distinct": {by} }}"#);
    let with = |by: &str| vec![(late, sketch.to_owned()), (r#""flights": "sum""#, merged(by))];
    let check = |changes: Vec<(&str, String)>, expected: Expect| {
        let changes: Vec<(&str, &str)> =
            changes.iter().map(|(from, to)| (*from, to.as_str())).collect();
        check(&changes, expected);
    };
    check(with(r#"{ "sketch": "late" }"#), expect![[r#""#]]);
    check(
        with(r#"{ "sketch": "lat" }"#),
        expect![[r#"
        32:63: error[unknown-feature]: `lat` is no feature of the view, did you mean `late`?
    "#]],
    );
    check(
        with(r#"{ "sketch": "delay_sum" }"#),
        expect![[r#"
        32:63: error[wrong-column-type]: `delay_sum` is float64, a sketch is bytes, name a feature of type bytes, which the SQL makes by `hll_sketch_agg`
    "#]],
    );
    check(
        with(r#"{ "sum": "late" }"#),
        expect![[r#"
        32:51: error[missing-field]: missing field `sketch` in an approximate distinct count, add it, as in `"sketch": "planes_sketch"`
        32:53: error[unknown-field]: unknown field `sum` in an approximate distinct count, known: `sketch`
    "#]],
    );
    check(
        with(r#""late""#),
        expect![[r#"
        32:51: error[wrong-type]: `approx_distinct` is a string, write an object
    "#]],
    );
    check(
        vec![(r#""flights": "sum""#, r#""flights": "approx_distinct""#.to_owned())],
        expect![[r#"
            32:30: error[bad-type]: `flights` in `features` needs more than the word `approx_distinct`, write `{"approx_distinct": { "sketch": "planes_sketch" }}`
        "#]],
    );
    check(
        vec![(
            r#""flights": "sum""#,
            r#""fare": { "approx_distinct": { "sketch": "flights" } }"#.to_owned(),
        )],
        expect![[r#"
            32:19: error[wrong-column-type]: `fare` is decimal(10, 2), a number of distinct values is an integer, name the int64 feature that counts them in a period: its windows have its name
            32:60: error[wrong-column-type]: `flights` is int64, a sketch is bytes, name a feature of type bytes, which the SQL makes by `hll_sketch_agg`
        "#]],
    );
    // The sketch itself is no number to be merged.
    check(
        vec![
            (late, sketch.to_owned()),
            (
                r#""flights": "sum""#,
                r#""late": { "approx_distinct": { "sketch": "late" } }"#.to_owned(),
            ),
        ],
        expect![[r#"
            32:19: error[wrong-column-type]: `late` is bytes, a number of distinct values is an integer, name the int64 feature that counts them in a period: its windows have its name
        "#]],
    );
}

#[test]
fn rollups() {
    check(
        &[(r#""flights": "sum""#, r#""flihgts": "sum""#)],
        expect![[r#"
        32:19: error[unknown-feature]: `flihgts` is no feature of the view, did you mean `flights`?
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""carrier": "max""#)],
        expect![[r#"
        32:19: error[unknown-feature]: `carrier` is no feature of the view, known: `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""late": "max""#)],
        expect![[r#"
        32:19: error[wrong-column-type]: `late` is bool, a rollup merges numbers, remove it from the rollup, or make it a number
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""dests": "count""#)],
        expect![[r#"
        32:19: error[wrong-column-type]: `dests` is list<string>, a rollup merges numbers, remove it from the rollup, or make it a number
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""fare": "count""#)],
        expect![[r#"
        32:19: error[wrong-column-type]: `fare` is decimal(10, 2), a count is an integer, merge it by `sum`, or make it int64
    "#]],
    );
    check(
        &[(r#""sum": "delay_sum""#, r#""sum": "delay_total""#)],
        expect![[r#"
            32:69: error[unknown-feature]: `delay_total` is no feature of the view, did you mean `delay_sum`?
        "#]],
    );
    check(
        &[(r#""sum": "delay_sum""#, r#""sum": "dests""#)],
        expect![[r#"
        32:69: error[wrong-column-type]: `dests` is list<string>, the sum of a mean is a number, name a numeric feature
    "#]],
    );
    check(
        &[(r#""count": "flights""#, r#""count": "delay_sum""#)],
        expect![[r#"
        32:91: error[wrong-column-type]: `delay_sum` is float64, the count of a mean is an integer, name a feature of type int64 or int32
    "#]],
    );
    check(
        &[(r#""count": "flights""#, r#""count": "nothing""#)],
        expect![[r#"
        32:91: error[unknown-feature]: `nothing` is no feature of the view, known: `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
    "#]],
    );
    check(
        &[(r#""windows": ["7d", "30d"]"#, r#""windows": ["7d", "1w"]"#)],
        expect![[r#"
        31:23: error[duplicate-item]: the window of 7d is written twice, keep one
    "#]],
    );
    check(
        &[(r#""windows": ["7d", "30d"]"#, r#""windows": ["36h"]"#)],
        expect![[r#"
        31:17: error[bad-window]: the window of 36h is not a whole number of periods of 1d, take a multiple of 1d
    "#]],
    );
    check(
        &[(r#""windows": ["7d", "30d"]"#, r#""windows": ["12h"]"#)],
        expect![[r#"
        31:17: error[bad-window]: the window of 12h is not a whole number of periods of 1d, take a multiple of 1d
    "#]],
    );
    check(
        &[(r#""windows": ["7d", "30d"]"#, r#""windows": ["5000d"]"#)],
        expect![[r#"
        31:17: error[bad-window]: the window of 5000d has more than 1000 periods, take a shorter one
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "flights_7d""#)],
        expect![[r#"
        32:19: error[name-collision]: the rollup makes `flights_7d`, which exists already, rename `flights_7d` or `flights`, or remove the window
    "#]],
    );
    check(
        &[
            (
                r#""name": "late", "type": "bool""#,
                r#""name": "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll", "type": "int64""#,
            ),
            (
                r#""flights": "sum""#,
                r#""lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll": "sum""#,
            ),
        ],
        expect![[r#"
            32:19: error[bad-rollup-name]: the rollup's feature `lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll_7d` has too long a name, shorten the name `lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll`
            32:19: error[bad-rollup-name]: the rollup's feature `lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll_30d` has too long a name, shorten the name `lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll`
        "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""flights": "sum", "flights": "max""#)],
        expect![[r#"
        32:37: error[duplicate-field]: `flights` is written twice in `features`, keep one
        32:37: error[name-collision]: the rollup makes `flights_7d`, which exists already, rename `flights_7d` or `flights`, or remove the window
        32:37: error[name-collision]: the rollup makes `flights_30d`, which exists already, rename `flights_30d` or `flights`, or remove the window
    "#]],
    );
}

#[test]
fn checks() {
    check(
        &[(r#""column": "avg_delay", "min""#, r#""column": "avg_dely", "min""#)],
        expect![[r#"
        39:37: error[unknown-column]: `avg_dely` is no column of the view's SQL, did you mean `avg_delay`?
    "#]],
    );
    check(
        &[(r#""column": "avg_delay", "min""#, r#""column": "flights_7d", "min""#)],
        expect![[r#"
        39:37: error[unknown-column]: `flights_7d` is no column of the view's SQL, did you mean `flights`?
    "#]],
    );
    check(
        &[(r#""column": "avg_delay", "min""#, r#""column": "carrier", "min""#)],
        expect![[r#"
        39:37: error[wrong-column-type]: column `carrier` is string, `between` works on numbers: take another check or column
    "#]],
    );
    check(
        &[(r#""min": -120, "max": 3000"#, r#""min": 10, "max": 5"#)],
        expect![[r#"
        39:5: error[bad-bounds]: `min` 10 is larger than `max` 5, swap them
    "#]],
    );
    check(
        &[(r#""min": -120, "max": 3000, "#, "")],
        expect![[r#"
        39:5: error[bad-bounds]: the check has neither `min` nor `max`, give one of them, or both
    "#]],
    );
    check(
        &[(r#""min": 1, "max": 1000"#, r#""min": 2, "max": 1"#)],
        expect![[r#"
        36:5: error[bad-bounds]: `min` 2 is larger than `max` 1, swap them
    "#]],
    );
    check(
        &[(r#", "min": 1, "max": 1000"#, "")],
        expect![[r#"
        36:5: error[bad-bounds]: the check has neither `min` nor `max`, give one of them, or both
    "#]],
    );
    check(
        &[(r#""columns": ["carrier", "origin"]"#, r#""columns": ["carrier", "destination"]"#)],
        expect![[r#"
            38:49: error[unknown-column]: `destination` is no column of the view's SQL, did you mean `dests`?
        "#]],
    );
    check(
        &[(r#""columns": ["carrier", "origin"]"#, r#""columns": ["carrier", "carrier"]"#)],
        expect![[r#"
            38:49: error[duplicate-item]: column `carrier` is written twice, keep one
        "#]],
    );
    check(
        &[(r#""columns": ["carrier", "origin"]"#, r#""columns": ["dests"]"#)],
        expect![[r#"
        38:38: error[wrong-column-type]: column `dests` is list<string>, `unique` works on scalars: take another column
    "#]],
    );
    check(
        &[(r#""values": ["JFK", "LGA", "EWR"]"#, r#""values": ["JFK", 5]"#)],
        expect![[r#"
        40:73: error[bad-value]: the value does not fit `origin`: expected string, found the number 5, write a value of type string
    "#]],
    );
    check(
        &[(r#""values": ["JFK", "LGA", "EWR"]"#, r#""values": ["JFK", null]"#)],
        expect![[r#"
        40:73: error[bad-value]: null is no accepted value, remove it: null is always accepted, `not_null` refuses it
    "#]],
    );
    check(
        &[(r#""values": ["JFK", "LGA", "EWR"]"#, r#""values": ["JFK", "JFK"]"#)],
        expect![[r#"
        40:73: error[duplicate-item]: the value is written twice, keep one
    "#]],
    );
    check(
        &[(
            r#""column": "origin", "values": ["JFK", "LGA", "EWR"]"#,
            r#""column": "vec", "values": [[1, 2]]"#,
        )],
        expect![[r#"
            40:45: error[wrong-column-type]: column `vec` is embedding(2, cosine), `accepted_values` works on scalars: take another check or column
        "#]],
    );
    check(
        &[(r#""column": "fare""#, r#""column": "fares""#)],
        expect![[r#"
        42:43: error[unknown-column]: `fares` is no column of the view's SQL, did you mean `fare`?
    "#]],
    );
}

#[test]
fn settings_without_effect() {
    let lane = |lane: &str| {
        let text = super::VIEW.replace("\"lane\": \"batch\"", &format!("\"lane\": \"{lane}\""));
        let (from, to) = (text.find("  \"schedule\"").unwrap(), text.find("  \"online\"").unwrap());
        format!("{}{}", &text[..from], &text[to..])
    };
    check_view_text(
        &lane("stream"),
        expect![[r#"
        28:14: warning[no-effect]: the checks are never run: only batch views have partitions, remove them
    "#]],
    );
    let text = lane("direct").replace("\"online\": true", "\"online\": false");
    check_view_text(
        &text,
        expect![[r#"
        27:13: warning[no-effect]: a direct view that is not online keeps nothing, set `online` to true
        28:14: warning[no-effect]: the checks are never run: only batch views have partitions, remove them
    "#]],
    );
}
