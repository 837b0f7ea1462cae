//! What a database says, as the registry's callers would act on it.

use trivium_registry::Error;

/// SQLite's result codes for damaged data, without the extended part: `CORRUPT`, `NOTADB`.
const SQLITE_DAMAGED: [i64; 2] = [11, 26];
/// `BUSY`, `LOCKED`, `NOMEM`, `READONLY`, `IOERR`, `FULL`, `CANTOPEN`, `PROTOCOL`: the place, not the data.
const SQLITE_AWAY: [i64; 8] = [5, 6, 7, 8, 10, 13, 14, 15];

/// The registry's error for what went wrong in the database.
pub(crate) fn describe(error: sqlx::Error) -> Error {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(ref database) => {
            let code =
                database.code().and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff);
            match code {
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
