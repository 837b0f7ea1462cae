//! Reading rows.

use async_trait::async_trait;
use trivium_codec::{Row, RowKey};
use trivium_store::{Error, OnlineRead, ReadOptions};

use crate::{DynamoStore, item::Stored};

#[async_trait]
impl OnlineRead for DynamoStore {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        let found = self.0.read(keys, options.deadline).await;
        found.into_iter().map(|stored| stored.and_then(Stored::into_row)).collect()
    }
}
