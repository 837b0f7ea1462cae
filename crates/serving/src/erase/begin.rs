//! Beginning an erasure, and telling how far it is.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};
use trivium_api::ApiError;
use trivium_model::KeyValue;
use trivium_registry::port::{AUTHOR_BYTES_MAX, REASON_BYTES_MAX};
use trivium_runtime::{Kind, trace};
use trivium_store::{Error, SubjectStore, SubjectTombstone};

use super::{
    job::{Asked, Job, Lease, Person, Stage},
    person::person,
    report::Report,
    run::Held,
};
use crate::{Serving, error::of_store};

/// The longest id of a request, in bytes: a UUID and more.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// Tries to put a tombstone where others change it too.
const TRIES_MAX: u32 = 16;
/// How often an erasure that another node works on is looked at.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);

impl Serving {
    /// Erases the person up to now, or goes on with the erasure that this request began; answers when it is
    /// done, or the time is over.
    pub(super) async fn erase(
        &self,
        namespace: &str,
        subject: (&str, &KeyValue),
        asked: Asked,
    ) -> Result<Report, ApiError> {
        check(&asked)?;
        let (person, name) = person(namespace, subject.0, subject.1)?;
        let store = self.subjects()?;
        let until = Instant::now() + self.options().erasure.wait();
        // Without one the tombstone stands all the same, and holds from then on; the rest is left to whoever
        // looks for open erasures.
        let room = self.erasing().rooms.for_asked();
        let begun = self.begin(&*store, &name, person, asked, room.is_some()).await?;
        let Begun { tombstone, job, holder } = begun;
        let name: Arc<str> = name.into();
        let in_hand = holder.zip(room);
        if let Some((holder, room)) = in_hand {
            let (subject, store) = (Arc::clone(&name), Arc::clone(&store));
            let held = Held::new(subject, store, tombstone.clone(), job, holder, room);
            let serving = self.clone();
            // On its own: who hangs up does not stop it.
            let work = tokio::spawn(trace::carried(async move { serving.work_on(held).await }));
            // A panic has been said already; the lease ends by itself.
            let _ = timeout_at(until, work).await;
        }
        self.await_end(&*store, &name, tombstone.erasure, until).await
    }

    /// The newest erasure of the person.
    pub(super) async fn erasure(
        &self,
        namespace: &str,
        subject: (&str, &KeyValue),
    ) -> Result<Report, ApiError> {
        let (_, name) = person(namespace, subject.0, subject.1)?;
        let tombstone = self.subjects()?.tombstone(&name).await;
        let tombstone = tombstone.map_err(|error| of_store(&error))?.ok_or_else(|| {
            ApiError::not_found("nobody has asked for this person's erasure").at("subject")
        })?;
        Report::of(&tombstone).map_err(|error| of_store(&error))
    }

    pub(super) fn subjects(&self) -> Result<Arc<dyn SubjectStore>, ApiError> {
        self.stores().subjects.clone().ok_or_else(|| {
            ApiError::new(Kind::Unimplemented, "the online store of this server cannot erase")
        })
    }

    /// Puts the tombstone, held by this process where it has room.
    async fn begin(
        &self,
        store: &dyn SubjectStore,
        subject: &str,
        person: Person,
        asked: Asked,
        has_room: bool,
    ) -> Result<Begun, ApiError> {
        let failed = |error: Error| of_store(&error);
        let id = format!("{:016x}{:016x}", self.erasing().draw(), self.erasing().draw());
        let holder = has_room.then(|| self.erasing().draw());
        // The request's moment, however often it is tried.
        let (now, up_to) = (self.wall_now().0, self.data_now());
        let fresh = Job::new(id, person, asked, now);
        let mut unknown = None;
        for _ in 0..TRIES_MAX {
            let old = store.tombstone(subject).await.map_err(failed)?;
            let old_job = old.as_ref().map(Job::of).transpose().map_err(failed)?;
            if let (Some(old), Some(job)) = (&old, &old_job)
                && job.id == fresh.id
            {
                // An earlier try was done: its answer was lost.
                return Ok(Begun { tombstone: old.clone(), job: job.clone(), holder });
            }
            let is_again = old_job.as_ref().is_some_and(|job| knows(job, &fresh.asked.request_id));
            let (mut job, erasure, up_to) = match (&old, old_job) {
                (Some(old), Some(job)) if is_again => {
                    if job.stage == Stage::Done || job.is_held(self.wall_now().0) {
                        return Ok(Begun { tombstone: old.clone(), job, holder: None });
                    }
                    (job, old.erasure, old.up_to)
                }
                (Some(old), Some(job)) => {
                    let next = old.erasure.saturating_add(1);
                    (fresh.clone().after(job), next, old.up_to.max(up_to))
                }
                _ => (fresh.clone(), 1, up_to),
            };
            let lease = self.options().erasure.lease();
            let until = self.wall_now().0.saturating_add(lease.as_micros().try_into().unwrap_or(0));
            job.lease = holder.map(|holder| Lease { holder, until });
            let new = SubjectTombstone {
                up_to,
                erasure,
                version: old.as_ref().map_or(1, |old| old.version.saturating_add(1)),
                is_open: true,
                job: Bytes::from(job.to_bytes().map_err(failed)?),
            };
            match store.swap_tombstone(subject, old.as_ref(), &new).await {
                Ok(true) => return Ok(Begun { tombstone: new, job, holder }),
                Ok(false) => {}
                Err(error @ Error::Unknown(_)) => unknown = Some(error),
                Err(error) => return Err(of_store(&error)),
            }
            sleep(Duration::from_millis(self.erasing().draw() % 20)).await;
        }
        let busy = || Error::Throttled("others keep changing this person's tombstone".to_owned());
        Err(of_store(&unknown.unwrap_or_else(busy)))
    }

    /// Looks until the erasure is done, waits for the registry, or the time is over.
    async fn await_end(
        &self,
        store: &dyn SubjectStore,
        subject: &str,
        erasure: u64,
        until: Instant,
    ) -> Result<Report, ApiError> {
        let mut pause = LOOK_FIRST;
        loop {
            let tombstone = store.tombstone(subject).await.map_err(|error| of_store(&error))?;
            let Some(tombstone) = tombstone else {
                return Err(ApiError::internal("a subject's tombstone is gone"));
            };
            let job = Job::of(&tombstone).map_err(|error| of_store(&error))?;
            let is_left = job.lease.is_none() && !job.problem.is_empty();
            let over = Instant::now() + pause >= until;
            if !tombstone.is_open || is_left || over || tombstone.erasure < erasure {
                return Report::of(&tombstone).map_err(|error| of_store(&error));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }
}

/// The tombstone as it stands after a request.
struct Begun {
    tombstone: SubjectTombstone,
    job: Job,
    /// By which number this process holds it, if it does.
    holder: Option<u64>,
}

/// Whether the request is one that the record has taken up already.
fn knows(job: &Job, request_id: &str) -> bool {
    !request_id.is_empty()
        && (job.asked.request_id == request_id
            || job.earlier.iter().any(|earlier| earlier.request_id == request_id))
}

fn check(asked: &Asked) -> Result<(), ApiError> {
    for (field, text, limit) in [
        ("request_id", &asked.request_id, REQUEST_ID_BYTES_MAX),
        ("requested_by", &asked.requested_by, AUTHOR_BYTES_MAX),
        ("reason", &asked.reason, REASON_BYTES_MAX),
    ] {
        if text.len() > limit {
            return Err(ApiError::invalid(format!("it is longer than {limit} bytes")).at(field));
        }
    }
    Ok(())
}
