//! Leases: who reads which shard, and how far it has been read. One item of a DynamoDB table a shard.
//!
//! Every write is conditional. Who takes a lease makes its *epoch* one greater; who has it can renew it,
//! and move its checkpoint, only under the epoch that it took it with. So a worker that wakes up after
//! its lease went to another moves nothing.
//!
//! # Positions
//!
//! A row's place is (event time, sequence): of two rows of an entity the later event time wins, and only
//! where event times are equal does the sequence decide. The sequence is the message's *position*, a
//! count: the first message of a shard without known parents has the position after the microsecond at
//! which its lease was made, each further one a position one greater, messages of an aggregate one each.
//! The lease keeps the checkpoint's position beside its sequence number, in one write.
//!
//! - *The same message has the same position whoever reads it, however often*: all readers get a shard's
//!   messages in one order, and begin with (sequence number, position) of one checkpoint. So a batch that
//!   is written again after a crash, and what a zombie writes, is superseded by itself.
//! - *Within a shard positions grow*, by counting. Nothing is asked of Kinesis' sequence numbers, which
//!   have some 186 bits and no documented form, but that they name where to go on.
//! - *A child's positions are above its parents'*: its lease is made once all its parents' have ended,
//!   and begins with the greatest of their last positions. All workers read the same there, and the
//!   first to write makes the lease.
//! - *A lease table that was lost begins above what was before*: the count began at a microsecond, and
//!   no shard brings a million messages a second.
//!
//! Where messages have expired unread, the count goes on from the checkpoint; what a zombie has read of
//! them may stand above it, for rows of one event time.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
        ScalarAttributeType, TableStatus,
    },
};
use trivium_ingest::port::Partition;
use trivium_model::Timestamp;

use crate::{Error, client::told};

const STREAM: &str = "stream";
const SHARD: &str = "shard";
const OWNER: &str = "owner";
const EPOCH: &str = "epoch";
const RENEWALS: &str = "renewals";
const CHECKPOINT: &str = "checkpoint";
const POSITION: &str = "position";
const READ_UNTIL: &str = "read_until";
const PARENTS: &str = "parents";
const ENDED: &str = "ended";

type Item = HashMap<String, AttributeValue>;

/// Up to where a shard's messages are durable or dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Kinesis' number of the last record that is done with; none yet: the shard's oldest is the next.
    pub sequence: Option<String>,
    /// The position of that record's last message, or that before the first.
    pub position: u64,
    /// Nothing that arrived before this is still to be read.
    pub read_until: Timestamp,
}

/// A shard's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub partition: Partition,
    /// Who has it.
    pub owner: Option<String>,
    /// How often it has been taken.
    pub epoch: u64,
    /// How often it has been written.
    pub renewals: u64,
    pub checkpoint: Checkpoint,
    /// The shards whose messages came before.
    pub parents: Vec<String>,
    /// Everything has been read, and nothing will come.
    pub ended: bool,
}

/// The table could not be asked, or its answer did not come: what was written may be there or not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the leases in the DynamoDB table `{table}`: {why}")]
pub(crate) struct TableError {
    table: String,
    why: String,
}

/// The table of leases.
#[derive(Debug, Clone)]
pub(crate) struct LeaseTable {
    client: Client,
    table: String,
    /// What this worker is called in leases.
    me: String,
}

/// What a write of a lease's owner says beside that it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes on.
    Keep,
    /// It gives the lease back.
    Release,
    /// The shard has been read to its end.
    End,
}

impl LeaseTable {
    pub fn new(client: Client, table: &str, me: &str) -> Self {
        Self { client, table: table.to_owned(), me: me.to_owned() }
    }

    pub fn me(&self) -> &str {
        &self.me
    }

    fn failed(&self, why: impl Into<String>) -> TableError {
        TableError { table: self.table.clone(), why: why.into() }
    }

