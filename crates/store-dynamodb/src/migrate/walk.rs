//! Walking through the tables: page by page, at a bounded pace, going on where an earlier walk stopped.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use trivium_store::Error as StoreError;

use super::{Brought, Copied, MIGRATION_PK, Migrator, Pace, Way};
use crate::{
    Error,
    expression::{Expression, number},
    item::{self, Item, PK, SK, primary_key, text},
    marks::is_plain,
    store::{Failure, Pauses, Table, repeat},
};

const PAGE: i32 = 200;
const ITEMS_IN_FLIGHT_MAX: usize = 16;
/// One item, with all its tries: a migration outlasts a short outage of the table.
const ITEM_LIMIT: Duration = Duration::from_secs(60);
const PROGRESS_SK: &str = "progress";
const GENERATION: &str = "generation";
const AFTER_PK: &str = "after_pk";
const AFTER_SK: &str = "after_sk";

impl Table {
    /// A page of items, with all that was written before it was asked for, and where to go on. What
    /// migrations keep themselves is left out.
    pub(crate) async fn page(
        &self,
        after: Option<Item>,
        limit: i32,
        end: Instant,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let mut pauses = Pauses::until(end);
        loop {
            let request = self
                .client
                .scan()
                .table_name(&self.options.table)
                .consistent_read(true)
                .limit(limit)
                .set_exclusive_start_key(after.clone());
            match self.send(end, request.send()).await.map_err(Failure::of_read) {
                Ok(answer) => {
                    let mut items = answer.items.unwrap_or_default();
                    items.retain(|item| !is_own(item));
                    return Ok((items, answer.last_evaluated_key));
                }
                Err(error) if !error.is_retryable() || !pauses.sleep().await => return Err(error),
                Err(_) => {}
            }
        }
    }
}

fn is_own(item: &Item) -> bool {
    item.get(PK).is_some_and(|pk| *pk == text(MIGRATION_PK))
}

pub(super) fn key_of(item: &Item) -> Item {
    let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
    [PK, SK].into_iter().filter_map(part).collect()
}

impl Migrator {
    /// Moves every item that has not moved yet, and clears up after those that have. Told again after each
    /// page how far it is. Ends where nothing is left to move, or with an error; then call it again.
    pub async fn copy(
        &self,
        pace: Pace,
        mut tell: impl FnMut(Copied) + Send,
    ) -> Result<Copied, Error> {
        let way = self.way().await?;
        let began = Instant::now();
        let mut copied = Copied::default();
        let mut after = way.progress().await.map_err(|error| self.failed(error))?;
        // First what has to move; then what stands where it went to without counting there.
        for (table, everything) in [(way.from, true), (way.to, false)] {
            loop {
                let page = table.page(after.take(), page_of(pace), Instant::now() + ITEM_LIMIT);
                let (items, next) = page.await.map_err(|error| self.failed(error))?;
                copied.seen += items.len() as u64;
                let wanted = items.iter().filter(|item| everything || !is_plain(item));
                let keys: Vec<Item> = wanted.map(key_of).collect();
                let brought = way.bring_all(keys).await.map_err(|error| self.failed(error))?;
                copied.moved += brought.moved;
                if everything {
                    copied.waiting += brought.waiting;
                }
                tell(copied);
                if everything {
                    way.keep(next.as_ref()).await.map_err(|error| self.failed(error))?;
                }
                after = next;
                if after.is_none() {
                    break;
                }
                rest(pace, copied.seen, began).await;
            }
        }
        Ok(copied)
    }
}

/// Small enough that a slow pace is an even one.
fn page_of(pace: Pace) -> i32 {
    let most = |per_second: std::num::NonZeroU32| i32::try_from(per_second.get()).unwrap_or(PAGE);
    pace.items_per_second.map_or(PAGE, most).min(PAGE)
}

/// Waits until so many items are due.
async fn rest(pace: Pace, seen: u64, began: Instant) {
    let Some(per_second) = pace.items_per_second else { return };
    let due = Duration::from_secs_f64(seen as f64 / f64::from(per_second.get()));
    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
}

impl Way<'_> {
    async fn bring_all(&self, keys: Vec<Item>) -> Result<Copied, StoreError> {
        let moves =
            keys.into_iter().map(async |key| self.bring(&key, Instant::now() + ITEM_LIMIT).await);
        stream::iter(moves)
            .buffer_unordered(ITEMS_IN_FLIGHT_MAX)
            .try_fold(Copied::default(), async |mut sum, brought| {
                match brought {
                    Brought::Settled => {}
                    Brought::Moved => sum.moved += 1,
                    Brought::IsOfBefore(..) => sum.waiting += 1,
                }
                Ok(sum)
            })
            .await
    }

    /// Where an earlier walk through the source had come to. Everything before that had moved, and
    /// nothing has been made there since the migration began.
    async fn progress(&self) -> Result<Option<Item>, StoreError> {
        let end = self.first.end_of(None);
        let kept = self.first.get_item(primary_key(MIGRATION_PK, PROGRESS_SK), end).await?;
        let Some(kept) = kept else { return Ok(None) };
        if item::number(&kept, GENERATION)? != Some(self.generation) {
            return Ok(None);
        }
        match (kept.get(AFTER_PK), kept.get(AFTER_SK)) {
            (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => {
                Ok(Some(primary_key(pk, sk)))
            }
            _ => Ok(None),
        }
    }

    /// Remembers where the walk goes on; at its end, that the next one begins anew.
    async fn keep(&self, next: Option<&Item>) -> Result<(), StoreError> {
        let end = self.first.end_of(None);
        let mut progress: HashMap<String, AttributeValue> = primary_key(MIGRATION_PK, PROGRESS_SK);
        progress.insert(GENERATION.to_owned(), number(self.generation));
        if let Some(next) = next {
            for (name, key) in [(AFTER_PK, PK), (AFTER_SK, SK)] {
                if let Some(value) = next.get(key) {
                    progress.insert(name.to_owned(), value.clone());
                }
            }
        }
        let put = || self.first.put(progress.clone(), Expression::default(), end);
        repeat(end, put).await.map(drop)
    }
}
