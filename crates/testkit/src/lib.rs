//! Real servers for tests: DynamoDB Local, OpenSearch, Valkey, Kafka and kinesalite, as
//! `scripts/setup-stores` installed them.
//!
//! Each runs on a free loopback port in a temporary folder, and ends with the value that started it,
//! or with the test process, however that ends (a `static` is never dropped, a killed process drops
//! nothing): a small shell watches a pipe that only the test process holds, and ends the server, by
//! its pid, when the pipe closes. A server that is not installed is an error that says what to run:
//! a test that was asked for never skips itself.

mod dynamodb;
mod error;
mod kafka;
mod kinesis;
mod opensearch;
mod process;
mod proxy;
mod resp;
mod valkey;
mod wire;

pub use dynamodb::DynamoDb;
pub use error::Error;
pub use kafka::Kafka;
pub use kinesis::Kinesis;
pub use opensearch::OpenSearch;
pub use process::Server;
pub use proxy::{Proxy, Verdict};
pub use valkey::{Valkey, ValkeyCluster};

#[cfg(test)]
mod tests;