    fn sdk<E, R>(&self, error: &SdkError<E, R>) -> TableError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        self.failed(told(error))
    }

    /// The outcome of a conditional write: whether its condition held.
    fn held<T, E, R>(&self, answer: Result<T, SdkError<E, R>>) -> Result<Option<T>, TableError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(None),
            Err(error) => Err(self.sdk(&error)),
        }
    }

    /// Makes the table where it is not there; false: it is not ready yet. Another table of this name is
    /// an error that does not pass.
    pub async fn prepare(&self) -> Result<bool, Error> {
        let described = self.client.describe_table().table_name(&self.table).send().await;
        let table = match described {
            Ok(answer) => answer.table,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(Error::Away(self.sdk(&error).to_string())),
        };
        let Some(table) = table else {
            self.create_table().await?;
            return Ok(false);
        };
        let key: Vec<(&str, &KeyType)> =
            table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
        if key != [(STREAM, &KeyType::Hash), (SHARD, &KeyType::Range)] {
            let why =
                format!("the DynamoDB table `{}` is no table of leases; name another", self.table);
            return Err(Error::Option { option: "lease_table", why });
        }
        Ok(matches!(table.table_status(), Some(TableStatus::Active | TableStatus::Updating)))
    }

    async fn create_table(&self) -> Result<(), Error> {
        let built = |error: aws_sdk_dynamodb::error::BuildError| Error::Failed(error.to_string());
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [(STREAM, KeyType::Hash), (SHARD, KeyType::Range)] {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build();
            request = request
                .key_schema(key.map_err(built)?)
                .attribute_definitions(attribute.map_err(built)?);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // Another worker makes it at this moment.
            Err(error) if code(&error) == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(Error::Away(self.sdk(&error).to_string())),
        }
    }

    /// All leases of a stream, as they are now.
    pub async fn load(&self, stream: &str) -> Result<Vec<Lease>, TableError> {
        let mut leases = Vec::new();
        let mut from: Option<Item> = None;
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("#s = :s")
                .expression_attribute_names("#s", STREAM)
                .expression_attribute_values(":s", text(stream))
                .set_exclusive_start_key(from);
            let answer = request.send().await.map_err(|error| self.sdk(&error))?;
            for item in answer.items() {
                leases.push(lease(item).map_err(|why| self.failed(why))?);
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(leases);
            }
        }
    }

    /// Makes a lease, where there is none; false: somebody has.
    pub async fn create(&self, lease: &Lease) -> Result<bool, TableError> {
        let mut item = key(&lease.partition);
        item.insert(EPOCH.to_owned(), number(lease.epoch));
        item.insert(RENEWALS.to_owned(), number(lease.renewals));
        item.insert(POSITION.to_owned(), number(lease.checkpoint.position));
        item.insert(READ_UNTIL.to_owned(), number(lease.checkpoint.read_until.0));
        if let Some(sequence) = &lease.checkpoint.sequence {
            item.insert(CHECKPOINT.to_owned(), text(sequence));
        }
        if !lease.parents.is_empty() {
            item.insert(PARENTS.to_owned(), AttributeValue::Ss(lease.parents.clone()));
        }
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#s)")
            .expression_attribute_names("#s", STREAM);
        Ok(self.held(request.send().await)?.is_some())
    }

    /// Takes a lease as it was seen; none: it is not as it was.
    pub async fn take(&self, seen: &Lease) -> Result<Option<Lease>, TableError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&seen.partition)))
            .update_expression("SET #o = :me, #e = #e + :one, #r = #r + :one")
            .condition_expression("#e = :e AND #r = :r AND attribute_not_exists(#end)")
            .expression_attribute_names("#o", OWNER)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_names("#r", RENEWALS)
            .expression_attribute_names("#end", ENDED)
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":e", number(seen.epoch))
            .expression_attribute_values(":r", number(seen.renewals))
            .return_values(ReturnValue::AllNew);
        let Some(answer) = self.held(request.send().await)? else { return Ok(None) };
        let item = answer.attributes.ok_or_else(|| self.failed("an answer without the item"))?;
        lease(&item).map(Some).map_err(|why| self.failed(why))
    }

    /// Renews a lease and moves its checkpoint; false: it is another's, or ended. A write that comes
    /// late, after its answer was given up, moves nothing back.
    pub async fn keep(
        &self,
        partition: &Partition,
        epoch: u64,
        checkpoint: &Checkpoint,
        after: After,
    ) -> Result<bool, TableError> {
        let mut set = "SET #r = #r + :one, #p = :p, #u = :u".to_owned();
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(partition)))
            .condition_expression(
                "#o = :me AND #e = :e AND #p <= :p AND attribute_not_exists(#end)",
            )
            .expression_attribute_names("#o", OWNER)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_names("#r", RENEWALS)
            .expression_attribute_names("#p", POSITION)
            .expression_attribute_names("#u", READ_UNTIL)
            .expression_attribute_names("#end", ENDED)
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":e", number(epoch))
            .expression_attribute_values(":p", number(checkpoint.position))
            .expression_attribute_values(":u", number(checkpoint.read_until.0));
        if let Some(sequence) = &checkpoint.sequence {
            set.push_str(", #c = :c");
            request = request
                .expression_attribute_names("#c", CHECKPOINT)
                .expression_attribute_values(":c", text(sequence));
        }
        if after == After::End {
            set.push_str(", #end = :end");
            request = request.expression_attribute_values(":end", AttributeValue::Bool(true));
        }
        if after != After::Keep {
            set.push_str(" REMOVE #o");
        }
        Ok(self.held(request.update_expression(set).send().await)?.is_some())
    }

    /// Says of a shard that is gone from its stream that nothing more comes from it; false: its lease is
    /// not as it was seen.
    pub async fn end(&self, seen: &Lease) -> Result<bool, TableError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&seen.partition)))
            .update_expression("SET #end = :end, #e = #e + :one, #r = #r + :one REMOVE #o")
            .condition_expression("#e = :e AND #r = :r")
            .expression_attribute_names("#o", OWNER)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_names("#r", RENEWALS)
            .expression_attribute_names("#end", ENDED)
            .expression_attribute_values(":end", AttributeValue::Bool(true))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":e", number(seen.epoch))
            .expression_attribute_values(":r", number(seen.renewals));
        Ok(self.held(request.send().await)?.is_some())
    }

    /// Removes a lease that has ended.
    pub async fn delete(&self, partition: &Partition) -> Result<(), TableError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(partition)))
            .condition_expression("#end = :end")
            .expression_attribute_names("#end", ENDED)
            .expression_attribute_values(":end", AttributeValue::Bool(true));
        self.held(request.send().await).map(drop)
    }
}

