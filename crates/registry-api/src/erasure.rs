//! Orders for the offline store, over both surfaces: left by serving, listed by who carries them out.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as JsonAnswer, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use trivium_api::{ApiError, Json as JsonBody};
use trivium_model::{
    KeyType, KeyValue, Timestamp,
    json::{key_from_json, key_to_json},
};
use trivium_proto::v1::{self, key_value::Kind as WireKey};
use trivium_registry::erasure::{ErasureOrder, ErasureOrders, ORDERS_LIMIT_MAX};
use trivium_runtime::Kind;
use utoipa::ToSchema;

use crate::{
    RegistryApi,
    error::of_registry,
    openapi::ErrorShape,
    rest::{Answer, Pairs, number, parameters},
};

/// Orders in one answer, where nothing is said.
const LIMIT_DEFAULT: u32 = 100;
/// An order is a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

impl RegistryApi {
    /// Keeps orders for the offline store too.
    #[must_use]
    pub fn with_orders(mut self, orders: Arc<dyn ErasureOrders>) -> Self {
        self.orders = Some(orders);
        self
    }

    fn orders(&self) -> Result<&dyn ErasureOrders, ApiError> {
        self.orders.as_deref().ok_or_else(|| {
            ApiError::new(Kind::Unimplemented, "orders of erasures are not kept here")
                .help("ask the registry itself; a serving node keeps nothing")
        })
    }

    pub(crate) async fn leave(&self, order: &ErasureOrder) -> Result<u64, ApiError> {
        let number = self.orders()?.leave(order).await.map_err(|error| of_registry(&error))?;
        tracing::info!(number, erasure = order.erasure, "an order for the offline store");
        Ok(number)
    }

    pub(crate) async fn list(
        &self,
        after: u64,
        limit: Option<u32>,
    ) -> Result<Vec<(u64, ErasureOrder)>, ApiError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=ORDERS_LIMIT_MAX).contains(&limit) {
            return Err(
                ApiError::invalid(format!("a limit is 1 to {ORDERS_LIMIT_MAX}")).at("limit")
            );
        }
        self.orders()?.orders(after, limit).await.map_err(|error| of_registry(&error))
    }
}

/// Whom to erase offline.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ErasureOrder)]
pub(crate) struct OrderShape {
    /// Counts orders; ignored where one is left.
    #[serde(default)]
    number: u64,
    /// The erasure that leaves it; one order for each.
    erasure: String,
    /// The namespace.
    namespace: String,
    /// The join key that names the person.
    join_key: String,
    /// Its type.
    #[schema(value_type = String)]
    key_type: KeyType,
    /// Its value.
    value: Json,
    /// Microseconds since 1970: rows with an event time up to this have to go.
    up_to_micros: i64,
    /// Microseconds since 1970.
    requested_at_micros: i64,
    /// The caller's name.
    #[serde(default)]
    by: String,
    /// For whom the caller asked.
    #[serde(default)]
    requested_by: String,
    /// Why.
    #[serde(default)]
    reason: String,
}

impl OrderShape {
    fn of(number: u64, order: ErasureOrder) -> Self {
        let ErasureOrder {
            erasure,
            namespace,
            join_key,
            key_type,
            value,
            up_to,
            requested_at,
            by,
            requested_by,
            reason,
        } = order;
        Self {
            number,
            erasure,
            namespace,
            join_key,
            key_type,
            value,
            up_to_micros: up_to.0,
            requested_at_micros: requested_at.0,
            by,
            requested_by,
            reason,
        }
    }
    fn into_order(self) -> ErasureOrder {
        ErasureOrder {
            erasure: self.erasure,
            namespace: self.namespace,
            join_key: self.join_key,
            key_type: self.key_type,
            value: self.value,
            up_to: Timestamp(self.up_to_micros),
            requested_at: Timestamp(self.requested_at_micros),
            by: self.by,
            requested_by: self.requested_by,
            reason: self.reason,
        }
    }
}

/// An order that was left.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureOrderLeft)]
pub(crate) struct LeftShape {
    /// Its number.
    number: u64,
}

/// Orders, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureOrders)]
pub(crate) struct OrdersShape {
    orders: Vec<OrderShape>,
}

