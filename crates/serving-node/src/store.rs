//! The stores that the config names.

use std::time::Duration;

use trivium_api::ApiError;
use trivium_cache_valkey::ValkeyCache;
use trivium_index_opensearch::{Credentials, OpenSearchIndex};
use trivium_runtime::Kind;
use trivium_serving::Definitions;
use trivium_store::EmbeddingIndex as _;
use trivium_store_dynamodb::DynamoStore;

use crate::{Config, definitions::Followed};

/// Who OpenSearch is told that a node is, from the environment.
const USER: &str = "OPENSEARCH_USERNAME";
const PASSWORD: &str = "OPENSEARCH_PASSWORD";
/// How long a look at one index may take.
const INDEX_TIME_MAX: Duration = Duration::from_secs(30);
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

/// The index of embeddings. Asks nobody yet. `None`: the config names none.
pub fn index(config: &Config) -> Result<Option<OpenSearchIndex>, ApiError> {
    let Some(options) = &config.opensearch else { return Ok(None) };
    let variable = |name: &'static str| match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(ApiError::invalid("its value is not UTF-8").at(name))
        }
    };
    let credentials = match (variable(USER)?, variable(PASSWORD)?) {
        (Some(user), Some(password)) => Some(Credentials::Basic(user, password)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(ApiError::invalid("a user name and a password belong together")
                .at(USER)
                .help(format!("set both {USER} and {PASSWORD}, or neither")));
        }
    };
    OpenSearchIndex::new(options.clone(), credentials).map(Some).map_err(|error| of_index(&error))
}

/// Makes or checks the indexes of all definitions that the registry has now.
async fn indexes(config: &Config, makes: bool) -> Result<Option<String>, ApiError> {
    let Some(index) = index(config)? else { return Ok(None) };
    let snapshot = Followed::begin(config).await?.watch().current();
    let definitions = Definitions::from_snapshot(&snapshot)
        .map_err(|error| ApiError::new(Kind::DataLoss, error.to_string()))?;
    let mut count = 0;
    for spec in definitions.indexes() {
        let deadline = std::time::Instant::now().checked_add(INDEX_TIME_MAX);
        let refused = |error: trivium_store::Error| {
            let kind = match error {
                trivium_store::Error::Invalid(_) => Kind::FailedPrecondition,
                _ => Kind::Unavailable,
            };
            ApiError::new(kind, format!("{spec}: {error}"))
                .at("opensearch")
                .help(format!("look at `opensearch.endpoint`, {USER} and {PASSWORD}"))
        };
        if !makes && !index.is_there(spec, deadline).await.map_err(refused)? {
            return Err(ApiError::new(
                Kind::FailedPrecondition,
                format!("the embedding index of {spec} does not exist"),
            )
            .at("opensearch")
            .help("make it with `trivium-serving stores init --config FILE`, or start a node"));
        }
        index.ensure(spec, deadline).await.map_err(refused)?;
        count += 1;
    }
    Ok(Some(format!("OpenSearch: the indexes of {count} embedding features are right")))
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
                .help("start Valkey; nodes serve without it until then, from the table"));
        }
        cache.check().await.map_err(|error| of_cache(&error))?;
        said.push_str("\nValkey: can be used as the cache");
    }
    if let Some(indexes) = indexes(config, makes).await? {
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

fn of_index(error: &trivium_index_opensearch::Error) -> ApiError {
    use trivium_index_opensearch::Error;
    match error {
        Error::Option { option, why } => {
            ApiError::invalid(why.clone()).at(format!("opensearch.{option}"))
        }
        Error::Client(_) => ApiError::internal(error.to_string()).at("opensearch"),
    }
}

fn of_cache(error: &trivium_cache_valkey::Error) -> ApiError {
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
