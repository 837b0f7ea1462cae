//! Which messages are which views' rows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use trivium_model::{FeatureView, Lane, StreamSystem, ViewRef};
use trivium_payload::{Decoder, Poison, Reason, VIEW_HEADER, view_of};
use trivium_registry::Snapshot;

use crate::port::Record;

/// The decoders of stream views, by what leads to them.
#[derive(Debug, Default)]
pub struct Routes {
    by_topic: HashMap<Arc<str>, Vec<Arc<Decoder>>>,
    by_view: HashMap<ViewRef, Arc<Decoder>>,
    /// Views whose payloads may stand in the topics and are not wanted.
    unwanted: HashSet<ViewRef>,
    payload_topics: Vec<String>,
    unread: Vec<(ViewRef, String)>,
    unread_topics: HashMap<Arc<str>, (ViewRef, String)>,
}

impl Routes {
    /// Of the registry's views that are served online; messages in the payload topics name their views
    /// themselves.
    pub fn of(snapshot: &Snapshot, system: StreamSystem, payload_topics: &[String]) -> Self {
        Self::of_views(snapshot, system, payload_topics, |view| view.online)
    }

    /// Of all stream views that are wanted.
    pub fn of_views(
        snapshot: &Snapshot,
        system: StreamSystem,
        payload_topics: &[String],
        is_wanted: impl Fn(&FeatureView) -> bool,
    ) -> Self {
        let mut routes = Self { payload_topics: payload_topics.to_vec(), ..Self::default() };
        for stored in snapshot.views.values() {
            let view = &stored.view;
            if view.lane != Lane::Stream {
                continue;
            }
            if !is_wanted(view) {
                if view.row_source().is_none() {
                    routes.unwanted.insert(view.reference());
                }
                continue;
            }
            let decoder = match Decoder::new(view) {
                Ok(decoder) => Arc::new(decoder),
                Err(why) => {
                    if let Some(source) = view.row_source()
                        && source.system == system
                    {
                        let topic: Arc<str> = source.topic.as_str().into();
                        routes.unread_topics.insert(topic, (view.reference(), why.clone()));
                    }
                    routes.unread.push((view.reference(), why));
                    continue;
                }
            };
            match view.row_source() {
                Some(source) if source.system == system => {
                    let topic: Arc<str> = source.topic.as_str().into();
                    routes.by_topic.entry(topic).or_default().push(decoder);
                }
                Some(_) => {}
                None => {
                    // Rows that are computed come as payloads, into a topic that the view names.
                    if let Some(window) = &view.window
                        && system == StreamSystem::Kafka
                    {
                        routes.payload_topics.push(window.payload_topic.clone());
                    }
                    routes.by_view.insert(view.reference(), decoder);
                }
            }
        }
        for decoders in routes.by_topic.values_mut() {
            decoders.sort_by_cached_key(|decoder| decoder.view().to_string());
        }
        routes
    }

    /// The topics to read, each once, sorted.
    pub fn topics(&self) -> Vec<String> {
        let own = self.by_topic.keys().map(ToString::to_string);
        let mut topics: Vec<String> = own.chain(self.payload_topics.iter().cloned()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// The views that may have messages in a topic.
    pub fn views_of(&self, topic: &str) -> Vec<ViewRef> {
        let own = self.by_topic.get(topic).into_iter().flatten();
        let mut views: Vec<ViewRef> = own.map(|decoder| decoder.view().clone()).collect();
        if self.payload_topics.iter().any(|payload| payload == topic) {
            views.extend(self.by_view.keys().cloned());
        }
        views.sort();
        views
    }

    /// Views whose messages nobody can read, and why.
    pub fn unread(&self) -> &[(ViewRef, String)] {
        &self.unread
    }

    /// Why a topic's messages have to wait: their views may be back, or be read by the next release.
    pub(crate) fn waiting(&self, topic: &str) -> Option<String> {
        if let Some((view, why)) = self.unread_topics.get(topic) {
            return Some(format!("{view} cannot be read: {why}"));
        }
        let is_read = self.by_topic.contains_key(topic)
            || self.payload_topics.iter().any(|payload| payload == topic);
        (!is_read).then(|| "no view reads it any more".to_owned())
    }

    /// The decoders of a message's views.
    pub(crate) fn decoders(
        &self,
        topic: &str,
        record: &Record,
    ) -> Result<Vec<Arc<Decoder>>, Poison> {
        let mut decoders = self.by_topic.get(topic).cloned().unwrap_or_default();
        if self.payload_topics.iter().any(|payload| payload == topic) {
            let header = record.headers.iter().rev().find(|(name, _)| name == VIEW_HEADER);
            let header = header.and_then(|(_, value)| value.as_deref());
            let view = view_of(header, record.value.as_deref())?;
            match self.by_view.get(&view) {
                Some(decoder) => decoders.push(Arc::clone(decoder)),
                // Those of a view that is kept for training alone are the history's.
                None if self.unwanted.contains(&view) => {}
                None => {
                    let why = format!("`{view}` takes no payloads from here");
                    return Err(Poison::new(Reason::UnknownView, why).at("view").help(
                        "it is no view, or it is not a stream view that has no source of its own, or windows over it",
                    ));
                }
            }
        }
        Ok(decoders)
    }
}