/// Keeps whom the offline store has to erase. Leaving an order again changes nothing.
#[utoipa::path(
    post, path = "/v1/erasure-orders", tag = "registry",
    request_body = OrderShape,
    responses(
        (status = 200, body = LeftShape, description = "kept"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn leave_order(
    State(api): State<RegistryApi>,
    query: Pairs,
    JsonBody(order): JsonBody<OrderShape, BODY_BYTES_MAX>,
) -> Answer<LeftShape> {
    let [] = parameters(query, [])?;
    Ok(JsonAnswer(LeftShape { number: api.leave(&order.into_order()).await? }))
}

/// Whom the offline store has to erase, oldest first.
#[utoipa::path(
    get, path = "/v1/erasure-orders", tag = "registry",
    params(("after" = Option<u64>, Query, description = "orders after this number"), ("limit" = Option<u32>, Query, description = "at most so many, 1 to 1000; 100 if absent")),
    responses(
        (status = 200, body = OrdersShape, description = "done"),
        (status = "default", body = ErrorShape, description = "an error, in the one shape"),
    ),
)]
pub(crate) async fn list_orders(
    State(api): State<RegistryApi>,
    query: Pairs,
) -> Answer<OrdersShape> {
    let [after, limit] = parameters(query, ["after", "limit"])?;
    let after = after.map(|text| number("after", &text)).transpose()?.unwrap_or(0);
    let limit = limit.map(|text| number("limit", &text)).transpose()?;
    let orders = api.list(after, limit).await?;
    let orders = orders.into_iter().map(|(number, order)| OrderShape::of(number, order)).collect();
    Ok(JsonAnswer(OrdersShape { orders }))
}

/// An order of gRPC.
pub(crate) fn order_of_wire(order: v1::ErasureOrder) -> Result<ErasureOrder, ApiError> {
    let wrong = |message: &str| ApiError::invalid(message).at("order.subject");
    let mut subject = order.subject.into_iter();
    let (Some((join_key, value)), None) = (subject.next(), subject.next()) else {
        return Err(wrong("exactly one join key names the person"));
    };
    let value = match value.kind {
        Some(WireKey::String(text)) => KeyValue::String(text),
        Some(WireKey::Int64(number)) => KeyValue::Int64(number),
        Some(WireKey::Bool(flag)) => KeyValue::Bool(flag),
        Some(WireKey::Bytes(bytes)) => KeyValue::Bytes(bytes.to_vec()),
        Some(WireKey::Date(days)) => KeyValue::Date(days),
        Some(WireKey::TimestampMicros(at)) => KeyValue::Timestamp(Timestamp(at)),
        None => return Err(wrong("the join key has no value")),
    };
    Ok(ErasureOrder {
        erasure: order.erasure,
        namespace: order.namespace,
        join_key,
        key_type: value.key_type(),
        value: key_to_json(&value),
        up_to: Timestamp(order.up_to_micros),
        requested_at: Timestamp(order.requested_at_micros),
        by: order.by,
        requested_by: order.requested_by,
        reason: order.reason,
    })
}

/// An order for gRPC.
pub(crate) fn order_to_wire(number: u64, order: ErasureOrder) -> v1::ErasureOrder {
    let kind = match key_from_json(order.key_type, &order.value) {
        Ok(KeyValue::String(text)) => Some(WireKey::String(text)),
        Ok(KeyValue::Int64(number)) => Some(WireKey::Int64(number)),
        Ok(KeyValue::Bool(flag)) => Some(WireKey::Bool(flag)),
        Ok(KeyValue::Bytes(bytes)) => Some(WireKey::Bytes(bytes.into())),
        Ok(KeyValue::Date(days)) => Some(WireKey::Date(days)),
        Ok(KeyValue::Timestamp(at)) => Some(WireKey::TimestampMicros(at.0)),
        // Checked when it was left.
        Err(_) => None,
    };
    v1::ErasureOrder {
        number,
        erasure: order.erasure,
        namespace: order.namespace,
        subject: BTreeMap::from([(order.join_key, v1::KeyValue { kind })]),
        up_to_micros: order.up_to.0,
        requested_at_micros: order.requested_at.0,
        by: order.by,
        requested_by: order.requested_by,
        reason: order.reason,
    }
}
