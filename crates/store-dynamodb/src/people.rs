//! Subjects' tombstones, and whose rows stand where.
//!
//! A tombstone is an item of its own: partition key `#subject/` and the subject, sort key `t/` (and what of
//! a long subject finds no room in the partition key). While it is open it has the attribute `subject` with
//! a value that no subject may have, so that the index of subjects lists the open ones, and only these.

use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Bar, Error, OpenPage, SubjectRow, SubjectStore, SubjectTombstone,
    erase::{check_subject, check_swap},
};

use crate::{
    DynamoStore,
    expression::{Expression, number},
    fence::seconds_from_now,
    item::{
        self, EXPIRES_AT, Item, PK, SK, SUBJECT, Stored, binary, corrupt, primary_key, required,
        text,
    },
    step::when_here,
    store::{Failure, Inner, Pauses, Table},
    subjects::SECOND,
    table::SUBJECT_INDEX,
};

const TOMBSTONE_PK: &str = "#subject/";
const TOMBSTONE_SK: &str = "t/";
/// So much of a subject stands in the partition key; the rest fits the sort key.
const IN_PK_BYTES_MAX: usize = 1_900;
/// The `subject` of open tombstones.
const OPEN: &str = "#open";
pub(crate) const UP_TO: &str = "erased_up_to";
/// How many times the subject has been erased; of a row: before it was put.
pub(crate) const ERASURES: &str = "erasures";
const VERSION: &str = "tombstone_version";
pub(crate) const JOB: &str = "tombstone_job";
const PAGE_MAX: i32 = 100;

/// The primary key of a subject's tombstone.
pub(crate) fn tombstone_key(subject: &str) -> Item {
    let (head, rest) = subject.split_at(subject.floor_char_boundary(IN_PK_BYTES_MAX));
    primary_key(&format!("{TOMBSTONE_PK}{head}"), &format!("{TOMBSTONE_SK}{rest}"))
}

fn subject_of(item: &Item) -> Result<String, Error> {
    let (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) = (item.get(PK), item.get(SK))
    else {
        return Err(corrupt(PK));
    };
    match (pk.strip_prefix(TOMBSTONE_PK), sk.strip_prefix(TOMBSTONE_SK)) {
        (Some(head), Some(rest)) => Ok(format!("{head}{rest}")),
        _ => Err(corrupt(PK)),
    }
}

fn tombstone_of(item: &Item) -> Result<SubjectTombstone, Error> {
    let job = match item.get(JOB) {
        None => Bytes::new(),
        Some(AttributeValue::B(blob)) => Bytes::copy_from_slice(blob.as_ref()),
        Some(_) => return Err(corrupt(JOB)),
    };
    Ok(SubjectTombstone {
        up_to: Timestamp(required(item, UP_TO)?),
        erasure: required(item, ERASURES)?,
        version: required(item, VERSION)?,
        is_open: item.contains_key(SUBJECT),
        job,
    })
}

/// What stands for a tombstone while it is made in a table that items are moving out of, and while a row of
/// the subject is put there: it says that nobody has made one elsewhere. To every reader it is none.
pub(crate) fn stub(subject: &str, grace_seconds: u64) -> Item {
    let mut stub = tombstone_key(subject);
    stub.insert(EXPIRES_AT.to_owned(), number(seconds_from_now(grace_seconds)));
    stub
}

/// The tombstone, if the item is more than a stub.
pub(crate) fn tombstone_in(item: Option<&Item>) -> Result<Option<SubjectTombstone>, Error> {
    item.filter(|item| item.contains_key(VERSION)).map(tombstone_of).transpose()
}

/// The item at the tombstone's place still is what was read there: so is the subject's tombstone, wherever it
/// may have gone since. What is staged says nothing, and of what has moved only a marker is left.
pub(crate) fn when_met(check: &mut Expression, read: Option<&Item>, bar: Option<Bar>) {
    match (read, bar) {
        (None, _) => return check.when(format!("attribute_not_exists({PK})")),
        (Some(_), None) => {
            check.when(format!("attribute_exists({PK})"));
            check.when(format!("attribute_not_exists({ERASURES})"));
        }
        (Some(_), Some(bar)) => {
            let (erasures, up_to) = (check.number(bar.erasure), check.number(bar.up_to.0));
            check.when(format!("{ERASURES} = {erasures}"));
            check.when(format!("{UP_TO} = {up_to}"));
        }
    }
    when_here(check);
}

