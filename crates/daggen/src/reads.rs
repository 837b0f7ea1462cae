//! Views that read views by `[sources]` of trivium.toml, and what is wrong with that before anything runs: a view
//! that nobody has, and circles, in which no view could be run first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trivium_model::{Diagnostic, ViewRef, config::Code};

use crate::{Settings, settings::ViewSource};

/// A source that is a view which nobody has.
pub const UNKNOWN_SOURCE_VIEW: Code = Code {
    code: "unknown-source-view",
    meaning: "A `[sources]` section of trivium.toml names a view, or a version of one, that no config has.",
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
        let unknown = self.settings.views.iter().filter(|source| !is_known(&source.view));
        let mut wrong: Vec<Wrong> = unknown.map(|source| self.unknown(source)).collect();
        let mut told = BTreeSet::new();
        for view in self.waiting() {
            if told.contains(view) {
                continue;
            }
            if let Some(way) = self.way_back(view) {
                told.extend(way.iter().map(|source| &source.view));
                wrong.push(self.circle(view, &way));
            }
        }
        wrong.sort_by_key(|one| (one.finding.line, one.finding.column));
        wrong
    }

    /// The views that are in circles, and those that read these: none, nearly always, and then no way needs to
    /// be looked for.
    fn waiting(&self) -> BTreeSet<&ViewRef> {
        let mut left: BTreeMap<&ViewRef, usize> =
            self.by_view.iter().map(|(view, read)| (view, read.len())).collect();
        let mut readers: BTreeMap<&ViewRef, Vec<&ViewRef>> = BTreeMap::new();
        for (view, read) in &self.by_view {
            for source in read {
                readers.entry(&source.view).or_default().push(view);
            }
        }
        let mut free: Vec<&ViewRef> =
            readers.keys().copied().filter(|view| !left.contains_key(view)).collect();
        while let Some(view) = free.pop() {
            for reader in readers.get(view).into_iter().flatten() {
                if let Some(count) = left.get_mut(reader) {
                    *count -= 1;
                    if *count == 0 {
                        left.remove(reader);
                        free.push(reader);
                    }
                }
            }
        }
        left.into_keys().collect()
    }

    fn unknown(&self, source: &ViewSource) -> Wrong {
        let reads = |read: &&Vec<&ViewSource>| read.iter().any(|one| one.name == source.name);
        let readers = self.by_view.iter().filter(|(_, read)| reads(read));
        Wrong {
            finding: Diagnostic::error(
                &self.settings.file,
                source.at,
                UNKNOWN_SOURCE_VIEW.code,
                format!("sources.{} names {}, which no config has", source.name, source.view),
                "correct the name or the version, or write its config",
            ),
            views: readers.map(|(view, _)| view.clone()).collect(),
        }
    }

    /// The shortest way over what is read from a view back to itself.
    fn way_back(&self, start: &ViewRef) -> Option<Vec<&'s ViewSource>> {
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
                if !found.contains_key(&source.view) {
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
