//! What only SQLite needs: opening the file, its settings, its guards.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, Row, any::AnyPoolOptions};
use trivium_registry::Error;

use crate::{
    error::{describe, is_busy},
    schema,
};

const GUARDS: &str = include_str!("../migrations/sqlite_guards.sql");

/// Marks the file as ours (`TRIV`), so that another program's database is never taken for a registry.
const APPLICATION_ID: i64 = 0x5452_4956;

/// Between two tries to switch a new file to the write-ahead log.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How the SQLite file is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteOptions {
    /// Connections at most. Readers never wait for the writer; writers take turns.
    pub connections_max: u32,
    /// How long a writer waits for its turn, in milliseconds, until it is told to retry.
    pub busy_timeout_ms: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { connections_max: 4, busy_timeout_ms: 10_000 }
    }
}

/// Opens the file, creating it and its folder, and brings its schema up to date.
pub(crate) async fn connect(path: &Path, options: &SqliteOptions) -> Result<AnyPool, Error> {
    sqlx::any::install_default_drivers();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::Unavailable(format!("the folder {} cannot be made: {error}", folder.display()))
        })?;
    }
    let path = std::path::absolute(path)
        .map_err(|error| Error::Invalid(format!("{} is no path: {error}", path.display())))?;
    let url = url(&path, "mode=rwc")?;
    // The first connection outside the pool, which would try again until its timeout and then
    // forget what was wrong.
    let mut first =
        AnyConnection::connect(&url).await.map_err(|error| at(&path, describe(error)))?;
    let ready = prepare(&mut first, options.busy_timeout_ms).await;
    first.close().await.map_err(|error| at(&path, describe(error)))?;
    ready.map_err(|error| at(&path, error))?;

    let busy_timeout_ms = options.busy_timeout_ms;
    AnyPoolOptions::new()
        .max_connections(options.connections_max.max(1))
        // Longer than a writer's wait: what is reported is that the database was busy.
        .acquire_timeout(Duration::from_millis(u64::from(busy_timeout_ms) + 5_000))
        .after_connect(move |connection, _| Box::pin(set(connection, busy_timeout_ms)))
        .connect(&url)
        .await
        .map_err(|error| at(&path, describe(error)))
}

/// Opens an existing file for reads alone.
pub(crate) async fn read(path: &Path) -> Result<AnyPool, Error> {
    sqlx::any::install_default_drivers();
    let path = std::path::absolute(path)
        .map_err(|error| Error::Invalid(format!("{} is no path: {error}", path.display())))?;
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    // Without a write-ahead log nobody has it open, or nobody has written yet, and SQLite need not
    // make the files through which several share one. With a log, only it knows the newest rows.
    let has_log = std::fs::metadata(&log).is_ok_and(|about| about.len() > 0);
    let options = if has_log { "mode=ro" } else { "mode=ro&immutable=true" };
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .connect(&url(&path, options)?)
        .await
        .map_err(|error| at(&path, describe(error)))?;
    let application: i64 = sqlx::query("SELECT application_id FROM pragma_application_id")
        .fetch_one(&pool)
        .await
        .and_then(|row| row.try_get("application_id"))
        .map_err(|error| at(&path, describe(error)))?;
    if application != APPLICATION_ID {
        let what = "the file is another program's, not a registry".to_owned();
        return Err(at(&path, Error::Invalid(what)));
    }
    Ok(pool)
}

/// The settings that hold for one connection.
async fn set(connection: &mut AnyConnection, busy_timeout_ms: u32) -> Result<(), sqlx::Error> {
    // The timeout first: even the switch to the write-ahead log takes a lock.
    // FULL: an acknowledged apply survives a power cut, not only a crash.
    let settings = format!(
        "PRAGMA busy_timeout = {busy_timeout_ms}; PRAGMA journal_mode = WAL; \
         PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    );
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(settings))).await?;
    Ok(())
}

/// The same for the first connection, which may be one of several that switch a new file to the
/// write-ahead log: there SQLite says that it is busy without waiting, lest two wait for each other.
async fn set_first(
    connection: &mut AnyConnection,
    busy_timeout_ms: u32,
) -> Result<(), sqlx::Error> {
    let give_up = Instant::now() + Duration::from_millis(u64::from(busy_timeout_ms));
    loop {
        match set(connection, busy_timeout_ms).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn prepare(connection: &mut AnyConnection, busy_timeout_ms: u32) -> Result<(), Error> {
    set_first(connection, busy_timeout_ms).await.map_err(describe)?;
    // Before the lock: nobody waits while this reads.
    check(connection).await?;
    // Takes the write lock at once: two processes that open a new file take turns.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(describe)?;
    let pragma = sqlx::query("SELECT application_id, (SELECT COUNT(*) FROM sqlite_master) AS tables FROM pragma_application_id")
        .fetch_one(&mut *transaction)
        .await
        .map_err(describe)?;
    let application: i64 = pragma.try_get("application_id").map_err(describe)?;
    let tables: i64 = pragma.try_get("tables").map_err(describe)?;
    match (application, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => {
            let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(mark))
                .execute(&mut *transaction)
                .await
                .map_err(describe)?;
        }
        _ => {
            return Err(Error::Invalid(
                "the file is another program's SQLite database, not a registry".to_owned(),
            ));
        }
    }
    schema::migrate(&mut transaction).await?;
    sqlx::raw_sql(GUARDS).execute(&mut *transaction).await.map_err(describe)?;
    transaction.commit().await.map_err(describe)
}

/// Reads every table but the partitions' records once: damage to definitions is found at the start,
/// not when a view is missed. Those tables have kilobytes to a few megabytes. The records grow by some
/// 10 KB a partition, without end, and nothing but lists is made of them: damage there is told by the
/// list that meets it.
async fn check(connection: &mut AnyConnection) -> Result<(), Error> {
    let found = sqlx::query(
        "SELECT damage.quick_check AS verdict
         FROM sqlite_master AS tables, pragma_quick_check(tables.name) AS damage
         WHERE (SELECT application_id FROM pragma_application_id) = $1
           AND tables.type = 'table' AND tables.name <> 'partition_record'
           AND damage.quick_check <> 'ok'
         LIMIT 1",
    )
    .bind(APPLICATION_ID)
    .fetch_optional(connection)
    .await
    .map_err(describe)?;
    let Some(row) = found else { return Ok(()) };
    let verdict: String = row.try_get("verdict").map_err(describe)?;
    Err(Error::Corrupt(format!("{verdict}; restore the file from a backup")))
}

/// Names the file in an error about it.
fn at(path: &Path, error: Error) -> Error {
    let file = path.display();
    match error {
        Error::Invalid(what) => Error::Invalid(format!("{file}: {what}")),
        Error::Unavailable(what) => Error::Unavailable(format!("{file}: {what}")),
        Error::Corrupt(what) => Error::Corrupt(format!("{file}: {what}")),
        other @ (Error::Conflict { .. } | Error::NotFound(_)) => other,
    }
}

/// The file as a URL: the only form in which the driver takes it.
fn url(path: &Path, options: &str) -> Result<String, Error> {
    let text = path.to_str().ok_or_else(|| {
        Error::Invalid(format!("{} is not UTF-8, which SQLite's driver needs", path.display()))
    })?;
    let mut url = "sqlite://".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push('?');
    url.push_str(options);
    Ok(url)
}
