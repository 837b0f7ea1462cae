//! Holds the layers of ARCHITECTURE.md against `cargo metadata`.

use cargo_metadata::{Metadata, MetadataCommand};
use xtask::layers::{RULES, Rule, heavy_reached, violations};

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        // One platform: else cargo would want the sources of every other one downloaded.
        .other_options(
            ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
                .map(str::to_owned)
                .to_vec(),
        )
        .exec()
        .unwrap()
}

#[test]
fn edges_point_down() {
    let found = violations(&metadata(), RULES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn batch_engines_stay_out_of_the_read_path() {
    let found = heavy_reached(&metadata());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The check can fail: with `model` lifted above its users, every edge to it points up.
#[test]
fn an_upward_edge_is_found() {
    let lifted: Vec<Rule> = RULES
        .iter()
        .map(|rule| Rule {
            package: rule.package,
            layer: if rule.package == "trivium-model" { 9 } else { rule.layer },
            may_use: rule.may_use,
        })
        .collect();
    let found = violations(&metadata(), &lifted);
    assert!(
        found.iter().any(|line| line.contains("trivium-codec (layer 0) depends on trivium-model"))
    );
}

/// And an edge that nobody listed is found, though it points down.
#[test]
fn an_unlisted_edge_is_found() {
    let narrowed: Vec<Rule> = RULES
        .iter()
        .map(|rule| Rule {
            package: rule.package,
            layer: rule.layer,
            may_use: if rule.package == "trivium-store" { &[] } else { rule.may_use },
        })
        .collect();
    let found = violations(&metadata(), &narrowed);
    assert!(found.iter().any(|line| line.contains("trivium-store depends on trivium-codec")));
}
