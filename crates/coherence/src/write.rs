//! Writing: fence the keys in the cache, write the authority, take the fences down.
//!
//! The steps and what a crash after each leaves: the fence alone — the key is read from the
//! authority until a reader repairs it; fence and write — the same, and the repair takes up the row
//! that was written. An attempt is sent to the authority once: if its answer is lost, nothing is
//! sent again, and what became of it is found out or reported as unknown.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use metrics::counter;
use tracing::debug;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, Barrier, CacheEpoch, CacheError, Error, FenceId, FencedOutcome, RowCache, RowWrite,
    Stamp, WriteId, WriteOutcome, check_deadline,
};

use crate::{epoch::Phase, options::micros, store::Node};

type Outcome = Result<WriteOutcome, Error>;

/// The right to write one row.
#[derive(Debug, Clone, Copy)]
struct Grant {
    /// What the authority is told.
    barrier: Barrier,
    /// What stands in the cache for it; `None`: nobody reads the cache.
    fence: Option<(CacheEpoch, FenceId)>,
}

/// A fence to take down, and the newest row written under it.
#[derive(Debug)]
struct Unfence {
    epoch: CacheEpoch,
    key: RowKey,
    id: FenceId,
    newest: Option<Row>,
}

/// A write to take out of its fence, as the cache wants it.
pub(crate) type Ended = (RowKey, FenceId, Option<Row>);

/// The writes of one key, in their order. One fence covers them all.
struct Chain {
    key: RowKey,
    writes: Vec<(usize, RowWrite)>,
    /// `None`: a first try to fence the key did not succeed.
    grant: Option<Grant>,
}

/// What a chain came to.
#[derive(Default)]
struct Done {
    outcomes: Vec<(usize, Outcome)>,
    unfences: Vec<Unfence>,
}

/// What all chains of a call have in common.
#[derive(Debug, Clone, Copy)]
struct Call {
    seed_micros: u64,
    deadline: Option<Instant>,
}

