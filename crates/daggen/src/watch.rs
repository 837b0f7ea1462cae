//! The cron service: looks at the configs again and again, and brings the DAGs folder up to them.
//!
//! What a look costs is mostly reading: a pair whose text has not changed is neither checked nor rendered
//! again. A pair that is wrong leaves its DAG as it is, and is told of once.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use trivium_model::Diagnostic;
use trivium_registry::project::File;

use crate::{
    Change, Error, Plan, Settings,
    dag::{Generated, Renderer},
    source::{self, Loaded, Source},
};

/// How long a definition that no DAG names any more is kept: a run may have begun with it.
pub const GRACE: Duration = Duration::from_secs(24 * 3_600);

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
    /// Views that are wrong, by stem.
    pub wrong: BTreeMap<String, Vec<Diagnostic>>,
    /// Pairs that were read anew.
    pub read: usize,
    /// What should be there.
    pub plan: Plan,
}

/// Turns configs into plans, and remembers what it has rendered.
pub struct Watcher {
    source: Source,
    renderer: Renderer,
    known: HashMap<String, (Vec<File>, Known)>,
}

impl Watcher {
    /// Of these configs.
    pub fn new(source: Source, settings: Settings) -> Result<Self, Error> {
        Ok(Self { source, renderer: Renderer::new(settings)?, known: HashMap::new() })
    }

    /// Reads the configs and says what should be there.
    pub fn look(&mut self) -> Result<Look, Error> {
        let pairs = self.source.read()?;
        let mut look = Look { plan: Plan::new(), ..Look::default() };
        let mut known = HashMap::with_capacity(pairs.len());
        for (stem, files) in pairs {
            let entry = match self.known.remove(&stem) {
                Some((same, entry)) if same == files => entry,
                _ => {
                    look.read += 1;
                    self.load(&stem, &files)?
                }
            };
            match &entry {
                Known::Dag(generated) => look.plan.add((**generated).clone()),
                Known::Wrong(found) => {
                    look.plan.keep(dag_path(&stem));
                    look.wrong.insert(stem.clone(), found.clone());
                }
                Known::Nothing => {}
            }
            known.insert(stem, (files, entry));
        }
        self.known = known;
        Ok(look)
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
    dags: &PathBuf,
    interval: Duration,
    mut told: impl FnMut(&Result<(Vec<Change>, Look), Error>),
) -> ! {
    let mut last: Option<String> = None;
    loop {
        let outcome = watcher.look().and_then(|look| {
            let changes = look.plan.changes(dags)?;
            let done = look.plan.apply(dags, &changes, false, GRACE)?;
            // What could not be done is told of, too.
            let left = changes.into_iter().filter(|change| {
                matches!(change, Change::Edited(_) | Change::Foreign(_)) && !done.contains(change)
            });
            Ok((done.iter().cloned().chain(left).collect::<Vec<_>>(), look))
        });
        // The same trouble once, not with every look.
        let said = match &outcome {
            Ok((changes, look)) => format!("{changes:?} {:?}", look.wrong),
            Err(error) => error.to_string(),
        };
        if last.as_ref() != Some(&said) {
            told(&outcome);
            last = Some(said);
        }
        std::thread::sleep(interval);
    }
}
