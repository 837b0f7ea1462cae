//! The sample, the documentation, the environment, mistakes and their places.

use std::{collections::BTreeSet, ffi::OsString, path::Path};

use toml::{Table, Value};
use trivium_api::ApiError;

use trivium_node::RegistryAddress;

use super::{Config, PROGRAM, SAMPLE, document::FIELDS};

const SMALL: &str = "[registry]\nurl = \"sqlite:registry.db\"\n\n[dynamodb]\ntable = \"rows\"\nregion = \"eu-central-1\"\nendpoint = \"http://127.0.0.1:8000\"\n";

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ApiError> {
    let variables =
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::parse(Path::new("etc/serving.toml"), text, variables)
}

#[test]
fn the_sample_has_every_field_with_its_default() {
    let sample = read(SAMPLE, &[]).unwrap();
    // What stands there without effect, as `#name = …`, is a field too.
    let whole: String = SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = read(&whole, &[]).unwrap();
    assert_ne!(config.dynamodb.moving_to.unwrap().table, sample.dynamodb.table);
    assert!(!config.opensearch.unwrap().moving_to.unwrap().complete);
    let table: Table = toml::from_str(&whole).unwrap();
    let mut written: BTreeSet<(String, String)> = BTreeSet::new();
    for (section, fields) in &table {
        for (field, value) in fields.as_table().unwrap() {
            match value {
                Value::Table(fields) => {
                    let section = format!("{section}.{field}");
                    written.extend(fields.keys().map(|field| (section.clone(), field.clone())));
                }
                _ => _ = written.insert((section.clone(), field.clone())),
            }
        }
    }
    let known: BTreeSet<(String, String)> = FIELDS
        .iter()
        .map(|(section, field, _)| ((*section).to_owned(), (*field).to_owned()))
        .collect();
    assert_eq!(written, known);
    let small = read(SMALL, &[]).unwrap();
    assert_eq!((sample.http, sample.grpc), (small.http, small.grpc));
    assert_eq!(
        (sample.registry.poll_ms, sample.announce),
        (small.registry.poll_ms, small.announce)
    );
    assert_eq!(sample.serve, small.serve);
    assert_eq!(format!("{:?}", sample.coherence), format!("{:?}", small.coherence));
    assert_eq!(format!("{:?}", sample.serving), format!("{:?}", small.serving));
    assert_eq!(sample.near_bytes_max, small.near_bytes_max);
    let rows =
        trivium_store_dynamodb::Options { table: "trivium-rows".to_owned(), ..small.dynamodb };
    assert_eq!(sample.dynamodb, rows);
    let index = trivium_index_opensearch::Options::new("http://127.0.0.1:9200");
    assert_eq!((sample.opensearch, sample.sweep), (Some(index), small.sweep));
    assert_eq!(sample.traces, small.traces);
    assert_eq!(sample.valkey, Some(trivium_cache_valkey::Options::new("127.0.0.1:6379")));
}

#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../../docs/serving.md");
    for (section, field, _) in FIELDS {
        assert!(
            page.contains(&format!("`{section}.{field}`")),
            "docs/serving.md: {section}.{field}"
        );
    }
}

/// Every metric of the crates a node is made of is in the table of docs/serving.md, and nothing else.
#[test]
fn every_metric_is_documented() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files: Vec<_> = [
        "api",
        "coherence",
        "serving",
        "store",
        "serving-node",
        "node",
        "registry-api",
        "runtime",
        "traces",
    ]
    .map(|name| crates.join(name).join("src"))
    .to_vec();
    let mut in_code = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            // What tests name nothing has.
            && !path.ends_with("tests.rs")
        {
            in_code.extend(metrics_of(&std::fs::read_to_string(path).unwrap(), '"'));
        }
    }
    // Telemetry knows of workers' metrics, too; theirs are in docs/streams.md.
    in_code.retain(|name| !name.starts_with("trivium_ingest_"));
    let page = include_str!("../../../../docs/serving.md");
    assert_eq!(metrics_of(page, '`'), in_code);
}

