//! The indexes of embeddings that the config names: one, or two while one takes the other's place.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trivium_api::ApiError;
use trivium_index_opensearch::{Credentials, OpenSearchIndex, Options};
use trivium_runtime::Kind;
use trivium_serving::Definitions;
use trivium_store::{
    EmbeddingIndex, Error, Metered,
    embedding::{Checked, IndexSpec, MovingIndex},
};

use trivium_node::Followed;

use crate::Config;

/// Who OpenSearch is told that a node is, from the environment.
const USER: &str = "OPENSEARCH_USERNAME";
const PASSWORD: &str = "OPENSEARCH_PASSWORD";
/// How long a look at one index may take.
const INDEX_TIME_MAX: Duration = Duration::from_secs(30);
/// What the metrics call it.
const METERED: &str = "opensearch";

/// The indexes. Making them asks nobody.
pub struct Indexes {
    first: OpenSearchIndex,
    second: Option<Second>,
}

/// The ones that take their place.
struct Second {
    index: OpenSearchIndex,
    /// The config says that searches may ask it.
    is_complete: bool,
}

/// The indexes of the config. `None`: it names none.
pub fn open(config: &Config) -> Result<Option<Indexes>, ApiError> {
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
    let index = |options: Options| {
        OpenSearchIndex::new(options, credentials.clone()).map_err(|error| of_index(&error))
    };
    let first = index(options.clone())?;
    let is_complete = options.moving_to.as_ref().is_some_and(|second| second.complete);
    let second = match options.of_second() {
        Some(options) => Some(Second { index: index(options)?, is_complete }),
        None => None,
    };
    Ok(Some(Indexes { first, second }))
}

impl Indexes {
    /// What serving works on.
    pub fn into_port(self) -> Arc<dyn EmbeddingIndex> {
        match self.second {
            None => Arc::new(Metered::new(METERED, self.first)),
            Some(Second { index, is_complete: false }) => {
                Arc::new(Metered::new(METERED, MovingIndex::new(self.first, index)))
            }
            Some(Second { index, is_complete: true }) => {
                let pair = MovingIndex::checked(index, self.first, is_found_complete);
                Arc::new(Metered::new(METERED, pair))
            }
        }
    }

    /// Refuses a switch to indexes that nothing was copied to. Ones that cannot be asked are asked again by
    /// the first search.
    pub async fn check_switch(&self) -> Result<(), ApiError> {
        let Some(Second { index, is_complete: true }) = &self.second else { return Ok(()) };
        match index.is_complete(&self.first).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ApiError::new(Kind::FailedPrecondition, NOT_COMPLETE)
                .at("opensearch.moving_to.complete")
                .help("set it once `stores migrate index verify` has said so; docs/serving.md, \"Replacing a store\"")),
            Err(error) => {
                tracing::warn!(%error, "whether all embeddings have been copied cannot be asked yet");
                Ok(())
            }
        }
    }

    /// Both, in the order of the config.
    pub const fn pair(&self) -> Option<(&OpenSearchIndex, &OpenSearchIndex)> {
        match &self.second {
            Some(second) => Some((&self.first, &second.index)),
            None => None,
        }
    }
}

const NOT_COMPLETE: &str = "these indexes have not been found to hold all that `opensearch` holds: searches would miss documents";

/// The config says that the second one is complete. Searches ask it only if a comparison said so too.
fn is_found_complete<'a>(second: &'a OpenSearchIndex, first: &'a OpenSearchIndex) -> Checked<'a> {
    Box::pin(async move {
        if second.is_complete(first).await? {
            return Ok(());
        }
        Err(Error::Unavailable(format!("opensearch.moving_to.complete: {NOT_COMPLETE}")))
    })
}

/// The definitions that the registry has now: which embedding features there are.
pub async fn definitions(config: &Config) -> Result<Definitions, ApiError> {
    let snapshot = Followed::begin(&config.registry).await?.watch().current();
    Definitions::from_snapshot(&snapshot)
        .map_err(|error| ApiError::new(Kind::DataLoss, error.to_string()))
}

/// What a failure of one feature's index means to whoever typed the command.
pub fn of_feature(spec: &IndexSpec, error: &Error) -> ApiError {
    let kind = match error {
        Error::Invalid(_) => Kind::FailedPrecondition,
        _ => Kind::Unavailable,
    };
    ApiError::new(kind, format!("{spec}: {error}"))
        .at("opensearch")
        .help(format!("look at `opensearch.endpoint`, {USER} and {PASSWORD}"))
}

/// Makes or checks the indexes of all definitions that the registry has now.
pub async fn look(config: &Config, makes: bool) -> Result<Option<String>, ApiError> {
    let Some(indexes) = open(config)? else { return Ok(None) };
    let definitions = definitions(config).await?;
    let mut count = 0;
    for spec in definitions.indexes() {
        let second = indexes.second.as_ref().map(|second| &second.index);
        for (index, section) in
            [(Some(&indexes.first), "opensearch"), (second, "opensearch.moving_to")]
        {
            let Some(index) = index else { continue };
            let deadline = Instant::now().checked_add(INDEX_TIME_MAX);
            let refused = |error: Error| of_feature(spec, &error).at(section);
            if !makes && !index.is_there(spec, deadline).await.map_err(refused)? {
                return Err(ApiError::new(
                    Kind::FailedPrecondition,
                    format!("the embedding index of {spec} does not exist"),
                )
                .at(section)
                .help(
                    "make it with `trivium-serving stores init --config FILE`, or start a node",
                ));
            }
            index.ensure(spec, deadline).await.map_err(refused)?;
        }
        count += 1;
    }
    indexes.check_switch().await?;
    let mut said = format!("OpenSearch: the indexes of {count} embedding features are right");
    if indexes.second.is_some() {
        said.push_str("\nOpenSearch: so are those of `opensearch.moving_to`");
    }
    Ok(Some(said))
}

/// What a failure of the index means to whoever typed the command.
pub fn of_index(error: &trivium_index_opensearch::Error) -> ApiError {
    use trivium_index_opensearch::Error;
    match error {
        Error::Option { option, why } => {
            ApiError::invalid(why.clone()).at(format!("opensearch.{option}"))
        }
        Error::Client(_) => ApiError::internal(error.to_string()).at("opensearch"),
    }
}
