//! The database's schema: its versions, and how an older one is brought up to date.
//!
//! Migrations only add; each runs once, in one transaction with the others that are due. A database
//! that a newer release has migrated is refused: what that release means by it is not known here.

use sqlx::{Any, Row, Transaction};
use trivium_registry::Error;

use crate::error::describe;

/// The migrations, oldest first; the first is version 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001_registry.sql"),
    include_str!("../migrations/0002_erasure_orders.sql"),
    include_str!("../migrations/0003_partitions.sql"),
];

/// The schema that this release writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the schema up to date. The transaction must hold the database's write lock, so that two
/// processes that open a new database do not both create it.
pub(crate) async fn migrate(transaction: &mut Transaction<'_, Any>) -> Result<(), Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS registry_schema (version BIGINT NOT NULL PRIMARY KEY)",
    )
    .execute(&mut **transaction)
    .await
    .map_err(describe)?;
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) AS version FROM registry_schema")
        .fetch_one(&mut **transaction)
        .await
        .map_err(describe)?;
    let found: i64 = row.try_get("version").map_err(describe)?;
    if found > SCHEMA_VERSION {
        return Err(Error::Invalid(format!(
            "the registry's database has schema {found}, this release knows {SCHEMA_VERSION}: use the release that migrated it, or a newer one"
        )));
    }
    for (version, sql) in (1i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        sqlx::raw_sql(sql).execute(&mut **transaction).await.map_err(describe)?;
        sqlx::query("INSERT INTO registry_schema (version) VALUES ($1)")
            .bind(version)
            .execute(&mut **transaction)
            .await
            .map_err(describe)?;
    }
    Ok(())
}