/// The words that begin as metrics do, right behind the mark, and end as no name of a crate does.
fn metrics_of(text: &str, mark: char) -> BTreeSet<String> {
    let begin = format!("{mark}trivium_");
    let words = text.match_indices(&begin).map(|(at, _)| {
        let word = &text[at + 1..];
        let end = word.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        let (name, rest) = word.split_at(end.unwrap_or(word.len()));
        (name.to_owned(), rest.starts_with([mark, '{']))
    });
    words.filter(|(_, is_whole)| *is_whole).map(|(name, _)| name).collect()
}

#[test]
fn the_environment_stands_above_the_file() {
    let config = read(
        SMALL,
        &[
            ("TRIVIUM_SERVING_CONFIG", "ignored"),
            ("TRIVIUM_SERVER", "not ours"),
            ("TRIVIUM_SERVING_LISTEN_HTTP", "0.0.0.0:1"),
            ("TRIVIUM_SERVING_DYNAMODB_TABLE", "123"),
            ("TRIVIUM_SERVING_VALKEY_SERVERS", "a:1, b:2"),
            ("TRIVIUM_SERVING_VALKEY_CLUSTER", "true"),
            ("TRIVIUM_SERVING_DYNAMODB_MOVING_TO_TABLE", "456"),
            ("TRIVIUM_SERVING_DYNAMODB_MOVING_TO_REGION", "eu-west-1"),
            ("TRIVIUM_SERVING_DYNAMODB_MOVING_TO_ENDPOINT", "http://127.0.0.1:9"),
            ("TRIVIUM_SERVING_OPENSEARCH_ENDPOINT", "http://127.0.0.1:9200"),
            ("TRIVIUM_SERVING_OPENSEARCH_MOVING_TO_ENDPOINT", "http://127.0.0.1:9201"),
            ("TRIVIUM_SERVING_OPENSEARCH_MOVING_TO_COMPLETE", "true"),
            ("TRIVIUM_SERVING_REGISTRY_URL", "http://registry:7400/"),
        ],
    )
    .unwrap();
    assert_eq!(config.http.port(), 1);
    assert_eq!(config.dynamodb.table, "123");
    let moving_to = config.dynamodb.moving_to.unwrap();
    assert_eq!((moving_to.table.as_str(), moving_to.region.as_str()), ("456", "eu-west-1"));
    let index = config.opensearch.unwrap();
    assert!(index.moving_to.as_ref().unwrap().complete);
    assert_eq!(index.of_second().unwrap().endpoint, "http://127.0.0.1:9201");
    let valkey = config.valkey.unwrap();
    assert_eq!((valkey.servers.len(), valkey.cluster), (2, true));
    assert_eq!(config.registry.address, RegistryAddress::Http("http://registry:7400".to_owned()));
    // The whole of it from there.
    let all = [
        ("TRIVIUM_SERVING_REGISTRY_URL", "sqlite:/r.db"),
        ("TRIVIUM_SERVING_DYNAMODB_TABLE", "rows"),
        ("TRIVIUM_SERVING_DYNAMODB_REGION", "eu-central-1"),
        // The region's own wants TLS, which not every build has.
        ("TRIVIUM_SERVING_DYNAMODB_ENDPOINT", "http://127.0.0.1:8000"),
    ];
    read("", &all).unwrap();
    // Each field can be set; what it holds is checked as in the file.
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
fn paths_are_beside_the_file() {
    let text = SMALL.replace("\n\n", "\nstate_file = \"/var/state.json\"\n\n")
        + "[auth]\nkeys_file = \"keys.txt\"\n";
    let config = read(&text, &[]).unwrap();
    assert_eq!(config.registry.address, RegistryAddress::Sqlite("etc/registry.db".into()));
    assert_eq!(config.registry.state_file.as_deref(), Some(Path::new("/var/state.json")));
    assert_eq!(config.keys.unwrap().file, Path::new("etc/keys.txt"));
}

#[test]
fn mistakes_have_their_place() {
    let with = |more: &str| format!("{SMALL}{more}");
    for (text, place, message) in [
        ("[registry]\nurl =", "etc/serving.toml:2:6", "string values must be quoted"),
        ("", "etc/serving.toml:1:1", "missing field `registry`"),
        (
            &with("[limits]\nrequest_max = 1\n"),
            "etc/serving.toml:9:1",
            "unknown field `request_max`",
        ),
        (&with("[listen]\nhttp = \"here\"\n"), "etc/serving.toml:9:8", "invalid socket address"),
        (&with("[nosuch]\n"), "etc/serving.toml:8:2", "unknown field `nosuch`"),
        (&with("[coherence]\nlease_ms = 0\n"), "etc/serving.toml: coherence.lease_ms", "it is 0"),
        (
            &with("[coherence]\nlease_ms = 200\n"),
            "etc/serving.toml: coherence.renew_every_ms",
            "runs out",
        ),
        (
            &with("[coherence]\nwrite_window_ms = 9\n"),
            "etc/serving.toml: coherence.write_window_ms",
            "taken for dead",
        ),
        (
            &with("[valkey]\nservers = [\"a:1\"]\nvalue_ttl_seconds = 500000\n"),
            "etc/serving.toml: valkey.value_ttl_seconds",
            "tombstones",
        ),
        (&with("[clock]\ndata = \"now\"\n"), "etc/serving.toml: clock.data", "no instant"),
        (&with("[log]\nformat = \"xml\"\n"), "etc/serving.toml: log.format", "no format"),
        (&SMALL.replace("sqlite:", "ftp:"), "etc/serving.toml: registry.url", "no address"),
        // What only the stores' own crates know is looked at before any store is asked.
        (&SMALL.replace("rows", "r"), "etc/serving.toml: dynamodb.table", "3 to 255"),
        (&with("[valkey]\nservers = []\n"), "etc/serving.toml: valkey.servers", "none is named"),
        (
            &with("[valkey]\nservers = [\"redis://a:1\"]\n"),
            "etc/serving.toml: valkey.servers",
            "without a scheme",
        ),
        (
            &with("[valkey]\nservers = [\":1\"]\n"),
            "etc/serving.toml: valkey.servers",
            "`host:port`",
        ),
        (
            &with("[valkey]\nservers = [\"a:1\"]\nconnections = 99999999\n"),
            "etc/serving.toml: valkey.connections",
            "more than",
        ),
        (
            &with("[opensearch]\nendpoint = \"a:1\"\n"),
            "etc/serving.toml: opensearch.endpoint",
            "neither",
        ),
        (
            &with("[traces]\notlp_endpoint = \"a:1\"\n"),
            "etc/serving.toml: traces.otlp_endpoint",
            "no `http://HOST:PORT`",
        ),
        (
            &with("[traces]\nsample_ratio = 2\n"),
            "etc/serving.toml: traces.sample_ratio",
            "no share",
        ),
    ] {
        let error = read(text, &[]).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.field, place, "{text}: {error}");
    }
    let error = read(SMALL, &[("TRIVIUM_SERVING_DYNAMODB_TABLE", "")]).unwrap_err();
    assert!(error.help.contains("variable"), "{error}");
    let wrong = |name: &str, value: &str| read(SMALL, &[(name, value)]).unwrap_err();
    let error = wrong("TRIVIUM_SERVING_LISTEN_HTPT", "x");
    assert_eq!(error.help, "did you mean `TRIVIUM_SERVING_LISTEN_HTTP`?");
    assert_eq!(
        wrong("TRIVIUM_SERVING_AUTH_RELOAD_MS", "soon").message,
        "its value is not a whole number"
    );
    assert!(wrong("TRIVIUM_SERVING_LISTEN_HTTP", "here").field.contains("TRIVIUM_SERVING_"));
}

#[test]
fn a_fixed_data_clock() {
    let config = read(&format!("{SMALL}[clock]\ndata = \"2014-01-01\"\n"), &[]).unwrap();
    assert_eq!(config.data_clock().now_micros(), 1_388_534_400_000_000);
    assert!(matches!(toml::from_str::<Table>("a = 1").unwrap()["a"], Value::Integer(1)));
}
