//! What is told of an erasure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use trivium_model::Timestamp;
use trivium_store::{Error, SubjectTombstone};
use utoipa::ToSchema;

use super::job::{Job, Stage};

/// How far it is: IN_PROGRESS (writes up to `up_to` are refused; rows are being deleted, or looked for again); AWAITING_REGISTRY (nothing is left online; the order for the offline store cannot be left yet); DONE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = ErasureState)]
pub(crate) enum State {
    InProgress,
    AwaitingRegistry,
    Done,
}

/// A view's rows.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ErasedRows)]
pub(crate) struct ViewReport {
    pub(crate) deleted: u64,
    /// Rows written since the request, which stay.
    pub(crate) newer: u64,
}

/// A request that this one took over before it was done, or that was done before it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EarlierErasure)]
pub(crate) struct EarlierReport {
    pub(crate) erasure: String,
    pub(crate) request_id: String,
    pub(crate) by: String,
    pub(crate) requested_by: String,
    pub(crate) requested_at: String,
    pub(crate) done: bool,
    #[serde(skip)]
    pub(crate) requested_at_micros: i64,
}

/// What an erasure found and did, so far.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ErasureReport)]
pub(crate) struct Report {
    pub(crate) state: State,
    /// The erasure's id.
    pub(crate) erasure: String,
    pub(crate) request_id: String,
    pub(crate) namespace: String,
    /// The join key that names the person, and its value.
    pub(crate) subject: BTreeMap<String, Json>,
    /// The name of the caller's API key; empty where no keys are asked for.
    pub(crate) by: String,
    pub(crate) requested_by: String,
    pub(crate) reason: String,
    /// By the node's wall clock.
    pub(crate) requested_at: String,
    /// Writes with an event time up to this are refused, for ever.
    pub(crate) up_to: String,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_at: Option<String>,
    /// By view, `namespace/view@version`.
    pub(crate) views: BTreeMap<String, ViewReport>,
    /// Documents deleted, by embedding feature.
    pub(crate) embeddings: BTreeMap<String, u64>,
    /// Rows that were read again after their deletion, and found gone.
    pub(crate) rows_verified: u64,
    /// Whether the order for the offline store is left with the registry.
    pub(crate) offline_order_left: bool,
    /// Times that the person's rows were looked for.
    pub(crate) sweeps: u32,
    /// Questions to the index of subjects.
    pub(crate) index_calls: u64,
    /// Rows read and deleted, one each time.
    pub(crate) item_calls: u64,
    /// What keeps it from going on at the moment; empty where nothing does.
    pub(crate) problem: String,
    /// Oldest first.
    pub(crate) earlier: Vec<EarlierReport>,
    #[serde(skip)]
    pub(crate) person: super::job::Person,
    #[serde(skip)]
    pub(crate) micros: Micros,
}

/// The instants, for gRPC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros {
    pub(crate) requested_at: i64,
    pub(crate) up_to: i64,
    pub(crate) finished_at: Option<i64>,
}

impl Report {
    pub(super) fn of(tombstone: &SubjectTombstone) -> Result<Self, Error> {
        let job = Job::of(tombstone)?;
        let state = match job.stage {
            Stage::Rows | Stage::Embeddings => State::InProgress,
            Stage::Order if job.problem.is_empty() => State::InProgress,
            Stage::Order => State::AwaitingRegistry,
            Stage::Done => State::Done,
        };
        let views = job
            .views
            .into_iter()
            .map(|(view, rows)| (view, ViewReport { deleted: rows.deleted, newer: rows.newer }));
        let earlier = job.earlier.into_iter().map(|earlier| EarlierReport {
            erasure: earlier.erasure,
            request_id: earlier.request_id,
            by: earlier.by,
            requested_by: earlier.requested_by,
            requested_at: Timestamp(earlier.requested_at).to_string(),
            done: earlier.done,
            requested_at_micros: earlier.requested_at,
        });
        Ok(Self {
            state,
            erasure: job.id,
            request_id: job.asked.request_id,
            namespace: job.person.namespace.clone(),
            subject: BTreeMap::from([(job.person.join_key.clone(), job.person.value.clone())]),
            by: job.asked.by,
            requested_by: job.asked.requested_by,
            reason: job.asked.reason,
            requested_at: Timestamp(job.requested_at).to_string(),
            up_to: tombstone.up_to.to_string(),
            finished_at: job.finished_at.map(|at| Timestamp(at).to_string()),
            views: views.collect(),
            embeddings: job.embeddings,
            rows_verified: job.verified,
            offline_order_left: job.order_left,
            sweeps: job.sweeps,
            index_calls: job.index_calls,
            item_calls: job.item_calls,
            problem: job.problem,
            earlier: earlier.collect(),
            person: job.person,
            micros: Micros {
                requested_at: job.requested_at,
                up_to: tombstone.up_to.0,
                finished_at: job.finished_at,
            },
        })
    }
}