/// Tries to fence a key before the cache is put aside: a second one under a fresh id.
const FENCE_TRIES: u32 = 2;
/// Tries to fence a key in a full cache. It evicts what it may, so a little time may help.
const FULL_TRIES: u32 = 4;
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// How often a paused writer looks whether the cache has been put aside.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a write with a lost answer is looked after.
const SETTLE: Duration = Duration::from_secs(2);

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    pub(crate) async fn write(
        self: &Arc<Self>,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Outcome> {
        let count = writes.len();
        let call = Call { seed_micros, deadline };
        let mut chains = chains_of(writes);
        if let Err(error) = self.fence_first(&mut chains).await {
            return vec![Err(error); count];
        }
        let mut outcomes: Vec<Outcome> =
            vec![Err(Error::Unavailable("the write was not tried".to_owned())); count];
        let mut unfences = Vec::new();
        let mut running = stream::iter(chains)
            .map(|chain| Box::pin(self.run_chain(chain, call)))
            .buffer_unordered(self.options.writes_in_flight_max.max(1));
        while let Some(done) = running.next().await {
            for (index, outcome) in done.outcomes {
                outcomes[index] = outcome;
            }
            unfences.extend(done.unfences);
        }
        drop(running);
        if !unfences.is_empty() {
            // The caller need not wait: until it is done, the keys are read from the authority.
            let node = Arc::clone(self);
            self.follow_up(Box::pin(async move { node.unfence(unfences).await })).await;
        }
        outcomes
    }

    /// A first try at all keys in one trip. Who gets no grant here tries on alone.
    async fn fence_first(&self, chains: &mut [Chain]) -> Result<(), Error> {
        let epoch = match self.keeper.phase().await.map_err(not_tried)? {
            Phase::Fenced(epoch) => epoch,
            Phase::Unfenced(number) => {
                for chain in chains {
                    chain.grant = Some(self.unfenced(number, Barrier::default()));
                }
                return Ok(());
            }
        };
        let fences: Vec<(RowKey, FenceId)> = chains
            .iter()
            .map(|chain| (chain.key.clone(), self.fence_id(epoch, Barrier::default())))
            .collect();
        let placed = self.fence(epoch, &fences).await;
        for ((chain, (_, id)), placed) in chains.iter_mut().zip(fences).zip(placed) {
            match placed {
                Ok(()) => chain.grant = Some(fenced(epoch, id)),
                Err(error) => debug!(%error, "a fence could not be placed at first"),
            }
        }
        Ok(())
    }

    async fn run_chain(self: &Arc<Self>, chain: Chain, call: Call) -> Done {
        let Chain { key, writes, mut grant } = chain;
        let mut done = Done::default();
        let mut above = Barrier::default();
        let mut fence_tries = u32::from(grant.is_none());
        let mut barred = 0;
        let mut writes = writes.into_iter();
        let mut current = writes.next();
        // Of the grant in hand.
        let mut newest: Option<Row> = None;
        while let Some((index, write)) = current.take() {
            let held = match grant {
                Some(held) => held,
                None => match self.grant(&key, above, fence_tries, call.deadline).await {
                    Ok(held) => {
                        grant = Some(held);
                        held
                    }
                    Err(error) => {
                        fail(&mut done, (index, write), writes, &error);
                        return done;
                    }
                },
            };
            let sent = self
                .authority
                .write_fenced(write.clone(), held.barrier, call.seed_micros, call.deadline)
                .await;
            match sent {
                Ok(FencedOutcome::Done(outcome, row)) => {
                    // Only what this step wrote may go into the cache: it has raised the row's
                    // barrier. A refusal has not, so it contributes nothing.
                    newest = newer(newest, row);
                    done.outcomes.push((index, Ok(outcome)));
                    current = writes.next();
                }
                Ok(FencedOutcome::Barred(barrier)) => {
                    counter!("trivium_cache_writes_barred_total").increment(1);
                    take_down(&mut done, &key, held, newest.take());
                    (above, grant, fence_tries) = (above.max(barrier), None, 0);
                    barred += 1;
                    if barred > self.options.barred_retries_max {
                        let error = Error::Unavailable(
                            "the row's barrier kept refusing the write; try again".to_owned(),
                        );
                        fail(&mut done, (index, write), writes, &error);
                        return done;
                    }
                    if barrier.epoch > held.barrier.epoch
                        && let Err(error) = self.keeper.read_record().await
                    {
                        fail(&mut done, (index, write), writes, &not_tried(error));
                        return done;
                    }
                    current = Some((index, write));
                }
                Err(error @ Error::Unknown(_)) => {
                    let (outcome, settled) =
                        self.settle(&key, &write, held, newest.take(), error, call).await;
                    done.outcomes.push((index, outcome));
                    match settled {
                        Some(unfence) => done.unfences.extend(unfence),
                        // The write may still land: what follows in the batch must not overtake it.
                        None => {
                            if let Some(next) = writes.next() {
                                let error = Error::Unavailable(
                                    "whether an earlier write of this row in the batch was applied is \
                                     unknown"
                                        .to_owned(),
                                );
                                fail(&mut done, next, writes, &error);
                            }
                            return done;
                        }
                    }
                    (above, grant, fence_tries) = (above.max(held.barrier), None, 0);
                    current = writes.next();
                }
                // Certainly not applied.
                Err(error) => {
                    done.outcomes.push((index, Err(error)));
                    current = writes.next();
                }
            }
        }
        if let Some(held) = grant {
            take_down(&mut done, &key, held, newest);
        }
        done
    }

    /// Finds out what became of a write whose answer was lost. It raises the row's barrier to the
    /// write's own, so that it cannot land any more; the row which that returns may bear the write's
    /// id. With the outcome comes what to take down; `None`: nothing is settled, the fence stays.
    async fn settle(
        self: &Arc<Self>,
        key: &RowKey,
        write: &RowWrite,
        held: Grant,
        newest: Option<Row>,
        error: Error,
        call: Call,
    ) -> (Outcome, Option<Option<Unfence>>) {
        counter!("trivium_cache_writes_unknown_total").increment(1);
        let until = Some(Instant::now() + SETTLE);
        if check_deadline(call.deadline).is_err() {
            // The caller is gone or about to go: settle behind the answer.
            let (node, key) = (Arc::clone(self), key.clone());
            let work = async move {
                if let Ok(Some(row)) = node.bar(&key, held.barrier, until).await {
                    let unfence = unfence_of(&key, held, newer(newest, Some(row)));
                    node.unfence(unfence.into_iter().collect()).await;
                }
            };
            self.follow_up(Box::pin(work)).await;
            return (Err(error), None);
        }
        let row = match self.bar(key, held.barrier, until).await {
            Ok(row) => row,
            Err(_) => return (Err(error), None),
        };
        let stamp = row.as_ref().map(Stamp::of).filter(|stamp| {
            write.write_id != WriteId::default() && stamp.write_id == write.write_id
        });
        let outcome = match stamp {
            Some(stamp) => Ok(WriteOutcome::Applied(stamp)),
            // Never applied, or applied and overwritten since: nobody can tell.
            None => Err(error),
        };
        // Without a row the fence stays, as in a repair.
        let unfence = row.and_then(|row| unfence_of(key, held, newer(newest, Some(row))));
        (outcome, Some(unfence))
    }

    /// Fences the key until that is proven, or until the cache has been put aside.
    async fn grant(
        &self,
        key: &RowKey,
        above: Barrier,
        tries_before: u32,
        deadline: Option<Instant>,
    ) -> Result<Grant, Error> {
        let give_up = tokio::time::Instant::now() + self.options.pause_max;
        let mut tries = tries_before;
        let mut full = 0;
        let mut tried_in = None;
        if tries > 0 {
            // Perhaps the cache has moved on to another epoch without us.
            self.keeper.advance().await.map_err(not_tried)?;
        }
        loop {
            check_deadline(deadline)?;
            let epoch = match self.keeper.phase().await.map_err(not_tried)? {
                Phase::Unfenced(number) => return Ok(self.unfenced(number, above)),
                Phase::Fenced(epoch) => epoch,
            };
            if tried_in.replace(epoch.number).is_some_and(|number| number != epoch.number) {
                (tries, full) = (0, 0);
            }
            // Always under a fresh id, and never twice under one deadline that was refused.
            let id = self.fence_id(epoch, above);
            let placed = self.fence(epoch, &[(key.clone(), id)]).await.pop();
            match placed {
                Some(Ok(())) => return Ok(fenced(epoch, id)),
                Some(Err(CacheError::Refused { is_full: true, .. })) => {
                    full += 1;
                    if full >= FULL_TRIES {
                        // No outage: the others read on. This write alone has to wait.
                        return Err(Error::Throttled(
                            "the cache has no room for the write's fence".to_owned(),
                        ));
                    }
                    tokio::time::sleep(FULL_PAUSE).await;
                    continue;
                }
                Some(Err(error)) => debug!(%error, "a fence could not be proven"),
                None => debug!("the cache left a fence unanswered"),
            }
            tries += 1;
            self.keeper.advance().await.map_err(not_tried)?;
            if tries < FENCE_TRIES || !self.keeper.is_fenced_in(epoch) {
                continue;
            }
            self.keeper
                .drain(epoch.number, "a write's fence could not be proven")
                .await
                .map_err(not_tried)?;
            if tokio::time::Instant::now() >= give_up {
                return Err(Error::Unavailable(
                    "the cache cannot be reached and has not been put aside yet".to_owned(),
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn unfenced(&self, number: u64, above: Barrier) -> Grant {
        let deadline = self.write_deadline(number, above);
        Grant { barrier: Barrier { epoch: number, deadline }, fence: None }
    }

    fn fence_id(&self, epoch: CacheEpoch, above: Barrier) -> FenceId {
        FenceId {
            id: WriteId(self.environment.random.next()),
            deadline: self.write_deadline(epoch.number, above),
        }
    }

    /// For a fence that no write stands behind.
    pub(crate) fn fence_id_now(&self, epoch: CacheEpoch) -> FenceId {
        self.fence_id(epoch, Barrier::default())
    }

    /// By when the write is over, above the barrier that refused it.
    fn write_deadline(&self, number: u64, above: Barrier) -> u64 {
        let own = self.environment.wall_micros().saturating_add(micros(self.options.write_window));
        if above.epoch < number { own } else { own.max(above.deadline.saturating_add(1)) }
    }

    /// Takes fences down; what fails is repaired by a reader after its deadline.
    async fn unfence(&self, unfences: Vec<Unfence>) {
        // One, hardly ever two.
        let mut by_epoch: Vec<(CacheEpoch, Vec<Ended>)> = Vec::new();
        for Unfence { epoch, key, id, newest } in unfences {
            match by_epoch.iter_mut().find(|(known, _)| *known == epoch) {
                Some((_, fences)) => fences.push((key, id, newest)),
                None => by_epoch.push((epoch, vec![(key, id, newest)])),
            }
        }
        for (epoch, fences) in by_epoch {
            let results = self.take_out(epoch, &fences).await;
            // Once more: taking an id out twice does no harm.
            let again: Vec<_> = fences
                .into_iter()
                .zip(results)
                .filter(|(_, result)| {
                    matches!(result, Err(CacheError::Unknown(_) | CacheError::Refused { .. }))
                })
                .map(|(fence, _)| fence)
                .collect();
            if !again.is_empty() {
                for error in self.take_out(epoch, &again).await.into_iter().filter_map(Result::err)
                {
                    debug!(%error, "a fence stays until a reader repairs it");
                    counter!("trivium_cache_fences_left_total").increment(1);
                }
            }
        }
    }
}

/// The write was certainly not sent, whatever became of what had to come before it.
fn not_tried(error: Error) -> Error {
    match error {
        Error::Unknown(message) => Error::Unavailable(message),
        other => other,
    }
}

fn fenced(epoch: CacheEpoch, id: FenceId) -> Grant {
    let barrier = Barrier { epoch: epoch.number, deadline: id.deadline };
    Grant { barrier, fence: Some((epoch, id)) }
}

fn unfence_of(key: &RowKey, held: Grant, newest: Option<Row>) -> Option<Unfence> {
    held.fence.map(|(epoch, id)| Unfence { epoch, key: key.clone(), id, newest })
}

fn take_down(done: &mut Done, key: &RowKey, held: Grant, newest: Option<Row>) {
    done.unfences.extend(unfence_of(key, held, newest));
}

fn fail(
    done: &mut Done,
    first: (usize, RowWrite),
    rest: impl Iterator<Item = (usize, RowWrite)>,
    error: &Error,
) {
    done.outcomes.push((first.0, Err(error.clone())));
    done.outcomes.extend(rest.map(|(index, _)| (index, Err(error.clone()))));
}

fn newer(one: Option<Row>, other: Option<Row>) -> Option<Row> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.rev() > one.rev() { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// The writes by key, in the order in which keys first appear.
fn chains_of(writes: Vec<RowWrite>) -> Vec<Chain> {
    let mut places: HashMap<RowKey, usize> = HashMap::with_capacity(writes.len());
    let mut chains: Vec<Chain> = Vec::with_capacity(writes.len());
    for (index, write) in writes.into_iter().enumerate() {
        let place = *places.entry(write.key.clone()).or_insert(chains.len());
        if place == chains.len() {
            chains.push(Chain { key: write.key.clone(), writes: Vec::new(), grant: None });
        }
        chains[place].writes.push((index, write));
    }
    chains
}
