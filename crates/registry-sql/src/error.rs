//! What a database says, as the registry's callers would act on it.

use trivium_registry::Error;

/// SQLite's result codes for damaged data, without the extended part: `CORRUPT`, `NOTADB`.
const SQLITE_DAMAGED: [i64; 2] = [11, 26];
/// `BUSY`, `LOCKED`, `NOMEM`, `READONLY`, `IOERR`, `FULL`, `CANTOPEN`, `PROTOCOL`: the place, not the data.
const SQLITE_AWAY: [i64; 8] = [5, 6, 7, 8, 10, 13, 14, 15];

/// `BUSY`: another connection has the lock.
const SQLITE_BUSY: i64 = 5;

/// SQLite's result code, without the extended part.
fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<i64> {
    let code = error.code()?.parse::<i64>().ok()?;
    Some(code & 0xff)
}

/// Whether another connection had SQLite's lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| sqlite_code(error) == Some(SQLITE_BUSY))
}

/// The registry's error for what went wrong in the database.
pub(crate) fn describe(error: sqlx::Error) -> Error {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(ref database) => {
            match sqlite_code(&**database) {
                Some(code) if SQLITE_DAMAGED.contains(&code) => Error::Corrupt(format!(
                    "{}; restore the file from a backup",
                    database.message()
                )),
                Some(code) if SQLITE_AWAY.contains(&code) => {
                    Error::Unavailable(database.message().to_owned())
                }
                // A constraint that a checked apply cannot break, or a table that is gone.
                _ => Error::Corrupt(text),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Error::Unavailable(text),
        sqlx::Error::Configuration(_) => Error::Invalid(text),
        _ => Error::Corrupt(text),
    }
}
