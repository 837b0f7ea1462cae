//! Standing behind a shared cache: barriers and the epoch record.

use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Authority, Barrier, CacheState, EpochRecord, Error, FencedOutcome, RowWrite, check_deadline,
};

use crate::{
    DynamoStore,
    expression::{Expression, number},
    item::{
        self, BARRIER_DEADLINE, BARRIER_EPOCH, BARRIER_RAISED, EVENT_TIME, EXPIRES_AT, Item, PK,
        REV, SK, Stored, binary, corrupt, primary_key, required, row_key, text,
    },
    step::{Change, Step, Updated},
    store::{Failure, Inner, Pauses, Table},
};

const EPOCH_PK: &str = "#cache";
const EPOCH_SK: &str = "epoch";
const EPOCH: &str = "epoch";
const CACHE_STATE: &str = "cache_state";
const MARKER: &str = "marker";
const SERVERS: &str = "servers";

/// Each refusal shows another row; more than a few mean that something is wrong.
const ATTEMPTS_MAX: usize = 16;

#[async_trait]
impl Authority for DynamoStore {
    async fn write_fenced(
        &self,
        write: RowWrite,
        fence: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<FencedOutcome, Error> {
        if fence == Barrier::default() {
            return Err(Error::Invalid("a fence of zero is below every barrier".to_owned()));
        }
        self.0.write_row(write, Some(fence), seed_micros, deadline).await
    }

    async fn raise_barrier(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        check_deadline(deadline)?;
        self.0.raise(key, to, seed_micros, deadline).await
    }

    async fn get_with_barrier(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<(Option<Row>, Barrier), Error>> {
        let found = self.0.read(keys, deadline).await;
        let both = |stored: Stored| {
            let barrier = stored.barrier;
            stored.into_row().map(|row| (row, barrier))
        };
        found.into_iter().map(|stored| stored.and_then(both)).collect()
    }

    async fn epoch(&self) -> Result<Option<EpochRecord>, Error> {
        let inner = &*self.0;
        // Whoever stands behind a cache asks for this all the time: a migration is noticed soon.
        inner.look_around(inner.end_of(None)).await?;
        match inner.get_item(primary_key(EPOCH_PK, EPOCH_SK), inner.end_of(None)).await? {
            Some(item) if item.contains_key(EPOCH) => record_of(&item).map(Some),
            _ => Ok(None),
        }
    }

    async fn swap_epoch(
        &self,
        expected: Option<&EpochRecord>,
        new: &EpochRecord,
    ) -> Result<bool, Error> {
        let inner = &*self.0;
        let mut condition = Expression::default();
        match expected {
            None => condition.when(format!("attribute_not_exists({EPOCH})")),
            Some(record) => {
                for (attribute, value) in attributes_of(record) {
                    let value = condition.value(value);
                    condition.when(format!("{attribute} = {value}"));
                }
            }
        }
        let mut item = primary_key(EPOCH_PK, EPOCH_SK);
        item.extend(attributes_of(new).map(|(name, value)| (name.to_owned(), value)));
        inner.put_item(item, condition, inner.end_of(None)).await
    }
}

impl Inner {
    async fn raise(
        &self,
        key: &RowKey,
        to: Barrier,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Row>, Error> {
        item::check_size(key, 0, None)?;
        let end = self.end_of(deadline);
        let now = seed_micros / 1_000_000;
        // An item takes its barrier along when it expires: it must not do so soon.
        let expires_at = now.saturating_add(self.options.grace_seconds);
        let expires_soon = now.saturating_add(self.options.grace_seconds / 2);
        // The likely case first: a row that stays, and a lower barrier.
        let mut update = raised(to);
        when_above_barrier(&mut update, to);
        let soon = update.number(expires_soon);
        update.when(format!("attribute_exists({EVENT_TIME})"));
        update.when(format!("attribute_not_exists({EXPIRES_AT}) OR {EXPIRES_AT} >= {soon}"));
        let mut stub = row_key(key);
        stub.insert(REV.to_owned(), number(seed_micros.max(1)));
        stub.insert(EXPIRES_AT.to_owned(), number(expires_at));
        let mut step =
            Step { key: row_key(key), change: Change::Update(update, ReturnValue::AllNew), stub };
        for _ in 0..ATTEMPTS_MAX {
            let stored = match self.perform(&step, end).await? {
                Updated::Done(mut item) => return Stored::parse(Some(&mut item))?.into_row(),
                Updated::Refused(mut item) => Stored::parse(item.as_mut())?,
            };
            let stays = stored.expires_at.is_none_or(|at| at >= expires_soon);
            if stored.rev.is_some() && stored.barrier >= to && stays {
                // Nothing to raise; the refusal showed the row as that step saw it.
                return stored.into_row();
            }
            let mut update = raised(to.max(stored.barrier));
            match stored.rev {
                None => {
                    update.when(format!("attribute_not_exists({PK})"));
                    update.set(REV, number(seed_micros.max(1)));
                    update.set(EXPIRES_AT, number(expires_at));
                }
                Some(rev) => {
                    let rev = update.number(rev);
                    update.when(format!("{REV} = {rev}"));
                    when_barrier_is(&mut update, &stored);
                    if !stays {
                        update.set(EXPIRES_AT, number(expires_at));
                    }
                }
            }
            step.change = Change::Update(update, ReturnValue::AllNew);
        }
        Err(Error::Throttled(format!("the row's barrier moved {ATTEMPTS_MAX} times meanwhile")))
    }

    /// Puts an item of the store's own; whether the condition held.
    pub(crate) async fn put_item(
        &self,
        item: Item,
        condition: Expression,
        end: Instant,
    ) -> Result<bool, Error> {
        let key = [PK, SK].map(|name| (name.to_owned(), item.get(name).cloned()));
        let key: Item = key.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        // Gone by itself where its maker dies: to every reader it is nothing.
        let expires_at = seconds_from_now(self.options.grace_seconds);
        let mut stub = key.clone();
        stub.insert(EXPIRES_AT.to_owned(), number(expires_at));
        let step = Step { key, change: Change::Put(item, condition), stub };
        Ok(matches!(self.perform(&step, end).await?, Updated::Done(_)))
    }
}

impl Table {
    /// Strongly consistent; tries again until `end`.
    pub(crate) async fn get_item(&self, key: Item, end: Instant) -> Result<Option<Item>, Error> {
        let mut pauses = Pauses::until(end);
        loop {
            let request = self
                .client
                .get_item()
                .table_name(&self.options.table)
                .set_key(Some(key.clone()))
                .consistent_read(true);
            match self.send(end, request.send()).await.map_err(Failure::of_read) {
                Ok(answer) => return Ok(answer.item),
                Err(error) if !error.is_retryable() || !pauses.sleep().await => return Err(error),
                Err(_) => {}
            }
        }
    }
}

pub(crate) fn seconds_from_now(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs()).saturating_add(seconds)
}

fn raised(to: Barrier) -> Expression {
    let mut update = Expression::default();
    update.set(BARRIER_EPOCH, number(to.epoch));
    update.set(BARRIER_DEADLINE, number(to.deadline));
    update.set(BARRIER_RAISED, number(to.epoch));
    update
}

/// The row's barrier is below this one. The deadline that stands there counts only in the epoch it
/// was raised in: see [`Stored::barrier`].
pub(crate) fn when_above_barrier(update: &mut Expression, fence: Barrier) {
    let epoch = update.number(fence.epoch);
    let mut below = format!("attribute_not_exists({BARRIER_EPOCH}) OR {BARRIER_EPOCH} < {epoch}");
    // At deadline zero nothing of the same epoch is below.
    if fence.deadline > 0 {
        let deadline = update.number(fence.deadline);
        below.push_str(&format!(
            " OR ({BARRIER_EPOCH} = {epoch} AND (attribute_not_exists({BARRIER_RAISED}) OR \
             {BARRIER_RAISED} <> {epoch} OR {BARRIER_DEADLINE} < {deadline}))"
        ));
    }
    update.when(below);
}

fn when_barrier_is(update: &mut Expression, stored: &Stored) {
    let names = [BARRIER_EPOCH, BARRIER_DEADLINE, BARRIER_RAISED];
    for (name, value) in names.into_iter().zip(stored.raw_barrier) {
        match value {
            None => update.when(format!("attribute_not_exists({name})")),
            Some(value) => {
                let value = update.number(value);
                update.when(format!("{name} = {value}"));
            }
        }
    }
}

fn attributes_of(record: &EpochRecord) -> [(&'static str, AttributeValue); 4] {
    let state = match record.state {
        CacheState::Enabled => "enabled",
        CacheState::Draining => "draining",
        CacheState::Disabled => "disabled",
    };
    [
        (EPOCH, number(record.number)),
        (CACHE_STATE, text(state)),
        (MARKER, binary(record.marker.to_le_bytes())),
        (
            SERVERS,
            AttributeValue::L(record.servers.iter().map(|server| text(server.as_str())).collect()),
        ),
    ]
}

fn record_of(item: &Item) -> Result<EpochRecord, Error> {
    let state = match item.get(CACHE_STATE) {
        Some(AttributeValue::S(state)) => match state.as_str() {
            "enabled" => CacheState::Enabled,
            "draining" => CacheState::Draining,
            "disabled" => CacheState::Disabled,
            _ => return Err(corrupt(CACHE_STATE)),
        },
        _ => return Err(corrupt(CACHE_STATE)),
    };
    let marker = match item.get(MARKER) {
        Some(AttributeValue::B(blob)) => <[u8; 16]>::try_from(blob.as_ref()).ok(),
        _ => None,
    };
    let Some(AttributeValue::L(list)) = item.get(SERVERS) else { return Err(corrupt(SERVERS)) };
    let servers: Option<Vec<String>> =
        list.iter().map(|server| server.as_s().ok().cloned()).collect();
    Ok(EpochRecord {
        number: required(item, EPOCH)?,
        state,
        marker: u128::from_le_bytes(marker.ok_or_else(|| corrupt(MARKER))?),
        servers: servers.ok_or_else(|| corrupt(SERVERS))?,
    })
}
