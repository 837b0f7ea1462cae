//! Checkpoints: a head that is moved by compare-and-set, and, where the value is larger than an item,
//! parts that were written before it.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use trivium_store::{Checkpoints, Error};

use crate::{
    DynamoStore,
    expression::{Expression, number},
    item::{Item, SORT_BYTES_MAX, binary, corrupt, primary_key, required},
    step::when_here,
    store::{Inner, Pauses},
};

const HEAD_PK: &str = "#checkpoint";
const PART_PK: &str = "#checkpoint-part";
/// Random, another one with every store: what the compare-and-set compares.
const GENERATION: &str = "generation";
const PARTS: &str = "parts";
pub(crate) const CONTENT: &str = "content";
const PART_BYTES: usize = 300 * 1024;
/// The largest checkpoint: the embedded store's limit.
const BYTES_MAX: usize = 16 << 20;
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// What a head says.
struct Head {
    generation: u128,
    parts: usize,
    /// The value itself where it has no parts.
    content: Bytes,
}

#[async_trait]
impl Checkpoints for DynamoStore {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        check_name(name)?;
        Ok(self.0.load_whole(name).await?.map(|(_, value)| value))
    }

    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        check_name(name)?;
        if value.len() > BYTES_MAX {
            return Err(Error::Invalid(format!(
                "a checkpoint of {} bytes; the limit is {BYTES_MAX}",
                value.len()
            )));
        }
        let inner = &*self.0;
        let before = inner.load_whole(name).await?;
        if before.as_ref().map(|(_, value)| value.as_ref()) != expected {
            return Ok(false);
        }
        let before = before.map(|(head, _)| head);
        let new = inner.write_parts(value).await?;
        let mut condition = Expression::default();
        match &before {
            None => condition.when(format!("attribute_not_exists({GENERATION})")),
            Some(head) => {
                let generation = condition.value(binary(head.generation.to_le_bytes()));
                condition.when(format!("{GENERATION} = {generation}"));
            }
        }
        let mut item = primary_key(HEAD_PK, name);
        item.insert(GENERATION.to_owned(), binary(new.generation.to_le_bytes()));
        item.insert(PARTS.to_owned(), number(new.parts));
        item.insert(CONTENT.to_owned(), binary(new.content.to_vec()));
        // Where the answer is lost, either generation's parts may be the ones that count: all stay.
        let is_stored = inner.put_item(item, condition, inner.end_of(None)).await?;
        inner.forget_parts(if is_stored { before } else { Some(new) }).await;
        Ok(is_stored)
    }
}

impl Inner {
    async fn load_whole(&self, name: &str) -> Result<Option<(Head, Bytes)>, Error> {
        let end = self.end_of(None);
        let mut pauses = Pauses::until(end);
        loop {
            let Some(item) = self.get_item(primary_key(HEAD_PK, name), end).await? else {
                return Ok(None);
            };
            if !item.contains_key(GENERATION) {
                return Ok(None);
            }
            let head = head_of(&item)?;
            if head.parts == 0 {
                let content = head.content.clone();
                return Ok(Some((head, content)));
            }
            let parts: Vec<Option<Item>> = stream::iter(
                (0..head.parts).map(|part| self.get_item(part_key(head.generation, part), end)),
            )
            .buffered(PARTS_IN_FLIGHT_MAX)
            .try_collect()
            .await?;
            let mut whole = BytesMut::new();
            let mut found = 0;
            for part in parts.iter().flatten() {
                whole.extend_from_slice(content_of(part)?);
                found += 1;
            }
            if found == head.parts {
                return Ok(Some((head, whole.freeze())));
            }
            // The head has moved on meanwhile, and the parts went with it.
            if !pauses.sleep().await {
                return Err(Error::Corrupt(format!(
                    "parts of the checkpoint `{name}` are missing"
                )));
            }
        }
    }

    /// A head for the value; its parts, if it has any, are stored.
    async fn write_parts(&self, value: Bytes) -> Result<Head, Error> {
        let generation = rand::random();
        if value.len() <= PART_BYTES {
            return Ok(Head { generation, parts: 0, content: value });
        }
        let count = value.len().div_ceil(PART_BYTES);
        let end = self.end_of(None);
        let items = (0..count).map(|number| {
            let from = number * PART_BYTES;
            let part = value.slice(from..value.len().min(from + PART_BYTES));
            let mut item = part_key(generation, number);
            item.insert(CONTENT.to_owned(), binary(part.to_vec()));
            let mut condition = Expression::default();
            condition.when(format!("attribute_not_exists({CONTENT})"));
            self.put_item(item, condition, end)
        });
        let _: Vec<bool> =
            stream::iter(items).buffer_unordered(PARTS_IN_FLIGHT_MAX).try_collect().await?;
        Ok(Head { generation, parts: count, content: Bytes::new() })
    }

    /// Removes the parts of a head that is gone, as far as that works: they only cost space.
    async fn forget_parts(&self, head: Option<Head>) {
        let Some(head) = head else { return };
        for part in 0..head.parts {
            for table in [Some(&self.first), self.second.as_ref()].into_iter().flatten() {
                // A marker stays: it says where the part was, and is not.
                let mut condition = Expression::default();
                when_here(&mut condition);
                let key = part_key(head.generation, part);
                if let Err(error) = table.delete(key, condition, self.end_of(None)).await {
                    tracing::debug!(%error, "a part of an old checkpoint stays");
                    return;
                }
            }
        }
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > SORT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a checkpoint's name has 1 to {SORT_BYTES_MAX} bytes, this one {}",
            name.len()
        )));
    }
    Ok(())
}

fn part_key(generation: u128, part: usize) -> Item {
    primary_key(PART_PK, &format!("{generation:032x}#{part:06}"))
}

fn head_of(item: &Item) -> Result<Head, Error> {
    let generation = match item.get(GENERATION) {
        Some(AttributeValue::B(blob)) => <[u8; 16]>::try_from(blob.as_ref()).ok(),
        _ => None,
    };
    Ok(Head {
        generation: u128::from_le_bytes(generation.ok_or_else(|| corrupt(GENERATION))?),
        parts: required(item, PARTS)?,
        content: Bytes::copy_from_slice(content_of(item)?),
    })
}

fn content_of(item: &Item) -> Result<&[u8], Error> {
    match item.get(CONTENT) {
        Some(AttributeValue::B(blob)) => Ok(blob.as_ref()),
        _ => Err(corrupt(CONTENT)),
    }
}
