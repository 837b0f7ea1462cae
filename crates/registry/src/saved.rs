//! A snapshot as text: what a node keeps on disk to start by while the registry is away, and what a
//! registry hands to nodes that are not beside its database.
//!
//! Configs are kept as their authors wrote them and read again by the one config parser, as the
//! database keeps them; JSON has no form for all that a parsed one may hold. Of older layouts only
//! names and types are kept: that is all that reading rows needs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trivium_model::{
    DataType, Feature, Name, Timestamp, ViewRef,
    config::{parse_service, parse_view},
};

use crate::{Error, Revision, Snapshot, StoredService, StoredView};

/// The form of the text. Older ones stay readable.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    revision: Revision,
    views: Vec<SavedConfig>,
    services: Vec<SavedConfig>,
}

#[derive(Serialize, Deserialize)]
struct SavedConfig {
    /// The path that the config has in its project, which the parser holds against it.
    path: String,
    config: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    revision: Revision,
    author: String,
    at_micros: i64,
    reason: String,
    /// Of a view: its layouts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layouts: Vec<Vec<SavedFeature>>,
}

#[derive(Serialize, Deserialize)]
struct SavedFeature {
    name: Name,
    #[serde(rename = "type")]
    data_type: DataType,
}

impl Snapshot {
    /// The snapshot as JSON text.
    pub fn to_text(&self) -> Result<String, Error> {
        let layouts = |view: &ViewRef| {
            let of_view = self.layouts.get(view).map_or(&[][..], Vec::as_slice);
            of_view.iter().map(|layout| layout.iter().map(saved_feature).collect()).collect()
        };
        let views = self.views.iter().map(|(reference, stored)| SavedConfig {
            path: format!("{}/{}.v{}.json", reference.namespace, reference.view, reference.version),
            config: stored.config_text.clone(),
            sql: stored.sql_text.clone(),
            revision: stored.revision,
            author: stored.author.clone(),
            at_micros: stored.at.0,
            reason: stored.reason.clone(),
            layouts: layouts(reference),
        });
        let services = self.services.iter().map(|(reference, stored)| SavedConfig {
            path: format!(
                "{}/{}.v{}.service.json",
                reference.namespace, reference.service, reference.version
            ),
            config: stored.config_text.clone(),
            sql: None,
            revision: stored.revision,
            author: stored.author.clone(),
            at_micros: stored.at.0,
            reason: stored.reason.clone(),
            layouts: Vec::new(),
        });
        let saved = Saved {
            format: FORMAT,
            revision: self.revision,
            views: views.collect(),
            services: services.collect(),
        };
        serde_json::to_string(&saved)
            .map_err(|error| Error::Corrupt(format!("the snapshot cannot be written: {error}")))
    }

    /// Reads what [`Snapshot::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let corrupt = |what: String| Error::Corrupt(format!("a saved snapshot: {what}"));
        let saved: Saved =
            serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
        if saved.format != FORMAT {
            return Err(corrupt(format!(
                "it is of format {}, this release reads {FORMAT}: use a newer release",
                saved.format
            )));
        }
        let mut snapshot = Self { revision: saved.revision, ..Self::default() };
        for saved in saved.views {
            let view = parse_view(&saved.path, &saved.config)
                .map_err(|_| corrupt(format!("{} cannot be read", saved.path)))?;
            let reference = view.reference();
            let layouts = saved.layouts.into_iter().map(|layout| {
                layout.into_iter().map(|saved| feature(saved.name, saved.data_type)).collect()
            });
            snapshot.layouts.insert(reference.clone(), layouts.collect());
            let stored = StoredView {
                view,
                config_text: saved.config,
                sql_text: saved.sql,
                revision: saved.revision,
                author: saved.author,
                at: Timestamp(saved.at_micros),
                reason: saved.reason,
            };
            snapshot.views.insert(reference, Arc::new(stored));
        }
        for saved in saved.services {
            let service = parse_service(&saved.path, &saved.config)
                .map_err(|_| corrupt(format!("{} cannot be read", saved.path)))?;
            let stored = StoredService {
                service,
                config_text: saved.config,
                revision: saved.revision,
                author: saved.author,
                at: Timestamp(saved.at_micros),
                reason: saved.reason,
            };
            snapshot.services.insert(stored.service.reference(), Arc::new(stored));
        }
        Ok(snapshot)
    }
}

fn saved_feature(feature: &Feature) -> SavedFeature {
    SavedFeature { name: feature.name.clone(), data_type: feature.data_type.clone() }
}

fn feature(name: Name, data_type: DataType) -> Feature {
    Feature {
        name,
        data_type,
        description: String::new(),
        default: None,
        owner: None,
        tags: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        MemoryRegistry, Registry, Snapshot,
        conformance::{change, view},
    };

    #[tokio::test]
    async fn a_snapshot_survives_as_text() {
        let registry = MemoryRegistry::new();
        registry.apply(change(0, vec![view("v", 1, &[("x", "\"int64\"", None)])])).await.unwrap();
        let two = [("x", "\"int64\"", None), ("y", "\"string\"", None)];
        registry.apply(change(1, vec![view("v", 1, &two)])).await.unwrap();
        let snapshot = registry.snapshot(None).await.unwrap();
        let read = Snapshot::from_text(&snapshot.to_text().unwrap()).unwrap();
        assert_eq!((read.revision, &read.views), (snapshot.revision, &snapshot.views));
        assert_eq!(read.services, snapshot.services);
        let names = |snapshot: &Snapshot| {
            let layouts = snapshot.layouts.values().flatten();
            layouts
                .map(|layout| {
                    layout.iter().map(|f| (f.name.clone(), f.data_type.clone())).collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&read), names(&snapshot));
        assert_eq!(names(&read).len(), 2, "the older layout is kept");
    }

    #[test]
    fn what_is_not_one_is_corrupt() {
        for text in ["", "{}", r#"{"format":2,"revision":1,"views":[],"services":[]}"#] {
            let error = Snapshot::from_text(text).unwrap_err();
            assert!(error.to_string().contains("a saved snapshot"), "{error}");
        }
    }
}
