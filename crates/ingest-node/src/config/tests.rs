//! The sample, the environment, mistakes and their places.

use std::{collections::BTreeSet, ffi::OsString, path::Path};

use toml::{Table, Value};
use trivium_api::ApiError;
use trivium_node::RegistryAddress;

use super::{Config, FIELDS, PROGRAM, SAMPLE};

const SMALL: &str = "[registry]\nurl = \"http://127.0.0.1:7400\"\n\n[serving]\nurl = \"http://127.0.0.1:7401\"\n\n[kafka]\n";

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ApiError> {
    let variables =
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::parse(Path::new("etc/ingest.toml"), text, variables)
}

#[test]
fn the_sample_has_every_field_with_its_default() {
    let sample = read(SAMPLE, &[]).unwrap();
    let small = read(SMALL, &[]).unwrap();
    assert_eq!(format!("{sample:?}"), format!("{small:?}"));
    // What stands there without effect, as `#name = …`, is a field too.
    let whole: String = SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let table: Table = toml::from_str(&whole).unwrap();
    let fields = |section: &str, value: &Value| -> Vec<(String, String)> {
        let fields = value.as_table().unwrap().keys();
        fields.map(|field| (section.to_owned(), field.clone())).collect()
    };
    let written: BTreeSet<(String, String)> =
        table.iter().flat_map(|(section, value)| fields(section, value)).collect();
    let known: BTreeSet<(String, String)> = FIELDS
        .iter()
        .map(|(section, field, _)| ((*section).to_owned(), (*field).to_owned()))
        .collect();
    assert_eq!(written, known);
}

#[test]
fn kinesis_is_read_where_its_section_is_there() {
    let endpoints = "[kinesis]\nendpoint = \"http://127.0.0.1:4567\"\nlease_endpoint = \"http://127.0.0.1:8000\"\n";
    let given = read(&format!("{SMALL}{endpoints}"), &[]).unwrap().work.kinesis.unwrap();
    assert_eq!(given.dead_letters, None);
    // The sample has the defaults; the rest of it are names.
    let section = SAMPLE.split_once("#[kinesis]").unwrap().1.split_once("\n[flood]").unwrap().0;
    let section: String =
        section.lines().map(|line| line.trim_start_matches('#').to_owned() + "\n").collect();
    let section: String = section
        .lines()
        .filter(|line| {
            !line.starts_with(' ')
                && !line.starts_with("worker")
                && !line.starts_with("dead_letters")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let sample = read(&format!("{SMALL}[kinesis]\n{section}"), &[]).unwrap().work.kinesis.unwrap();
    assert_eq!(format!("{sample:?}"), format!("{given:?}"));
    // Alone, with a stream for its dead letters.
    let alone = SMALL.replace("[kafka]\n", &format!("{endpoints}dead_letters = \"d\"\n"));
    let alone = read(&alone, &[]).unwrap();
    assert!(alone.work.kafka.is_none());
    assert_eq!(alone.work.kinesis.unwrap().dead_letters.as_deref(), Some("d"));
    let error = read(&format!("{SMALL}{}", endpoints.replace("http:", "ftp:")), &[]).unwrap_err();
    assert_eq!(error.field, "etc/ingest.toml: kinesis.endpoint");
}

#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../../docs/streams.md");
    for (section, field, _) in FIELDS {
        assert!(
            page.contains(&format!("`{section}.{field}`")),
            "docs/streams.md: {section}.{field}"
        );
    }
}

#[test]
fn the_environment_stands_above_the_file() {
    let config = read(
        SMALL,
        &[
            ("TRIVIUM_INGEST_CONFIG", "ignored"),
            ("TRIVIUM_INGEST_KAFKA_PAYLOAD_TOPICS", "a, b"),
            ("TRIVIUM_INGEST_FLOOD_SHARE", "0.5"),
            ("TRIVIUM_INGEST_REGISTRY_URL", "sqlite:registry.db"),
            ("TRIVIUM_INGEST_KAFKA_INSTANCE", "one"),
        ],
    )
    .unwrap();
    let kafka = config.work.kafka.unwrap();
    assert_eq!(kafka.payload_topics, ["a", "b"]);
    assert_eq!(config.work.lane.flood.share, 0.5);
    assert_eq!(config.registry.address, RegistryAddress::Sqlite("etc/registry.db".into()));
    assert_eq!(kafka.options.instance.as_deref(), Some("one"));
    for (section, field, _) in FIELDS {
        let name = PROGRAM.variable(section, field);
        let error = read("nonsense = 1", &[(&name, "0")]).err();
        assert!(
            error.is_some_and(|error| error.message != "this variable sets no field"),
            "{name}"
        );
    }
}

#[test]
fn mistakes_have_their_place() {
    let with = |more: &str| format!("{SMALL}{more}\n");
    for (text, place, message) in [
        ("", "etc/ingest.toml: registry", "missing"),
        (SMALL.split_once("[serving]").unwrap().0, "etc/ingest.toml: serving.url", "missing"),
        (&with("topic = \"x\""), "etc/ingest.toml:8:1", "unknown field `topic`"),
        (&with("session_ms = 0"), "etc/ingest.toml: kafka.session_ms", "it is 0"),
        (&with("group = \" \""), "etc/ingest.toml: kafka.group", "it is empty"),
        (
            &with("payload_topics = [\"x\"]\ndead_letters = \"x\""),
            "etc/ingest.toml: kafka.dead_letters",
            "is read for payloads",
        ),
        (&with("[flood]\nshare = 1.5"), "etc/ingest.toml: flood.share", "no share"),
        (&with("[flood]\namong = 50"), "etc/ingest.toml: flood.least", "more than `flood.among`"),
        (
            &with("[schema_registry]\nurl = \"https://me:secret@here\""),
            "etc/ingest.toml: schema_registry.url",
            "it is no address",
        ),
        (&with("[flood]\nshare = nan"), "etc/ingest.toml: flood.share", "no share"),
        (
            &with("[schema_registry]\nurl = \"here\""),
            "etc/ingest.toml: schema_registry.url",
            "it is no address",
        ),
        (
            &with("[history]\ngroup = \"trivium-ingest\""),
            "etc/ingest.toml: history.group",
            "is the group of the lanes, too",
        ),
        (&with("[history]\ncommit_ms = 0"), "etc/ingest.toml: history.commit_ms", "it is 0"),
        (&SMALL.replace("[kafka]", ""), "etc/ingest.toml: kafka", "neither"),
        (&SMALL.replace("kafka", "kinesis"), "etc/ingest.toml: kinesis.dead_letters", "no place"),
        (&with("[kinesis]\nread_ms = 100"), "etc/ingest.toml: kinesis.read_ms", "five times"),
        (&with("[kinesis]\nshards_ms = 0"), "etc/ingest.toml: kinesis.shards_ms", "it is 0"),
        (&with("[log]\nformat = \"xml\""), "etc/ingest.toml: log.format", "no format"),
        (
            &SMALL.replace("http://127.0.0.1:7400", "ftp:x"),
            "etc/ingest.toml: registry.url",
            "no address",
        ),
    ] {
        let error = read(text, &[]).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.field, place, "{text}: {error}");
    }
}

