//! Avro's schemas by their ids, from a registry with Confluent's API.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use trivium_ingest::port::{SchemaError, SchemaSource};

/// How long the registry may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read: a schema of 1 MiB, escaped.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A running schema registry.
pub struct HttpSchemas {
    base: String,
    /// Without the password that may be in it: it is told in logs and in dead letters.
    shown: String,
    client: reqwest::Client,
}

/// What it answers with; of Avro the type is left out.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

impl HttpSchemas {
    /// At `http://HOST:PORT`. Asks nobody yet.
    pub fn new(base: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder().timeout(ANSWER_TIME_MAX).build();
        let client = client.map_err(|error| error.to_string())?;
        let shown = base.rsplit_once('@').map_or(base, |(_, host)| host);
        Ok(Self { base: base.to_owned(), shown: shown.to_owned(), client })
    }
}

#[async_trait]
impl SchemaSource for HttpSchemas {
    async fn schema(&self, id: u32) -> Result<String, SchemaError> {
        let path = format!("/schemas/ids/{id}");
        let url = format!("{}{path}", self.shown);
        let away = |why: String| SchemaError::Away(format!("{url}: {why}"));
        let asked = format!("{}{path}", self.base);
        let mut answer =
            self.client.get(&asked).send().await.map_err(|_| away("it is away".to_owned()))?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Err(SchemaError::Unknown(format!("{url} says that there is none"))),
            status => return Err(away(format!("it answered with HTTP status {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|_| away("its answer broke off".to_owned()))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(SchemaError::Unknown(format!("{url}: the schema is too long")));
            }
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| away("its answer is no schema registry's".to_owned()))?;
        if let Some(other) = answer.schema_type.filter(|kind| kind != "AVRO") {
            return Err(SchemaError::Unknown(format!("{url} is a schema of type {other}")));
        }
        if !answer.references.is_empty() {
            let why =
                format!("{url} refers to other schemas, which is not read: register it whole");
            return Err(SchemaError::Unknown(why));
        }
        Ok(answer.schema)
    }
}
