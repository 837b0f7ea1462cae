//! The registry in SQL: SQLite embedded.
//!
//! # Layout
//! `registry_head` has one row, the head revision. `registry_revision` has one row an apply;
//! `feature_view` and `feature_service` have one row for each accepted form of a version, keyed by
//! (namespace, name, version, revision); `audit` has one row a change. All but the head are written
//! once; on SQLite triggers refuse anything else. `erasure_order` has one row an erasure that the offline
//! store has to carry out, `partition_record` one a recorded revision of a published partition; no
//! revision of the definitions knows of them.
//!
//! # The atomic step
//! An apply is one transaction. Its first statement moves the head from the planned revision to the
//! next one and takes the write lock doing so; if it moves no row, another apply came first. A crash
//! leaves the transaction in the write-ahead log without its commit: the next open drops it.
//!
//! # What is stored
//! The author's texts, byte for byte, and never the parsed form: JSON has no NaN and no 128-bit
//! integers, and what a field means is decided in one place, the config parser. The price: the
//! parser has to go on reading what it once accepted. Stricter rules therefore belong to the
//! project's checks, which only look at what is planned, or to a new `format`, which each row names.
//! A text that cannot be read any more is an error that names it, never a missing view.
//!
//! SQL is the portable subset (`$n` parameters, BIGINT and TEXT); what only SQLite needs is in
//! `sqlite.rs`.

mod error;
mod orders;
mod partitions;
mod rows;
mod schema;
mod sqlite;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use sqlx::{Any, AnyPool, Row, Transaction};
use tokio::sync::Mutex;
use trivium_model::{ServiceRef, Timestamp, ViewRef};
use trivium_registry::{
    Apply, AuditAction, AuditEntry, AuditFilter, Error, History, Registry, Revision, Snapshot,
    StoredService, StoredView, port::AUDIT_LIMIT_MAX,
};

use crate::error::describe;

pub use schema::SCHEMA_VERSION;
pub use sqlite::SqliteOptions;

/// The config format that accepted texts are stored with. See the crate's header.
const CONFIG_FORMAT: i64 = 1;

/// A registry in a SQL database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqlRegistry {
    pool: AnyPool,
    /// What was read already. Rows never change, so only newer ones are read again.
    history: Arc<Mutex<History>>,
}

impl SqlRegistry {
    /// Opens the SQLite file, creating it and its folder if they are not there.
    pub async fn open_sqlite(path: &Path, options: &SqliteOptions) -> Result<Self, Error> {
        let pool = sqlite::connect(path, options).await?;
        Ok(Self { pool, history: Arc::default() })
    }

    /// Opens an existing file for reads alone: nothing is made, brought up to date or folded, not
    /// even beside it, so a checkout that cannot be written will do. It must not outlive a moment:
    /// where the file was closed cleanly, it is read as one that nobody changes.
    pub async fn read_sqlite(path: &Path) -> Result<Self, Error> {
        let pool = sqlite::read(path).await?;
        Ok(Self { pool, history: Arc::default() })
    }

    /// Waits until all connections are closed; a clean end folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Brings the history up to the head and lets `read` look at it.
    async fn with_history<T>(
        &self,
        read: impl FnOnce(&History) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let mut history = self.history.lock().await;
        // The head first: every row up to it was committed with it or before.
        let head = self.head().await?;
        if head < history.head() {
            tracing::warn!(
                head = head.0,
                known = history.head().0,
                "the registry went back, as if restored from a backup; reading it anew"
            );
            *history = History::default();
        }
        if head > history.head() {
            let views = rows::views(&self.pool, history.head(), head).await?;
            let services = rows::services(&self.pool, history.head(), head).await?;
            history.extend(head, views, services)?;
        }
        read(&history)
    }
}

