//! The command line as it is documented, and what it makes of its arguments.

use std::fmt::Write as _;

use clap::{CommandFactory, Parser};
use expect_test::{expect, expect_file};
use trivium_model::{FeatureView, config::parse_view};
use trivium_runtime::Kind;

use crate::{
    args::{Cli, Instant, Pair},
    catalog::Catalog,
    configs::Configs,
    entity,
    project::Project,
};

const GROUND_STOP: &str = include_str!("../../../configs/flights/ground_stop.v1.json");
const CARRIER_DAILY: &str = include_str!("../../../configs/flights/carrier_daily.v1.json");
const CARRIER_DAILY_SQL: &str = include_str!("../../../configs/flights/carrier_daily.v1.sql");
const DELAY_MODEL: &str = include_str!("../../../configs/flights/delay_model.v1.service.json");

fn ground_stop() -> FeatureView {
    parse_view("flights/ground_stop.v1.json", GROUND_STOP).unwrap()
}

fn pairs(texts: &[&str]) -> Vec<Pair> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn definitions_of_arguments_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn documentation_is_up_to_date() {
    expect_file!["../../../docs/cli.md"].assert_eq(&documentation());
}

/// docs/cli.md, printed from the definitions by `make codegen`.
fn documentation() -> String {
    let mut text = String::from(
        "# The trivium command\n\n\
         Printed from the command's own definitions; `trivium help VERB` and\n\
         `trivium VERB --help` say the same.\n\n\
         Answers go to standard output, everything else to standard error. Colours appear on a terminal\n\
         only, and never where `NO_COLOR` is set. With `--output json` answers and errors are JSON, and\n\
         `trivium get … --output json` prints what `POST /v1/features/online/get` answers, byte for byte.\n\n\
         An error says what is wrong, where, and what to do. Its kind is the exit code:\n\n\
         | exit | kind |\n| --- | --- |\n| 0 | success |\n",
    );
    let mut exits: Vec<u8> = Kind::ALL.into_iter().map(Kind::exit).collect();
    exits.sort_unstable();
    exits.dedup();
    for exit in exits {
        let kinds: Vec<String> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.exit() == exit)
            .map(|kind| format!("`{}`", kind.code()))
            .collect();
        writeln!(text, "| {exit} | {} |", kinds.join(", ")).unwrap();
    }
    text.push_str(
        "\n[errors.md](errors.md) says what each kind means. Without `--server`, a verb opens the data of\n\
         the project that it runs in; the online store can be open in one process only, so beside a\n\
         running `trivium dev` ask that one, with `--server`.\n",
    );
    let mut command = Cli::command().term_width(100);
    command.build();
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let help = verb.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        // Every verb takes the same global options: said once, below.
        let own: Vec<&str> = match lines.iter().position(|line| *line == "Global options:") {
            None => lines.clone(),
            Some(start) => {
                let end = lines[start..]
                    .iter()
                    .position(|line| line.starts_with("Example"))
                    .map(|n| start + n);
                let rest = end.map_or(&lines[..0], |end| &lines[end..]);
                [&lines[..start], rest].concat()
            }
        };
        writeln!(
            text,
            "\n## trivium {}\n\n```\n{}\n```",
            verb.get_name(),
            own.join("\n").trim_end()
        )
        .unwrap();
    }
    let help = command.render_long_help().to_string();
    let globals = help.lines().skip_while(|line| *line != "Global options:").map(str::trim_end);
    let globals: Vec<&str> = globals.take_while(|line| !line.starts_with("Start with")).collect();
    writeln!(text, "\n## Options of every verb\n\n```\n{}\n```", globals.join("\n").trim_end())
        .unwrap();
    text
}

