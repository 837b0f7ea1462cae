//! Reading: the cache where a lease allows it, else the authority.
//!
//! What a crash leaves: a lease in the cache, gone after seconds; a raised barrier, which harms
//! nobody.

use std::sync::Arc;

use futures::{StreamExt, future::join_all, stream};
use metrics::counter;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, Barrier, CacheEntry, CacheEpoch, CacheError, Error, LeaseToken, ReadOptions,
    RowCache,
};

use crate::{flights::Seat, store::Node};

type Answer = Result<Option<Row>, Error>;

/// A row that may go into the cache, by the lease on its key.
struct Fill {
    key: RowKey,
    token: LeaseToken,
    row: Row,
    /// The row's barrier is of an earlier epoch: raise it, and take the row which that returns.
    is_cold: bool,
}

impl<A: Authority + 'static, C: RowCache + 'static> Node<A, C> {
    pub(crate) async fn get(
        self: &Arc<Self>,
        keys: &[RowKey],
        options: &ReadOptions,
    ) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; keys.len()];
        if !keys.is_empty()
            && let Some(lease) = self.keeper.lease()
            && self.breaker.lets_through(self.environment.steady.now_micros())
        {
            Box::pin(self.ask_cache(lease.epoch, keys, options, &mut answers)).await;
        }
        let open: Vec<usize> = (0..keys.len()).filter(|index| answers[*index].is_none()).collect();
        if !open.is_empty() {
            counter!("trivium_cache_reads_total", "answered_by" => "authority")
                .increment(open.len() as u64);
            let asked: Vec<RowKey> = open.iter().map(|index| keys[*index].clone()).collect();
            let fetched = Box::pin(self.fetch(&asked, options)).await;
            for (index, answer) in open.into_iter().zip(fetched) {
                answers[index] = Some(answer);
            }
        }
        let forgotten =
            || Err(Error::Unavailable("the authority left a row unanswered".to_owned()));
        answers.into_iter().map(|answer| answer.unwrap_or_else(forgotten)).collect()
    }

    /// Answers what the cache may answer, and fills what it misses.
    async fn ask_cache(
        self: &Arc<Self>,
        epoch: CacheEpoch,
        keys: &[RowKey],
        options: &ReadOptions,
        answers: &mut [Option<Answer>],
    ) {
        let joinable = self.ask_entities(epoch, keys, options, answers).await;
        // Nearly always all of them, or all but those of a few entities.
        let open: Vec<usize> = (0..keys.len()).filter(|index| answers[*index].is_none()).collect();
        let asked: Vec<RowKey>;
        let rest = if open.len() == keys.len() {
            keys
        } else {
            asked = open.iter().map(|index| keys[*index].clone()).collect();
            &asked
        };
        if rest.is_empty() {
            return;
        }
        let looked = self.cache.look(epoch, rest).await;
        self.note_health(epoch, &looked);
        // Checked after the answer has come: while the question was under way the cache may have
        // been put aside and written past.
        if !self.keeper.still_holds(epoch) {
            counter!("trivium_cache_late_answers_total").increment(rest.len() as u64);
            return;
        }
        let mut hits = 0;
        let mut missing = Vec::new();
        for (index, entry) in open.into_iter().zip(looked) {
            match entry {
                Ok(CacheEntry::Value(row)) => {
                    hits += 1;
                    answers[index] = Some(Ok(Some(row)));
                }
                Ok(CacheEntry::Missing) => missing.push(index),
                Ok(CacheEntry::Fence(ids)) => self.repair_overdue(epoch, &keys[index], ids).await,
                Ok(CacheEntry::Lease) | Err(_) => {}
            }
        }
        counter!("trivium_cache_reads_total", "answered_by" => "cache").increment(hits);
        self.join_later(epoch, joinable, |index| answers[index].is_some(), options).await;
        if !missing.is_empty() {
            self.fill_missing(epoch, keys, &missing, options, answers).await;
        }
    }

    pub(crate) fn note_health<T>(&self, epoch: CacheEpoch, results: &[Result<T, CacheError>]) {
        if results.iter().any(|result| matches!(result, Err(CacheError::NotMarked))) {
            self.keeper.suspect(epoch);
        }
        let failed = |result: &Result<T, CacheError>| {
            matches!(result, Err(CacheError::Refused { .. } | CacheError::Unknown(_)))
        };
        if results.iter().all(failed) {
            self.breaker.failed(self.environment.steady.now_micros());
        } else {
            self.breaker.succeeded();
        }
    }

    /// Takes leases on missing keys, reads them from the authority, and fills them behind the
    /// answer.
    async fn fill_missing(
        self: &Arc<Self>,
        epoch: CacheEpoch,
        keys: &[RowKey],
        missing: &[usize],
        options: &ReadOptions,
        answers: &mut [Option<Answer>],
    ) {
        let wanted: Vec<(RowKey, LeaseToken)> = missing
            .iter()
            .map(|index| (keys[*index].clone(), LeaseToken(self.environment.random.next())))
            .collect();
        let found = self.cache.lease(epoch, &wanted).await;
        let holds = self.keeper.still_holds(epoch);
        let mut ours = Vec::new();
        for ((index, (key, token)), entry) in missing.iter().zip(wanted).zip(found) {
            match entry {
                Ok(CacheEntry::Missing) => ours.push((*index, key, token)),
                // Filled in between.
                Ok(CacheEntry::Value(row)) if holds => answers[*index] = Some(Ok(Some(row))),
                // A lease whose answer was lost may be taken at any time from now on, after the
                // read of the authority too: then it must not lead to a fill.
                _ => {}
            }
        }
        if ours.is_empty() {
            return;
        }
        // After the leases: whatever is written from now on ends them.
        let asked: Vec<RowKey> = ours.iter().map(|(_, key, _)| key.clone()).collect();
        let rows = self.authority.get_with_barrier(&asked, options.deadline).await;
        let mut fills = Vec::new();
        for ((index, key, token), row) in ours.into_iter().zip(rows) {
            answers[index] = Some(match row {
                Ok((Some(row), barrier)) => {
                    // A barrier of a later epoch: this node is behind, and should not fill.
                    if barrier.epoch <= epoch.number {
                        let is_cold = barrier.epoch < epoch.number;
                        fills.push(Fill { key, token, row: row.clone(), is_cold });
                    }
                    Ok(Some(row))
                }
                // Not cached: who asks for what never was must not make rows. The lease keeps
                // others from trying for seconds.
                Ok((None, _)) => Ok(None),
                Err(error) => Err(error),
            });
        }
        if !fills.is_empty() {
            let node = Arc::clone(self);
            self.follow_up(Box::pin(async move { node.fill(epoch, fills).await })).await;
        }
    }

    async fn fill(&self, epoch: CacheEpoch, fills: Vec<Fill>) {
        let ready = stream::iter(fills)
            .map(|fill| self.warmed(epoch, fill))
            .buffer_unordered(self.options.raises_in_flight_max.max(1))
            .filter_map(std::future::ready);
        let ready: Vec<(RowKey, LeaseToken, Row)> = ready.collect().await;
        if !ready.is_empty() {
            let filled = self.cache.fill(epoch, &ready).await;
            let count = filled.iter().filter(|filled| matches!(filled, Ok(true))).count();
            counter!("trivium_cache_fills_total").increment(count as u64);
        }
    }

    /// The row to fill with, once no write of an earlier epoch can come after it.
    async fn warmed(&self, epoch: CacheEpoch, fill: Fill) -> Option<(RowKey, LeaseToken, Row)> {
        let Fill { key, token, row, is_cold } = fill;
        if !is_cold {
            return Some((key, token, row));
        }
        let to = Barrier { epoch: epoch.number, deadline: 0 };
        let seed = self.environment.wall_micros();
        // The row as this step saw it, not as it was read before: a late write of an earlier epoch
        // may have come in between, and it fenced nothing here.
        let row = self.authority.raise_barrier(&key, to, seed, None).await.ok()??;
        counter!("trivium_cache_barriers_raised_total").increment(1);
        Some((key, token, row))
    }

    /// Reads rows from the authority, together with whoever asks for the same at the same time.
    async fn fetch(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Answer> {
        let mut go = Vec::new();
        let mut shared = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match self.flights.board(key) {
                Seat::Go(flight) => go.push((index, flight)),
                seat => shared.push(self.fetch_shared(index, key, seat, options)),
            }
        }
        let alone = async {
            let asked: Vec<RowKey> = go.iter().map(|(index, _)| keys[*index].clone()).collect();
            let rows = if asked.is_empty() {
                Vec::new()
            } else {
                self.authority.get(&asked, options).await
            };
            go.into_iter().zip(rows).map(|((index, _), row)| (index, row)).collect::<Vec<_>>()
        };
        let (alone, shared) = futures::join!(alone, join_all(shared));
        let mut answers: Vec<Answer> =
            vec![
                Err(Error::Unavailable("the authority left a row unanswered".to_owned()));
                keys.len()
            ];
        for (index, answer) in alone.into_iter().chain(shared) {
            answers[index] = answer;
        }
        answers
    }

    async fn fetch_shared(
        &self,
        index: usize,
        key: &RowKey,
        seat: Seat,
        options: &ReadOptions,
    ) -> (usize, Answer) {
        let mut flight = match seat {
            Seat::Go(flight) => Some(flight),
            Seat::Lead(start) => start.await.ok(),
            Seat::Join(followed) => {
                if let Ok(row) = followed.await {
                    counter!("trivium_cache_shared_fetches_total").increment(1);
                    return (index, Ok(row));
                }
                // The leader failed or left.
                None
            }
        };
        let mut rows = self.authority.get(std::slice::from_ref(key), options).await;
        let answer = rows.pop().unwrap_or_else(|| {
            Err(Error::Unavailable("the authority left a row unanswered".to_owned()))
        });
        if let (Some(flight), Ok(row)) = (&mut flight, &answer) {
            flight.share(row);
        }
        drop(flight);
        (index, answer)
    }
}
