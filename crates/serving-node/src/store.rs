//! The stores that the config names.

use std::time::Duration;

use trivium_api::ApiError;
use trivium_cache_valkey::ValkeyCache;
use trivium_runtime::Kind;
use trivium_store_dynamodb::DynamoStore;

use crate::{Config, index};

/// How long a look at Valkey waits for its connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// The table. Asks nobody yet.
pub fn table(config: &Config) -> Result<DynamoStore, ApiError> {
    DynamoStore::new(config.dynamodb.clone()).map_err(|error| of_table(&error))
}

/// The cache, which connects in the background. `None`: the config names none.
pub fn cache(config: &Config) -> Result<Option<ValkeyCache>, ApiError> {
    let Some(options) = &config.valkey else { return Ok(None) };
    ValkeyCache::connect(options.clone()).map(Some).map_err(|error| of_cache(&error))
}

/// Makes what is not there, and says what there is.
pub async fn init(config: &Config) -> Result<String, ApiError> {
    table(config)?.init().await.map_err(|error| of_table(&error))?;
    look(config, true).await
}

/// Looks whether the stores are as they must be.
pub async fn check(config: &Config) -> Result<String, ApiError> {
    look(config, false).await
}

async fn look(config: &Config, makes: bool) -> Result<String, ApiError> {
    check_table(&table(config)?).await?;
    let table = &config.dynamodb.table;
    let mut said = format!("DynamoDB: the table `{table}`, its index and its expiry are right");
    if let Some(second) = &config.dynamodb.moving_to {
        said.push_str(&format!("\nDynamoDB: so are those of `{}`, to move to", second.table));
    }
    if let Some(cache) = cache(config)? {
        if !cache.wait(CONNECT_TIME_MAX).await {
            let servers = cache.options().servers.join(", ");
            return Err(ApiError::new(Kind::Unavailable, format!("no answer from {servers}"))
                .at("valkey.servers")
                .help("start Valkey, or look at VALKEY_USERNAME and VALKEY_PASSWORD; nodes serve without it until then, from the table"));
        }
        cache.check().await.map_err(|error| of_cache(&error))?;
        said.push_str("\nValkey: can be used as the cache");
    }
    if let Some(indexes) = index::look(config, makes).await? {
        said.push('\n');
        said.push_str(&indexes);
    }
    Ok(said)
}

/// Looks whether the table is there and right.
pub async fn check_table(table: &DynamoStore) -> Result<(), ApiError> {
    table.check().await.map_err(|error| of_table(&error))
}

/// What a failure of the table means to whoever typed the command.
pub fn of_table(error: &trivium_store_dynamodb::Error) -> ApiError {
    use trivium_store_dynamodb::Error;
    match error {
        Error::Option { option, why } => {
            ApiError::invalid(why.clone()).at(format!("dynamodb.{option}"))
        }
        Error::NoTable { table } => ApiError::new(
            Kind::FailedPrecondition,
            format!("the DynamoDB table `{table}` does not exist"),
        )
        .at("dynamodb.table")
        .help("make it with `trivium-serving stores init --config FILE`, or name another"),
        Error::Schema { .. } => {
            ApiError::new(Kind::FailedPrecondition, error.to_string()).at("dynamodb.table")
        }
        Error::Migration { .. } => {
            ApiError::new(Kind::FailedPrecondition, error.to_string())
                .at("dynamodb.table")
                .help("docs/serving.md, \"Replacing a store\", says which configs may run when")
        }
        Error::NotReady { .. } => {
            ApiError::new(Kind::Unavailable, error.to_string()).at("dynamodb.table")
        }
        Error::Store { source, .. } => {
            ApiError::new(Kind::Unavailable, format!("{error}: {source}"))
                .at("dynamodb")
                .help("look at `dynamodb.endpoint`, `dynamodb.region`, and the credentials in the environment")
        }
    }
}

/// What a failure of the cache means to whoever typed the command.
pub fn of_cache(error: &trivium_cache_valkey::Error) -> ApiError {
    use trivium_cache_valkey::Error;
    match error {
        Error::Option { option, why } => {
            ApiError::invalid(why.clone()).at(format!("valkey.{option}"))
        }
        Error::Server { .. } => {
            ApiError::new(Kind::FailedPrecondition, error.to_string()).at("valkey.servers")
        }
        Error::Cache { source } => {
            ApiError::new(Kind::Unavailable, format!("{error}: {source}")).at("valkey.servers")
        }
    }
}
