//! Why a store cannot be used at all.

/// Setting up failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option that cannot work.
    #[error("the DynamoDB store's option `{option}` cannot work: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why, and what would.
        why: String,
    },
    /// The table is not there.
    #[error("the DynamoDB table `{table}` does not exist; create it with `init`, or set `table`")]
    NoTable {
        /// Its name.
        table: String,
    },
    /// The table is there, and another than this store needs.
    #[error(
        "the DynamoDB table `{table}` is not one that Trivium made: {}; name another table, or mend this one",
        wrong.join("; ")
    )]
    Schema {
        /// Its name.
        table: String,
        /// All that is wrong.
        wrong: Vec<String>,
    },
    /// The table did not become ready in time.
    #[error("the DynamoDB table `{table}` was not ready in time; try again")]
    NotReady {
        /// Its name.
        table: String,
    },
    /// The table's rows are being moved, or have been, and not as these options say.
    #[error("the DynamoDB table `{table}`: {why}")]
    Migration {
        /// Its name.
        table: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// DynamoDB refused or did not answer.
    #[error("DynamoDB could not be asked about the table `{table}`")]
    Store {
        /// Its name.
        table: String,
        /// Why.
        source: trivium_store::Error,
    },
}
