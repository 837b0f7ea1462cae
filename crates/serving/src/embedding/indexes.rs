//! The index that a server works on, and which of its parts are known to be there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trivium_api::ApiError;
use trivium_runtime::Kind;
use trivium_store::{EmbeddingIndex, Error, embedding::IndexSpec};

use crate::Serving;

/// Deletions of leftovers under way at once; beyond, they are the sweeper's.
const CLEANINGS_MAX: usize = 32;
/// How long one of them may take.
pub(crate) const CLEANING_TIME_MAX: Duration = Duration::from_secs(5);

/// An embedding feature whose index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexProblem {
    /// `namespace/view@version:feature`.
    pub feature: String,
    /// What its index said.
    pub problem: String,
}

/// The index of embeddings of one server.
pub(crate) struct Indexes {
    pub(crate) index: Arc<dyn EmbeddingIndex>,
    /// What [`EmbeddingIndex::ensure`] was last asked for, by feature, and said yes to.
    ensured: Mutex<HashMap<String, IndexSpec>>,
    /// What it said no to, at the last look at every feature.
    problems: Mutex<BTreeMap<String, String>>,
    cleanings: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole maps, changed by single inserts and removals.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Indexes {
    pub(crate) fn new(index: Arc<dyn EmbeddingIndex>) -> Self {
        Self {
            index,
            ensured: Mutex::default(),
            problems: Mutex::default(),
            cleanings: Arc::new(Semaphore::new(CLEANINGS_MAX)),
        }
    }

    /// Makes the index of a feature, unless this process has seen that it is there. So a write does not
    /// depend on who looked before: definitions come at any time.
    pub(crate) async fn ensure(
        &self,
        spec: &IndexSpec,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let name = spec.to_string();
        if lock(&self.ensured).get(&name) == Some(spec) {
            return Ok(());
        }
        self.look(name, spec, deadline).await
    }

    /// Asks the index itself.
    async fn look(
        &self,
        name: String,
        spec: &IndexSpec,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        match self.index.ensure(spec, deadline).await {
            Ok(_) => {
                lock(&self.problems).remove(&name);
                lock(&self.ensured).insert(name, spec.clone());
                Ok(())
            }
            Err(error) => {
                lock(&self.ensured).remove(&name);
                lock(&self.problems).insert(name, error.to_string());
                Err(error)
            }
        }
    }

    /// Leave to delete leftovers; none while many are deleted: these are the sweeper's then.
    pub(crate) fn may_clean(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.cleanings).try_acquire_owned().ok()
    }
}

impl Serving {
    /// Makes and checks the indexes of the definitions in use, each with its own result; remembers what
    /// could not be made. Nothing without an index.
    pub async fn ensure_indexes(&self) -> Vec<IndexProblem> {
        let Some(indexes) = self.indexes() else { return Vec::new() };
        let definitions = self.definitions();
        let mut seen = Vec::new();
        for spec in definitions.indexes() {
            let name = spec.to_string();
            seen.push(name.clone());
            let before = lock(&indexes.problems).get(&name).cloned();
            if let Err(error) = indexes.look(name, spec, self.deadline()).await
                // Said once when it begins, not every time.
                && before.is_none()
            {
                tracing::error!(index = %spec, %error, "the index of an embedding feature cannot be used");
            }
        }
        lock(&indexes.problems).retain(|name, _| seen.contains(name));
        self.index_problems()
    }

    /// The embedding features whose index could not be used when it was last tried.
    pub fn index_problems(&self) -> Vec<IndexProblem> {
        let Some(indexes) = self.indexes() else { return Vec::new() };
        let problems = lock(&indexes.problems);
        let problem = |(feature, problem): (&String, &String)| IndexProblem {
            feature: feature.clone(),
            problem: problem.clone(),
        };
        problems.iter().map(problem).collect()
    }
}

impl Serving {
    /// How its embeddings are, for `/healthz`.
    pub fn embeddings_report(&self) -> serde_json::Value {
        let problems: serde_json::Map<String, serde_json::Value> = self
            .index_problems()
            .into_iter()
            .map(|problem| (problem.feature, problem.problem.into()))
            .collect();
        let indexes = self.definitions().indexes().count();
        serde_json::json!({ "indexes": indexes, "problems": problems })
    }
}

/// An index's error, as one who reads sees it.
pub(crate) fn of_index(error: &Error) -> ApiError {
    let (kind, help) = match error {
        Error::Invalid(_) => (Kind::InvalidArgument, ""),
        Error::Throttled(_) => (Kind::ResourceExhausted, "retry later, with growing pauses"),
        Error::Unavailable(_) => (Kind::Unavailable, "retry"),
        Error::Failed(_) => (Kind::Unavailable, "the server has to be started again"),
        Error::Unknown(_) => (Kind::DeadlineExceeded, "retry"),
        Error::Corrupt(_) => (Kind::DataLoss, "write the row again as a whole"),
    };
    ApiError::new(kind, error.to_string()).help(help)
}
