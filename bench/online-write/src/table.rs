//! What is in a table of rows.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    raw::{self, Connection},
    rows::{Expected, PERIOD_END_MICROS},
};

/// The rows, as a table must hold them.
pub struct Wanted {
    /// Partition key, sort key and bytes, in the order of the rows.
    pub rows: Vec<(String, String, String)>,
}

impl Wanted {
    /// So many.
    pub fn of(expected: &Expected, count: usize) -> Result<Self> {
        let encoded = expected.encoded(count)?;
        let one = |(row, encoded): (usize, &trivium_codec::Row)| {
            let key = expected.key(row)?;
            let bytes = BASE64_STANDARD.encode(encoded.as_bytes());
            Ok((key.partition().to_owned(), key.sort().to_owned(), bytes))
        };
        Ok(Self { rows: encoded.iter().enumerate().map(one).collect::<Result<_>>()? })
    }

    /// One conditional UpdateItem a row: newer by event time and sequence, or not there.
    pub fn updates(&self, table: &str) -> Vec<Vec<u8>> {
        let update = |(pk, sk, bytes): &(String, String, String)| {
            let body = json!({
                "TableName": table,
                "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
                "UpdateExpression": "SET row_bytes = :r, event_time = :t, seq = :s",
                "ConditionExpression": "attribute_not_exists(event_time) OR event_time < :t \
                                        OR (event_time = :t AND seq < :s)",
                "ExpressionAttributeValues": {
                    ":r": { "B": bytes },
                    ":t": { "N": PERIOD_END_MICROS.to_string() },
                    ":s": { "N": "1" },
                },
            });
            raw::request("UpdateItem", &body)
        };
        self.rows.iter().map(update).collect()
    }

    /// Reads the whole table: fails unless exactly these rows are there, with their bytes and event time.
    pub async fn check(&self, address: &str, table: &str) -> Result<()> {
        let mut missing: HashMap<(String, String), &str> = self
            .rows
            .iter()
            .map(|(pk, sk, bytes)| ((pk.clone(), sk.clone()), bytes.as_str()))
            .collect();
        let mut connection = Connection::open(address).await?;
        let mut body = json!({ "TableName": table, "ConsistentRead": true });
        let event_time = PERIOD_END_MICROS.to_string();
        loop {
            let answer = connection.call(&raw::request("Scan", &body)).await?;
            let answer: serde_json::Value = serde_json::from_slice(answer)?;
            for item in answer["Items"].as_array().context("a scan without items")? {
                let pk = item["pk"]["S"].as_str().unwrap_or_default();
                // What a node keeps of its own.
                if pk.starts_with('#') {
                    continue;
                }
                let sk = item["sk"]["S"].as_str().unwrap_or_default();
                let bytes = missing.remove(&(pk.to_owned(), sk.to_owned()));
                let bytes =
                    bytes.with_context(|| format!("{pk} {sk} is there, and should not be"))?;
                ensure!(item["row_bytes"]["B"] == bytes, "{pk} has other bytes");
                ensure!(item["event_time"]["N"] == event_time.as_str(), "{pk}: {item}");
            }
            match answer.get("LastEvaluatedKey") {
                Some(last) => body["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
        ensure!(missing.is_empty(), "{} rows are not in the table", missing.len());
        Ok(())
    }
}

/// Removes a table, so that the next contestant finds no other.
pub async fn delete(address: &str, table: &str) -> Result<()> {
    let request = raw::request("DeleteTable", &json!({ "TableName": table }));
    Connection::open(address).await?.call(&request).await?;
    Ok(())
}
