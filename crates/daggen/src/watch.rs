//! The cron service: looks at the configs again and again, and brings the DAGs folder up to them.
//!
//! What a look costs is mostly reading: a pair whose text has not changed is neither checked nor rendered
//! again. A pair that is wrong leaves its DAG as it is, and is told of once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use trivium_model::{Diagnostic, ViewRef};
use trivium_registry::project::File;

use crate::{
    Change, Error, Plan, Settings,
    dag::{Generated, Renderer},
    reads::{Reads, Wrong},
    source::{self, Loaded, Source},
    tree,
};

/// How long a definition that no DAG names any more is kept: a run may have begun with it.
pub const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// Findings of files that do not stand where their views belong.
const MISPLACED: [&str; 2] = ["wrong-folder", "wrong-file-name"];

fn is_of_place(finding: &Diagnostic) -> bool {
    MISPLACED.contains(&&*finding.code)
}

/// What a pair came to when it was last read.
#[derive(Debug, Clone)]
enum Known {
    Dag(Box<Generated>),
    Wrong(Vec<Diagnostic>),
    Nothing,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Look {
    /// What is wrong, by the stem of its view.
    pub wrong: BTreeMap<String, Vec<Diagnostic>>,
    /// Pairs that were read anew.
    pub read: usize,
    /// What should be there.
    pub plan: Plan,
}

/// Definitions that no DAG names any more, and since when that is known.
#[derive(Debug, Default)]
pub struct Unneeded {
    since: BTreeMap<String, Instant>,
}

impl Unneeded {
    /// The changes that are due: all but removals of definitions that went less than [`GRACE`] ago.
    pub fn let_go(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Change> {
        let mut still = BTreeMap::new();
        let due = changes.into_iter().filter(|change| {
            let Some(path) = change.definition() else { return true };
            let since = self.since.get(path).copied().unwrap_or(now);
            still.insert(path.to_owned(), since);
            now.duration_since(since) >= GRACE
        });
        let due = due.collect();
        // One that is needed again begins anew when it goes again.
        self.since = still;
        due
    }
}

/// Turns configs into plans, and remembers what it has rendered.
pub struct Watcher {
    source: Source,
    renderer: Renderer,
    /// The commit that all below was read from, if commits are read.
    commit: Option<String>,
    known: BTreeMap<String, (Vec<File>, Known)>,
    unread: BTreeMap<String, Vec<Diagnostic>>,
}

impl Watcher {
    /// Of these configs.
    pub fn new(source: Source, settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            source,
            renderer: Renderer::new(settings)?,
            commit: None,
            known: BTreeMap::new(),
            unread: BTreeMap::new(),
        })
    }

    /// Goes by these settings from now on; where DAGs would differ, all are rendered anew.
    pub fn go_by(&mut self, settings: Settings) {
        if !self.renderer.settings().give_the_same(&settings) {
            self.known.clear();
            self.commit = None;
        }
        // Messages name places of the file as it is now.
        self.renderer.go_by(settings);
    }

    /// Reads the configs and says what should be there.
    pub fn look(&mut self) -> Result<Look, Error> {
        let commit = self.source.commit()?;
        let mut look = Look { plan: Plan::new(), ..Look::default() };
        // What a commit says never changes.
        if commit.is_none() || commit != self.commit {
            look.read = self.refresh()?;
            self.commit = commit;
        }
        // A view that would wait for ever keeps its DAG as one does that is wrong in itself.
        let mut concerned = BTreeSet::new();
        for (number, wrong) in self.wrong_reads().into_iter().enumerate() {
            concerned.extend(wrong.views);
            // By the place, which is no view's: in the order of the file.
            let place = format!("{} {number:06}", self.renderer.settings().file);
            look.wrong.insert(place, vec![wrong.finding]);
        }
        for (stem, (_, known)) in &self.known {
            match known {
                Known::Dag(generated) if concerned.contains(&generated.view) => {
                    look.plan.keep(generated.path.clone());
                }
                Known::Dag(generated) => look.plan.add((**generated).clone()),
                Known::Wrong(found) => {
                    look.plan.keep(dag_path(stem));
                    // Renamed: which DAG is its own does not show, so none goes until it is right.
                    if found.iter().any(is_of_place) {
                        look.plan.keep_folder(String::new());
                    }
                    look.wrong.insert(stem.clone(), found.clone());
                }
                Known::Nothing => {}
            }
        }
        for (place, found) in &self.unread {
            look.plan.keep(dag_path(place));
            look.plan.keep_folder(place.clone());
            look.wrong.insert(place.clone(), found.clone());
        }
        Ok(look)
    }

