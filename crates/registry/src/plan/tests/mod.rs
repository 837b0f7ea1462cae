//! Pairs of projects, end to end: texts in, plan out. Model and SQL have tables of their own for
//! what they compare; here it is the two together, and what is made of them.

mod derived;
mod pairs;
mod streams;

use std::sync::Arc;

use expect_test::{Expect, expect};
use trivium_model::Timestamp;

use crate::{Change, File, History, Plan, Project, Revision, Snapshot, load_project, plan};

const JSON: &str = include_str!("../testdata/punctuality.v1.json");
const SQL: &str = include_str!("../testdata/punctuality.v1.sql");

const JSON_PATH: &str = "flights/punctuality.v1.json";
const SQL_PATH: &str = "flights/punctuality.v1.sql";
const SERVICE_PATH: &str = "flights/delay_model.v1.service.json";
const SERVICE: &str = r#"{
  "namespace": "flights", "name": "delay_model", "version": 1,
  "description": "Predicts delays.",
  "owner": { "team": "ops-ml", "contact": "ops-ml@example.com" },
  "features": ["punctuality@1:flights", "punctuality@1:flights_7d"]
}
"#;

const NEW_FEATURE: (&str, &str) = (
    r#""description": "Longest delay, minutes." }"#,
    r#""description": "Longest delay, minutes." },
    { "name": "min_delay", "type": "int32", "description": "Shortest delay, minutes." }"#,
);
const NEW_COLUMN: (&str, &str) = (
    "max(f.dep_delay) AS max_delay",
    "max(f.dep_delay) AS max_delay,\n  min(f.dep_delay) AS min_delay",
);

fn project(files: &[(&str, &str)]) -> Project {
    let files: Vec<File> = files.iter().map(|(path, text)| File::new(*path, *text)).collect();
    match load_project(&files) {
        Ok(project) => project,
        Err(found) => {
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"))
        }
    }
}

/// What the registry holds after these projects were applied one after the other.
fn accepted(projects: &[Project]) -> Snapshot {
    let mut history = History::default();
    for project in projects {
        let now = history.snapshot(None).unwrap();
        let apply = plan(&now, project).into_apply(project, "a", "", Timestamp(1)).unwrap();
        let revision = history.head().next();
        let (views, services, _) = apply.into_rows(revision);
        history.extend(revision, views, services).unwrap();
    }
    history.snapshot(None).unwrap()
}

/// The text after replacements, each of which stands once.
fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in edits {
        assert_eq!(text.matches(from).count(), 1, "`{from}` stands once");
        text = text.replace(from, to);
    }
    text
}

fn base() -> Project {
    project(&[(JSON_PATH, JSON), (SQL_PATH, SQL)])
}

/// The change that edits of the base bring; `None` if nothing changed.
fn change(json: &[(&str, &str)], sql: &[(&str, &str)]) -> Option<Change> {
    let next = project(&[(JSON_PATH, &edited(JSON, json)), (SQL_PATH, &edited(SQL, sql))]);
    let mut plan = plan(&accepted(&[base()]), &next);
    assert_eq!(plan.errors, []);
    assert!(plan.changes.len() <= 1);
    plan.changes.pop()
}

fn shown(plan: &Plan) -> String {
    let mut text = format!("base {}\n", plan.base.0);
    for change in &plan.changes {
        text.push_str(&format!("{}: {}\n", change.subject, change.class));
        for reason in &change.reasons {
            text.push_str(&format!("  {reason}\n"));
        }
    }
    for refusal in plan.refusals() {
        text.push_str(&format!("refused: {refusal}\n"));
    }
    for notice in &plan.notices {
        text.push_str(&format!("notice: {notice}\n"));
    }
    text
}

fn check(before: &[&[(&str, &str)]], next: &[(&str, &str)], expected: Expect) {
    let before: Vec<Project> = before.iter().map(|files| project(files)).collect();
    expected.assert_eq(&shown(&plan(&accepted(&before), &project(next))));
}