#[test]
fn a_history_is_kept_where_there_is_a_lake_for_it() {
    assert!(read(SMALL, &[]).unwrap().work.history.is_none());
    let text = format!("{SMALL}[history]\nlake = \"lake\"\ncommit_ms = 5\nkeep_ms = 7\n");
    let history = read(&text, &[]).unwrap().work.history.unwrap();
    assert_eq!(history.kafka.unwrap().group, "trivium-history");
    assert!(history.kinesis.is_none());
    // Beside the file.
    assert_eq!(history.sink.lake, Path::new("etc/lake"));
    assert_eq!(history.sink.commit_every, std::time::Duration::from_millis(5));
    assert_eq!(history.sink.vacuum.removed, std::time::Duration::from_millis(7));
}

/// With leases of its own, whether Kafka is read or not.
#[test]
fn a_history_is_kept_of_kinesis_streams() {
    let kinesis = "[kinesis]\nendpoint = \"http://127.0.0.1:4567\"\nlease_endpoint = \"http://127.0.0.1:8000\"\n\
                   lease_table = \"leases\"\ndead_letters = \"d\"\n";
    let lake = "[history]\nlake = \"lake\"\ncommit_bytes = 9\n";
    let alone = SMALL.replace("[kafka]\n", &format!("{kinesis}{lake}"));
    let work = read(&alone, &[]).unwrap().work;
    let history = work.history.unwrap();
    let options = history.kinesis.unwrap();
    assert!(history.kafka.is_none());
    assert_eq!(options.lease_table, "leases-history");
    assert_eq!(work.kinesis.unwrap().options.lease_table, "leases");
    assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:4567"));
    assert_eq!(options.read_every, std::time::Duration::from_secs(1));
    assert_eq!(options.waiting_bytes, 9);
    let both = read(&format!("{SMALL}{kinesis}{lake}"), &[]).unwrap().work.history.unwrap();
    assert!(both.kafka.is_some() && both.kinesis.is_some());
    let named = read(&format!("{alone}lease_table = \"mine\"\nread_ms = 200\n"), &[]).unwrap();
    let named = named.work.history.unwrap().kinesis.unwrap();
    assert_eq!(named.lease_table, "mine");
    assert_eq!(named.read_every, std::time::Duration::from_millis(200));
    for (field, value, message) in [
        ("lease_table", "\"leases\"", "has the leases of the lanes, too"),
        ("lease_table", "\"x\"", "make a table's name"),
        ("read_ms", "100", "five times"),
        ("read_ms", "0", "it is 0"),
    ] {
        let error = read(&format!("{alone}{field} = {value}\n"), &[]).unwrap_err();
        assert!(error.message.contains(message), "{error}");
        assert_eq!(error.field, format!("etc/ingest.toml: history.{field}"));
    }
}

#[test]
fn settings_of_librdkafka_stand_in_their_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kafka.toml");
    let text = format!("{SMALL}properties_file = \"{}\"\n", file.display());
    std::fs::write(&file, "\"sasl.password\" = \"secret\"\n").unwrap();
    assert_eq!(
        read(&text, &[]).unwrap().work.kafka.unwrap().options.more["sasl.password"],
        "secret"
    );
    std::fs::write(&file, "sasl.password = \"secret\"\n").unwrap();
    let error = read(&text, &[]).unwrap_err();
    assert!(
        error.field.ends_with("kafka.toml") && !error.to_string().contains("secret"),
        "{error}"
    );
}
