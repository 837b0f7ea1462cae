//! Jobs from views: whole ones as files, and what is refused.

mod golden;
mod local;
mod tables;
mod tree;
mod windows;

use std::path::PathBuf;

use trivium_registry::project::{File, ProjectView, load_project};

use crate::{Settings, job::Generator};

/// The example in the documentation.
fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/streams")
}

/// A view of one input and one feature, its JSON edited.
fn view(edits: &[(&str, &str)], sql: &str) -> ProjectView {
    let mut json = VIEW.to_owned();
    for (from, to) in edits {
        assert!(json.contains(from), "{from}");
        json = json.replace(from, to);
    }
    let files = [File::new("shop/clicks.v3.json", json), File::new("shop/clicks.v3.sql", sql)];
    let project = load_project(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    project.views.into_values().next().unwrap()
}

const VIEW: &str = r#"{
  "namespace": "shop", "name": "clicks", "version": 3, "lane": "stream",
  "description": "Clicks.", "owner": { "team": "web", "contact": "web@example.com" }, "urgency_tier": 1,
  "entities": [{ "name": "user_id", "type": "int64" }], "event_timestamp": "event_ts",
  "features": [{ "name": "page", "type": "string", "description": "The page." }],
  "inputs": [{
    "name": "clicks", "format": "json", "topic": "web.clicks", "event_time": "at",
    "columns": [
      { "name": "user_id", "type": "int64" },
      { "name": "page", "type": "string" },
      { "name": "at", "type": "timestamp" }
    ]
  }],
  "source": { "format": "json", "topic": "trivium.clicks" }
}"#;

const SQL: &str = "SELECT user_id, `at` AS event_ts, page FROM clicks";

fn generator() -> Generator {
    Generator::new(Settings::default()).unwrap()
}