#[async_trait]
impl Registry for SqlRegistry {
    async fn head(&self) -> Result<Revision, Error> {
        let row = sqlx::query("SELECT revision FROM registry_head WHERE only_row = 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(describe)?
            .ok_or_else(|| Error::Corrupt("the head revision is missing".to_owned()))?;
        rows::revision(row.try_get::<i64, _>("revision").map_err(describe)?)
    }

    async fn snapshot(&self, at: Option<Revision>) -> Result<Snapshot, Error> {
        self.with_history(|history| history.snapshot(at)).await
    }

    async fn apply(&self, change: Apply) -> Result<Revision, Error> {
        change.check()?;
        let (base, revision) = (change.base, change.base.next());
        let number = i64::try_from(revision.0)
            .map_err(|_| Error::Invalid(format!("revision {} is too large", base.0)))?;
        let mut transaction = self.pool.begin().await.map_err(describe)?;
        let moved = sqlx::query(
            "UPDATE registry_head SET revision = $1 WHERE only_row = 1 AND revision = $2",
        )
        .bind(number)
        .bind(number - 1)
        .execute(&mut *transaction)
        .await
        .map_err(describe)?;
        if moved.rows_affected() != 1 {
            transaction.rollback().await.map_err(describe)?;
            return Err(Error::Conflict { planned: base, current: self.head().await? });
        }
        write(&mut transaction, number, change).await.map_err(describe)?;
        transaction.commit().await.map_err(describe)?;
        Ok(revision)
    }

    async fn view_history(&self, view: &ViewRef) -> Result<Vec<StoredView>, Error> {
        self.with_history(|history| history.view(view)).await
    }

    async fn service_history(&self, service: &ServiceRef) -> Result<Vec<StoredService>, Error> {
        self.with_history(|history| history.service(service)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        let since = i64::try_from(filter.since.0).unwrap_or(i64::MAX);
        // An empty subject is none: names are never empty.
        let found = sqlx::query(
            "SELECT a.revision, a.ordinal, a.action, a.subject, a.detail, r.author, r.at_micros, r.reason
             FROM audit a JOIN registry_revision r ON r.revision = a.revision
             WHERE a.revision >= $1 AND ($2 = '' OR a.subject = $2)
             ORDER BY a.revision, a.ordinal LIMIT $3",
        )
        .bind(since)
        .bind(filter.subject.clone().unwrap_or_default())
        .bind(i64::from(filter.limit.min(AUDIT_LIMIT_MAX)))
        .fetch_all(&self.pool)
        .await
        .map_err(describe)?;
        found.iter().map(rows::audit).collect()
    }
}

/// Writes everything of one revision but the head.
async fn write(
    transaction: &mut Transaction<'_, Any>,
    revision: i64,
    change: Apply,
) -> Result<(), sqlx::Error> {
    let Apply { base: _, author, reason, at: Timestamp(at), views, services, audit } = change;
    sqlx::query(
        "INSERT INTO registry_revision (revision, author, at_micros, reason) VALUES ($1, $2, $3, $4)",
    )
    .bind(revision)
    .bind(author)
    .bind(at)
    .bind(reason)
    .execute(&mut **transaction)
    .await?;
    for (view, config_text, sql_text) in views {
        sqlx::query(
            "INSERT INTO feature_view (namespace, name, version, revision, format, config_text, sql_text)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(view.namespace.as_str().to_owned())
        .bind(view.name.as_str().to_owned())
        .bind(i64::from(view.version))
        .bind(revision)
        .bind(CONFIG_FORMAT)
        .bind(config_text)
        .bind(sql_text)
        .execute(&mut **transaction)
        .await?;
    }
    for (service, config_text) in services {
        sqlx::query(
            "INSERT INTO feature_service (namespace, name, version, revision, format, config_text)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(service.namespace.as_str().to_owned())
        .bind(service.name.as_str().to_owned())
        .bind(i64::from(service.version))
        .bind(revision)
        .bind(CONFIG_FORMAT)
        .bind(config_text)
        .execute(&mut **transaction)
        .await?;
    }
    for (ordinal, AuditAction { action, subject, detail }) in (0i64..).zip(audit) {
        sqlx::query(
            "INSERT INTO audit (revision, ordinal, action, subject, detail) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(revision)
        .bind(ordinal)
        .bind(action)
        .bind(subject)
        .bind(detail)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}