#[test]
fn instants() {
    let micros = |text: &str| text.parse::<Instant>().map(|at| at.0.0);
    assert_eq!(micros("2013-01-01"), Ok(1_356_998_400_000_000));
    assert_eq!(micros("2013-01-01T05:00:00Z"), Ok(1_357_016_400_000_000));
    assert_eq!(micros("2013-01-01T00:00:00-05:00"), Ok(1_357_016_400_000_000));
    for wrong in
        ["", "2013", "2013-1-1", "2013-02-30", "2013-01-01T05:00:00", "now", "2012-06-30T23:59:60Z"]
    {
        assert!(micros(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn pairs_split_at_the_first_sign() {
    assert_eq!(pairs(&["reason=a=b"])[0], Pair { key: "reason".into(), value: "a=b".into() });
    assert_eq!(pairs(&["reason="])[0].value, "");
    assert!("=x".parse::<Pair>().is_err());
    assert!("x".parse::<Pair>().is_err());
}

#[test]
fn values_are_typed_by_the_view() {
    let view = ground_stop();
    let set = |texts: &[&str]| {
        entity::values(&pairs(texts), &view)
            .map(|values| serde_json::to_string(&values).unwrap())
            .map_err(|failure| failure.error.to_string())
    };
    let check = |texts: &[&str], expected: expect_test::Expect| {
        expected.assert_eq(&set(texts).unwrap_or_else(|error| error));
    };
    check(
        &["active=true", "reason=5", "expected_minutes=30"],
        expect![[r#"{"active":true,"reason":"5","expected_minutes":30}"#]],
    );
    check(&["reason=null"], expect![[r#"{"reason":null}"#]]);
    check(&[r#"reason="null""#], expect![[r#"{"reason":"null"}"#]]);
    check(
        &["expected_minutes=9223372036854775807"],
        expect![[r#"{"expected_minutes":"9223372036854775807"}"#]],
    );
    for wrong in ["active=maybe", "active=1", "expected_minutes=1.5", "activ=true"] {
        assert!(set(&[wrong]).is_err(), "{wrong}");
    }
    assert!(set(&["active=true", "active=false"]).is_err());
}

#[test]
fn a_wrong_key_or_value_says_how_it_is_written() {
    let int64 = GROUND_STOP.replace("\"type\": \"string\"", "\"type\": \"int64\"");
    let view = parse_view("flights/ground_stop.v1.json", &int64).unwrap();
    let failure = entity::entity(&pairs(&["origin=JFK"]), &[&view]).expect_err("no number");
    assert_eq!(failure.error.field, "--entity origin");
    expect!["int64 is written as in `--entity origin=42`"].assert_eq(&failure.error.help);
    let failure = entity::values(&pairs(&["active=maybe"]), &ground_stop()).expect_err("no bool");
    assert_eq!(failure.error.field, "--set active");
    expect!["bool is written as in `--set 'active=true'`"].assert_eq(&failure.error.help);
}

#[test]
fn selections() {
    let catalog = Catalog::read(
        [("flights/ground_stop@1", GROUND_STOP), ("flights/carrier_daily@1", CARRIER_DAILY)]
            .into_iter(),
        std::iter::empty(),
    )
    .unwrap();
    let select = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        catalog
            .select(&names, &[], None)
            .map(|(selected, views)| format!("{selected:?} of {}", views.len()))
            .unwrap_or_else(|failure| format!("{}: {}", failure.error.kind.code(), failure.error))
    };
    let check = |names: &[&str], expected: expect_test::Expect| expected.assert_eq(&select(names));
    check(
        &["flights/carrier_daily@1", "flights/ground_stop@1:active"],
        expect![[r#"Features(["flights/carrier_daily@1", "flights/ground_stop@1:active"]) of 2"#]],
    );
    check(
        &["flights/carrier_dayly@1"],
        expect![
            "NOT_FOUND: flights/carrier_dayly@1: `flights/carrier_dayly@1` is not in the registry; did you mean `flights/carrier_daily@1`? `trivium ls` lists what is there"
        ],
    );
    check(
        &["flights/carrier_daily@1:flightz"],
        expect![
            "NOT_FOUND: flights/carrier_daily@1:flightz: flights/carrier_daily@1 has no feature `flightz`; did you mean `flights`?"
        ],
    );
}

/// A view where a service is meant, and the other way round, is told apart from what does not exist.
#[test]
fn views_and_services_are_told_apart() {
    let catalog = Catalog::read(
        [("flights/carrier_daily@1", CARRIER_DAILY)].into_iter(),
        [("flights/delay_model@1", DELAY_MODEL)].into_iter(),
    )
    .unwrap();
    let check = |failure: crate::failure::Failure, expected: expect_test::Expect| {
        assert_eq!(failure.error.kind, Kind::InvalidArgument);
        expected.assert_eq(&failure.error.to_string());
    };
    let service = ["flights/delay_model@1".to_owned()];
    check(
        catalog.select(&[], &service, None).expect_err("a service"),
        expect![
            "flights/delay_model@1: this names a feature service, not a feature view; write `--service flights/delay_model@1`; a service is read alone"
        ],
    );
    check(
        catalog.select(&[], &[], Some("flights/carrier_daily@1")).expect_err("a view"),
        expect![
            "--service: `flights/carrier_daily@1` is a feature view, not a feature service; write `--features flights/carrier_daily@1`"
        ],
    );
    check(
        catalog.view("flights/delay_model@1").map(drop).expect_err("a service"),
        expect![
            "flights/delay_model@1: this names a feature service, not a feature view; name a view; it reads `flights/carrier_daily@1`, `flights/airport_weather@1`, `flights/route_daily@1`, `flights/plane_utilisation@1`"
        ],
    );
}

#[test]
fn the_example_is_read() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let project = Project::read(&std::path::Path::new(root).join("trivium.toml")).unwrap();
    assert!(project.data_clock.is_some());
    let configs = Configs::read(&[], Some(&project)).unwrap();
    assert!(configs.findings.is_empty());
    let loaded = trivium_registry::load_project(&configs.files).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!((loaded.views.len(), loaded.services.len()), (8, 1));
}

#[test]
fn one_file_brings_its_folder() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/flights/carrier_daily.v1.json");
    let configs = Configs::read(&[file.into()], None).unwrap();
    assert!(configs.files.len() > 5);
    assert!(configs.is_asked("flights/carrier_daily.v1.json"));
    assert!(configs.is_asked("flights/carrier_daily.v1.sql"));
    assert!(!configs.is_asked("flights/route_daily.v1.json"));
}

/// What cannot be read is one finding, and hides nothing of the others.
#[test]
fn unreadable_files_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let path = |name: &str| root.join("flights").join(name);
    std::fs::create_dir(root.join("flights")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("carrier_daily.v1.json")).unwrap();
    std::os::unix::fs::symlink("loop.v1.json", path("loop.v1.json")).unwrap();
    std::fs::write(path("carrier_daily.v1.sql"), CARRIER_DAILY_SQL).unwrap();
    std::fs::write(path("delay_model.v1.service.json"), DELAY_MODEL).unwrap();
    std::fs::write(path("ground_stop.v1.json"), GROUND_STOP.replace("lane", "lain")).unwrap();
    std::fs::write(path("latin.v1.sql"), b"-- caf\xe9").unwrap();
    std::fs::write(path("latin.v1.json"), "{}").unwrap();
    let configs = Configs::read(&[root.to_path_buf()], None).unwrap();
    let mut findings = configs.findings.clone();
    findings.extend(
        trivium_registry::project::load_project_beside(&configs.files, &configs.unread())
            .expect_err("more is wrong"),
    );
    let mut codes: Vec<String> =
        findings.iter().map(|finding| format!("{} {}", finding.path, finding.code)).collect();
    codes.sort();
    codes.dedup();
    expect![[r#"
        flights/carrier_daily.v1.json unreadable
        flights/ground_stop.v1.json missing-field
        flights/ground_stop.v1.json unknown-field
        flights/latin.v1.json missing-field
        flights/latin.v1.sql not-utf8
        flights/loop.v1.json unreadable"#]]
    .assert_eq(&codes.join("\n"));
}

#[test]
fn system_errors_are_the_callers_kind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let check = |path: std::path::PathBuf, kind: Kind| {
        let error = std::fs::read_to_string(&path).expect_err("it is no file");
        let failure = crate::failure::file(&path, &error);
        assert_eq!(failure.error.kind, kind, "{}", failure.error);
        assert!(!failure.error.help.is_empty(), "{}", failure.error);
        // The same where the offline side met it.
        let error = trivium_offline::Error::Io { doing: "read", path, source: error };
        assert_eq!(crate::failure::offline(&error).error.kind, kind);
    };
    check(file.join("x"), Kind::InvalidArgument);
    check(folder.path().to_path_buf(), Kind::InvalidArgument);
    check(folder.path().join("x".repeat(300)), Kind::InvalidArgument);
    check(folder.path().join("none"), Kind::NotFound);
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    check(folder.path().join("loop"), Kind::InvalidArgument);
}

#[test]
fn a_project_file_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trivium.toml");
    let check = |text: &str, expected: &str| {
        std::fs::write(&file, text).unwrap();
        let failure = Project::read(&file).map(|_| ()).expect_err("it is wrong");
        assert_eq!(failure.error.kind, Kind::InvalidArgument);
        assert!(failure.error.to_string().contains(expected), "{}", failure.error);
    };
    check("[project", "1:");
    check("[project]\ncolour = 1", "colour");
    check("[project]\n[clock]\ndata = \"noon\"", "clock.data");
    check("[project]\n[sources.a]\nformat = \"csv\"", "path");
    check("[project]\n[sources.a]\nformat = \"xls\"\npath = \"a\"", "xls");
    check("[project]\n[sources.a]\nformat = \"parquet\"\npath = \"a\"\nnull = \"NA\"", "null");
    check("[project]\n[sources.a]\nformat = \"csv\"\npath = []", "path");
    check(
        "[project]\n[sources.a]\nformat = \"csv\"\npath = \"${NO_SUCH_VARIABLE_OF_OURS}/a\"",
        "NO_SUCH",
    );
}

#[test]
fn the_template_is_a_project() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("shop");
    let args = ["trivium", "init", dir.to_str().unwrap(), "--output", "json"];
    let cli = Cli::try_parse_from(args).unwrap();
    let crate::args::Verb::Init(init) = &cli.verb else { panic!("init") };
    crate::verbs::init::run(&cli.global, init).unwrap();
    let project = Project::read(&dir.join("trivium.toml")).unwrap();
    let configs = Configs::read(&[], Some(&project)).unwrap();
    let loaded = trivium_registry::load_project(&configs.files).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!((loaded.views.len(), loaded.services.len()), (1, 1));
    assert!(crate::verbs::init::run(&cli.global, init).is_err(), "the folder is not empty now");
}
