//! A subject's rows, by the index on `subject`.

use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use trivium_codec::RowKey;
use trivium_store::{Error, SubjectPage, Subjects, erase::check_subject};

use crate::{
    DynamoStore,
    item::{Item, PK, SK, SUBJECT, corrupt, row_key, text},
    marks::is_plain,
    store::{Failure, Inner, Pauses, Table},
    table::SUBJECT_INDEX,
};

/// Keys in one page. Only keys are in the index, so that a page stays far below 1 MB.
const PAGE_KEYS_MAX: i32 = 500;
/// Begins a page's `next` in the second table; no row's key begins so.
pub(crate) const SECOND: &str = "#second";

#[async_trait]
impl Subjects for DynamoStore {
    /// While rows may be in two tables: those of the first one, then those of the second that are not in
    /// the first. A marker has no subject. A row that moves meanwhile is seen in one of them or the other,
    /// unless it moves from the second to the first: whoever erases asks again until nothing is found.
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        check_subject(subject)?;
        let inner = &*self.0;
        inner.may_serve()?;
        let end = inner.end_of(None);
        let in_second = after.and_then(|after| after.strip_prefix(SECOND));
        let (table, after) = match (&inner.second, in_second) {
            (Some(second), Some(after)) => (second, Some(after).filter(|after| !after.is_empty())),
            _ => (&inner.first, after),
        };
        let start = after.map(|after| {
            let key = RowKey::from_bytes(after.as_bytes());
            let key = key.map_err(|_| Error::Invalid("that is no `next` of a page".to_owned()))?;
            let mut start = row_key(&key);
            start.insert(SUBJECT.to_owned(), text(subject));
            Ok::<Item, Error>(start)
        });
        let (mut keys, next) = table.subject_page(subject, start.transpose()?, end).await?;
        let mut next = next.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        if inner.second.is_some() {
            if in_second.is_some() {
                keys = inner.not_in_first(keys, end).await?;
                next = next.map(|next| format!("{SECOND}{next}"));
            } else {
                next = next.or_else(|| Some(SECOND.to_owned()));
            }
        }
        Ok(SubjectPage { keys, next })
    }
}

impl Inner {
    /// Of a page of the second table: what the first one has listed already, or will, stands in both while
    /// it is staged.
    async fn not_in_first(&self, keys: Vec<RowKey>, end: Instant) -> Result<Vec<RowKey>, Error> {
        let found = self.first.read(&keys, Some(end)).await;
        let mut left = Vec::with_capacity(keys.len());
        for (key, item) in keys.into_iter().zip(found) {
            if !item?.as_ref().is_some_and(is_plain) {
                left.push(key);
            }
        }
        Ok(left)
    }
}

impl Table {
    async fn subject_page(
        &self,
        subject: &str,
        start: Option<Item>,
        end: Instant,
    ) -> Result<(Vec<RowKey>, Option<RowKey>), Error> {
        let mut pauses = Pauses::until(end);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.options.table)
                .index_name(SUBJECT_INDEX)
                .key_condition_expression(format!("{SUBJECT} = :subject"))
                .expression_attribute_values(":subject", text(subject))
                .limit(PAGE_KEYS_MAX)
                .set_exclusive_start_key(start.clone());
            match self.send(end, request.send()).await.map_err(Failure::of_read) {
                Ok(answer) => {
                    let keys: Result<Vec<RowKey>, Error> =
                        answer.items.unwrap_or_default().iter().map(key_of).collect();
                    let next = answer.last_evaluated_key.as_ref().map(key_of).transpose()?;
                    return Ok((keys?, next));
                }
                Err(error) if !error.is_retryable() || !pauses.sleep().await => return Err(error),
                Err(_) => {}
            }
        }
    }
}

fn key_of(item: &Item) -> Result<RowKey, Error> {
    match (item.get(PK), item.get(SK)) {
        (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => {
            RowKey::from_bytes(format!("{pk}\0{sk}").as_bytes())
                .map_err(|error| Error::Corrupt(error.to_string()))
        }
        _ => Err(corrupt(PK)),
    }
}
