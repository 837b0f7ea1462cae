//! The views that have a history.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Of topics: why there are messages in them that cannot be read.
    unread_in: BTreeMap<String, String>,
}

impl Definitions {
    /// Of all stream views of the registry whose messages are in this system, served online or not; messages
    /// in the payload topics name their views themselves.
    pub fn of(snapshot: &Snapshot, system: StreamSystem, payload_topics: &[String]) -> Self {
        let routes = Routes::of_views(snapshot, system, payload_topics, |_| true);
        let mut shapes = BTreeMap::new();
        let topics = routes.topics();
        let routed: BTreeSet<ViewRef> =
            topics.iter().flat_map(|topic| routes.views_of(topic)).collect();
        let (mut unread, mut unread_in) = (Vec::new(), BTreeMap::new());
        for stored in snapshot.views.values().filter(|stored| stored.view.lane == Lane::Stream) {
            let (view, source) = (stored.view.reference(), stored.view.row_source());
            if source.as_ref().is_some_and(|source| source.system != system) {
                continue;
            }
            let decoded = routes.unread().iter().find(|(unread, _)| *unread == view);
            let why = match (decoded, Shape::new(&stored.view)) {
                (Some((_, why)), _) => why.clone(),
                (None, Err(error)) => error.to_string(),
                (None, Ok(shape)) => {
                    if routed.contains(&view) {
                        shapes.insert(view, shape);
                    }
                    continue;
                }
            };
            if let Some(source) = &source {
                unread_in.insert(source.topic.clone(), format!("{view} cannot be read: {why}"));
            }
            unread.push((view, why));
        }
        Self { routes, shapes, unread, unread_in }
    }

    /// The topics to read, each once, sorted.
    pub fn topics(&self) -> Vec<String> {
        self.routes.topics()
    }

    /// Whether messages of a topic may be rows of any view.
    pub fn has_views(&self, topic: &str) -> bool {
        !self.routes.views_of(topic).is_empty()
    }

    /// Why messages of a topic cannot be read for all views that have a source there, if so.
    pub fn unread_in(&self, topic: &str) -> Option<&str> {
        self.unread_in.get(topic).map(String::as_str)
    }

    /// Views whose messages nobody can read, and why.
    pub fn unread(&self) -> &[(ViewRef, String)] {
        &self.unread
    }
}
