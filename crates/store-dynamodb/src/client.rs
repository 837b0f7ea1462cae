//! The SDK's client: no retries, plain HTTP unless the endpoint asks for more.

use std::env;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
};

use crate::Options;

/// Credentials as the environment has them at the time of asking, so that rotation needs no restart.
#[derive(Debug)]
pub(crate) struct Environment;

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

pub(crate) fn client(options: &Options, credentials: SharedCredentialsProvider) -> Client {
    // Only the connection's timeout: what an unanswered request means is decided where it is sent.
    let timeouts = TimeoutConfig::builder().connect_timeout(options.connect_timeout()).build();
    let mut config = Config::builder()
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint);
        if endpoint.starts_with("http://") {
            config = config.http_client(aws_smithy_http_client::Builder::new().build_http());
        }
    }
    Client::from_conf(config.build())
}
