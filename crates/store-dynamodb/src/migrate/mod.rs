//! Replacing the table: its items move to another one, one by one, while both are served. Why this is
//! right, and what each step is for: `docs/decisions/0010-replacing-a-store.md`.
//!
//! A [`Migrator`] is stateless: what it has to know stands in the tables, so that it may die anywhere and
//! be started again, several times at once too.

mod item;
mod record;
mod verify;
mod walk;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use trivium_store::Error as StoreError;

pub(crate) use item::Brought;
pub use verify::Verified;

use crate::{
    DynamoStore, Error,
    guards::{Creates, Guard, SHARDS},
    store::{Inner, Table, repeat},
};
use record::{Phase, Record, Role};

/// The partition of all that migrations keep in a table. It does not move.
pub(crate) const MIGRATION_PK: &str = "#migration";
const GUARDS_IN_FLIGHT_MAX: usize = 16;

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has been moved between these two tables.
    Prepared,
    /// Items are moving; every node has to know both tables.
    Moving,
    /// All items have moved; nodes may know the destination alone.
    Settled,
}

/// A migration as the tables tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Grows with every migration, and with every change of direction.
    pub generation: u64,
    /// How far it is.
    pub state: State,
    /// `region/table` of where items come from.
    pub from: String,
    /// `region/table` of where they go.
    pub to: String,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, state, from, to } = self;
        match state {
            State::Prepared => write!(f, "prepared: nothing has been moved from {from} to {to}"),
            State::Moving => write!(f, "moving from {from} to {to} (generation {generation})"),
            State::Settled => {
                write!(f, "settled: all has moved from {from} to {to} (generation {generation})")
            }
        }
    }
}

/// How fast items are moved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// At most so many items a second are looked at; `None`: as fast as it goes.
    pub items_per_second: Option<NonZeroU32>,
}

/// What a copying has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Items looked at, in both tables.
    pub seen: u64,
    /// Items handed over.
    pub moved: u64,
    /// Rows that are about to be erased, and do not move: the next copying finds them gone.
    pub waiting: u64,
}

/// Moves the items of a store with [`Options::moving_to`](crate::Options::moving_to).
#[derive(Debug, Clone)]
pub struct Migrator {
    store: DynamoStore,
}

impl DynamoStore {
    /// A migrator between the store's two tables; `None`: it has one.
    pub fn migrator(&self) -> Option<Migrator> {
        self.0.second.as_ref().map(|_| Migrator { store: self.clone() })
    }
}

/// A migration between two tables of a store, in one direction.
pub(crate) struct Way<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) generation: u64,
    pub(crate) from: &'a Table,
    pub(crate) to: &'a Table,
    /// Where the marks of this migration are counted from.
    pub(crate) first: &'a Table,
}

impl Migrator {
    fn inner(&self) -> &Arc<Inner> {
        &self.store.0
    }

    fn tables(&self) -> Result<(&Table, &Table), Error> {
        let inner = self.inner();
        match &inner.second {
            Some(second) => Ok((&inner.first, second)),
            None => Err(self.wrong("its options name no table to move to".to_owned())),
        }
    }

    fn wrong(&self, why: String) -> Error {
        Error::Migration { table: self.inner().options.table.clone(), why }
    }

    fn failed(&self, source: StoreError) -> Error {
        self.inner().first.failed(source)
    }

    /// How far the migration between the two tables is.
    pub async fn stage(&self) -> Result<Stage, Error> {
        let (first, second) = self.tables()?;
        let record = first.record(self.inner().end_of(None)).await;
        let record = record.map_err(|error| self.failed(error))?;
        let (here, there) = (first.options.identity(), second.options.identity());
        let Some(record) = record.filter(|record| record.other == there) else {
            return Ok(Stage { generation: 0, state: State::Prepared, from: here, to: there });
        };
        let (from, to) = match record.role {
            Role::Source => (here, there),
            Role::Destination => (there, here),
        };
        let state = match record.phase {
            Phase::Moving => State::Moving,
            Phase::Settled => State::Settled,
        };
        Ok(Stage { generation: record.generation, state, from, to })
    }

    /// Lets items move to the second table. Every node has to be configured with both by then. What has
    /// begun already goes on.
    pub async fn start(&self) -> Result<Stage, Error> {
        self.turn(Role::Source).await
    }

    /// Lets items move back into the first table, however far they have come.
    pub async fn back(&self) -> Result<Stage, Error> {
        self.turn(Role::Destination).await
    }

