//! Removing what old epochs left.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fred::{
    interfaces::KeysInterface as _,
    types::{Value, config::Server},
};
use futures::future::join_all;
use trivium_store::CacheError;

use crate::{cache::Inner, failure, keys, servers::text};

/// Keys that one call looks at, about.
const PAGE_KEYS: &str = "1000";

/// How far the sweep came: servers that are left, each with its cursor.
#[derive(Debug, Default)]
pub(crate) struct Sweep(Mutex<Vec<(Option<Server>, String)>>);

impl Inner {
    /// One page of one server. A cursor that is lost, or of a server that restarted, makes the next
    /// sweep find what this one did not.
    pub(crate) async fn sweep_some(&self, before: u64) -> Result<bool, CacheError> {
        let lock = || self.sweep.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = lock().pop();
        let (server, cursor) = match next {
            Some(next) => next,
            None => {
                let begin = |server| (server, "0".to_owned());
                let mut all: Vec<_> = self.primaries()?.into_iter().map(begin).collect();
                let Some(first) = all.pop() else { return Ok(false) };
                *lock() = all;
                first
            }
        };
        let arguments = [&cursor, "MATCH", &format!("{}*", keys::PREFIX), "COUNT", PAGE_KEYS]
            .map(str::to_owned);
        let page = self.tell(server.as_ref(), "SCAN", arguments.to_vec()).await;
        let (cursor, found) = match page {
            Ok(page) => read_page(page)?,
            Err(error) => {
                lock().clear();
                return Err(error);
            }
        };
        let is_old = |name: &Bytes| keys::epoch_of(name).is_some_and(|epoch| epoch < before);
        let removals = found.into_iter().filter(is_old).map(|name| {
            let client = self.connections.next();
            async move { client.unlink::<i64, _>(name).await.map_err(|error| failure::sort(&error)) }
        });
        for removed in join_all(removals).await {
            removed?;
        }
        let mut left = lock();
        if cursor != "0" {
            left.push((server, cursor));
        }
        Ok(!left.is_empty())
    }
}

pub(crate) fn read_page(page: Value) -> Result<(String, Vec<Bytes>), CacheError> {
    let Value::Array(mut parts) = page else { return Err(failure::odd_answer()) };
    let (Some(Value::Array(names)), Some(cursor)) = (parts.pop(), parts.pop()) else {
        return Err(failure::odd_answer());
    };
    let names: Option<Vec<Bytes>> = names.into_iter().map(|name| name.into_bytes()).collect();
    Ok((text(cursor)?, names.ok_or_else(failure::odd_answer)?))
}
