//! The view that is read: 50 features of one join key, with values as a model has them.

use std::sync::Arc;

use anyhow::Result;
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Lane, Timestamp};
use trivium_registry::{Revision, Snapshot, StoredView};

/// Features of the view, all of them read.
pub const FEATURES: usize = 50;
/// When the rows were true, and the data clock: 2014-01-01T00:00:00Z.
pub const NOW: i64 = 1_388_534_400_000_000;
/// All its features.
pub const VIEW: &str = "bench/wide@1";

/// Counts, amounts in cents, and means with all their digits.
const KINDS: [(&str, &str); 3] = [("count", "int64"), ("amount", "float64"), ("mean", "float64")];

/// Names and types of the features.
pub fn features() -> impl Iterator<Item = (String, &'static str)> {
    (0..FEATURES).map(|index| {
        let (kind, data_type) = KINDS[index % KINDS.len()];
        (format!("{kind}_{index:02}"), data_type)
    })
}

/// The view's config, under a name.
pub fn config(name: &str) -> String {
    let features: Vec<serde_json::Value> = features()
        .map(|(name, data_type)| {
            serde_json::json!({ "name": name, "type": data_type, "description": "X." })
        })
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": name, "version": 1, "lane": "direct", "description": "X.",
        "owner": { "team": "bench", "contact": "bench@example.com" }, "urgency_tier": 3,
        "entities": [{ "name": "user_id", "type": "string" }],
        "event_timestamp": "event_ts", "features": features, "online": true,
    });
    config.to_string()
}

/// Views of the same entity that hold its features in parts.
pub const PARTS: usize = 5;
/// Reads all parts, each from its own row.
pub const APART: &str = "bench/apart@1";
/// Reads all parts, precomputed.
pub const JOINED: &str = "bench/joined@1";

/// The name of a part.
pub fn part(number: usize) -> String {
    format!("part_{number}")
}

/// A service's config that reads all parts.
pub fn service_config(name: &str, precomputed: bool) -> String {
    let features: Vec<String> = (0..PARTS)
        .flat_map(|number| (0..10).map(move |feature| format!("{}@1:f_{feature}", part(number))))
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": name, "version": 1, "description": "X.",
        "owner": { "team": "bench", "contact": "bench@example.com" },
        "features": features, "precomputed": precomputed,
    });
    config.to_string()
}

/// A view of ten features.
pub fn small_config(name: &str) -> String {
    let features: Vec<serde_json::Value> = (0..10)
        .map(|index| serde_json::json!({ "name": format!("f_{index}"), "type": "float64", "description": "X." }))
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": name, "version": 1, "lane": "direct", "description": "X.",
        "owner": { "team": "bench", "contact": "bench@example.com" }, "urgency_tier": 3,
        "entities": [{ "name": "user_id", "type": "string" }],
        "event_timestamp": "event_ts", "features": features, "online": true,
    });
    config.to_string()
}

/// The view.
pub fn view() -> Result<FeatureView> {
    trivium_model::config::parse_view("bench/wide.v1.json", &config("wide"))
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

/// Definitions that hold the view alone.
pub fn snapshot() -> Result<Snapshot> {
    let view = view()?;
    let reference = view.reference();
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    snapshot.layouts.insert(reference.clone(), vec![view.served_features()]);
    let stored = StoredView {
        view,
        config_text: String::new(),
        sql_text: None,
        revision: Revision(1),
        author: "bench".to_owned(),
        at: Timestamp(NOW),
        reason: String::new(),
    };
    snapshot.views.insert(reference, Arc::new(stored));
    Ok(snapshot)
}

/// The entity of a row.
pub fn user(index: usize) -> String {
    format!("user-{index:06}")
}

/// The same values in every run.
pub fn values(row: usize) -> Vec<Option<ValueRef<'static>>> {
    let mut state = row as u64 + 1;
    (0..FEATURES)
        .map(|index| {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            let mean = (mixed >> 11) as f64 / (1_u64 << 53) as f64 * 1_000.0;
            Some(match KINDS[index % KINDS.len()].0 {
                "count" => ValueRef::Int64((mean * 10.0) as i64),
                "amount" => ValueRef::Float64((mean * 100.0).round() / 100.0),
                _ => ValueRef::Float64(mean),
            })
        })
        .collect()
}

/// Keys and rows, encoded.
pub fn encoded_rows(rows: usize) -> Result<Vec<(RowKey, Row)>> {
    let view = view()?;
    let shape = KeyShape::new(&view);
    let schema = Schema::of_view(&view)?;
    let mut encoder = RowEncoder::new(&schema);
    (0..rows)
        .map(|row| {
            let key = shape.encode(&[KeyValue::String(user(row))])?;
            Ok((key, encoder.encode(Lane::Direct, &values(row))?))
        })
        .collect()
}