    async fn turn(&self, role: Role) -> Result<Stage, Error> {
        let (first, second) = self.tables()?;
        self.store.init().await?;
        let end = || self.inner().end_of(None);
        let failed = |error| self.failed(error);
        let here = first.record(end()).await.map_err(failed)?;
        let there = second.record(end()).await.map_err(failed)?;
        let (first_id, second_id) = (first.options.identity(), second.options.identity());
        let known = here.as_ref().filter(|record| record.other == second_id);
        if let Some(record) = known
            && record.role == role
        {
            if record.phase == Phase::Settled {
                return Err(
                    self.wrong(format!("{}; there is nothing to move", self.stage().await?))
                );
            }
        } else if known.is_none() && role == Role::Destination {
            return Err(
                self.wrong("nothing has been moved: there is nothing to bring back".to_owned())
            );
        }
        let is_begun = known.is_some_and(|record| record.role == role)
            && there.as_ref().is_some_and(|there| known.is_some_and(|here| here.matches(there)));
        let generation = if is_begun {
            known.map_or(0, |record| record.generation)
        } else {
            let newest =
                [&here, &there].into_iter().flatten().map(|record| record.generation).max();
            let generation = newest.unwrap_or(0).saturating_add(1);
            let record = |role, other| Record { generation, role, phase: Phase::Moving, other };
            let (own, others) = (record(role, second_id), record(role.other(), first_id));
            // The second table's first: nodes that know it alone stop before anything leaves it.
            for (table, old, new) in [(second, &there, &others), (first, &here, &own)] {
                if !table.swap_record(old.as_ref(), new, end()).await.map_err(failed)? {
                    return Err(self.wrong("another migration began at the same time".to_owned()));
                }
            }
            generation
        };
        // From here on, and not before, nothing is made any more where the items come from.
        let creates = match role {
            Role::Source => Creates::Second,
            Role::Destination => Creates::First,
        };
        for (table, creates) in [(second, Creates::Nowhere), (first, creates)] {
            self.raise_guards(table, Guard { generation, creates }).await?;
        }
        self.stage().await
    }

    async fn raise_guards(&self, table: &Table, to: Guard) -> Result<(), Error> {
        let raises = (0..SHARDS).map(async |shard| {
            let end = self.inner().end_of(None);
            repeat(end, || table.raise_guard(shard, to, end)).await
        });
        let raised = stream::iter(raises).buffer_unordered(GUARDS_IN_FLIGHT_MAX).try_collect();
        raised.await.map_err(|error| self.failed(error))
    }

    /// The way that items move now; an error where they do not.
    pub(crate) async fn way(&self) -> Result<Way<'_>, Error> {
        self.tables()?;
        let way = self.inner().way(self.inner().end_of(None)).await;
        let way = way.map_err(|error| self.failed(error))?;
        way.ok_or_else(|| self.wrong("nothing has been begun: `start` does".to_owned()))
    }

    /// Lets nodes know the destination alone, once nothing is left to move.
    pub async fn finish(&self) -> Result<Stage, Error> {
        let verified = self.verify().await?;
        if let Some(why) = verified.problem() {
            return Err(self.wrong(format!("it cannot be finished: {why}")));
        }
        let way = self.way().await?;
        let failed = |error| self.failed(error);
        let end = || self.inner().end_of(None);
        // Whoever begins with that table makes items in it again.
        let guard = Guard { generation: way.generation, creates: Creates::First };
        self.raise_guards(way.to, guard).await?;
        for table in [way.from, way.to] {
            let Some(old) = table.record(end()).await.map_err(failed)? else { continue };
            let new = Record { phase: Phase::Settled, ..old.clone() };
            if old.generation != way.generation
                || !table.swap_record(Some(&old), &new, end()).await.map_err(failed)?
            {
                return Err(self.wrong("another migration began meanwhile".to_owned()));
            }
        }
        self.stage().await
    }
}

impl Inner {
    /// The way that items move now between the two tables; `None`: none do.
    pub(crate) async fn way(&self, end: Instant) -> Result<Option<Way<'_>>, StoreError> {
        let Some(second) = &self.second else { return Ok(None) };
        let record = self.first.record(end).await?;
        let record = record.filter(|record| record.other == second.options.identity());
        Ok(record.map(|record| {
            let (from, to) = match record.role {
                Role::Source => (&self.first, second),
                Role::Destination => (second, &self.first),
            };
            Way { inner: self, generation: record.generation, from, to, first: &self.first }
        }))
    }
}
