//! Orders for the offline store: whom it has to erase. Serving leaves them when nothing is left online;
//! they are kept beside the definitions because every part knows the way to the registry.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use trivium_model::{KeyType, Timestamp, json::key_from_json};

use crate::{
    Error,
    port::{AUTHOR_BYTES_MAX, REASON_BYTES_MAX},
};

/// The most orders in one answer.
pub const ORDERS_LIMIT_MAX: u32 = 1000;
/// The longest id of an erasure, in bytes.
pub const ERASURE_ID_BYTES_MAX: usize = 64;
/// The longest value of a join key, in bytes of its JSON.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// Whom to erase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureOrder {
    /// The erasure that leaves it. One order for each.
    pub erasure: String,
    /// In all views of this namespace with that subject.
    pub namespace: String,
    /// The join key that names the person.
    pub join_key: String,
    /// Its type.
    pub key_type: KeyType,
    /// Its value, as JSON spells values of the type.
    pub value: Json,
    /// Rows with an event time up to this have to go.
    pub up_to: Timestamp,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// The caller's name.
    pub by: String,
    /// For whom the caller asked.
    pub requested_by: String,
    /// Why.
    pub reason: String,
}

impl ErasureOrder {
    /// Refuses what could never be carried out.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Invalid(what));
        if self.erasure.is_empty() || self.erasure.len() > ERASURE_ID_BYTES_MAX {
            return wrong(format!("an erasure's id has 1 to {ERASURE_ID_BYTES_MAX} bytes"));
        }
        for (field, text) in [("namespace", &self.namespace), ("join_key", &self.join_key)] {
            if let Err(error) = trivium_model::Name::new(text) {
                return wrong(format!("{field}: {error}"));
            }
        }
        if self.value.to_string().len() > VALUE_BYTES_MAX {
            return wrong(format!("the value takes more than {VALUE_BYTES_MAX} bytes"));
        }
        if let Err(message) = key_from_json(self.key_type, &self.value) {
            return wrong(format!("value: {message}"));
        }
        for (field, text, limit) in [
            ("by", &self.by, AUTHOR_BYTES_MAX),
            ("requested_by", &self.requested_by, AUTHOR_BYTES_MAX),
            ("reason", &self.reason, REASON_BYTES_MAX),
        ] {
            if text.len() > limit {
                return wrong(format!("{field} is longer than {limit} bytes"));
            }
        }
        Ok(())
    }
}

/// Keeps orders.
#[async_trait]
pub trait ErasureOrders: Send + Sync {
    /// Keeps an order; its number. One of an erasure that has left its order already changes nothing.
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, Error>;
    /// Orders after this number, oldest first, at most `limit`.
    async fn orders(&self, after: u64, limit: u32) -> Result<Vec<(u64, ErasureOrder)>, Error>;
}
