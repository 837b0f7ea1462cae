//! The example's job is checked in: `docs/examples/streams/streams` is what its configs and settings give.

use crate::{
    Settings,
    command::{How, generate},
};

use super::{SQL, VIEW, example, generator, view};

#[test]
fn the_examples_job_is_up_to_date() {
    let settings = Settings::read(&example().join("trivium.toml")).unwrap();
    let check = std::env::var_os("UPDATE_EXPECT").is_none();
    let how = How { out: example().join("streams"), check, force: false };
    let outcome = generate(&example().join("configs"), settings, &how).unwrap();
    assert_eq!(outcome.jobs, 1);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    if check {
        assert!(outcome.changes.is_empty(), "UPDATE_EXPECT=1 writes it: {:?}", outcome.changes);
    }
    assert!(outcome.left.is_empty(), "{:?}", outcome.left);
}

#[test]
fn a_job_is_the_same_twice_and_another_for_another_version() {
    let first = generator().render(&view(&[], SQL)).unwrap().unwrap();
    assert_eq!(first, generator().render(&view(&[], SQL)).unwrap().unwrap());
    let (path, script) = &first.script;
    assert_eq!(path, "shop/clicks.v3.sql");
    for once in [
        "SET 'pipeline.name' = 'shop/clicks@3';",
        "'properties.group.id' = 'trivium-shop.clicks.v3'",
        "'sink.transactional-id-prefix' = 'trivium-shop.clicks.v3'",
    ] {
        assert_eq!(script.matches(once).count(), 1, "{once}\n{script}");
    }
    assert!(!VIEW.contains("state_ttl") && !script.contains("state.ttl"), "{script}");
}

/// The manifest holds the script as it is, whatever is in it.
#[test]
fn the_manifest_holds_the_script() {
    let sql = "SELECT user_id, `at` AS event_ts,\n\n\t'a: {b} \"c\" # d ''e'' %' AS page FROM clicks -- ---\n";
    let generated = generator().render(&view(&[], sql)).unwrap().unwrap();
    let (_, rest) = generated.manifest.1.split_once("  job.sql: |\n").unwrap();
    let (block, rest) = rest.split_once("\n---\n").unwrap();
    let lines =
        block.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)));
    assert_eq!(lines.collect::<String>(), generated.script.1);
    assert!(rest.starts_with("apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\n"));
}

#[test]
fn deployments_have_names_of_their_own() {
    let name = |namespace: &str, view_name: &str| {
        let mut loaded = view(&[], SQL);
        loaded.view.namespace = trivium_model::Name::new(namespace).unwrap();
        loaded.view.name = trivium_model::Name::new(view_name).unwrap();
        let manifest = generator().render(&loaded).unwrap().unwrap().manifest.1;
        let line = manifest.lines().find(|line| line.starts_with("  name: ")).unwrap();
        line.trim_start_matches("  name: ").trim_matches('"').to_owned()
    };
    assert_eq!(name("shop", "top_clicks"), "shop--top-clicks--v3");
    assert_ne!(name("a_b", "c"), name("a", "b_c"));
    assert_ne!(name("a__b", "c"), name("a", "b__c"));
    assert_ne!(name("a_", "c"), name("a", "c"));
    let long = "a".repeat(63);
    let other = format!("{}b", "a".repeat(62));
    assert_ne!(name(&long, &long), name(&long, &other));
    for name in [name(&long, &long), name("a_", "c_"), name("a__b", "c")] {
        assert!(name.len() <= 45, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }
}

#[test]
fn views_without_inputs_have_no_job() {
    let mut loaded = view(&[], SQL);
    loaded.view.job = None;
    loaded.flink = None;
    assert!(generator().render(&loaded).unwrap().is_none());
}