/// The view under another version number.
fn numbered(version: u32) -> [(String, String); 2] {
    [
        (
            JSON_PATH.replace("v1", &format!("v{version}")),
            JSON.replace("\"version\": 1", &format!("\"version\": {version}")),
        ),
        (SQL_PATH.replace("v1", &format!("v{version}")), SQL.to_owned()),
    ]
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

const ALL: [(&str, &str); 3] = [(JSON_PATH, JSON), (SQL_PATH, SQL), (SERVICE_PATH, SERVICE)];

#[test]
fn a_new_project_is_all_new() {
    check(
        &[],
        &ALL,
        expect![[r#"
        base 0
        flights/punctuality@1: new
        flights/delay_model@1: new
    "#]],
    );
}

#[test]
fn a_refusal_says_what_to_do_and_who_reads() {
    let json = edited(JSON, &[("\"14d\"", "\"15d\""), ("\"default\": 0", "\"default\": 1")]);
    check(
        &[&ALL],
        &[(JSON_PATH, &json), (SQL_PATH, SQL), (SERVICE_PATH, SERVICE)],
        expect![[r#"
        base 1
        flights/punctuality@1: behaviour
          behaviour: features.flights.default: 0 → 1, missing rows show another value
          behaviour: ttl: 14d → 15d, rows count for another time
        refused: flights/punctuality@1: the change of `features.flights.default`, `ttl` changes what the values mean, so it needs a new version: leave version 1 as it was and write the change to `flights/punctuality.v2.json` and `flights/punctuality.v2.sql` with "version": 2; version 1 is read by flights/delay_model@1
    "#]],
    );
}

#[test]
fn a_refusal_names_a_free_version() {
    // Version 2 is taken by the registry, version 3 by the project itself.
    let second = numbered(2);
    let third = numbered(3);
    let json = edited(JSON, &[("\"14d\"", "\"15d\"")]);
    let before = [&ALL[..2], &borrowed(&second)].concat();
    let next =
        [&[(JSON_PATH, json.as_str()), (SQL_PATH, SQL)][..], &borrowed(&second), &borrowed(&third)]
            .concat();
    check(
        &[&before],
        &next,
        expect![[r#"
            base 1
            flights/punctuality@1: behaviour
              behaviour: ttl: 14d → 15d, rows count for another time
            flights/punctuality@3: new
            refused: flights/punctuality@1: the change of `ttl` changes what the values mean, so it needs a new version: leave version 1 as it was and write the change to `flights/punctuality.v4.json` and `flights/punctuality.v4.sql` with "version": 4
        "#]],
    );
}

#[test]
fn a_new_version_is_compared_with_the_one_before() {
    let mut second = numbered(2);
    second[0].1 = second[0].1.replace("\"14d\"", "\"15d\"");
    let next = [&ALL[..], &borrowed(&second)].concat();
    check(
        &[&ALL],
        &next,
        expect![[r#"
        base 1
        flights/punctuality@2: new
          behaviour: ttl: 14d → 15d, rows count for another time
        notice: view flights/punctuality@1 is still read by flights/delay_model@1
    "#]],
    );
}

#[test]
fn versions_only_go_up() {
    let (first, second, fifth) = (numbered(1), numbered(2), numbered(5));
    check(
        &[&borrowed(&second)],
        &borrowed(&first),
        expect![[r#"
        base 1
        flights/punctuality@1: new
        refused: flights/punctuality@1: versions only go up: version 2 is in the registry already; use version 3
        notice: view flights/punctuality@2 is in the registry but not in the files: it stays as it is
    "#]],
    );
    check(
        &[&borrowed(&first)],
        &[borrowed(&first), borrowed(&fifth)].concat(),
        expect![[r#"
            base 1
            flights/punctuality@5: new
            notice: view flights/punctuality@5 leaves a gap: version 2 does not exist
        "#]],
    );
}

#[test]
fn what_is_gone_from_the_files_stays() {
    let other = JSON.replace("\"punctuality\",", "\"other\",");
    let files = [("flights/other.v1.json", other.as_str()), ("flights/other.v1.sql", SQL)];
    check(
        &[&ALL],
        &files,
        expect![[r#"
        base 1
        flights/other@1: new
        notice: view flights/punctuality@1 is in the registry but not in the files: it stays as it is
        notice: service flights/delay_model@1 is in the registry but not in the files: it stays as it is
    "#]],
    );
}

#[test]
fn what_is_gone_from_the_files_still_binds() {
    // `carrier` is a string in a version that only the registry has.
    let json = r#"{
  "namespace": "flights", "name": "live", "version": 1, "lane": "direct",
  "description": "Live.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "carrier", "type": "int64" } ], "event_timestamp": "event_ts",
  "features": [ { "name": "delay", "type": "int64", "description": "Minutes." } ], "online": true
}"#;
    check(
        &[&ALL],
        &[("flights/live.v1.json", json)],
        expect![[r#"
            base 1
            flights/live@1: new
            refused: flights/live.v1.json:4:46: error[key-type-conflict]: join key `carrier` is int64 here and string in `the registry's flights/punctuality@1`, one name has one type in the namespace `flights`: use string, or another name
            notice: view flights/punctuality@1 is in the registry but not in the files: it stays as it is
            notice: service flights/delay_model@1 is in the registry but not in the files: it stays as it is
        "#]],
    );
}

#[test]
fn services_change_by_the_same_rules() {
    let with = |edits: &[(&str, &str)], expected: Expect| {
        let service = edited(SERVICE, edits);
        check(&[&ALL], &[ALL[0], ALL[1], (SERVICE_PATH, &service)], expected);
    };
    with(
        &[("Predicts delays.", "Predicts delay.")],
        expect![[r#"
        base 1
        flights/delay_model@1: cosmetic
          cosmetic: description: the text changed
    "#]],
    );
    with(
        &[("\n  \"features\"", " \"features\"")],
        expect![[r#"
        base 1
        flights/delay_model@1: cosmetic
          cosmetic: json: only its writing changed
    "#]],
    );
    with(
        &[("_7d\"]", "_7d\", \"punctuality@1:max_delay\"]")],
        expect![[r#"
        base 1
        flights/delay_model@1: behaviour
          behaviour: features: `punctuality@1:max_delay` added at the end: the vector grows
        refused: flights/delay_model@1: the change of `features` changes what the values mean, so it needs a new version: leave version 1 as it was and write the change to `flights/delay_model.v2.service.json` with "version": 2
    "#]],
    );
    with(
        &[("\"punctuality@1:flights\", ", "")],
        expect![[r#"
        base 1
        flights/delay_model@1: breaking
          breaking: features: `punctuality@1:flights` removed: the model misses it
        refused: flights/delay_model@1: the change of `features` would break those who read it, so it needs a new version: leave version 1 as it was and write the change to `flights/delay_model.v2.service.json` with "version": 2
    "#]],
    );
}

#[test]
fn a_view_that_loses_its_sql() {
    let direct = edited(
        JSON,
        &[
            ("\"lane\": \"batch\"", "\"lane\": \"direct\""),
            ("  \"schedule\": { \"every\": \"1d\", \"start\": \"2013-01-01\" },\n", ""),
            ("  \"carryover\": { \"mode\": \"last_value\", \"max_periods\": 7 },\n", ""),
            (
                "  \"rollup\": { \"windows\": [\"7d\"], \"features\": { \"flights\": \"sum\" } },\n",
                "",
            ),
            (
                "  \"quality\": [ { \"check\": \"row_count\", \"min\": 1 },\n    { \"check\": \"between\", \"column\": \"avg_delay\", \"min\": -120, \"max\": 3000 } ],\n",
                "",
            ),
        ],
    );
    check(
        &[&ALL[..2]],
        &[(JSON_PATH, &direct)],
        expect![[r#"
        base 1
        flights/punctuality@1: breaking
          breaking: rollup.windows: window 7d removed: its features are gone
          breaking: rollup.features.flights: removed: its windows are gone
          behaviour: lane: batch → direct, rows arrive another way
          behaviour: schedule: removed
          behaviour: carryover: last_value for 7 periods → none, absent entities keep something else
          behaviour: sql: the view's SQL is gone
          compatible: quality.row_count: removed; values stay
          compatible: quality.between(avg_delay): removed; values stay
        refused: flights/punctuality@1: the change of `rollup.windows`, `rollup.features.flights` would break those who read it, so it needs a new version: leave version 1 as it was and write the change to `flights/punctuality.v2.json` with "version": 2
    "#]],
    );
}

#[test]
fn sql_that_cannot_be_read_any_more_is_not_called_harmless() {
    let mut snapshot = accepted(&[base()]);
    for stored in snapshot.views.values_mut() {
        Arc::make_mut(stored).sql_text = Some("SELECT FROM WHERE".to_owned());
    }
    expect![[r#"
        base 1
        flights/punctuality@1: behaviour
          behaviour: sql: the accepted SQL cannot be read by this release, so the two cannot be compared
        refused: flights/punctuality@1: the change of `sql` changes what the values mean, so it needs a new version: leave version 1 as it was and write the change to `flights/punctuality.v2.json` and `flights/punctuality.v2.sql` with "version": 2
    "#]].assert_eq(&shown(&plan(&snapshot, &base())));
}

#[test]
fn the_diff_is_readable() {
    let found = change(&[NEW_FEATURE], &[NEW_COLUMN]).unwrap();
    expect![[r#"
        --- flights/punctuality.v1.json
        +++ flights/punctuality.v1.json
        @@ -9,7 +9,8 @@
           "features": [
             { "name": "flights", "type": "int64", "description": "Departures.", "default": 0 },
             { "name": "avg_delay", "type": "float64", "description": "Mean delay, minutes." },
        -    { "name": "max_delay", "type": "int32", "description": "Longest delay, minutes." }
        +    { "name": "max_delay", "type": "int32", "description": "Longest delay, minutes." },
        +    { "name": "min_delay", "type": "int32", "description": "Shortest delay, minutes." }
           ],
           "schedule": { "every": "1d", "start": "2013-01-01" },
           "ttl": "14d",
        --- flights/punctuality.v1.sql
        +++ flights/punctuality.v1.sql
        @@ -5,7 +5,8 @@
           TIMESTAMP '{{ period_end }}' AS event_ts,
           count(*) AS flights,
           avg(f.dep_delay) AS avg_delay,
        -  max(f.dep_delay) AS max_delay
        +  max(f.dep_delay) AS max_delay,
        +  min(f.dep_delay) AS min_delay
         FROM (
           SELECT carrier, origin, dest, dep_delay
           FROM flights WHERE make_date(year, month, day) = DATE '{{ ds }}' AND dep_delay < 600
    "#]]
    .assert_eq(&found.diff);
}

#[test]
fn a_long_diff_is_cut_short() {
    let long = format!("{SQL}{}", "-- a\n".repeat(5000));
    let next = project(&[(JSON_PATH, JSON), (SQL_PATH, &long)]);
    let plan = plan(&accepted(&[base()]), &next);
    expect![[r#"
        --- flights/punctuality.v1.sql
        +++ flights/punctuality.v1.sql
        # 5030 lines: too long to be shown here
    "#]]
    .assert_eq(&plan.changes[0].diff);
}

#[test]
fn an_apply_holds_what_changed_and_says_it_to_the_audit_log() {
    let all = project(&ALL);
    let snapshot = accepted(std::slice::from_ref(&all));
    let json = edited(JSON, &[NEW_FEATURE, ("by day.", "by date.")]);
    let sql = edited(SQL, &[NEW_COLUMN]);
    let next = project(&[(JSON_PATH, &json), (SQL_PATH, &sql), (SERVICE_PATH, SERVICE)]);
    let apply = plan(&snapshot, &next).into_apply(&next, "Ann", "more", Timestamp(7)).unwrap();
    assert_eq!((apply.base, apply.views.len(), apply.services.len()), (Revision(1), 1, 0));
    assert_eq!((&apply.views[0].1, apply.views[0].2.as_ref()), (&json, Some(&sql)));
    expect![[r#"
        [
            AuditAction {
                action: "update",
                subject: "flights/punctuality@1",
                detail: "compatible: features.min_delay: added as int32: nobody reads it yet, older rows show its default; compatible: sql.columns.min_delay: the column was added as `min(f.dep_delay)`; cosmetic: description: the text changed",
            },
        ]
    "#]].assert_debug_eq(&apply.audit);
    apply.check().unwrap();
}

#[test]
fn a_refused_plan_makes_no_apply() {
    let next = project(&[(JSON_PATH, &edited(JSON, &[("\"14d\"", "\"15d\"")])), (SQL_PATH, SQL)]);
    let refused =
        plan(&accepted(&[base()]), &next).into_apply(&next, "Ann", "", Timestamp(7)).unwrap_err();
    assert_eq!(refused.0.len(), 1);
}