/// How long the table may take to be made.
pub(crate) const PREPARE_PAUSE: Duration = Duration::from_millis(500);

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn key(partition: &Partition) -> Item {
    let entries = [(STREAM, &partition.topic), (SHARD, &partition.name)];
    entries.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect()
}

fn lease(item: &Item) -> Result<Lease, String> {
    let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let of = |name: &str| string(name).ok_or_else(|| format!("an item has no `{name}`"));
    let partition =
        Partition { topic: of(STREAM)?.as_str().into(), name: of(SHARD)?.as_str().into() };
    let number = |name: &str| {
        let number = item.get(name).and_then(|value| value.as_n().ok());
        number.ok_or_else(|| format!("the item of {partition} has no number `{name}`"))
    };
    let count = |name: &str| {
        let number = number(name)?;
        number.parse::<u64>().map_err(|_| format!("`{name}` of {partition} is {number}"))
    };
    let read_until = number(READ_UNTIL)?;
    let read_until = read_until
        .parse::<i64>()
        .map_err(|_| format!("`{READ_UNTIL}` of {partition} is {read_until}"))?;
    Ok(Lease {
        owner: string(OWNER).cloned(),
        epoch: count(EPOCH)?,
        renewals: count(RENEWALS)?,
        checkpoint: Checkpoint {
            sequence: string(CHECKPOINT).cloned(),
            position: count(POSITION)?,
            read_until: Timestamp(read_until),
        },
        parents: item
            .get(PARENTS)
            .and_then(|value| value.as_ss().ok())
            .cloned()
            .unwrap_or_default(),
        ended: matches!(item.get(ENDED), Some(AttributeValue::Bool(true))),
        partition,
    })
}
