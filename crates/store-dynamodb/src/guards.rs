//! Where rows that are not there are made while their table is being replaced.
//!
//! Whoever makes an item makes it in the store's first table, as a stub or as a marker, in a transaction
//! that checks a *guard*: an item of the same table that says which of the two. So a store that has not
//! heard of a migration yet cannot leave a row where the migration has already looked. Every key has one
//! of [`SHARDS`] guards, since transactions that check one item throw each other back.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, ConditionCheck, Put, ReturnValue, TransactWriteItem},
};
use sha2::{Digest as _, Sha256};
use trivium_store::Error;

use crate::{
    expression::Expression,
    item::{Item, PK, SK, corrupt, primary_key, required, text},
    migrate::MIGRATION_PK,
    step::Updated,
    store::{Failure, Table},
};

pub(crate) const SHARDS: u8 = 64;
const GENERATION: &str = "generation";
const CREATES: &str = "creates";

/// Where the first table's items are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creates {
    First,
    /// A marker in the first table, then the item in the second.
    Second,
    /// The migration runs between the same tables, but for stores that name the other one first.
    Nowhere,
}

/// One guard as it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    /// 0: there is no such item; there has never been a migration.
    pub(crate) generation: u64,
    pub(crate) creates: Creates,
}

impl Guard {
    const NONE: Self = Self { generation: 0, creates: Creates::First };

    fn of(item: &Item) -> Result<Self, Error> {
        let creates = match item.get(CREATES) {
            Some(AttributeValue::S(word)) => match word.as_str() {
                "first" => Creates::First,
                "second" => Creates::Second,
                "nowhere" => Creates::Nowhere,
                _ => return Err(corrupt(CREATES)),
            },
            _ => return Err(corrupt(CREATES)),
        };
        Ok(Self { generation: required(item, GENERATION)?, creates })
    }

    fn word(self) -> &'static str {
        match self.creates {
            Creates::First => "first",
            Creates::Second => "second",
            Creates::Nowhere => "nowhere",
        }
    }

    /// The guard stands as it is known here.
    fn when_is(self, expression: &mut Expression) {
        if self.generation == 0 {
            return expression.when(format!("attribute_not_exists({PK})"));
        }
        let generation = expression.number(self.generation);
        let word = expression.value(text(self.word()));
        expression.when(format!("{GENERATION} = {generation} AND {CREATES} = {word}"));
    }
}

/// How an item was made, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Done,
    /// Something else stands there by now.
    Taken,
    /// The guard is another one by now.
    Outdated,
}

/// What a store knows of the guards. It may be out of date: the transaction says so.
#[derive(Debug)]
pub(crate) struct Guards(Mutex<[Option<Guard>; SHARDS as usize]>);

impl Default for Guards {
    fn default() -> Self {
        Self(Mutex::new([None; SHARDS as usize]))
    }
}

impl Guards {
    /// The guard of a key.
    pub(crate) async fn of(&self, table: &Table, key: &Item, end: Instant) -> Result<Guard, Error> {
        let shard = shard_of(key)?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(shard)];
        if let Some(guard) = known {
            return Ok(guard);
        }
        let guard = table.guard(shard, end).await?;
        self.set(shard, Some(guard));
        Ok(guard)
    }

    pub(crate) fn forget(&self, key: &Item) -> Result<(), Error> {
        self.set(shard_of(key)?, None);
        Ok(())
    }

    fn set(&self, shard: u8, guard: Option<Guard>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known[usize::from(shard)] = guard;
    }
}

impl Table {
    async fn guard(&self, shard: u8, end: Instant) -> Result<Guard, Error> {
        let item = self.get_item(guard_key(shard), end).await?;
        item.as_ref().map_or(Ok(Guard::NONE), Guard::of)
    }

    /// Makes the item if there is none and the guard is this one.
    pub(crate) async fn make(&self, item: Item, guard: Guard, end: Instant) -> Result<Made, Error> {
        let mut is_known = Expression::default();
        guard.when_is(&mut is_known);
        let mut is_free = Expression::default();
        is_free.when(format!("attribute_not_exists({PK})"));
        self.put_guarded(item, is_free, is_known, end).await
    }

    /// Puts the item where its place is as it must be, by a migration that is the newest.
    pub(crate) async fn put_of_generation(
        &self,
        item: Item,
        must: Expression,
        generation: u64,
        end: Instant,
    ) -> Result<Made, Error> {
        let mut is_newest = Expression::default();
        let generation = is_newest.number(generation);
        is_newest.when(format!("{GENERATION} = {generation}"));
        self.put_guarded(item, must, is_newest, end).await
    }

    /// One transaction, sent once: the item, and a look at its guard.
    async fn put_guarded(
        &self,
        item: Item,
        must: Expression,
        guard: Expression,
        end: Instant,
    ) -> Result<Made, Error> {
        let invalid =
            |error: aws_sdk_dynamodb::error::BuildError| Error::Invalid(error.to_string());
        let check = ConditionCheck::builder()
            .table_name(&self.options.table)
            .set_key(Some(guard_key(shard_of(&item)?)))
            .set_condition_expression(guard.condition())
            .set_expression_attribute_values(guard.into_values())
            .build()
            .map_err(invalid)?;
        let put = Put::builder()
            .table_name(&self.options.table)
            .set_item(Some(item))
            .set_condition_expression(must.condition())
            .set_expression_attribute_values(must.into_values())
            .build()
            .map_err(invalid)?;
        let request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .transact_items(TransactWriteItem::builder().put(put).build());
        match self.send(end, request.send()).await {
            Ok(_) => Ok(Made::Done),
            Err(Failure::Sdk(error)) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    let failed = |place: usize| {
                        canceled.cancellation_reasons().get(place).and_then(|reason| reason.code())
                            == Some("ConditionalCheckFailed")
                    };
                    match (failed(0), failed(1)) {
                        (true, _) => Ok(Made::Outdated),
                        (_, true) => Ok(Made::Taken),
                        // Refused all the same: other transactions, or too many.
                        _ => {
                            Err(Error::Throttled(format!("a transaction was canceled: {canceled}")))
                        }
                    }
                }
                _ => Err(Failure::Sdk(error).of_write()),
            },
            Err(failure) => Err(failure.of_write()),
        }
    }

    /// Brings a guard to this generation, if it is not there or beyond.
    pub(crate) async fn raise_guard(
        &self,
        shard: u8,
        to: Guard,
        end: Instant,
    ) -> Result<(), Error> {
        let mut update = Expression::default();
        let generation = update.number(to.generation);
        // The same generation twice: a migration that is finished settles what it had begun.
        update.when(format!("attribute_not_exists({PK}) OR {GENERATION} <= {generation}"));
        update.set_to(GENERATION, &generation);
        update.set(CREATES, text(to.word()));
        match self.update(guard_key(shard), update, ReturnValue::None, end).await? {
            Updated::Done(_) => Ok(()),
            // No use in trying it again.
            Updated::Refused(_) => {
                Err(Error::Invalid("a newer migration of the table has begun meanwhile".to_owned()))
            }
        }
    }
}

fn guard_key(shard: u8) -> Item {
    primary_key(MIGRATION_PK, &format!("guard#{shard:02}"))
}

fn shard_of(key: &Item) -> Result<u8, Error> {
    let mut digest = Sha256::new();
    for name in [PK, SK] {
        match key.get(name) {
            Some(AttributeValue::S(text)) => digest.update(text.as_bytes()),
            _ => return Err(corrupt(name)),
        }
    }
    Ok(digest.finalize()[0] % SHARDS)
}
