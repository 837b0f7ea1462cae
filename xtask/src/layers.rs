//! Which crate may depend on which.
//!
//! Edges point down. Every crate of ours has a layer; a crate may depend on the crates listed for
//! it and on nothing else of ours, so that each new edge is a reviewed line in this file.

use cargo_metadata::{DependencyKind, Metadata};

/// A crate's layer and the crates of ours that it may depend on.
#[derive(Debug)]
pub struct Rule {
    /// The package.
    pub package: &'static str,
    /// 0 at the bottom.
    pub layer: u8,
    /// The packages it may depend on.
    pub may_use: &'static [&'static str],
}

const fn rule(package: &'static str, layer: u8, may_use: &'static [&'static str]) -> Rule {
    Rule { package, layer, may_use }
}

/// The whole tree. Side crates (tests, benches, chores) stand above everything.
pub const RULES: &[Rule] = &[
    rule("trivium-model", 0, &[]),
    rule("trivium-runtime", 0, &[]),
    rule("trivium-codec", 0, &["trivium-model"]),
    rule("trivium-sql", 0, &["trivium-model"]),
    rule("trivium-expr", 0, &["trivium-codec", "trivium-model", "trivium-sql"]),
    rule("trivium-sketch", 0, &[]),
    rule("trivium-proto", 1, &["trivium-model"]),
    rule("trivium-store", 1, &["trivium-codec", "trivium-model", "trivium-runtime"]),
    rule(
        "trivium-payload",
        1,
        &["trivium-codec", "trivium-expr", "trivium-model", "trivium-proto", "trivium-store"],
    ),
    rule("trivium-windows", 1, &["trivium-expr", "trivium-model", "trivium-sketch"]),
    rule("trivium-windows-embedded", 2, &["trivium-windows"]),
    rule(
        "trivium-ingest",
        2,
        &[
            "trivium-codec",
            "trivium-model",
            "trivium-payload",
            "trivium-registry",
            "trivium-runtime",
            "trivium-store",
            "trivium-windows",
        ],
    ),
    rule(
        "trivium-ingest-kafka",
        3,
        &[
            "trivium-codec",
            "trivium-ingest",
            "trivium-ingest-history",
            "trivium-model",
            "trivium-payload",
            "trivium-runtime",
            "trivium-store",
            "trivium-windows",
            "trivium-windows-embedded",
        ],
    ),
    rule(
        "trivium-ingest-history",
        3,
        &[
            "trivium-ingest",
            "trivium-lake-log",
            "trivium-model",
            "trivium-registry",
            "trivium-runtime",
        ],
    ),
    rule("trivium-lake-log", 1, &["trivium-codec", "trivium-model"]),
    rule(
        "trivium-ingest-kinesis",
        3,
        &["trivium-ingest", "trivium-ingest-history", "trivium-model", "trivium-runtime"],
    ),
    rule("trivium-spark-runner", 0, &[]),
    rule("trivium-testkit", 0, &[]),
    rule("trivium-traces", 1, &["trivium-runtime"]),
    rule("trivium-engine", 1, &["trivium-model", "trivium-sql"]),
    rule(
        "trivium-registry",
        1,
        &["trivium-expr", "trivium-model", "trivium-runtime", "trivium-sql"],
    ),
    rule("trivium-api", 1, &["trivium-model", "trivium-proto", "trivium-runtime"]),
    rule(
        "trivium-client",
        1,
        &["trivium-codec", "trivium-model", "trivium-proto", "trivium-runtime", "trivium-store"],
    ),
    rule(
        "trivium-store-embedded",
        2,
        &["trivium-codec", "trivium-model", "trivium-runtime", "trivium-store"],
    ),
    rule(
        "trivium-store-dynamodb",
        2,
        &["trivium-codec", "trivium-model", "trivium-runtime", "trivium-store"],
    ),
    rule("trivium-cache-valkey", 2, &["trivium-codec", "trivium-runtime", "trivium-store"]),
    rule(
        "trivium-index-opensearch",
        2,
        &["trivium-codec", "trivium-model", "trivium-runtime", "trivium-store"],
    ),
    rule("trivium-index-embedded", 2, &["trivium-codec", "trivium-model", "trivium-store"]),
    rule(
        "trivium-coherence",
        2,
        &["trivium-codec", "trivium-model", "trivium-runtime", "trivium-store"],
    ),
    rule(
        "trivium-registry-sql",
        2,
        &["trivium-model", "trivium-registry", "trivium-runtime", "trivium-sql"],
    ),
    rule("trivium-catalog", 2, &["trivium-model", "trivium-registry"]),
    rule(
        "trivium-engine-datafusion",
        2,
        &["trivium-engine", "trivium-model", "trivium-sketch", "trivium-sql"],
    ),
    rule(
        "trivium-serving",
        3,
        &[
            "trivium-api",
            "trivium-codec",
            "trivium-expr",
            "trivium-model",
            "trivium-proto",
            "trivium-registry",
            "trivium-runtime",
            "trivium-store",
        ],
    ),
    rule(
        "trivium-registry-api",
        3,
        &["trivium-api", "trivium-model", "trivium-proto", "trivium-registry", "trivium-runtime"],
    ),
    rule(
        "trivium-offline",
        3,
        &[
            "trivium-codec",
            "trivium-engine",
            "trivium-expr",
            "trivium-lake-log",
            "trivium-model",
            "trivium-registry",
            "trivium-runtime",
            "trivium-sketch",
            "trivium-sql",
            "trivium-store",
        ],
    ),
    rule(
        "trivium-daggen",
        2,
        &[
            "trivium-model",
            "trivium-registry",
            "trivium-runtime",
            "trivium-spark-runner",
            "trivium-sql",
        ],
    ),
    rule(
        "trivium-streamgen",
        2,
        &[
            "trivium-expr",
            "trivium-model",
            "trivium-payload",
            "trivium-registry",
            "trivium-runtime",
            "trivium-sql",
        ],
    ),
    rule(
        "trivium-spark",
        3,
        &[
            "trivium-engine",
            "trivium-model",
            "trivium-offline",
            "trivium-registry",
            "trivium-runtime",
            "trivium-spark-runner",
            "trivium-sql",
        ],
    ),
    rule(
        "trivium-history-api",
        3,
        &[
            "trivium-api",
            "trivium-engine",
            "trivium-model",
            "trivium-offline",
            "trivium-proto",
            "trivium-registry",
            "trivium-runtime",
        ],
    ),
    rule(
        "trivium-node",
        3,
        &[
            "trivium-api",
            "trivium-model",
            "trivium-registry",
            "trivium-registry-sql",
            "trivium-runtime",
        ],
    ),
    rule("trivium-serving-node", 4, ANYTHING),
    rule("trivium-ingest-node", 4, ANYTHING),
    rule("trivium-cli", 5, ANYTHING),
    rule("trivium-chaos", 6, ANYTHING),
    rule("trivium-integration", 6, ANYTHING),
    rule("trivium-bench-serving", 6, ANYTHING),
    rule("trivium-bench-online-write", 7, ANYTHING),
    rule("trivium-bench-stream", 7, ANYTHING),
    rule("trivium-bench", 7, ANYTHING),
    rule("xtask", 0, &[]),
];

/// Stands for every package of a lower layer.
const ANYTHING: &[&str] = &["*"];

/// Packages that carry a batch engine. Nothing on the read path may reach them.
pub const HEAVY: &[&str] = &["datafusion", "datafusion-spark"];

/// The packages that must never reach a [`HEAVY`] one, tests included.
pub const LIGHT: &[&str] = &[
    "trivium-model",
    "trivium-codec",
    "trivium-sketch",
    "trivium-sql",
    "trivium-expr",
    "trivium-store",
    "trivium-store-embedded",
    "trivium-store-dynamodb",
    "trivium-cache-valkey",
    "trivium-index-opensearch",
    "trivium-index-embedded",
    "trivium-coherence",
    "trivium-registry",
    "trivium-registry-sql",
    "trivium-serving",
    "trivium-node",
    "trivium-serving-node",
    "trivium-chaos",
    "trivium-client",
    "trivium-payload",
    "trivium-windows",
    "trivium-windows-embedded",
    "trivium-ingest",
    "trivium-ingest-kafka",
    "trivium-ingest-history",
    "trivium-lake-log",
    "trivium-ingest-kinesis",
    "trivium-offline",
    "trivium-catalog",
    "trivium-spark",
    "trivium-daggen",
    "trivium-streamgen",
];

/// Every edge that breaks a rule, worded for whoever added it.
pub fn violations(metadata: &Metadata, rules: &[Rule]) -> Vec<String> {
    let mut found = Vec::new();
    let layer_of =
        |name: &str| rules.iter().find(|rule| rule.package == name).map(|rule| rule.layer);
    for package in metadata.workspace_packages() {
        let Some(rule) = rules.iter().find(|rule| rule.package == package.name.as_str()) else {
            found.push(format!(
                "{} has no layer: add it to RULES in xtask/src/layers.rs",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(below) = layer_of(&dependency.name) else { continue };
            let any = rule.may_use == ANYTHING;
            // Tests may use their port's neighbours, but never from above.
            let listed = rule.may_use.contains(&dependency.name.as_str())
                || dependency.kind == DependencyKind::Development;
            if below > rule.layer || (any && below >= rule.layer) {
                found.push(format!(
                    "{} (layer {}) depends on {} (layer {below}): edges point down",
                    package.name, rule.layer, dependency.name
                ));
            } else if !any && !listed {
                found.push(format!(
                    "{} depends on {}, which RULES in xtask/src/layers.rs does not list for it",
                    package.name, dependency.name
                ));
            }
        }
    }
    found
}

/// The light packages that reach a heavy one, with the heavy one's name.
pub fn heavy_reached(metadata: &Metadata) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else {
        return vec!["the metadata has no resolved graph".to_owned()];
    };
    let name_of = |id: &cargo_metadata::PackageId| {
        metadata
            .packages
            .iter()
            .find(|package| package.id == *id)
            .map(|package| package.name.as_str())
    };
    let mut found = Vec::new();
    for light in LIGHT {
        let Some(start) =
            metadata.workspace_packages().into_iter().find(|p| p.name.as_str() == *light)
        else {
            found.push(format!("{light} is not in the workspace"));
            continue;
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut todo = vec![start.id.clone()];
        while let Some(id) = todo.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            if let Some(node) = resolve.nodes.iter().find(|node| node.id == id) {
                // A dependency's own tests are not built, so development edges count only at the start.
                todo.extend(node.deps.iter().filter_map(|edge| {
                    let counts = id == start.id
                        || edge
                            .dep_kinds
                            .iter()
                            .any(|kind| kind.kind != DependencyKind::Development);
                    counts.then(|| edge.pkg.clone())
                }));
            }
        }
        found.extend(seen.iter().filter_map(&name_of).filter(|name| HEAVY.contains(name)).map(
            |heavy| format!("{light} reaches {heavy}: batch engines stay out of the read path"),
        ));
    }
    found
}
