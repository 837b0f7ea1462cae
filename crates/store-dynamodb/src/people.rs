//! Subjects' tombstones, and whose rows stand where.
//!
//! A tombstone is an item of its own: partition key `#subject/` and the subject, sort key `t/` (and what of
//! a long subject finds no room in the partition key). While it is open it has the attribute `subject` with
//! a value that no subject may have, so that the index of subjects lists the open ones, and only these.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use trivium_codec::RowKey;
use trivium_model::Timestamp;
use trivium_store::{
    Error, OpenPage, SubjectRow, SubjectStore, SubjectTombstone,
    erase::{check_subject, check_swap},
};

use crate::{
    DynamoStore,
    expression::{Expression, number},
    item::{Item, PK, SK, SUBJECT, Stored, binary, corrupt, primary_key, required, text},
    store::{Failure, Inner, Pauses},
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
const JOB: &str = "tombstone_job";
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

impl Inner {
    /// One transaction checks one tombstone, which stands in one table: while rows may be in two, nobody is
    /// erased, and no row of a person written.
    pub(crate) fn has_people(&self) -> Result<(), Error> {
        match &self.second {
            None => Ok(()),
            Some(_) => Err(Error::Unavailable(
                "rows of persons cannot be written, nor erased, by a node whose table is being replaced \
                 (`dynamodb.moving_to`)"
                    .to_owned(),
            )),
        }
    }

    pub(crate) async fn tombstone(
        &self,
        subject: &str,
        end: std::time::Instant,
    ) -> Result<Option<SubjectTombstone>, Error> {
        check_subject(subject)?;
        let item = self.get_item(tombstone_key(subject), end).await?;
        item.as_ref().map(tombstone_of).transpose()
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
        self.0.has_people()?;
        let mut condition = Expression::default();
        match expected {
            None => condition.when(format!("attribute_not_exists({PK})")),
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

    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        let start = after.map(|after| {
            let mut start = tombstone_key(after);
            start.insert(SUBJECT.to_owned(), text(OPEN));
            start
        });
        let inner = &*self.0;
        let end = inner.end_of(None);
        let mut pauses = Pauses::until(end);
        loop {
            let request = inner
                .first
                .client
                .query()
                .table_name(&inner.first.options.table)
                .index_name(SUBJECT_INDEX)
                .key_condition_expression(format!("{SUBJECT} = :subject"))
                .expression_attribute_values(":subject", text(OPEN))
                .limit(PAGE_MAX)
                .set_exclusive_start_key(start.clone());
            match inner.first.send(end, request.send()).await.map_err(Failure::of_read) {
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
