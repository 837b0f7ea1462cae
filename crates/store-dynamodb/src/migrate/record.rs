//! What a table says of itself: whether its items are leaving, or have come from elsewhere.

use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use trivium_store::Error;

use super::MIGRATION_PK;
use crate::{
    expression::{Expression, number},
    item::{Item, PK, corrupt, primary_key, required, text},
    step::Updated,
    store::{Inner, Table},
};

const RECORD_SK: &str = "record";
const GENERATION: &str = "generation";
const PART: &str = "migration_part";
const PHASE: &str = "migration_phase";
const OTHER: &str = "other_table";

/// Which end of the migration a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Destination,
}

impl Role {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
    const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Moving,
    Settled,
}

impl Phase {
    const fn word(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Settled => "settled",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// The other table's identity.
    pub(crate) other: String,
}

impl Record {
    /// Whether both are of one migration.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.generation == other.generation && self.role == other.role.other()
    }

    fn of(item: &Item) -> Result<Self, Error> {
        let word = |name: &str| match item.get(name) {
            Some(AttributeValue::S(word)) => Ok(word.as_str()),
            _ => Err(corrupt(name)),
        };
        let role = match word(PART)? {
            "source" => Role::Source,
            "destination" => Role::Destination,
            _ => return Err(corrupt(PART)),
        };
        let phase = match word(PHASE)? {
            "moving" => Phase::Moving,
            "settled" => Phase::Settled,
            _ => return Err(corrupt(PHASE)),
        };
        let generation = required(item, GENERATION)?;
        Ok(Self { generation, role, phase, other: word(OTHER)?.to_owned() })
    }

    fn attributes(&self) -> [(&'static str, AttributeValue); 4] {
        [
            (GENERATION, number(self.generation)),
            (PART, text(self.role.word())),
            (PHASE, text(self.phase.word())),
            (OTHER, text(self.other.as_str())),
        ]
    }
}

impl Table {
    pub(crate) async fn record(&self, end: Instant) -> Result<Option<Record>, Error> {
        let item = self.get_item(primary_key(MIGRATION_PK, RECORD_SK), end).await?;
        item.as_ref().map(Record::of).transpose()
    }

    /// Replaces the record if it still is `old`; tells whether it did.
    pub(crate) async fn swap_record(
        &self,
        old: Option<&Record>,
        new: &Record,
        end: Instant,
    ) -> Result<bool, Error> {
        let mut condition = Expression::default();
        match old {
            None => condition.when(format!("attribute_not_exists({PK})")),
            Some(old) => {
                for (name, value) in old.attributes() {
                    let value = condition.value(value);
                    condition.when(format!("{name} = {value}"));
                }
            }
        }
        let mut item = primary_key(MIGRATION_PK, RECORD_SK);
        item.extend(new.attributes().map(|(name, value)| (name.to_owned(), value)));
        Ok(matches!(self.put(item, condition, end).await?, Updated::Done(_)))
    }

    /// Whether the table holds nothing at all.
    async fn is_empty(&self, end: Instant) -> Result<bool, Error> {
        Ok(self.page(None, 1, end).await?.0.is_empty())
    }
}

impl Inner {
    /// Reads what the table says of itself, and remembers whether rows may be served.
    pub(crate) async fn look_around(&self, end: Instant) -> Result<(), Error> {
        let record = self.first.record(end).await?;
        let why = match (&self.second, &record) {
            (None, None) => None,
            (None, Some(record)) => alone(record),
            (Some(second), Some(record)) if record.other == second.options.identity() => None,
            (Some(_), Some(record)) if alone(record).is_some() => Some(format!(
                "its rows move, or have moved, between it and `{}`, and `dynamodb.moving_to` names another",
                record.other
            )),
            (Some(second), _) => match second.record(end).await? {
                // Begun a moment ago: this table's own record follows.
                Some(other) if other.other == self.options.identity() => None,
                Some(other) => Some(format!(
                    "`dynamodb.moving_to` names a table whose rows move, or have moved, between it and `{}`",
                    other.other
                )),
                None if second.is_empty(end).await? => None,
                None => Some(
                    "`dynamodb.moving_to` names a table that holds rows already: name an empty one, or \
                     exchange the two if they are the wrong way round"
                        .to_owned(),
                ),
            },
        };
        let mut away = self.away.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if away.as_deref() != why.as_deref() {
            if let Some(why) = &why {
                tracing::error!(table = self.options.table, "rows are not served: {why}");
            }
            *away = why.map(Into::into);
        }
        Ok(())
    }
}

/// Why the table must not be served by somebody who knows no other.
fn alone(record: &Record) -> Option<String> {
    let other = &record.other;
    match (record.role, record.phase) {
        (Role::Destination, Phase::Settled) => None,
        (Role::Destination, Phase::Moving) => Some(format!(
            "its rows are still on their way from `{other}`: name that table as `dynamodb.moving_to`, or end \
             the migration with `stores migrate finish`"
        )),
        (Role::Source, Phase::Moving) => Some(format!(
            "its rows are moving to `{other}`: name that table as `dynamodb.moving_to`"
        )),
        (Role::Source, Phase::Settled) => {
            Some(format!("its rows have moved to `{other}`: name that table as `dynamodb.table`"))
        }
    }
}
