//! Whether everything has arrived: both tables are walked through and compared.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use trivium_store::Error as StoreError;

use super::{Migrator, Way, walk::key_of};
use crate::{
    Error,
    item::{self, Item, REV, binary},
    marks::{self, MOVED_REV, MOVED_SUM, Standing, is_plain},
};

const PAGE: i32 = 500;
const IN_FLIGHT_MAX: usize = 16;
const PAGE_LIMIT: Duration = Duration::from_secs(60);
/// How many keys a report names.
const NAMED_MAX: usize = 10;

/// What a look at both tables found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Items that still count where they came from.
    pub unmoved: u64,
    /// Items that have been handed over, and are there.
    pub arrived: u64,
    /// Of these, ones that are as they were handed over, by their checksum.
    pub unchanged: u64,
    /// Items that have been handed over and are not there: expired since, or made and never written.
    pub gone: u64,
    /// Items that count at the destination, among them ones that were made there.
    pub items: u64,
    /// Items at the destination that do not count: left over by steps that nobody ended.
    pub leftovers: u64,
    /// Items that are not what was handed over, nor newer.
    pub wrong: u64,
    /// Keys of what is unmoved or wrong, some of them.
    pub named: Vec<String>,
}

impl Verified {
    /// Why the migration is not complete, if it is not.
    pub fn problem(&self) -> Option<String> {
        let Self { unmoved, leftovers, wrong, named, .. } = self;
        let named =
            if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        if *wrong > 0 {
            return Some(format!("{wrong} items are not what was handed over{named}"));
        }
        if *unmoved > 0 {
            return Some(format!(
                "{unmoved} items have not moved{named}: let `stores migrate start` (or `back`) run to its \
                 end, and see that no node writes that is not configured with both tables"
            ));
        }
        (*leftovers > 0).then(|| {
            format!(
                "{leftovers} leftovers stand at the destination: let `start` (or `back`) run again"
            )
        })
    }

    fn name(&mut self, item: &Item) {
        if self.named.len() < NAMED_MAX {
            let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            let parts = [item::PK, item::SK].map(|name| part(name).unwrap_or_default());
            self.named.push(parts.join(" "));
        }
    }
}

/// What one item that was handed over is now.
enum Arrival {
    Unchanged,
    Newer,
    Gone,
    Wrong,
}

impl Migrator {
    /// Walks through both tables. Nothing is changed.
    pub async fn verify(&self) -> Result<Verified, Error> {
        let way = self.way().await?;
        let mut verified = Verified::default();
        let mut after = None;
        loop {
            let page = way.from.page(after, PAGE, Instant::now() + PAGE_LIMIT).await;
            let (items, next) = page.map_err(|error| self.failed(error))?;
            let looks = items.iter().map(|marker| way.arrival(marker));
            let arrivals: Vec<Option<Arrival>> = stream::iter(looks)
                .buffered(IN_FLIGHT_MAX)
                .try_collect()
                .await
                .map_err(|error| self.failed(error))?;
            for (item, arrival) in items.iter().zip(arrivals) {
                match arrival {
                    None => {
                        verified.unmoved += 1;
                        verified.name(item);
                    }
                    Some(Arrival::Unchanged) => {
                        verified.arrived += 1;
                        verified.unchanged += 1;
                    }
                    Some(Arrival::Newer) => verified.arrived += 1,
                    Some(Arrival::Gone) => verified.gone += 1,
                    Some(Arrival::Wrong) => {
                        verified.wrong += 1;
                        verified.name(item);
                    }
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let page = way.to.page(after, PAGE, Instant::now() + PAGE_LIMIT).await;
            let (items, next) = page.map_err(|error| self.failed(error))?;
            for item in &items {
                if is_plain(item) {
                    verified.items += 1;
                } else {
                    verified.leftovers += 1;
                }
            }
            after = next;
            if after.is_none() {
                return Ok(verified);
            }
        }
    }
}

impl Way<'_> {
    /// What has become of an item at the source; `None`: it has not moved.
    async fn arrival(&self, here: &Item) -> Result<Option<Arrival>, StoreError> {
        let stands = Standing::of(Some(here))?;
        if stands.is_plain() {
            return Ok(None);
        }
        let there = self.to.get_item(key_of(here), Instant::now() + PAGE_LIMIT).await?;
        let stands_there = Standing::of(there.as_ref())?;
        if stands_there.mark.generation >= stands.mark.generation {
            // It has been moved back, or what stands here was staged and never counted.
            return Ok(stands_there.is_plain().then_some(Arrival::Newer));
        }
        let Some(there) = there else { return Ok(Some(Arrival::Gone)) };
        let handed_over = item::number::<u64>(here, MOVED_REV)?;
        let now = item::number::<u64>(&there, REV)?;
        let is_same = here.get(MOVED_SUM) == Some(&binary(marks::sum(&there)));
        Ok(Some(match (handed_over, now) {
            _ if is_same => Arrival::Unchanged,
            // Rows have a rev, and keep their contents with it.
            (Some(before), Some(now)) if now <= before => Arrival::Wrong,
            _ => Arrival::Newer,
        }))
    }
}
