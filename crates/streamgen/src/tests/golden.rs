//! The example's job is checked in: `docs/examples/streams/streams` is what its configs and settings give.

use expect_test::expect;

use crate::{
    Settings,
    command::{How, generate},
    job::Generator,
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

/// It says nothing, and a job of another order would not take up the state, or write an entity's rows elsewhere.
#[test]
fn the_order_of_entities_and_features_makes_no_other_job() {
    let of = |entities: [&str; 2], features: [&str; 2]| {
        let feature =
            |name: &str| format!(r#"{{ "name": "{name}", "type": "string", "description": "." }}"#);
        let entity = |name: &str| format!(r#"{{ "name": "{name}", "type": "int64" }}"#);
        let features = features.map(feature).join(", ");
        let entities = entities.map(entity).join(", ");
        let loaded = view(
            &[
                (
                    r#"{ "name": "user_id", "type": "int64" }], "event_timestamp""#,
                    &format!("{entities}], \"event_timestamp\""),
                ),
                (r#"{ "name": "page", "type": "string", "description": "The page." }"#, &features),
            ],
            "SELECT user_id, user_id AS shop_id, `at` AS event_ts, page, page AS first FROM clicks",
        );
        generator().render(&loaded).unwrap().unwrap()
    };
    let one = of(["shop_id", "user_id"], ["first", "page"]);
    assert_eq!(one, of(["user_id", "shop_id"], ["page", "first"]));
    assert!(one.script.1.contains("'key.fields' = 'shop_id;user_id'"), "{}", one.script.1);
}

/// Brokers would give the rows up before they are committed.
#[test]
fn checkpoints_are_not_as_rare_as_transactions_are_long() {
    let inputs = r#""inputs": [{"#;
    let loaded = |checkpoint: &str| {
        let job = format!(r#""job": {{ "checkpoint": "{checkpoint}" }}, {inputs}"#);
        view(&[(inputs, &job)], SQL)
    };
    let of = |checkpoint: &str, timeout: &[(&str, &str)]| {
        let kafka = timeout.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = Settings { kafka: kafka.collect(), ..Settings::default() };
        let generated = Generator::new(settings).unwrap().render(&loaded(checkpoint));
        generated.map(|generated| generated.unwrap().script.1).map_err(|error| error.to_string())
    };
    assert!(of("450s", &[]).is_ok());
    expect![[r#"shop/clicks.v3.json: job.checkpoint: a checkpoint each 451s is too rare: brokers give up what is not committed 900 s after it was begun; write half of that at most, or set "transaction.timeout.ms" in [flink.kafka] of the project file, to at least 902000; brokers have to allow it (`transaction.max.timeout.ms`)"#]].assert_eq(&of("451s", &[]).unwrap_err());
    let hours = of("1h", &[("transaction.timeout.ms", "7200000")]).unwrap();
    // In the table of messages, where it does nothing, and in that of payloads, once each.
    assert_eq!(hours.matches("'properties.transaction.timeout.ms' = '7200000'").count(), 2);
    assert_eq!(hours.matches("transaction.timeout.ms").count(), 2);
    expect!["flink.kafka.transaction.timeout.ms: `2h` is no number of milliseconds; write a whole number above 0"].assert_eq(&of("1s", &[("transaction.timeout.ms", "2h")]).unwrap_err());
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
