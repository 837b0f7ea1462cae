//! A subject's rows, by the index on `subject`.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use trivium_codec::RowKey;
use trivium_store::{Error, SubjectPage, Subjects, erase::check_subject};

use crate::{
    DynamoStore,
    item::{Item, PK, SK, SUBJECT, corrupt, row_key, text},
    store::{Failure, Pauses},
    table::SUBJECT_INDEX,
};

/// Keys in one page. Only keys are in the index, so that a page stays far below 1 MB.
const PAGE_KEYS_MAX: i32 = 500;

#[async_trait]
impl Subjects for DynamoStore {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        check_subject(subject)?;
        let start = after.map(|after| {
            let key = RowKey::from_bytes(after.as_bytes());
            let key = key.map_err(|_| Error::Invalid("that is no `next` of a page".to_owned()))?;
            let mut start = row_key(&key);
            start.insert(SUBJECT.to_owned(), text(subject));
            Ok::<Item, Error>(start)
        });
        let start = start.transpose()?;
        let inner = &*self.0;
        let end = inner.end_of(None);
        let mut pauses = Pauses::until(end);
        loop {
            let request = inner
                .client
                .query()
                .table_name(&inner.options.table)
                .index_name(SUBJECT_INDEX)
                .key_condition_expression(format!("{SUBJECT} = :subject"))
                .expression_attribute_values(":subject", text(subject))
                .limit(PAGE_KEYS_MAX)
                .set_exclusive_start_key(start.clone());
            match inner.send(end, request.send()).await.map_err(Failure::of_read) {
                Ok(answer) => {
                    let keys: Result<Vec<RowKey>, Error> =
                        answer.items.unwrap_or_default().iter().map(key_of).collect();
                    let next = answer.last_evaluated_key.as_ref().map(key_of).transpose()?;
                    let next = next.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
                    return Ok(SubjectPage { keys: keys?, next });
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
