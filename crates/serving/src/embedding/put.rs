//! Writing rows of views whose embeddings live in an index.
//!
//! In this order, for every row: read it; decide by the one rule of writes whether there is anything to
//! do; write the documents, under revs above the row's; write the row that names them, on the condition
//! that it still is exactly the one that was read. If it is not, begin again. What stops in between
//! leaves documents that no row names.

use std::{collections::HashSet, sync::Arc, time::Instant};

use futures::future::join_all;
use trivium_codec::{Row, RowKey};
use trivium_model::{Lane, Timestamp};
use trivium_store::{
    Condition, Decision, DoorError, DoorOutcome, Error, ReadOptions, RowWrite, Stamp, WriteOp,
    WriteOutcome, decide,
    embedding::{Document, DocumentId, IndexSpec, Visible},
};

use super::{
    create::{create, refused},
    documents::{Wanted, fetch, lost},
    draft::{Draft, Part},
    indexes::Indexes,
    leftovers::Leftovers,
    owners::is_retry,
};
use crate::{
    Serving,
    definitions::ViewDefinition,
    erase,
    limits::MERGE_ATTEMPTS_MAX,
    write::{Op, Write, no_answer as no_row, too_busy},
};

/// What holds for all rows of one request.
pub(crate) struct Request<'a> {
    pub(crate) indexes: &'a Indexes,
    pub(crate) view: &'a ViewDefinition,
    pub(crate) lane: Lane,
    pub(crate) visible: Visible,
    pub(crate) deadline: Option<Instant>,
}

