//! The stores themselves, past nodes and adapters: every item of the table, every value of the cache, every
//! document of an index.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use reqwest::Client;
use serde_json::{Map, Value as Json, json};
use trivium_testkit::{OpenSearch, Valkey};

use crate::support::{DYNAMODB, http};

/// DynamoDB takes so many puts in one request.
const PUTS_MAX: usize = 25;
/// Requests under way at a time: the server has few threads.
const AT_ONCE: usize = 8;

/// An item as the wire has it.
pub type Item = Map<String, Json>;

/// The row's bytes in an item; empty where it has none.
pub fn row_bytes(item: &Item) -> Vec<u8> {
    let text = item.get("row_bytes").and_then(|value| value["B"].as_str()).unwrap_or_default();
    BASE64.decode(text).unwrap()
}

pub fn attribute<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value["S"].as_str())
}

async fn call(client: &Client, operation: &str, body: &Json) -> Json {
    let request = client
        .post(DYNAMODB.endpoint())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        // Whose data it is; nobody checks the signature.
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0",
        );
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{operation}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// All items of rows, by their primary keys.
pub async fn scan(table: &str) -> BTreeMap<(String, String), Item> {
    let client = http();
    let mut found = BTreeMap::new();
    let mut start: Option<Json> = None;
    loop {
        let mut body = json!({ "TableName": table, "ConsistentRead": true });
        if let Some(start) = start {
            body["ExclusiveStartKey"] = start;
        }
        let mut answer = call(&client, "Scan", &body).await;
        for item in answer["Items"].as_array_mut().unwrap() {
            let item = item.as_object().unwrap().clone();
            let key = (attribute(&item, "pk").unwrap(), attribute(&item, "sk").unwrap());
            // The store's own items begin with `#`.
            if !key.0.starts_with('#') {
                found.insert((key.0.to_owned(), key.1.to_owned()), item);
            }
        }
        match answer.get_mut("LastEvaluatedKey") {
            Some(next) => start = Some(next.take()),
            None => return found,
        }
    }
}

/// Puts items, past every rule.
pub async fn load(table: &'static str, items: impl Iterator<Item = Item>) {
    let client = http();
    let mut under_way = tokio::task::JoinSet::new();
    let mut items = items.peekable();
    while items.peek().is_some() {
        let puts: Vec<Json> = items
            .by_ref()
            .take(PUTS_MAX)
            .map(|item| json!({ "PutRequest": { "Item": item } }))
            .collect();
        let body = json!({ "RequestItems": { table: puts } });
        let client = client.clone();
        under_way.spawn(async move {
            let answer = call(&client, "BatchWriteItem", &body).await;
            assert_eq!(answer["UnprocessedItems"], json!({}));
        });
        if under_way.len() >= AT_ONCE {
            under_way.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
}

/// The same item of another person: names and texts that name the one name the other. Both names have the
/// same length.
pub fn renamed(item: &Item, from: &str, to: &str) -> Item {
    assert_eq!(from.len(), to.len());
    let mut item = item.clone();
    for value in item.values_mut() {
        if let Some(text) = value["S"].as_str() {
            *value = json!({ "S": text.replace(from, to) });
        }
    }
    let mut bytes = row_bytes(&item);
    for at in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    item.insert("row_bytes".to_owned(), json!({ "B": BASE64.encode(bytes) }));
    item
}

/// Every word `<tag>-<six digits>` that stands anywhere in the cache, in whatever kind of value; behind it the
/// key, and what the value is: `V`, a row, or `F`, fences and what was the newest row then.
pub fn words_in(valkey: &Valkey, tags: &[&str]) -> Vec<String> {
    const LOOK: &str = r"
        local found, cursor = {}, '0'
        repeat
            local page = redis.call('SCAN', cursor, 'COUNT', 1000)
            cursor = page[1]
            for _, key in ipairs(page[2]) do
                local kind = redis.call('TYPE', key)['ok']
                local parts
                if kind == 'string' then parts = { redis.call('GET', key) }
                elseif kind == 'hash' then parts = redis.call('HGETALL', key)
                else error('a kind of value that nobody looks into: ' .. kind) end
                for _, part in ipairs(parts) do
                    for _, tag in ipairs(ARGV) do
                        for word in string.gmatch(part or '', tag .. '%-%d%d%d%d%d%d') do
                            found[#found + 1] = word .. ' ' .. key .. ' ' .. string.sub(part, 1, 1)
                        end
                    end
                end
            end
        until cursor == '0'
        return found";
    let mut words = vec!["EVAL", LOOK, "0"];
    words.extend(tags);
    let found = valkey.command(&words).unwrap();
    found.lines().map(str::to_owned).collect()
}

/// All documents of an index, by id.
pub async fn documents(search: &OpenSearch, index: &str) -> HashMap<String, Json> {
    let url = format!("{}/{index}", search.endpoint());
    http().post(format!("{url}/_refresh")).send().await.unwrap();
    let body = json!({ "query": { "match_all": {} }, "size": 10_000 });
    let answer = http().post(format!("{url}/_search")).json(&body).send().await.unwrap();
    let mut answer: Json = answer.json().await.unwrap();
    let hits = answer["hits"]["hits"].as_array_mut().unwrap();
    assert!(hits.len() < 10_000, "more than one page: this would show nothing");
    hits.iter_mut()
        .map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].take()))
        .collect()
}
