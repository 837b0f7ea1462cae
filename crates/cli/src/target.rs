//! Whom a verb asks: a server, or the same routers in this process on the project's data.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;
use trivium_api::ApiError;
use trivium_runtime::Kind;

use crate::{args::Global, failure::Failure, parts, project::Project};

/// How long a server may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// What of the project a verb needs: opening the online store keeps others out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Definitions only.
    Registry,
    /// Definitions and rows.
    Rows,
}

/// Answers REST requests.
pub enum Target {
    /// In this process.
    Here {
        /// What answers.
        router: Router,
    },
    /// Over HTTP.
    Rest {
        /// `http://127.0.0.1:7400`
        base: String,
        /// Keeps connections.
        client: reqwest::Client,
    },
}

/// Which protocol a `--server` speaks, by its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `http://…`
    Rest(String),
    /// `grpc://…`, as the `http://` that clients connect to.
    Grpc(String),
}

/// How the Rust client asks.
pub fn client_options(global: &Global) -> trivium_client::Options {
    trivium_client::Options {
        api_key: global.api_key.as_ref().map(|key| key.0.clone()),
        ..trivium_client::Options::default()
    }
}

/// What REST is asked with. A key is printable ASCII, so that it always makes a header.
fn key_header(global: &Global) -> HeaderMap {
    let header = global.api_key.as_ref().and_then(|key| {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.0)).ok()?;
        value.set_sensitive(true);
        Some((header::AUTHORIZATION, value))
    });
    header.into_iter().collect()
}

fn client(headers: HeaderMap, answer_time_max: Duration) -> Result<reqwest::Client, Failure> {
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .connect_timeout(CONNECT_TIME_MAX)
        .timeout(answer_time_max)
        .build();
    client.map_err(|error| ApiError::internal(error.to_string()).into())
}

/// Asks servers that are not ours: without the key.
pub fn client_with(answer_time_max: Duration) -> Result<reqwest::Client, Failure> {
    client(HeaderMap::new(), answer_time_max)
}

/// Reads `--server`.
pub fn address(global: &Global) -> Result<Option<Address>, Failure> {
    let Some(server) = &global.server else { return Ok(None) };
    let address = Address::read(server).ok_or_else(|| -> Failure {
        ApiError::invalid(format!("`{}` is no address of a server", server.trim_end_matches('/')))
            .at("--server")
            .help("write `http://HOST:PORT` for REST or `grpc://HOST:PORT` for gRPC, as `trivium dev` prints them")
            .into()
    })?;
    Ok(Some(address))
}

impl Address {
    /// Reads an address; none where it is something else.
    pub fn read(server: &str) -> Option<Self> {
        let server = server.trim_end_matches('/');
        let (scheme, host) = server.split_once("://")?;
        let plain = !host.is_empty() && !host.contains(['/', ' ', '?', '#', '@']);
        match scheme {
            "http" if plain => Some(Self::Rest(server.to_owned())),
            "grpc" if plain => Some(Self::Grpc(format!("http://{host}"))),
            _ => None,
        }
    }
}

impl Target {
    /// Opens what the verb needs, and says where the data clock stands, if it is fixed.
    pub async fn open(global: &Global, need: Need) -> Result<Self, Failure> {
        if global.server.is_none() {
            Project::find(global)?.announce_clock();
        }
        Self::open_quietly(global, need).await
    }

    /// Opens what a verb needs that no clock has a say in.
    pub async fn open_quietly(global: &Global, need: Need) -> Result<Self, Failure> {
        match address(global)? {
            Some(Address::Rest(base)) => {
                let client = client(key_header(global), ANSWER_TIME_MAX)?;
                Ok(Self::Rest { base, client })
            }
            Some(Address::Grpc(_)) => {
                Err(ApiError::new(Kind::Unimplemented, "this verb is not asked over gRPC")
                    .at("--server")
                    .help("give the server's http:// address")
                    .into())
            }
            None => {
                let project = Project::find(global)?;
                Ok(Self::Here { router: parts::router(&project, need).await? })
            }
        }
    }

    /// Asks, and gives the body of a good answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Bytes, Failure> {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap_or_default());
        let (status, body) = match self {
            Self::Here { router } => {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(bytes.map_or_else(Body::empty, Body::from))
                    .map_err(|error| ApiError::invalid(error.to_string()))?;
                let Ok(answer) = router.clone().oneshot(request).await;
                let (head, body) = answer.into_parts();
                let body =
                    body.collect().await.map_err(|error| ApiError::internal(error.to_string()))?;
                (head.status.as_u16(), body.to_bytes())
            }
            Self::Rest { base, client } => {
                let away = |error: &reqwest::Error| -> Failure { unreachable(base, error) };
                let mut request = client
                    .request(method, format!("{base}{path}"))
                    .header(header::CONTENT_TYPE, "application/json");
                if let Some(bytes) = bytes {
                    request = request.body(bytes);
                }
                let answer = request.send().await.map_err(|error| away(&error))?;
                let status = answer.status().as_u16();
                (status, answer.bytes().await.map_err(|error| away(&error))?)
            }
        };
        if (200..300).contains(&status) {
            return Ok(body);
        }
        Err(ApiError::from_http(status, &body).into())
    }

    /// Asks, and reads the answer.
    pub async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<T, Failure> {
        let bytes = self.call(method, path, body).await?;
        read(&bytes)
    }
}

/// Reads an answer.
pub fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::new(Kind::Internal, format!("the answer is not understood: {error}"))
            .help("is it another version of Trivium?")
            .into()
    })
}

fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let (kind, message) = if error.is_timeout() {
        (Kind::DeadlineExceeded, "the server did not answer in time")
    } else {
        (Kind::Unavailable, "the server cannot be reached")
    };
    ApiError::new(kind, message).at(base).help("is it running? `trivium dev` starts one").into()
}