impl Serving {
    /// Writes rows in their order; each its own outcome.
    pub(crate) async fn execute_named(
        &self,
        indexes: &Indexes,
        view: &Arc<ViewDefinition>,
        lane: Lane,
        writes: &[Write],
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<DoorOutcome> {
        let request = Request { indexes, view, lane, visible, deadline };
        let mut leftovers = Leftovers::default();
        let mut outcomes: Vec<Option<DoorOutcome>> = vec![None; writes.len()];
        let mut attempts = vec![0_u32; writes.len()];
        let mut pending: Vec<usize> = (0..writes.len()).collect();
        while !pending.is_empty() {
            // The first of each row; what comes after it waits for the next round.
            let mut seen = HashSet::with_capacity(pending.len());
            let (round, mut later): (Vec<usize>, Vec<usize>) =
                pending.iter().partition(|at| seen.insert(&writes[**at].key));
            let busy = round.iter().filter(|at| attempts[**at] > 0);
            let guards = self.busy_rows().lock(busy.map(|at| &writes[*at].key)).await;
            for (at, outcome) in self.round_named(&request, writes, &round, &mut leftovers).await {
                match outcome {
                    Some(outcome) => outcomes[at] = Some(outcome),
                    None if attempts[at] + 1 >= MERGE_ATTEMPTS_MAX => {
                        outcomes[at] = Some(Err(DoorError::Store(too_busy())));
                    }
                    None => {
                        attempts[at] += 1;
                        view.metrics.merge_retried();
                        later.push(at);
                    }
                }
            }
            drop(guards);
            later.sort_unstable();
            pending = later;
        }
        self.clean(view, writes, &mut leftovers);
        let mut outcomes: Vec<DoorOutcome> = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(DoorError::Store(no_row()))))
            .collect();
        if visible == Visible::Now {
            self.await_searches(&request, &leftovers, &mut outcomes).await;
        }
        outcomes
    }

    /// One try of writes of different rows; `None`: the row changed in between.
    async fn round_named(
        &self,
        request: &Request<'_>,
        writes: &[Write],
        round: &[usize],
        leftovers: &mut Leftovers,
    ) -> Vec<(usize, Option<DoorOutcome>)> {
        let view = request.view;
        let keys: Vec<RowKey> = round.iter().map(|at| writes[*at].key.clone()).collect();
        let options = ReadOptions { deadline: request.deadline, ..ReadOptions::default() };
        let rows = self.store_read(&keys, &options).await;
        let mut done: Vec<(usize, Option<DoorOutcome>)> = Vec::with_capacity(round.len());
        let mut drafts: Vec<(usize, Draft<'_>)> = Vec::new();
        let mut batch: Vec<(usize, RowWrite)> = Vec::new();
        for (&at, row) in round.iter().zip(&rows) {
            let write = &writes[at];
            let is_delete = matches!(write.op, Op::Delete);
            match row {
                // A delete needs the row only to know what it leaves over.
                Err(_) if is_delete => {
                    batch.push((at, self.row_write(view, write, WriteOp::Delete)))
                }
                Err(error) => done.push((at, Some(Err(error.clone().into())))),
                Ok(row) => match self.prepare(request, write, row.as_ref()) {
                    Prepared::Done(outcome) => {
                        if matches!(outcome, Ok(WriteOutcome::Applied(_))) {
                            leftovers.applied_before(view, at);
                        }
                        done.push((at, Some(outcome)));
                    }
                    Prepared::Delete => {
                        leftovers.superseding(view, at, row.as_ref());
                        batch.push((at, self.row_write(view, write, WriteOp::Delete)));
                    }
                    Prepared::Draft(draft) => {
                        leftovers.superseding(view, at, row.as_ref());
                        drafts.push((at, draft));
                    }
                },
            }
        }
        self.tell_erased(view, writes, &mut done, request.deadline).await;
        let mut drafts = self.copies(request, writes, drafts, &mut done).await;
        self.documents(request, writes, &mut drafts, leftovers, &mut done).await;
        for (at, draft) in &drafts {
            match draft.encode(view) {
                Err(error) => done.push((*at, Some(Err(error)))),
                Ok(row) => {
                    let mut write = self.row_write(view, &writes[*at], WriteOp::Put(row));
                    // What the caller's own condition says was decided on this very row.
                    write.condition = Condition::ExactRev(draft.rev);
                    batch.push((*at, write));
                }
            }
        }
        let (sent, batch): (Vec<usize>, Vec<RowWrite>) = batch.into_iter().unzip();
        let mut erased = Vec::new();
        for (at, outcome) in sent.into_iter().zip(self.store_write(batch, request.deadline).await) {
            let draft = drafts.iter().find(|(of, _)| *of == at).map(|(_, draft)| draft);
            if let Ok(WriteOutcome::Applied(_)) = &outcome {
                leftovers.applied(at, draft.map_or(&[], |draft| &draft.parts));
            }
            let mut moved = draft.is_some() && matches!(outcome, Ok(WriteOutcome::Conflict(_)));
            let write = &writes[at];
            if let (Ok(WriteOutcome::Erased(up_to)), true) = (&outcome, draft.is_some())
                && erase::is_newer(write.order, *up_to)
                && let Some((_, Ok(Some(base)))) =
                    round.iter().zip(&rows).find(|(of, _)| **of == at)
                && !base.is_deleted()
            {
                // The person has come back before the erasure came by this row: nothing of it may be
                // kept. It goes, as it would have gone, and the put begins with none.
                let subject = view.subject_of(&write.key);
                let delete = erase::delete_of(&write.key, &Stamp::of(base), *up_to);
                erased.push(RowWrite { subject, ..delete });
                moved = true;
            }
            done.push((at, (!moved).then_some(outcome)));
        }
        // However it ends: the next try reads the row again.
        self.store_write(erased, request.deadline).await;
        done
    }

    fn row_write(&self, view: &ViewDefinition, write: &Write, op: WriteOp) -> RowWrite {
        RowWrite {
            key: write.key.clone(),
            op,
            order: write.order,
            condition: write.condition,
            write_id: write.write_id,
            ttl: view.row_ttl(),
            subject: view.subject_of(&write.key),
        }
    }

    /// What the store would answer is answered here, before there are documents of a write that comes
    /// to nothing: a retry of an applied one, a condition, an order.
    fn prepare<'a>(
        &self,
        request: &Request<'a>,
        write: &'a Write,
        row: Option<&'a Row>,
    ) -> Prepared<'a> {
        let stamp = row.map(Stamp::of);
        if let Some(stamp) = stamp
            && is_retry(stamp.write_id, write.write_id)
        {
            return Prepared::Done(Ok(WriteOutcome::Applied(stamp)));
        }
        let probe = self.row_write(request.view, write, WriteOp::Delete);
        let after = match decide(stamp.as_ref(), &probe, self.seed()) {
            Decision::Answer(outcome) => return Prepared::Done(Ok(outcome)),
            Decision::Apply(after) => after,
        };
        if matches!(write.op, Op::Delete) {
            return Prepared::Delete;
        }
        let base = row.filter(|row| !row.is_deleted());
        let rev = stamp.map_or(0, |stamp| stamp.rev);
        match Draft::new(request.view, request.lane, &write.op, base, rev, after.event_time) {
            Ok(draft) => Prepared::Draft(draft),
            Err(error) => Prepared::Done(Err(error)),
        }
    }

    /// Fetches the vectors that get a second document.
    async fn copies<'a>(
        &self,
        request: &Request<'_>,
        writes: &[Write],
        drafts: Vec<(usize, Draft<'a>)>,
        done: &mut Vec<(usize, Option<DoorOutcome>)>,
    ) -> Vec<(usize, Draft<'a>)> {
        let mut wanted = Vec::new();
        for (place, (at, draft)) in drafts.iter().enumerate() {
            let parts = draft.parts.iter().zip(&request.view.embeddings).enumerate();
            for (part, (held, embedding)) in parts {
                if let Part::Copied(reference) = held {
                    wanted.push(Wanted {
                        place: (place, part),
                        spec: &embedding.spec,
                        key: &writes[*at].key,
                        reference: *reference,
                    });
                }
            }
        }
        if wanted.is_empty() {
            return drafts;
        }
        let mut fetched = fetch(&*request.indexes.index, wanted, request.deadline).await;
        let mut ready = Vec::with_capacity(drafts.len());
        'drafts: for (place, (at, mut draft)) in drafts.into_iter().enumerate() {
            for part in 0..draft.parts.len() {
                let Some(found) = fetched.remove(&(place, part)) else { continue };
                match found {
                    Ok(Some(document)) => draft.parts[part] = Part::New(document.vector),
                    Ok(None) => {
                        // The row has moved, or what it names is lost: it is read again to know.
                        let spec = &request.view.embeddings[part].spec;
                        let outcome = self.moved_or_lost(request, &writes[at], &draft, spec).await;
                        done.push((at, outcome));
                        continue 'drafts;
                    }
                    Err(error) => {
                        done.push((at, Some(Err(refused(error)))));
                        continue 'drafts;
                    }
                }
            }
            ready.push((at, draft));
        }
        ready
    }

    async fn moved_or_lost(
        &self,
        request: &Request<'_>,
        write: &Write,
        draft: &Draft<'_>,
        spec: &IndexSpec,
    ) -> Option<DoorOutcome> {
        let options = ReadOptions { deadline: request.deadline, ..ReadOptions::default() };
        let read = self.store_read(std::slice::from_ref(&write.key), &options).await;
        match read.into_iter().next() {
            Some(Ok(row)) if row.as_ref().map_or(0, Row::rev) == draft.rev => {
                Some(Err(DoorError::Store(lost(spec))))
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(Err(error.into())),
            None => Some(Err(DoorError::Store(no_row()))),
        }
    }

    /// Writes the documents of all drafts; a draft that lacks one afterwards is taken out.
    async fn documents(
        &self,
        request: &Request<'_>,
        writes: &[Write],
        drafts: &mut Vec<(usize, Draft<'_>)>,
        leftovers: &mut Leftovers,
        done: &mut Vec<(usize, Option<DoorOutcome>)>,
    ) {
        let features = request.view.embeddings.iter().enumerate();
        let made = join_all(features.map(|(part, embedding)| {
            let spec = &embedding.spec;
            let of_draft = |(place, (at, draft)): (usize, &(usize, Draft<'_>))| {
                let Part::New(vector) = &draft.parts[part] else { return None };
                let key = &writes[*at].key;
                let rev = if draft.rev == 0 { self.seed() } else { draft.rev.saturating_add(1) };
                let document = Document {
                    id: DocumentId { key: key.clone(), rev },
                    vector: vector.clone(),
                    subject: request.view.subject_of(key),
                    metadata: draft.metadata(request.view, spec),
                    event_time: draft.event_time,
                    written: Timestamp(i64::try_from(self.seed()).unwrap_or(i64::MAX)),
                };
                Some((place, document))
            };
            let documents: Vec<(usize, Document)> =
                drafts.iter().enumerate().filter_map(of_draft).collect();
            async move { (part, create(request, spec, documents).await) }
        }))
        .await;
        let mut failed: Vec<(usize, DoorError)> = Vec::new();
        for (part, made) in made {
            for (place, result) in made {
                let (at, draft) = &mut drafts[place];
                match result {
                    Ok(made) => {
                        leftovers.made(*at, part, made.reference.rev, made.is_seen);
                        draft.parts[part] = Part::Written(made.reference);
                    }
                    Err(error) => failed.push((*at, error)),
                }
            }
        }
        drafts.retain(|(at, _)| !failed.iter().any(|(of, _)| of == at));
        let mut told = HashSet::new();
        done.extend(
            failed
                .into_iter()
                .filter(|(at, _)| told.insert(*at))
                .map(|(at, error)| (at, Some(Err(error)))),
        );
    }

    /// Before a put that waits for searches is acknowledged: documents that this put did not itself wait
    /// for become visible too.
    async fn await_searches(
        &self,
        request: &Request<'_>,
        leftovers: &Leftovers,
        outcomes: &mut [DoorOutcome],
    ) {
        for (part, embedding) in request.view.embeddings.iter().enumerate() {
            let waits = |(at, outcome): (usize, &DoorOutcome)| {
                matches!(outcome, Ok(WriteOutcome::Applied(_))) && leftovers.is_unseen(at, part)
            };
            let waiting: Vec<usize> =
                outcomes.iter().enumerate().filter(|one| waits(*one)).map(|(at, _)| at).collect();
            if waiting.is_empty() {
                continue;
            }
            if let Err(error) =
                request.indexes.index.refresh(&embedding.spec, request.deadline).await
            {
                for at in waiting {
                    // The row is written: a retry under the same key is told so.
                    outcomes[at] = Err(DoorError::Store(Error::Unknown(format!(
                        "the row is written, but waiting for searches failed: {error}"
                    ))));
                }
            }
        }
    }
}

enum Prepared<'a> {
    Done(DoorOutcome),
    Delete,
    Draft(Draft<'a>),
}
