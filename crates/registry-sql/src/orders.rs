//! Orders for the offline store, beside the definitions.

use async_trait::async_trait;
use sqlx::{Row as _, any::AnyRow};
use trivium_model::{KeyType, Timestamp};
use trivium_registry::{
    Error,
    erasure::{ErasureOrder, ErasureOrders, ORDERS_LIMIT_MAX},
};

use crate::{SqlRegistry, error::describe};

#[async_trait]
impl ErasureOrders for SqlRegistry {
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, Error> {
        order.check()?;
        // One statement, so that two orders never get one number.
        sqlx::query(
            "INSERT INTO erasure_order (number, erasure, namespace, join_key, key_type, value_json,
                 up_to_micros, requested_at_micros, caller, requested_by, reason)
             SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
             FROM erasure_order WHERE true
             ON CONFLICT (erasure) DO NOTHING",
        )
        .bind(order.erasure.clone())
        .bind(order.namespace.clone())
        .bind(order.join_key.clone())
        .bind(order.key_type.word())
        .bind(order.value.to_string())
        .bind(order.up_to.0)
        .bind(order.requested_at.0)
        .bind(order.by.clone())
        .bind(order.requested_by.clone())
        .bind(order.reason.clone())
        .execute(&self.pool)
        .await
        .map_err(describe)?;
        let row = sqlx::query("SELECT number FROM erasure_order WHERE erasure = $1")
            .bind(order.erasure.clone())
            .fetch_one(&self.pool)
            .await
            .map_err(describe)?;
        number(&row)
    }

    async fn orders(&self, after: u64, limit: u32) -> Result<Vec<(u64, ErasureOrder)>, Error> {
        let found = sqlx::query(
            "SELECT number, erasure, namespace, join_key, key_type, value_json, up_to_micros,
                 requested_at_micros, caller, requested_by, reason
             FROM erasure_order WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::from(limit.min(ORDERS_LIMIT_MAX)))
        .fetch_all(&self.pool)
        .await
        .map_err(describe)?;
        found.iter().map(|row| Ok((number(row)?, order(row)?))).collect()
    }
}

fn number(row: &AnyRow) -> Result<u64, Error> {
    let number: i64 = row.try_get("number").map_err(describe)?;
    u64::try_from(number).map_err(|_| Error::Corrupt(format!("order {number}")))
}

fn order(row: &AnyRow) -> Result<ErasureOrder, Error> {
    let text = |column| row.try_get::<String, _>(column).map_err(describe);
    let micros = |column| row.try_get::<i64, _>(column).map(Timestamp).map_err(describe);
    // serde's words show the person.
    let broken =
        |_: serde_json::Error| Error::Corrupt("an erasure order cannot be read".to_owned());
    let key_type: KeyType = serde_json::from_value(text("key_type")?.into()).map_err(broken)?;
    Ok(ErasureOrder {
        erasure: text("erasure")?,
        namespace: text("namespace")?,
        join_key: text("join_key")?,
        key_type,
        value: serde_json::from_str(&text("value_json")?).map_err(broken)?,
        up_to: micros("up_to_micros")?,
        requested_at: micros("requested_at_micros")?,
        by: text("caller")?,
        requested_by: text("requested_by")?,
        reason: text("reason")?,
    })
}
