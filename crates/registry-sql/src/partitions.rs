//! Records of partitions, beside the definitions.
//!
//! A call is one transaction. Its first statement takes the write lock, so that what is read in it of
//! known revisions stays true until the commit.

use async_trait::async_trait;
use sqlx::{Any, Row as _, Transaction, any::AnyRow};
use trivium_model::Timestamp;
use trivium_registry::{
    Error,
    partition::{
        PARTITIONS_LIMIT_MAX, PartitionFilter, PartitionRecord, Partitions, RecordOutcome,
        Recorded, check_records, other_content,
    },
};

use crate::{SqlRegistry, error::describe};

#[async_trait]
impl Partitions for SqlRegistry {
    async fn record(
        &self,
        records: &[PartitionRecord],
        author: &str,
        at: Timestamp,
    ) -> Result<Vec<RecordOutcome>, Error> {
        check_records(records, author)?;
        let texts: Vec<String> =
            records.iter().map(PartitionRecord::to_text).collect::<Result<_, _>>()?;
        let mut transaction = self.pool.begin().await.map_err(describe)?;
        // Changes nothing; a transaction that began by reading could not become a writer beside another.
        sqlx::query("UPDATE registry_head SET revision = revision WHERE only_row = 1")
            .execute(&mut *transaction)
            .await
            .map_err(describe)?;
        let mut outcomes = Vec::with_capacity(records.len());
        for (record, text) in records.iter().zip(texts) {
            // An error drops the transaction, and all of it.
            outcomes.push(write(&mut transaction, record, text, author, at).await?);
        }
        transaction.commit().await.map_err(describe)?;
        Ok(outcomes)
    }

    async fn partitions(&self, filter: &PartitionFilter) -> Result<Vec<Recorded>, Error> {
        let start = |at: Option<Timestamp>, otherwise| at.map_or(otherwise, |at| at.0);
        let after = filter.after.map_or((i64::MAX, i64::MAX), |place| {
            (place.start.0, i64::try_from(place.revision).unwrap_or(i64::MAX))
        });
        let found = sqlx::query(
            "SELECT p.record, p.author, p.at_micros FROM partition_record p
             WHERE p.namespace = $1 AND p.name = $2 AND p.version = $3
               AND p.start_micros >= $4 AND p.start_micros < $5
               AND (p.start_micros < $6 OR (p.start_micros = $6 AND p.revision < $7))
               AND ($8 = 1 OR NOT EXISTS (
                   SELECT 1 FROM partition_record n
                   WHERE n.namespace = p.namespace AND n.name = p.name AND n.version = p.version
                     AND n.start_micros = p.start_micros AND n.revision > p.revision))
             ORDER BY p.start_micros DESC, p.revision DESC LIMIT $9",
        )
        .bind(filter.view.namespace.as_str().to_owned())
        .bind(filter.view.view.as_str().to_owned())
        .bind(i64::from(filter.view.version))
        .bind(start(filter.from, i64::MIN))
        .bind(start(filter.to, i64::MAX))
        .bind(after.0)
        .bind(after.1)
        .bind(i64::from(filter.all_revisions))
        .bind(i64::from(filter.limit.min(PARTITIONS_LIMIT_MAX)))
        .fetch_all(&self.pool)
        .await
        .map_err(describe)?;
        found.iter().map(recorded).collect()
    }
}

async fn write(
    transaction: &mut Transaction<'_, Any>,
    record: &PartitionRecord,
    text: String,
    author: &str,
    at: Timestamp,
) -> Result<RecordOutcome, Error> {
    let view = &record.view;
    let revision = i64::try_from(record.revision)
        .map_err(|_| Error::Invalid(format!("revision {} is too large", record.revision)))?;
    let (namespace, name) = (view.namespace.as_str().to_owned(), view.view.as_str().to_owned());
    let version = i64::from(view.version);
    let known = sqlx::query(
        "SELECT 1 AS one FROM feature_view WHERE namespace = $1 AND name = $2 AND version = $3 LIMIT 1",
    )
    .bind(namespace.clone())
    .bind(name.clone())
    .bind(version)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(describe)?;
    if known.is_none() {
        return Err(Error::NotFound(format!("feature view `{view}`")));
    }
    let newest = sqlx::query(
        "SELECT revision, content_hash FROM partition_record
         WHERE namespace = $1 AND name = $2 AND version = $3 AND start_micros = $4 AND revision >= $5
         ORDER BY revision LIMIT 1",
    )
    .bind(namespace.clone())
    .bind(name.clone())
    .bind(version)
    .bind(record.start.0)
    .bind(revision)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(describe)?;
    if let Some(row) = newest {
        let found: i64 = row.try_get("revision").map_err(describe)?;
        let hash: String = row.try_get("content_hash").map_err(describe)?;
        return match found == revision {
            true if hash != record.content_hash => Err(other_content(record)),
            true => Ok(RecordOutcome::Unchanged),
            false => Ok(RecordOutcome::Superseded),
        };
    }
    sqlx::query(
        "INSERT INTO partition_record (namespace, name, version, start_micros, revision,
             content_hash, record, author, at_micros)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(namespace)
    .bind(name)
    .bind(version)
    .bind(record.start.0)
    .bind(revision)
    .bind(record.content_hash.clone())
    .bind(text)
    .bind(author.to_owned())
    .bind(at.0)
    .execute(&mut **transaction)
    .await
    .map_err(describe)?;
    Ok(RecordOutcome::Recorded)
}

fn recorded(row: &AnyRow) -> Result<Recorded, Error> {
    let text: String = row.try_get("record").map_err(describe)?;
    Ok(Recorded {
        partition: serde_json::from_str(&text)
            .map_err(|error| Error::Corrupt(format!("a partition's record: {error}")))?,
        author: row.try_get("author").map_err(describe)?,
        at: Timestamp(row.try_get("at_micros").map_err(describe)?),
    })
}