    /// What is wrong with the views that views read, as far as the configs tell. A view that no config has may
    /// be one that the registry has, which the tasks ask: its readers have DAGs.
    fn wrong_reads(&self) -> Vec<Wrong> {
        let mut reads = Reads::new(self.renderer.settings());
        let mut is_misplaced = false;
        for (_, known) in self.known.values() {
            match known {
                Known::Dag(generated) => reads.add(&generated.view, &generated.tables),
                Known::Wrong(found) => is_misplaced |= found.iter().any(is_of_place),
                Known::Nothing => {}
            }
        }
        let unknown = reads.unknown(|view| {
            let ViewRef { namespace, view, version } = view;
            let stem = format!("{namespace}/{view}.v{version}");
            // A file that is wrong may hold it: that is told by itself.
            is_misplaced
                || self.known.contains_key(&stem)
                || [&*stem, namespace.as_str(), ""].iter().any(|at| self.unread.contains_key(*at))
        });
        let told = unknown.into_iter().map(|wrong| {
            let help = "its readers wait until the registry has it: correct the name or the version, or \
                        write its config";
            let finding = Diagnostic { help: help.to_owned(), ..wrong.finding }.into_warning();
            Wrong { finding, views: Vec::new() }
        });
        let mut wrong: Vec<Wrong> = reads.circles().into_iter().chain(told).collect();
        wrong.sort_by_key(|one| (one.finding.line, one.finding.column));
        wrong
    }

    /// Reads all again, and renders what changed; returns how many pairs that were.
    fn refresh(&mut self) -> Result<usize, Error> {
        let configs = self.source.read()?;
        let mut read = 0;
        let mut known = BTreeMap::new();
        for (stem, files) in configs.pairs {
            // Half of a pair says nothing.
            if configs.unread.contains_key(&stem) {
                continue;
            }
            let entry = match self.known.remove(&stem) {
                Some((same, entry)) if same == files => entry,
                _ => {
                    read += 1;
                    self.load(&stem, &files)?
                }
            };
            known.insert(stem, (files, entry));
        }
        self.known = known;
        self.unread = configs.unread;
        Ok(read)
    }

    fn load(&self, stem: &str, files: &[File]) -> Result<Known, Error> {
        Ok(match source::load(stem, files) {
            Loaded::View(view) => match self.renderer.render(&view)? {
                Some(generated) => Known::Dag(Box::new(generated)),
                None => Known::Nothing,
            },
            Loaded::Wrong(found) => Known::Wrong(found),
            Loaded::Other => Known::Nothing,
        })
    }
}

/// The DAG of a stem such as `flights/carrier_daily.v1`.
fn dag_path(stem: &str) -> String {
    match stem.rsplit_once(".v") {
        Some((name, version)) => format!("{name}_v{version}.py"),
        None => format!("{stem}.py"),
    }
}

/// Watches for ever. `told` hears of every look that changed something or went wrong.
pub fn watch(
    watcher: &mut Watcher,
    dags: &Path,
    interval: Duration,
    mut settings: impl FnMut() -> Result<Settings, Error>,
    mut told: impl FnMut(&Result<(Vec<Change>, Look), Error>),
) -> ! {
    let mut last: Option<String> = None;
    let mut unneeded = Unneeded::default();
    let mut is_first = true;
    loop {
        let outcome = settings().and_then(|settings| {
            watcher.go_by(settings);
            let look = watcher.look()?;
            let changes = unneeded.let_go(look.plan.changes(dags)?, Instant::now());
            let done = look.plan.apply(dags, &changes, false)?;
            // What was killed was about to write: it is looked for when something is written.
            if is_first || !done.is_empty() {
                tree::sweep(dags, SystemTime::now())?;
            }
            is_first = false;
            // What could not be done is told of, too.
            let left = changes.into_iter().filter(|change| {
                matches!(change, Change::Edited(_) | Change::Foreign(_)) && !done.contains(change)
            });
            Ok((done.iter().cloned().chain(left).collect::<Vec<_>>(), look))
        });
        // The same trouble once, not with every look; what was done, always.
        let is_left = |change: &&Change| matches!(change, Change::Edited(_) | Change::Foreign(_));
        let (said, is_news) = match &outcome {
            Ok((changes, look)) => {
                let left: Vec<&Change> = changes.iter().filter(is_left).collect();
                (format!("{left:?} {:?}", look.wrong), left.len() < changes.len())
            }
            Err(error) => (error.to_string(), false),
        };
        if is_news || last.as_ref() != Some(&said) {
            told(&outcome);
            last = Some(said);
        }
        std::thread::sleep(interval);
    }
}
