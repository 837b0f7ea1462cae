//! Leaving orders for the offline store with the registry: the one thing that a node tells it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_registry::{ErasureOrder, ErasureOrders, Error};
use trivium_runtime::Kind;

use crate::registry::{ANSWER_TIME_MAX, CONNECT_TIME_MAX, RegistryAddress, SqliteFile, file};

/// Where orders are left. Asks nobody yet.
pub fn at(address: &RegistryAddress) -> Result<Arc<dyn ErasureOrders>, Error> {
    Ok(match address {
        RegistryAddress::Sqlite(path) => Arc::new(file(path)),
        RegistryAddress::Http(base) => {
            let client = reqwest::Client::builder()
                .connect_timeout(CONNECT_TIME_MAX)
                .timeout(ANSWER_TIME_MAX)
                .build()
                .map_err(|error| Error::Invalid(error.to_string()))?;
            Arc::new(Running { url: format!("{base}/v1/erasure-orders"), client })
        }
    })
}

fn not_here<T>() -> Result<T, Error> {
    Err(Error::Invalid("a serving node does not list orders".to_owned()))
}

#[async_trait]
impl ErasureOrders for SqliteFile {
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, Error> {
        self.database().await?.leave(order).await
    }
    async fn orders(&self, _: u64, _: u32) -> Result<Vec<(u64, ErasureOrder)>, Error> {
        not_here()
    }
}

/// A running registry.
struct Running {
    url: String,
    client: reqwest::Client,
}

#[async_trait]
impl ErasureOrders for Running {
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, Error> {
        let away = |error: reqwest::Error| {
            let why = if error.is_timeout() { "it did not answer in time" } else { "it is away" };
            Error::Unavailable(format!("{}: {why}", self.url))
        };
        let body = json!({
            "erasure": order.erasure, "namespace": order.namespace, "join_key": order.join_key,
            "key_type": order.key_type.word(), "value": order.value,
            "up_to_micros": order.up_to.0, "requested_at_micros": order.requested_at.0,
            "by": order.by, "requested_by": order.requested_by, "reason": order.reason,
        });
        let answer = self.client.post(&self.url).json(&body).send().await.map_err(away)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(away)?;
        if status == 200 {
            let left: Json = serde_json::from_slice(&bytes).unwrap_or_default();
            return left["number"]
                .as_u64()
                .ok_or_else(|| Error::Corrupt(format!("{}: the answer names no order", self.url)));
        }
        let error = ApiError::from_http(status, &bytes);
        let text = format!("{}: {}", self.url, error.message);
        Err(match error.kind {
            Kind::InvalidArgument => Error::Invalid(text),
            _ => Error::Unavailable(text),
        })
    }
    async fn orders(&self, _: u64, _: u32) -> Result<Vec<(u64, ErasureOrder)>, Error> {
        not_here()
    }
}
