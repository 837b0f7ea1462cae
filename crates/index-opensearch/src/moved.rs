//! What indexes say of themselves while others take their place: that they hold all that those held.
//!
//! It stands in the mapping of `<prefix>moving`, an index without documents. No feature's index is called so:
//! their names have dots behind the prefix.

use opensearch::http::Method;
use serde_json::{Value, json};
use trivium_store::Error;

use crate::{OpenSearchIndex, failure::strange};

impl OpenSearchIndex {
    /// What tells these indexes from all others: the cluster's own name for itself, and the prefix. Endpoints do
    /// not count: one cluster may be reached on several ways.
    async fn identity(&self) -> Result<String, Error> {
        let answer = self.client.send(Method::Get, "/", None, None).await?.good()?;
        match answer["cluster_uuid"].as_str() {
            Some(cluster) => Ok(format!("{cluster}/{}", self.client.options.prefix)),
            None => Err(strange("names no cluster")),
        }
    }

    /// Whether the other indexes are these ones, however they are reached.
    pub async fn is_same(&self, other: &Self) -> Result<bool, Error> {
        Ok(self.identity().await? == other.identity().await?)
    }

    fn record(&self) -> String {
        format!("/{}moving", self.client.options.prefix)
    }

    /// Whether all of `other`'s documents have been found here: see [`set_complete`](Self::set_complete).
    pub async fn is_complete(&self, other: &Self) -> Result<bool, Error> {
        let path = format!("{}/_mapping", self.record());
        let answer = self.client.send(Method::Get, &path, None, None).await?;
        if answer.status == 404 {
            return Ok(false);
        }
        let mut found = answer.good()?;
        let record = found.as_object_mut().and_then(|indexes| indexes.values_mut().next());
        let from = record.map(|index| index["mappings"]["_meta"]["complete_from"].take());
        Ok(from == Some(Value::String(other.identity().await?)))
    }

    /// Remembers that all of `other`'s documents are here, and that writers write both.
    pub async fn set_complete(&self, other: &Self) -> Result<(), Error> {
        self.unset_complete().await?;
        let options = &self.client.options;
        let body = json!({
            "settings": { "index": { "number_of_shards": 1, "number_of_replicas": options.replicas } },
            "mappings": { "dynamic": "strict", "_meta": { "complete_from": other.identity().await? } },
        });
        self.client.send_json(Method::Put, &self.record(), &body, None).await?.good().map(drop)
    }

    /// Forgets it: a copying begins.
    pub async fn unset_complete(&self) -> Result<(), Error> {
        let answer = self.client.send(Method::Delete, &self.record(), None, None).await?;
        if answer.status == 404 { Ok(()) } else { answer.good().map(drop) }
    }
}
