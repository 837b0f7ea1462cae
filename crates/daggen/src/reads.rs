//! Views that read views by `[sources]` of trivium.toml, and what is wrong with that before anything runs: a view
//! that nobody has, and circles, in which no view could be run first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trivium_model::{Diagnostic, ViewRef, config::Code};

use crate::{Settings, circles, settings::ViewSource};

/// A source that is a view which nobody has.
pub const UNKNOWN_SOURCE_VIEW: Code = Code {
    code: "unknown-source-view",
    meaning: "A `[sources]` section of trivium.toml names a view, or a version of one, that no config has. A warning of `dags generate`: the registry may have it.",
    remedy: "Correct the name or the version, or write the view's config.",
};
/// Views that wait for each other.
pub const CIRCULAR_VIEWS: Code = Code {
    code: "circular-views",
    meaning: "By `[sources]` of trivium.toml, a view reads its own rows, or views read each other's: each would wait for ever.",
    remedy: "Let one of them read something else. What a view keeps of its own past is `carryover`.",
};
/// The codes that are found here.
pub const CODES: &[Code] = &[UNKNOWN_SOURCE_VIEW, CIRCULAR_VIEWS];

/// Something wrong, and the views that it keeps from being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// At the section of the project file.
    pub finding: Diagnostic,
    /// Those whose SQL reads it.
    pub views: Vec<ViewRef>,
}

/// Which views read which.
pub struct Reads<'s> {
    settings: &'s Settings,
    by_view: BTreeMap<ViewRef, Vec<&'s ViewSource>>,
}

impl<'s> Reads<'s> {
    /// None yet, by these settings.
    pub fn new(settings: &'s Settings) -> Self {
        Self { settings, by_view: BTreeMap::new() }
    }

    /// A view and the tables that its SQL names.
    pub fn add(&mut self, view: &ViewRef, tables: &[String]) {
        let read: Vec<&ViewSource> = self.settings.views_among(tables).collect();
        if !read.is_empty() {
            self.by_view.insert(view.clone(), read);
        }
    }

    /// What is wrong, in the order of the file.
    pub fn wrong(&self, is_known: impl Fn(&ViewRef) -> bool) -> Vec<Wrong> {
        let mut wrong = self.unknown(is_known);
        wrong.extend(self.circles());
        wrong.sort_by_key(|one| (one.finding.line, one.finding.column));
        wrong
    }

    /// The sources that are views which nobody has, each with those that read it.
    pub fn unknown(&self, is_known: impl Fn(&ViewRef) -> bool) -> Vec<Wrong> {
        let sources = self.settings.views.values();
        let unknown: Vec<&ViewSource> = sources.filter(|source| !is_known(&source.view)).collect();
        let mut readers: BTreeMap<&str, Vec<ViewRef>> = BTreeMap::new();
        if !unknown.is_empty() {
            for (view, read) in &self.by_view {
                for source in read {
                    readers.entry(&source.name).or_default().push(view.clone());
                }
            }
        }
        let wrong = unknown.into_iter().map(|source| Wrong {
            finding: Diagnostic::error(
                &self.settings.file,
                source.at,
                UNKNOWN_SOURCE_VIEW.code,
                format!("sources.{} names {}, which no config has", source.name, source.view),
                "correct the name or the version, or write its config",
            ),
            views: readers.remove(&*source.name).unwrap_or_default(),
        });
        wrong.collect()
    }

    /// Views that wait for each other: each that does is in one of these at least, and no other view is.
    pub fn circles(&self) -> Vec<Wrong> {
        let groups = self.groups();
        let mut told: BTreeSet<&ViewRef> = BTreeSet::new();
        let mut circles = Vec::new();
        for view in groups.keys() {
            if told.contains(view) {
                continue;
            }
            if let Some(way) = self.way_back(view, &groups) {
                told.extend(way.iter().map(|source| &source.view));
                circles.push(self.circle(view, &way));
            }
        }
        circles
    }

    /// The views that are in circles, each with the number of those that lead to each other.
    fn groups(&self) -> BTreeMap<&ViewRef, usize> {
        let numbers: BTreeMap<&ViewRef, usize> = self.by_view.keys().zip(0..).collect();
        let number = |source: &&ViewSource| numbers.get(&source.view).copied();
        let next: Vec<Vec<usize>> =
            self.by_view.values().map(|read| read.iter().filter_map(number).collect()).collect();
        let groups = circles::groups(&next).into_iter();
        self.by_view.keys().zip(groups).filter_map(|(view, group)| Some((view, group?))).collect()
    }

    /// The shortest way over what is read from a view back to itself, all of it in the view's group.
    fn way_back(
        &self,
        start: &ViewRef,
        groups: &BTreeMap<&ViewRef, usize>,
    ) -> Option<Vec<&'s ViewSource>> {
        let group = groups.get(start);
        // Each view that was found, and by which view's source.
        let mut found: BTreeMap<&ViewRef, (&ViewRef, &'s ViewSource)> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(view) = next.pop_front() {
            for source in self.by_view.get(view).into_iter().flatten().copied() {
                if source.view == *start {
                    let mut way = vec![source];
                    let mut at = view;
                    while let Some((reader, source)) = found.get(at) {
                        way.push(source);
                        at = reader;
                    }
                    way.reverse();
                    return Some(way);
                }
                if groups.get(&source.view) == group && !found.contains_key(&source.view) {
                    found.insert(&source.view, (view, source));
                    next.push_back(&source.view);
                }
            }
        }
        None
    }

    fn circle(&self, start: &ViewRef, way: &[&ViewSource]) -> Wrong {
        let message = match way {
            [itself] => format!("{start} reads its own rows, as `{}`", itself.name),
            _ => {
                let steps = way.iter().map(|one| format!("{} (as `{}`)", one.view, one.name));
                let steps: Vec<String> = steps.collect();
                format!(
                    "views read each other's rows: {start} reads {}",
                    steps.join(", which reads ")
                )
            }
        };
        // The last section is the one that closed it.
        let at = way.iter().map(|source| source.at).max().unwrap_or((1, 1));
        Wrong {
            finding: Diagnostic::error(
                &self.settings.file,
                at,
                CIRCULAR_VIEWS.code,
                message,
                "let one of them read something else: each would wait for ever",
            ),
            views: way.iter().map(|source| source.view.clone()).collect(),
        }
    }
}
