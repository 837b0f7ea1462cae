use expect_test::{Expect, expect};

use super::{File, PROJECT_FILES_MAX, load_project};

const JSON: &str = include_str!("../plan/testdata/punctuality.v1.json");
const SQL: &str = include_str!("../plan/testdata/punctuality.v1.sql");

fn check(files: &[(&str, &str)], expected: Expect) {
    let files: Vec<File> = files.iter().map(|(path, text)| File::new(*path, *text)).collect();
    let text = match load_project(&files) {
        Ok(project) => {
            let views = project.views.iter().map(|(view, loaded)| {
                format!("{view}{}\n", if loaded.sql.is_some() { " with SQL" } else { "" })
            });
            let services = project.services.keys().map(|service| format!("{service}\n"));
            let warnings = project.warnings.iter().map(|warning| format!("{warning}\n"));
            views.chain(services).chain(warnings).collect::<String>()
        }
        Err(found) => found.iter().map(|one| format!("{one}\n")).collect(),
    };
    expected.assert_eq(&text);
}

const P: &str = "flights/punctuality.v1";

#[test]
fn a_whole_project() {
    check(&[], expect![[""]]);
    check(
        &[
            (&format!("{P}.sql"), SQL),
            (&format!("{P}.json"), JSON),
            ("flights/.punctuality.v1.json.swp", "b0VIM"),
            (".gitkeep", ""),
            ("README.md", "# Configs"),
            ("flights/notes.md", "Notes."),
        ],
        expect![[r#"
            flights/punctuality@1 with SQL
        "#]],
    );
}

#[test]
fn files_that_miss_their_other_half() {
    check(
        &[(&format!("{P}.json"), JSON)],
        expect![[r#"
        flights/punctuality.v1.json:1:1: error[missing-sql]: the batch view `flights/punctuality@1` has no SQL beside it, write its query to `flights/punctuality.v1.sql`
    "#]],
    );
    check(
        &[(&format!("{P}.sql"), SQL)],
        expect![[r#"
        flights/punctuality.v1.sql:1:1: error[missing-config]: the SQL has no JSON beside it, write the view's config to `flights/punctuality.v1.json`
    "#]],
    );
    let direct = r#"{
  "namespace": "flights", "name": "live", "version": 1, "lane": "direct",
  "description": "Live.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 2,
  "entities": [ { "name": "carrier", "type": "string" } ], "event_timestamp": "event_ts",
  "features": [ { "name": "delay", "type": "int64", "description": "Minutes." } ], "online": true
}"#;
    check(
        &[
            ("flights/live.v1.json", direct),
            ("flights/live.v1.sql", "SELECT carrier, event_ts, delay FROM t"),
        ],
        expect![[r#"
            flights/live.v1.sql:1:1: error[needless-sql]: the view `flights/live@1` is direct: its rows are put by services, remove the SQL, or make the view's lane `batch`
        "#]],
    );
}

#[test]
fn filters_of_windows_are_read_with_their_places() {
    let view = |filter: &str| {
        format!(
            r#"{{
  "namespace": "flights", "name": "live", "version": 1, "lane": "stream",
  "description": "Live.", "owner": {{ "team": "ops", "contact": "ops@example.com" }}, "urgency_tier": 2,
  "entities": [ {{ "name": "carrier", "type": "string" }} ], "event_timestamp": "event_ts",
  "features": [ {{ "name": "late", "type": "int64", "description": "Flights." }} ],
  "source": {{ "format": "json", "topic": "departures" }},
  "window": {{
    "size": "1h", "columns": [ {{ "name": "delay", "type": "float64" }} ],
    "filter": "{filter}",
    "features": {{ "late": "count" }}, "payload_topic": "payloads"
  }}
}}"#
        )
    };
    let check = |filter: &str, expected: Expect| {
        check(&[("flights/live.v1.json", &view(filter))], expected);
    };
    check(
        r#"delay > 15 AND carrier <> \"é\" AND event_ts > DATE '2013-01-01'"#,
        expect![[r#"
            flights/live@1
        "#]],
    );
    check(
        r#"carrier <> \"é\" AND dela > 15"#,
        expect![[r#"
        flights/live.v1.json:9:37: error[bad-filter]: there is no `dela`, did you mean `delay`?
    "#]],
    );
    check(
        "delay + 1",
        expect![[r#"
        flights/live.v1.json:9:16: error[bad-filter]: a filter is true or false, and this is float64, write a condition, such as `delay > 15`
    "#]],
    );
    check(
        "delay >",
        expect![[r#"
        flights/live.v1.json:9:23: error[bad-filter]: the expression cannot be read: Expected: an expression, found: EOF, write one expression in Spark's SQL
    "#]],
    );
    check(
        "late > 1",
        expect![[r#"
        flights/live.v1.json:9:16: error[bad-filter]: there is no `late`, there are `carrier`, `event_ts`, `delay`
    "#]],
    );
    check(
        "carrier > 1",
        expect![[r#"
        flights/live.v1.json:9:26: error[bad-filter]: `>` of string and int32, cast one of them, as in `CAST(x AS DOUBLE)`
    "#]],
    );
}

#[test]
fn what_is_wrong_with_a_sources_filter() {
    let view = |filter: &str| {
        format!(
            r#"{{
  "namespace": "flights", "name": "live", "version": 1, "lane": "stream",
  "description": "Live.", "owner": {{ "team": "ops", "contact": "ops@example.com" }}, "urgency_tier": 2,
  "entities": [ {{ "name": "carrier", "type": "string" }} ], "event_timestamp": "event_ts",
  "features": [ {{ "name": "delay", "type": "float64", "description": "Minutes." }} ],
  "source": {{ "format": "json", "topic": "flights",
    "filter": "{filter}",
    "filter_columns": [ {{ "name": "kind", "type": "string" }} ] }}
}}"#
        )
    };
    let check = |filter: &str, expected: Expect| {
        check(&[("flights/live.v1.json", &view(filter))], expected);
    };
    check(
        "kind = 'departure' AND delay > 0 AND carrier <> '' AND event_ts > DATE '2013-01-01'",
        expect![[r#"
            flights/live@1
        "#]],
    );
    check(
        "kinf = 'departure'",
        expect![[r#"
        flights/live.v1.json:7:16: error[bad-filter]: there is no `kinf`, did you mean `kind`?
    "#]],
    );
    check(
        "kind",
        expect![[r#"
        flights/live.v1.json:7:16: error[bad-filter]: a filter is true or false, and this is string, write a condition, such as `delay > 15`
    "#]],
    );
}

#[test]
fn files_that_are_nothing() {
    let strays = [
        "punctuality.v1.json",
        "flights/deep/punctuality.v1.json",
        "Flights/punctuality.v1.json",
        "flights/Punctuality.v1.json",
        "flights/punctuality.json",
        "flights/punctuality.service.json",
        "flights/punctuality.v0.json",
        "flights/punctuality.v01.sql",
        "flights/punctuality.v1.2.sql",
        "flights/punctuality.v4294967296.sql",
        "flights/punctuality.v.json",
        "flights/punctuality.v1.jsn",
        "flights/punctuality.v1.yaml",
        "flights/punctuality",
        "/flights/punctuality.v1.json",
        "flights//punctuality.v1.json",
        "../flights/punctuality.v1.json",
        "flights\\punctuality.v1.json",
        "",
    ];
    let files: Vec<(&str, &str)> = strays.iter().map(|path| (*path, "")).collect();
    check(
        &files,
        expect![[r#"
        :1:1: error[unknown-file]: the file lies in no namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        /flights/punctuality.v1.json:1:1: error[unknown-file]: the file lies deeper than its namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        Flights/punctuality.v1.json:1:1: error[unknown-file]: the folder names no namespace: `Flights` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights//punctuality.v1.json:1:1: error[unknown-file]: the file lies deeper than its namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights/Punctuality.v1.json:1:1: error[unknown-file]: the file's name is wrong: `Punctuality` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all, rename it
        flights/deep/punctuality.v1.json:1:1: error[unknown-file]: the file lies deeper than its namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights/punctuality:1:1: error[unknown-file]: the file is neither JSON nor SQL, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights/punctuality.json:1:1: error[unknown-file]: the file's name has no version, call it `punctuality.v1.json` if it is the first
        flights/punctuality.service.json:1:1: error[unknown-file]: the file's name has no version, call it `punctuality.v1.service.json` if it is the first
        flights/punctuality.v.json:1:1: error[unknown-file]: `` is not a version, write a whole number from 1 without leading zeros, as in `punctuality.v1.json`
        flights/punctuality.v0.json:1:1: error[unknown-file]: `0` is not a version, write a whole number from 1 without leading zeros, as in `punctuality.v1.json`
        flights/punctuality.v01.sql:1:1: error[unknown-file]: `01` is not a version, write a whole number from 1 without leading zeros, as in `punctuality.v1.sql`
        flights/punctuality.v1.2.sql:1:1: error[unknown-file]: `1.2` is not a version, write a whole number from 1 without leading zeros, as in `punctuality.v1.sql`
        flights/punctuality.v1.jsn:1:1: error[unknown-file]: the file is neither JSON nor SQL, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights/punctuality.v1.yaml:1:1: error[unknown-file]: the file is neither JSON nor SQL, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        flights/punctuality.v4294967296.sql:1:1: error[unknown-file]: `4294967296` is not a version, write a whole number from 1 without leading zeros, as in `punctuality.v1.sql`
        flights\punctuality.v1.json:1:1: error[unknown-file]: the file lies in no namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        punctuality.v1.json:1:1: error[unknown-file]: the file lies in no namespace's folder, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
    "#]],
    );
}

#[test]
fn all_errors_come_in_one_go() {
    let json = JSON.replace("\"float64\"", "\"flaot64\"").replace("\"ttl\"", "\"tll\"");
    let sql = SQL.replace("count(*)", "count(*) FILTER (").replace("{{ ds }}", "{{ dd }}");
    let service =
        r#"{ "namespace": "flights", "name": "m", "version": 1, "features": ["gone@1:x"] }"#;
    check(
        &[
            (&format!("{P}.json"), &json),
            (&format!("{P}.sql"), &sql),
            ("flights/m.v1.service.json", service),
            ("flights/stray.txt", ""),
        ],
        expect![[r#"
            flights/m.v1.service.json:1:1: error[missing-field]: missing field `description` in a feature service, add it, as in `"description": "Inputs of the delay model."`
            flights/m.v1.service.json:1:1: error[missing-field]: missing field `owner` in a feature service, add it, as in `"owner": { "team": "ops-ml", "contact": "ops-ml@example.com" }`
            flights/punctuality.v1.json:11:36: error[unknown-word]: `flaot64` is not a type, did you mean `float64`?
            flights/punctuality.v1.json:15:3: error[unknown-field]: unknown field `tll` in a feature view, did you mean `ttl`?
            flights/punctuality.v1.sql:11:58: error[sql-parameter]: `{{ dd }}` is not a parameter, the only parameters are `{{ ds }}`, `{{ period_start }}` and `{{ period_end }}`, inside literals, as in `DATE '{{ ds }}'`
            flights/stray.txt:1:1: error[unknown-file]: the file is neither JSON nor SQL, a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`
        "#]],
    );
}

#[test]
fn config_and_sql_must_agree() {
    let sql = SQL.replace("AS avg_delay", "AS mean_delay");
    check(
        &[(&format!("{P}.json"), JSON), (&format!("{P}.sql"), &sql)],
        expect![[r#"
            flights/punctuality.v1.sql:2:1: error[sql-missing-column]: the feature `avg_delay` is missing, add `… AS avg_delay`
            flights/punctuality.v1.sql:7:23: error[sql-unknown-column]: `mean_delay` is no column of flights/punctuality@1, add the feature to the JSON, or leave the column out
        "#]],
    );
}

#[test]
fn files_must_agree_with_each_other() {
    let service = r#"{ "namespace": "flights", "name": "m", "version": 1, "description": "A model.",
  "owner": { "team": "ops", "contact": "ops@example.com" },
  "features": ["punctuality@1:flights", "punctuality@2:flights", "punctuality@1:flight"] }"#;
    let other = JSON
        .replace("\"punctuality\",", "\"other\",")
        .replace("\"origin\", \"type\": \"string\"", "\"origin\", \"type\": \"int64\"");
    check(
        &[
            (&format!("{P}.json"), JSON),
            (&format!("{P}.sql"), SQL),
            ("flights/other.v1.json", &other),
            ("flights/other.v1.sql", SQL),
            ("flights/m.v1.service.json", service),
        ],
        expect![[r#"
            flights/m.v1.service.json:3:41: error[unknown-view]: the view flights/punctuality@2 does not exist, its versions: `punctuality@1`
            flights/m.v1.service.json:3:66: error[unknown-feature]: flights/punctuality@1 has no feature `flight`, did you mean `flights`?
            flights/punctuality.v1.json:7:86: error[key-type-conflict]: join key `origin` is string here and int64 in `flights/other.v1.json`, one name has one type in the namespace `flights`: use int64, or another name
        "#]],
    );
}

#[test]
fn limits_and_doubles() {
    let long = format!("{SQL}{}", " ".repeat(super::file_bytes_max("a.sql")));
    let json = format!("{P}.json");
    let sql = format!("{P}.sql");
    check(
        &[(&json, JSON), (&sql, &long)],
        expect![[r#"
        flights/punctuality.v1.sql:1:1: error[file-too-large]: 262587 bytes are more than the 262144 of one file, split the view
    "#]],
    );
    check(
        &[(&json, JSON), (&json, JSON), (&sql, SQL)],
        expect![[r#"
        flights/punctuality.v1.json:1:1: error[duplicate-file]: the file is given twice, give it once
    "#]],
    );
    let many = vec![("flights/a.v1.json", ""); PROJECT_FILES_MAX + 1];
    check(
        &many,
        expect![[r#"
        :1:1: error[too-many-files]: 10001 files are more than the 10000 of one project, split the project
    "#]],
    );
}

/// A file that is refused is one finding: not another one for its other half, or for a service
/// that reads the view.
#[test]
fn one_bad_file_is_one_finding() {
    let service = r#"{ "namespace": "flights", "name": "m", "version": 1, "description": "A model.",
  "owner": { "team": "ops", "contact": "ops@example.com" }, "features": ["punctuality@1:flights"] }"#;
    let service = ("flights/m.v1.service.json", service);
    let long = format!("{JSON}{}", " ".repeat(super::file_bytes_max("a.json")));
    check(
        &[(&format!("{P}.json"), &long), (&format!("{P}.sql"), SQL), service],
        expect![[r#"
            flights/punctuality.v1.json:1:1: error[file-too-large]: 1049679 bytes are more than the 1048576 of one file, split the view
        "#]],
    );
    check(
        &[("flights/punctuality.json", JSON), (&format!("{P}.sql"), SQL), service],
        expect![[r#"
            flights/punctuality.json:1:1: error[unknown-file]: the file's name has no version, call it `punctuality.v1.json` if it is the first
        "#]],
    );
    check(
        &[(&format!("{P}.json"), JSON), ("flights/Punctuality.v1.sql", SQL), service],
        expect![[r#"
            flights/Punctuality.v1.sql:1:1: error[unknown-file]: the file's name is wrong: `Punctuality` is not a name: use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all, rename it
        "#]],
    );
    check(
        &[("flights/punctuality.json", JSON), ("flights/other.v1.sql", SQL), service],
        expect![[r#"
            flights/other.v1.sql:1:1: error[missing-config]: the SQL has no JSON beside it, write the view's config to `flights/other.v1.json`
            flights/punctuality.json:1:1: error[unknown-file]: the file's name has no version, call it `punctuality.v1.json` if it is the first
        "#]],
    );
    let found = |files: &[(&str, &str)], unread: &str| {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(*path, *text)).collect();
        super::load_project_beside(&files, &[unread.to_owned()])
            .err()
            .unwrap_or_default()
            .iter()
            .map(|one| format!("{one}\n"))
            .collect::<String>()
    };
    let (json, sql) = (format!("{P}.json"), format!("{P}.sql"));
    assert_eq!(found(&[(&sql, SQL), service], &json), "");
    assert_eq!(found(&[(&json, JSON), service], &sql), "");
    expect![[r#"
        flights/punctuality.v1.sql:1:1: error[sql-syntax]: expected: an SQL statement, found: SELEC, write one SELECT in Spark's dialect
    "#]].assert_eq(&found(&[(&sql, "SELEC 1"), service], &json));
}

/// What the limits on features allow must fit into a file.
#[test]
fn json_may_be_longer_than_sql() {
    let long = format!("{JSON}{}", " ".repeat(super::file_bytes_max("a.sql")));
    check(
        &[(&format!("{P}.json"), &long), (&format!("{P}.sql"), SQL)],
        expect![[r#"
            flights/punctuality@1 with SQL
        "#]],
    );
}

const STREAM: &str = r#"{
  "namespace": "flights", "name": "departed", "version": 1, "lane": "stream",
  "description": "Departures.", "owner": { "team": "ops", "contact": "ops@example.com" }, "urgency_tier": 1,
  "entities": [{ "name": "origin", "type": "string" }], "event_timestamp": "event_ts",
  "features": [{ "name": "departures", "type": "int64", "description": "Departures." }],
  "inputs": [{
    "name": "departed", "format": "json", "topic": "flights.departed", "event_time": "at",
    "columns": [{ "name": "origin", "type": "string" }, { "name": "at", "type": "timestamp" }]
  }],
  "source": { "format": "json", "topic": "trivium.departed" }
}"#;

#[test]
fn sql_of_streams_is_flinks_and_needs_inputs() {
    let sql = "SELECT origin, `at` AS event_ts, 1 AS departures FROM departed";
    check(
        &[("flights/departed.v1.json", STREAM), ("flights/departed.v1.sql", sql)],
        expect![[r#"
        flights/departed@1
    "#]],
    );
    check(
        &[("flights/departed.v1.json", STREAM)],
        expect![[r#"
        flights/departed.v1.json:1:1: error[missing-sql]: the stream view `flights/departed@1` has no SQL beside it, write its query to `flights/departed.v1.sql`
    "#]],
    );
    let (head, rest) = STREAM.split_once("  \"inputs\"").unwrap();
    let without = format!("{head}{}", rest.split_once("}],\n").unwrap().1);
    check(
        &[("flights/departed.v1.json", &without)],
        expect![[r#"
        flights/departed@1
    "#]],
    );
    check(
        &[("flights/departed.v1.json", &without), ("flights/departed.v1.sql", sql)],
        expect![[r#"
            flights/departed.v1.sql:1:1: error[needless-sql]: the view `flights/departed@1` has no `inputs`: nothing could run its SQL, declare in the JSON what the SQL reads, or remove the SQL
        "#]],
    );
    // Errors of both files at once, the SQL's by Flink's rules.
    check(
        &[
            (
                "flights/departed.v1.json",
                &STREAM.replace("\"urgency_tier\": 1", "\"urgency_tier\": 9"),
            ),
            ("flights/departed.v1.sql", &sql.replace("origin", "\"origin\"")),
        ],
        expect![[r#"
            flights/departed.v1.json:3:107: error[out-of-range]: `urgency_tier` is 9, write a whole number from 0 to 3
            flights/departed.v1.sql:1:8: error[sql-literal]: double quotes are neither a literal's nor a name's, write literals in `'…'` and names in backticks
        "#]],
    );
}
