//! Many items in as few requests as DynamoDB allows.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Instant,
};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::{StreamExt as _, stream};
use trivium_codec::RowKey;
use trivium_store::Error;

use crate::{
    item::{Item, PK, SK, row_key},
    store::{Failure, Pauses, Table},
};

/// DynamoDB's limit of keys in one BatchGetItem.
const KEYS_MAX: usize = 100;

impl Table {
    /// Items as this table has them. Strongly consistent; in the order of the keys.
    pub(crate) async fn read(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Item>, Error>> {
        // A key twice in one request is refused by DynamoDB.
        let mut unique: Vec<RowKey> = Vec::with_capacity(keys.len());
        let mut places: HashMap<&RowKey, usize> = HashMap::with_capacity(keys.len());
        for key in keys {
            if let Entry::Vacant(place) = places.entry(key) {
                place.insert(unique.len());
                unique.push(key.clone());
            }
        }
        let count = unique.len();
        let mut chunks = Vec::with_capacity(count.div_ceil(KEYS_MAX));
        while !unique.is_empty() {
            let rest = unique.split_off(unique.len().min(KEYS_MAX));
            chunks.push(self.read_chunk(std::mem::replace(&mut unique, rest), deadline));
        }
        let found: Vec<Vec<Result<Option<Item>, Error>>> =
            stream::iter(chunks).buffered(self.options.requests_in_flight_max).collect().await;
        let found: Vec<Result<Option<Item>, Error>> = found.into_iter().flatten().collect();
        let missing = || Err(Error::Unavailable("the row was not asked for".to_owned()));
        if count == keys.len() {
            return found;
        }
        keys.iter()
            .map(|key| places.get(key).and_then(|&place| found.get(place)).cloned())
            .map(|item| item.unwrap_or_else(missing))
            .collect()
    }

    /// At most [`KEYS_MAX`] different keys.
    async fn read_chunk(
        &self,
        keys: Vec<RowKey>,
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Item>, Error>> {
        let end = self.end_of(deadline);
        let mut pauses = Pauses::until(end);
        let mut found: Vec<Option<Result<Option<Item>, Error>>> = vec![None; keys.len()];
        let places: HashMap<(&str, &str), usize> = keys
            .iter()
            .enumerate()
            .map(|(place, key)| ((key.partition(), key.sort()), place))
            .collect();
        let place_of = |item: &Item| match (item.get(PK), item.get(SK)) {
            (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => {
                places.get(&(pk.as_str(), sk.as_str())).copied()
            }
            _ => None,
        };
        let mut wanted: Vec<usize> = (0..keys.len()).collect();
        let error = loop {
            let request = wanted.iter().map(|&place| row_key(&keys[place])).collect();
            let error = match self.ask(request, end).await {
                Ok((items, unprocessed)) => {
                    for item in items {
                        if let Some(place) = place_of(&item) {
                            found[place] = Some(Ok(Some(item)));
                        }
                    }
                    let left: Vec<usize> = unprocessed.iter().filter_map(place_of).collect();
                    // What was neither returned nor left over was looked for and is not there. Nothing
                    // else is ever taken for missing.
                    if left.len() != unprocessed.len() {
                        break Error::Corrupt(
                            "an answer named keys that were not asked for".to_owned(),
                        );
                    }
                    for place in wanted.iter().filter(|place| !left.contains(place)) {
                        found[*place].get_or_insert(Ok(None));
                    }
                    if left.is_empty() {
                        // Every row has its answer by now, and the error goes nowhere.
                        break Error::Unavailable("the row was not asked for".to_owned());
                    }
                    if left.len() < wanted.len() {
                        pauses.reset();
                    }
                    wanted = left;
                    Error::Throttled("DynamoDB left keys of a batch unprocessed".to_owned())
                }
                Err(error) => error,
            };
            if !error.is_retryable() || !pauses.sleep().await {
                break error;
            }
        };
        found.into_iter().map(|row| row.unwrap_or_else(|| Err(error.clone()))).collect()
    }

    /// One request: items, and keys to ask for again.
    async fn ask(&self, keys: Vec<Item>, end: Instant) -> Result<(Vec<Item>, Vec<Item>), Error> {
        let table = &self.options.table;
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        let wanted = wanted.build().map_err(|error| Error::Invalid(error.to_string()))?;
        let request = self.client.batch_get_item().request_items(table, wanted);
        let answer = self.send(end, request.send()).await.map_err(Failure::of_read)?;
        let items = answer.responses.and_then(|mut tables| tables.remove(table));
        let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table));
        Ok((items.unwrap_or_default(), unprocessed.map(|left| left.keys).unwrap_or_default()))
    }
}
