//! The views that have a history.

use std::collections::BTreeMap;

use trivium_ingest::routes::Routes;
use trivium_lake_log::Shape;
use trivium_model::{Lane, StreamSystem, ViewRef};
use trivium_registry::Snapshot;

/// How messages are read, and what the files of their views look like.
#[derive(Debug, Default)]
pub struct Definitions {
    pub(crate) routes: Routes,
    pub(crate) shapes: BTreeMap<ViewRef, Shape>,
    unread: Vec<(ViewRef, String)>,
}

impl Definitions {
    /// Of all stream views of the registry, served online or not; messages in the payload topics name their
    /// views themselves.
    pub fn of(snapshot: &Snapshot, system: StreamSystem, payload_topics: &[String]) -> Self {
        let routes = Routes::of_views(snapshot, system, payload_topics, |_| true);
        let mut shapes = BTreeMap::new();
        let mut unread = routes.unread().to_vec();
        for stored in snapshot.views.values().filter(|stored| stored.view.lane == Lane::Stream) {
            match Shape::new(&stored.view) {
                Ok(shape) => {
                    shapes.insert(stored.view.reference(), shape);
                }
                Err(error) => unread.push((stored.view.reference(), error.to_string())),
            }
        }
        Self { routes, shapes, unread }
    }

    /// The topics to read, each once, sorted.
    pub fn topics(&self) -> Vec<String> {
        self.routes.topics()
    }

    /// Views whose messages nobody can read, and why.
    pub fn unread(&self) -> &[(ViewRef, String)] {
        &self.unread
    }
}
