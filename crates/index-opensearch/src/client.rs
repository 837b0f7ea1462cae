//! One request and its answer.

use std::{fmt, time::Instant};

use opensearch::{
    OpenSearch,
    auth::Credentials,
    http::{
        Method, Url,
        headers::{CONTENT_TYPE, HeaderMap, HeaderValue},
        transport::{SingleNodeConnectionPool, TransportBuilder},
    },
};
use serde_json::Value;
use trivium_store::{Error, embedding::time_left};

use crate::{
    Options,
    failure::{self, About, WHO},
    traced,
};

/// An answer that came, good or bad.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    about: About,
}

impl Answer {
    /// The body of a good answer; a bad one as what it means.
    pub(crate) fn good(self) -> Result<Value, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(failure::sort_answer(self.about, self.status, &self.body["error"]))
    }
}

pub(crate) struct Client {
    client: OpenSearch,
    pub(crate) options: Options,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(
        options: Options,
        credentials: Option<Credentials>,
    ) -> Result<Self, crate::Error> {
        options.check()?;
        let url = Url::parse(&options.endpoint)
            .map_err(|error| crate::Error::Option { option: "endpoint", why: error.to_string() })?;
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url));
        if let Some(credentials) = credentials {
            builder = builder.auth(credentials);
        }
        let transport = builder.build();
        let transport = transport.map_err(|error| crate::Error::Client(error.to_string()))?;
        Ok(Self { client: OpenSearch::new(transport), options })
    }

    /// Sends a request; an answer is good or bad, no answer is an error. `path` may have a query.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let span = traced::begin(method, path);
        let answer = self.ask(method, path, body, deadline).await;
        traced::end(span, &answer);
        answer
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let timeout = time_left(deadline, self.options.attempt_timeout())?;
        let mut headers = HeaderMap::new();
        let content =
            if path.contains("_bulk") { "application/x-ndjson" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        let sent = self
            .client
            .transport()
            .send(method, path, headers, None::<&()>, body, Some(timeout))
            .await
            .map_err(|error| failure::sort(&error))?;
        let status = sent.status_code().as_u16();
        let bytes = sent.bytes().await.map_err(|error| failure::sort(&error))?;
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            Err(_) if bytes.is_empty() => Value::Null,
            // Proxies and overloaded nodes answer in plain text.
            Err(_) if status >= 300 => serde_json::json!({
                "error": String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
            }),
            Err(error) => {
                return Err(Error::Unknown(format!("{WHO}: the answer breaks off: {error}")));
            }
        };
        let of_documents = ["_bulk", "_search", "_mget"].iter().any(|part| path.contains(part));
        let about = if of_documents { About::Documents } else { About::Indexes };
        Ok(Answer { status, body, about })
    }

    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        self.send(method, path, Some(body.to_string().into_bytes()), deadline).await
    }
}