impl Inner {
    pub(crate) async fn tombstone(
        &self,
        subject: &str,
        end: Instant,
    ) -> Result<Option<SubjectTombstone>, Error> {
        check_subject(subject)?;
        let item = self.get_item(tombstone_key(subject), end).await?;
        tombstone_in(item.as_ref())
    }

    /// Whether the item is a row that an erasure under way is to delete. Such a row must not be handed over any more: the
    /// index of the table it comes to would show it later than an erasure waits. To be asked when the copy stands
    /// there already: then either the index was told before the tombstone came, or this says so.
    pub(crate) async fn is_of_before(
        &self,
        item: &Item,
        end: Instant,
    ) -> Result<Option<Bar>, Error> {
        let subject = match item.get(SUBJECT) {
            Some(AttributeValue::S(subject)) if subject != OPEN => subject,
            _ => return Ok(None),
        };
        let Some(tombstone) = self.tombstone(subject, end).await? else { return Ok(None) };
        let put_under: u64 = item::number(item, ERASURES)?.unwrap_or(0);
        // What an erasure that is over has left, another one will find.
        Ok((tombstone.is_open && put_under < tombstone.erasure).then(|| tombstone.bar()))
    }
}

#[async_trait]
impl SubjectStore for DynamoStore {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        let row_of = |stored: Stored| {
            let is_theirs = stored.subject.as_deref() == Some(subject);
            let stamp = stored.stamp.filter(|stamp| is_theirs && !stamp.deleted);
            stamp.map(|stamp| SubjectRow { stamp, erasure: stored.erasure })
        };
        let found = self.0.read(keys, None).await;
        found.into_iter().map(|stored| stored.map(row_of)).collect()
    }

    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.0.tombstone(subject, self.0.end_of(None)).await
    }

    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        check_subject(subject)?;
        check_swap(expected, new)?;
        let mut condition = Expression::default();
        match expected {
            // A stub may stand there.
            None => condition.when(format!("attribute_not_exists({VERSION})")),
            Some(old) => {
                let version = condition.number(old.version);
                condition.when(format!("{VERSION} = {version}"));
            }
        }
        let mut item = tombstone_key(subject);
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        set(UP_TO, number(new.up_to.0));
        set(ERASURES, number(new.erasure));
        set(VERSION, number(new.version));
        if !new.job.is_empty() {
            set(JOB, binary(new.job.to_vec()));
        }
        if new.is_open {
            set(SUBJECT, text(OPEN));
        }
        self.0.put_item(item, condition, self.0.end_of(None)).await
    }

    /// Of both tables, where there are two. What is staged is in the index too: so each is looked at.
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        let inner = &*self.0;
        let end = inner.end_of(None);
        let Some(second) = &inner.second else { return inner.first.open_page(after, end).await };
        let in_second = after.and_then(|after| after.strip_prefix(SECOND));
        let mut page = match in_second {
            None => inner.first.open_page(after, end).await?,
            Some(after) => {
                second.open_page(Some(after).filter(|after| !after.is_empty()), end).await?
            }
        };
        page.next = match (in_second, page.next) {
            (Some(_), next) => next.map(|next| format!("{SECOND}{next}")),
            (None, None) => Some(SECOND.to_owned()),
            (None, next) => next,
        };
        let mut open = Vec::with_capacity(page.subjects.len());
        for subject in page.subjects {
            if inner.tombstone(&subject, end).await?.is_some_and(|found| found.is_open) {
                open.push(subject);
            }
        }
        page.subjects = open;
        Ok(page)
    }
}

impl Table {
    async fn open_page(&self, after: Option<&str>, end: Instant) -> Result<OpenPage, Error> {
        let start = after.map(|after| {
            let mut start = tombstone_key(after);
            start.insert(SUBJECT.to_owned(), text(OPEN));
            start
        });
        let mut pauses = Pauses::until(end);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.options.table)
                .index_name(SUBJECT_INDEX)
                .key_condition_expression(format!("{SUBJECT} = :subject"))
                .expression_attribute_values(":subject", text(OPEN))
                .limit(PAGE_MAX)
                .set_exclusive_start_key(start.clone());
            match self.send(end, request.send()).await.map_err(Failure::of_read) {
                Ok(answer) => {
                    let items = answer.items.unwrap_or_default();
                    let subjects: Result<Vec<String>, Error> =
                        items.iter().map(subject_of).collect();
                    let next = answer.last_evaluated_key.as_ref().map(subject_of).transpose()?;
                    return Ok(OpenPage { subjects: subjects?, next });
                }
                Err(error) if !error.is_retryable() || !pauses.sleep().await => return Err(error),
                Err(_) => {}
            }
        }
    }
}
