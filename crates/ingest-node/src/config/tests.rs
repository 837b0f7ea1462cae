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
    assert_eq!(config.payload_topics, ["a", "b"]);
    assert_eq!(config.lane.flood.share, 0.5);
    assert_eq!(config.registry.address, RegistryAddress::Sqlite("etc/registry.db".into()));
    assert_eq!(config.kafka.instance.as_deref(), Some("one"));
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
        ("", "etc/ingest.toml:1:1", "missing field `registry`"),
        (&with("topic = \"x\""), "etc/ingest.toml:8:1", "unknown field `topic`"),
        (&with("session_ms = 0"), "etc/ingest.toml: kafka.session_ms", "it is 0"),
        (&with("group = \" \""), "etc/ingest.toml: kafka.group", "it is empty"),
        (
            &with("payload_topics = [\"x\"]\ndead_letters = \"x\""),
            "etc/ingest.toml: kafka.dead_letters",
            "is a payload topic",
        ),
        (&with("[flood]\nshare = 1.5"), "etc/ingest.toml: flood.share", "no share"),
        (&with("[flood]\nshare = nan"), "etc/ingest.toml: flood.share", "no share"),
        (
            &with("[schema_registry]\nurl = \"here\""),
            "etc/ingest.toml: schema_registry.url",
            "no address",
        ),
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
fn settings_of_librdkafka_stand_in_their_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kafka.toml");
    let text = format!("{SMALL}properties_file = \"{}\"\n", file.display());
    std::fs::write(&file, "\"sasl.password\" = \"secret\"\n").unwrap();
    assert_eq!(read(&text, &[]).unwrap().kafka.more["sasl.password"], "secret");
    std::fs::write(&file, "sasl.password = \"secret\"\n").unwrap();
    let error = read(&text, &[]).unwrap_err();
    assert!(
        error.field.ends_with("kafka.toml") && !error.to_string().contains("secret"),
        "{error}"
    );
}
