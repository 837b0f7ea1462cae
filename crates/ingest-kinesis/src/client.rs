//! The SDK's clients: no retries of their own, plain HTTP unless an endpoint asks for more.

use std::{env, error::Error as _};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::config::{
    Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};

use crate::KinesisOptions;

/// Credentials as the environment has them at the time of asking, so that rotation needs no restart.
#[derive(Debug)]
struct Environment;

impl ProvideCredentials for Environment {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let get = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let found = match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                Ok(Credentials::new(id, secret, get("AWS_SESSION_TOKEN"), None, "environment"))
            }
            _ => Err(CredentialsError::not_loaded(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
            )),
        };
        future::ProvideCredentials::ready(found)
    }
}

/// Both SDKs build their configs by types of their own that are alike.
macro_rules! config {
    ($sdk:ident, $options:expr, $endpoint:expr) => {{
        let credentials = $options
            .credentials
            .clone()
            .unwrap_or_else(|| SharedCredentialsProvider::new(Environment));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout($options.request_time)
            .operation_timeout($options.request_time)
            .build();
        let mut config = $sdk::Config::builder()
            .region(Region::new($options.region.clone()))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = $endpoint {
            config = config.endpoint_url(endpoint);
            if endpoint.starts_with("http://") {
                config = config.http_client(aws_smithy_http_client::Builder::new().build_http());
            }
        }
        $sdk::Client::from_conf(config.build())
    }};
}

pub(crate) fn kinesis(options: &KinesisOptions) -> aws_sdk_kinesis::Client {
    config!(aws_sdk_kinesis, options, &options.endpoint)
}

pub(crate) fn dynamodb(options: &KinesisOptions) -> aws_sdk_dynamodb::Client {
    config!(aws_sdk_dynamodb, options, &options.lease_endpoint)
}

/// What an SDK's error says, in one line.
pub(crate) fn told<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("an error without a code");
        return format!("{code}: {}", service.message().unwrap_or("no message"));
    }
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    said
}
