//! Words, names, numbers and texts that may not stand where they stand.

use expect_test::expect;

use super::check;

#[test]
fn words() {
    check(
        &[(r#""lane": "batch""#, r#""lane": "Batch""#)],
        expect![[r#"
        6:11: error[unknown-word]: `lane` cannot be `Batch`, did you mean `batch`?
    "#]],
    );
    check(
        &[(r#""lane": "batch""#, r#""lane": "online""#)],
        expect![[r#"
        6:11: error[unknown-word]: `lane` cannot be `online`, known: `batch`, `stream`, `direct`
    "#]],
    );
    check(
        &[(r#""type": "string", "description""#, r#""type": "int32", "description""#)],
        expect![[r#"
            11:34: error[unknown-word]: `type` cannot be `int32`, did you mean `int64`?
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": "int46""#)],
        expect![[r#"
            19:34: error[unknown-word]: `int46` is not a type, did you mean `int64`?
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": "number""#)],
        expect![[r#"
            19:34: error[unknown-word]: `number` is not a type, known: `bool`, `int32`, `int64`, `float32`, `float64`, `string`, `bytes`, `timestamp`, `date`, `decimal`, `list`, `embedding`
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": "decimal""#)],
        expect![[r#"
            19:34: error[bad-type]: `type` needs more than the word `decimal`, write `{"decimal": { "precision": 18, "scale": 2 }}`
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": { "int64": {} }"#)],
        expect![[r#"
            19:36: error[bad-type]: `int64` takes nothing more, write `"int64"`
        "#]],
    );
    check(
        &[(r#""type": "int64""#, r#""type": {}"#)],
        expect![[r#"
            19:34: error[bad-type]: `type` must have exactly one field, write it as in `"int64"`
        "#]],
    );
    check(
        &[(
            r#""type": "int64""#,
            r#""type": { "list": "string", "decimal": { "precision": 1, "scale": 0 } }"#,
        )],
        expect![[r#"
            19:34: error[bad-type]: `type` must have exactly one field, write it as in `"int64"`
        "#]],
    );
    check(
        &[(r#""type": { "list": "string" }"#, r#""type": { "list": { "list": "string" } }"#)],
        expect![[r#"
            23:44: error[nested-type]: a list of lists is not supported, lists hold scalars: take one of the scalar types
        "#]],
    );
    check(
        &[(
            r#""type": { "list": "string" }"#,
            r#""type": { "list": { "embedding": { "dimension": 2, "metric": "l2" } } }"#,
        )],
        expect![[r#"
            23:44: error[nested-type]: a list of embeddings is not supported, lists hold scalars: take one of the scalar types
        "#]],
    );
    check(
        &[(r#""type": { "list": "string" }"#, r#""type": { "list": "list" }"#)],
        expect![[r#"
        23:42: error[unknown-word]: `list` is not an item type, known: `bool`, `int32`, `int64`, `float32`, `float64`, `string`, `bytes`, `timestamp`, `date`, `decimal`
    "#]],
    );
    check(
        &[(r#""metric": "cosine""#, r#""metric": "cosinus""#)],
        expect![[r#"
        24:73: error[unknown-word]: `metric` cannot be `cosinus`, did you mean `cosine`?
    "#]],
    );
    check(
        &[(r#""severity": "warn""#, r#""severity": "warning""#)],
        expect![[r#"
        39:88: error[unknown-word]: `severity` cannot be `warning`, did you mean `warn`?
    "#]],
    );
    check(
        &[(r#""mode": "last_value""#, r#""mode": "last""#)],
        expect![[r#"
        29:26: error[unknown-word]: `mode` cannot be `last`, did you mean `last_value`?
    "#]],
    );
    check(
        &[(r#""check": "freshness""#, r#""check": "fresh""#)],
        expect![[r#"
        41:16: error[unknown-word]: `check` cannot be `fresh`, did you mean `freshness`?
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""flights": "avg""#)],
        expect![[r#"
            32:30: error[unknown-word]: `avg` is not an aggregate, known: `sum`, `count`, `min`, `max`, `mean`, `approx_distinct`
        "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""flights": "mean""#)],
        expect![[r#"
        32:30: error[bad-type]: `flights` in `features` needs more than the word `mean`, write `{"mean": { "sum": "delay_sum", "count": "flights" }}`
    "#]],
    );
    check(
        &[(r#""flights": "sum""#, r#""flights": { "total": {} }"#)],
        expect![[r#"
            32:32: error[unknown-field]: unknown field `total` in an aggregate, known: `sum`, `count`, `min`, `max`, `mean`, `approx_distinct`
        "#]],
    );
}

#[test]
fn names() {
    check(
        &[(r#""namespace": "flights""#, r#""namespace": "Flights""#)],
        expect![[r#"
        3:16: error[malformed-name]: `Flights` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(r#""namespace": "flights""#, r#""namespace": "trivium""#)],
        expect![[r#"
            3:16: error[reserved-name]: the name `trivium` is reserved, take a name other than `trivium`, `information_schema`
        "#]],
    );
    check(
        &[(r#""name": "carrier_daily""#, r#""name": "carrier-daily""#)],
        expect![[r#"
        4:11: error[malformed-name]: `carrier-daily` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "1late""#)],
        expect![[r#"
        25:15: error[malformed-name]: `1late` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": """#)],
        expect![[r#"
        25:15: error[malformed-name]: `` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "_late""#)],
        expect![[r#"
        25:15: error[malformed-name]: `_late` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(
            r#""name": "late""#,
            r#""name": "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll""#,
        )],
        expect![[r#"
            25:15: error[malformed-name]: `llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
        "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "ds""#)],
        expect![[r#"
        25:15: error[reserved-name]: the name `ds` is reserved, take a name other than `ds`, `period`, `period_start`, `period_end`, `carried_from`, `rev`, `sequence`, `write_id`
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "carried_from""#)],
        expect![[r#"
        25:15: error[reserved-name]: the name `carried_from` is reserved, take a name other than `ds`, `period`, `period_start`, `period_end`, `carried_from`, `rev`, `sequence`, `write_id`
    "#]],
    );
    check(
        &[(r#""name": "origin", "type""#, r#""name": "period_start", "type""#)],
        expect![[r#"
        12:15: error[reserved-name]: the name `period_start` is reserved, take a name other than `ds`, `period`, `period_start`, `period_end`, `carried_from`, `rev`, `sequence`, `write_id`
        38:49: error[unknown-column]: `origin` is no column of the view's SQL, known: `carrier`, `period_start`, `event_ts`, `created_ts`, `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
        40:45: error[unknown-column]: `origin` is no column of the view's SQL, known: `carrier`, `period_start`, `event_ts`, `created_ts`, `flights`, `avg_delay`, `delay_sum`, `fare`, `dests`, `vec`, `late`
    "#]],
    );
    check(
        &[(r#""event_timestamp": "event_ts""#, r#""event_timestamp": "period_end""#)],
        expect![[r#"
        14:22: error[reserved-name]: the name `period_end` is reserved, take a name other than `ds`, `period`, `period_start`, `period_end`, `carried_from`, `rev`, `sequence`, `write_id`
    "#]],
    );
    check(
        &[(r#""created_timestamp": "created_ts""#, r#""created_timestamp": "créé""#)],
        expect![[r#"
        15:24: error[malformed-name]: `créé` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
    check(
        &[(r#""name": "late""#, r#""name": "la\u0007te""#)],
        expect![[r#"
        25:15: error[malformed-name]: `la\u{7}te` is not a name, use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all
    "#]],
    );
}

#[test]
fn numbers_and_texts() {
    check(
        &[(r#""urgency_tier": 2"#, r#""urgency_tier": 4"#)],
        expect![[r#"
        9:19: error[out-of-range]: `urgency_tier` is 4, write a whole number from 0 to 3
    "#]],
    );
    check(
        &[(r#""urgency_tier": 2"#, r#""urgency_tier": -1"#)],
        expect![[r#"
        9:19: error[out-of-range]: `urgency_tier` is -1, write a whole number from 0 to 3
    "#]],
    );
    check(
        &[(r#""urgency_tier": 2"#, r#""urgency_tier": 1.5"#)],
        expect![[r#"
            9:19: error[wrong-type]: `urgency_tier` is the number 1.5, write a whole number
        "#]],
    );
    check(
        &[(r#""version": 1"#, r#""version": 0"#)],
        expect![[r#"
            5:14: error[out-of-range]: `version` is 0, write a whole number from 1 to 1000000
        "#]],
    );
    check(
        &[(r#""version": 1"#, r#""version": 99999999999999999999"#)],
        expect![[r#"
        5:14: error[out-of-range]: `version` is 99999999999999999999, write a whole number from 1 to 1000000
    "#]],
    );
    check(
        &[(r#""max_periods": 7"#, r#""max_periods": 0"#)],
        expect![[r#"
        29:55: error[out-of-range]: `max_periods` is 0, write a whole number from 1 to 1000
    "#]],
    );
    check(
        &[(r#""max_periods": 7"#, r#""max_periods": 100000"#)],
        expect![[r#"
        29:55: error[out-of-range]: `max_periods` is 100000, write a whole number from 1 to 1000
    "#]],
    );
    check(
        &[(r#""precision": 10"#, r#""precision": 39"#)],
        expect![[r#"
            22:59: error[out-of-range]: `precision` is 39, write a whole number from 1 to 38
        "#]],
    );
    check(
        &[(r#""precision": 10"#, r#""precision": 0"#)],
        expect![[r#"
            22:59: error[out-of-range]: `precision` is 0, write a whole number from 1 to 38
        "#]],
    );
    check(
        &[(r#""dimension": 2"#, r#""dimension": 0"#)],
        expect![[r#"
        24:60: error[out-of-range]: `dimension` is 0, write a whole number from 1 to 16000
    "#]],
    );
    check(
        &[(r#""dimension": 2"#, r#""dimension": 16001"#)],
        expect![[r#"
        24:60: error[out-of-range]: `dimension` is 16001, write a whole number from 1 to 16000
    "#]],
    );
    check(
        &[(r#""max": 0.5"#, r#""max": 1.5"#)],
        expect![[r#"
        42:58: error[out-of-range]: `max` is 1.5, write a number from 0 to 1
    "#]],
    );
    check(
        &[(r#""min": 1,"#, r#""min": -1,"#)],
        expect![[r#"
        36:36: error[out-of-range]: `min` is -1, write a whole number from 0 to 1000000000000
    "#]],
    );
    check(
        &[(r#""description": "Departures.""#, r#""description": "  ""#)],
        expect![[r#"
        19:58: error[empty]: `description` is empty, say something
    "#]],
    );
    check(
        &[(r#""team": "ops-ml""#, r#""team": """#)],
        expect![[r#"
        8:22: error[empty]: `team` is empty, say something
    "#]],
    );
    check(
        &[(r#""tags": ["punctuality"]"#, r#""tags": ["Punctual ity"]"#)],
        expect![[r#"
        44:12: error[bad-tag]: `Punctual ity` is not a tag, use lower-case letters, digits, `_`, `-`, `.` and `:`, at most 64 in all
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "14""#)],
        expect![[r#"
        28:10: error[bad-duration]: `14` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "0d""#)],
        expect![[r#"
        28:10: error[bad-duration]: `0d` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "-1d""#)],
        expect![[r#"
        28:10: error[bad-duration]: `-1d` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "1.5d""#)],
        expect![[r#"
        28:10: error[bad-duration]: `1.5d` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "014d""#)],
        expect![[r#"
        28:10: error[bad-duration]: `014d` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "14 days""#)],
        expect![[r#"
        28:10: error[bad-duration]: `14 days` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""ttl": "14d""#, r#""ttl": "99999999w""#)],
        expect![[r#"
        28:10: error[bad-duration]: `99999999w` is not a length of time, write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most 36525 days
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "2013-02-30""#)],
        expect![[r#"
        27:41: error[bad-time]: `2013-02-30` is not an instant, write a day, as in `2013-01-01`, or RFC 3339, as in `2013-01-01T06:00:00Z`
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "yesterday""#)],
        expect![[r#"
        27:41: error[bad-time]: `yesterday` is not an instant, write a day, as in `2013-01-01`, or RFC 3339, as in `2013-01-01T06:00:00Z`
    "#]],
    );
    check(
        &[(r#""start": "2013-01-01""#, r#""start": "2013-1-1""#)],
        expect![[r#"
        27:41: error[bad-time]: `2013-1-1` is not an instant, write a day, as in `2013-01-01`, or RFC 3339, as in `2013-01-01T06:00:00Z`
    "#]],
    );
    check(
        &[(r#""time_zone": "America/New_York""#, r#""time_zone": "America/NewYork""#)],
        expect![[r#"
            17:16: error[bad-zone]: `America/NewYork` is not a known time zone, did you mean `America/New_York`?
        "#]],
    );
    check(
        &[(r#""time_zone": "America/New_York""#, r#""time_zone": "Moon""#)],
        expect![[r#"
        17:16: error[bad-zone]: `Moon` is not a known time zone, write an IANA name, as in `America/New_York`
    "#]],
    );
    check(
        &[(r#""windows": ["7d", "30d"]"#, r#""windows": []"#)],
        expect![[r#"
        31:16: error[empty]: `windows` is empty, write at least one item
    "#]],
    );
    check(
        &[(r#""values": ["JFK", "LGA", "EWR"]"#, r#""values": []"#)],
        expect![[r#"
        40:65: error[empty]: `values` is empty, write at least one item
    "#]],
    );
    check(
        &[(
            r#""features": { "flights": "sum", "avg_delay": { "mean": { "sum": "delay_sum", "count": "flights" } } }"#,
            r#""features": {}"#,
        )],
        expect![[r#"
            32:17: error[empty]: `features` is empty, write at least one item
        "#]],
    );
}
