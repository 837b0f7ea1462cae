//! A store that fails for some rows: those rows say so, the others are served.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use expect_test::expect;
use trivium_codec::{Row, RowKey};
use trivium_store::{
    Checkpoints, Error, MemoryStore, OnlineRead, OnlineWrite, ReadOptions, RowWrite, WriteOutcome,
};

use super::fixture::Fixture;
use crate::Options;

/// Fails for entities that hold `BAD`; corrupts the bytes of those that hold `ODD`; forgets to
/// answer for the last row where one holds `CUT`.
pub(super) struct Failing(pub(super) MemoryStore);

fn holds(key: &RowKey, word: &str) -> bool {
    key.partition().contains(word)
}

#[async_trait]
impl OnlineRead for Failing {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        let mut found = self.0.get(keys, options).await;
        for (key, found) in keys.iter().zip(&mut found) {
            if holds(key, "BAD") {
                *found = Err(Error::Unavailable("the disk is on fire".to_owned()));
            }
            if holds(key, "ODD")
                && let Ok(Some(row)) = found
            {
                let mut bytes = row.as_bytes().to_vec();
                bytes[8] ^= 1;
                *found = Ok(Some(Row::from_bytes(Bytes::from(bytes)).unwrap()));
            }
        }
        if keys.iter().any(|key| holds(key, "CUT")) {
            found.pop();
        }
        found
    }
}

#[async_trait]
impl OnlineWrite for Failing {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        deadline: Option<Instant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        let bad: Vec<bool> = writes.iter().map(|write| holds(&write.key, "BAD")).collect();
        let mut outcomes = self.0.write(writes, seed_micros, deadline).await;
        for (outcome, bad) in outcomes.iter_mut().zip(bad) {
            if bad {
                *outcome = Err(Error::Unknown("the disk is on fire".to_owned()));
            }
        }
        outcomes
    }
}

#[async_trait]
impl Checkpoints for Failing {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.0.load(name).await
    }
    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, Error> {
        self.0.store(name, expected, value).await
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_errors_never_missing() {
    let fixture = Fixture::on(Arc::new(Failing(MemoryStore::new())));
    let whole = r#""values":{"flights":1,"avg_dep_delay":1.0,"note":"x"}"#;
    let put = fixture
        .call(
            "put",
            &format!(
                r#"{{"view":"flights/carrier_daily@1","rows":[{{"entity":{{"carrier":"AA","origin":"JFK"}},{whole}}},{{"entity":{{"carrier":"BAD","origin":"JFK"}},{whole}}},{{"entity":{{"carrier":"ODD","origin":"JFK"}},{whole}}}]}}"#
            ),
        )
        .await;
    expect![[r#"{"results":[{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"},{"outcome":"FAILED","error":{"code":"DEADLINE_EXCEEDED","message":"the store did not answer in time: the disk is on fire","field":"rows[1]","help":"whether it was written is unknown; retry with the same idempotency key"}},{"outcome":"APPLIED","rev":1700000000000000,"event_time":"2014-01-01T00:00:00Z"}]}"#]]
        .assert_eq(&put);
    let get = fixture
        .call(
            "get",
            r#"{"features":["flights/carrier_daily@1:flights","flights/origin_weather@2:wind"],"entities":[{"carrier":"BAD","origin":"JFK"},{"carrier":"AA","origin":"JFK"},{"carrier":"ODD","origin":"JFK"}]}"#,
        )
        .await;
    expect![[r#"{"features":["flights/carrier_daily@1:flights","flights/origin_weather@2:wind"],"rows":[{"values":[null,1.5],"statuses":["ERROR","NOT_FOUND"]},{"values":[1,1.5],"statuses":["PRESENT","NOT_FOUND"],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}},{"values":[null,1.5],"statuses":["ERROR","NOT_FOUND"]}]}"#]]
        .assert_eq(&get);
    let cut = fixture
        .call(
            "get",
            r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA","origin":"JFK"},{"carrier":"CUT","origin":"JFK"}]}"#,
        )
        .await;
    expect![[r#"{"features":["flights/carrier_daily@1:flights"],"rows":[{"values":[1],"event_times":{"flights/carrier_daily@1":"2014-01-01T00:00:00Z"},"revs":{"flights/carrier_daily@1":1700000000000000}},{"values":[null],"statuses":["ERROR"]}]}"#]]
        .assert_eq(&cut);
}

/// A merge needs the row as it stands: where that cannot be read, nothing is written over it.
#[tokio::test]
async fn a_merge_over_an_unreadable_row_fails() {
    let fixture = Fixture::on(Arc::new(Failing(MemoryStore::new())));
    let row = |carrier: &str, values: &str| {
        format!(
            r#"{{"view":"flights/carrier_daily@1","rows":[{{"entity":{{"carrier":"{carrier}","origin":"JFK"}},"values":{values}}}]}}"#
        )
    };
    fixture.call("put", &row("ODD", r#"{"flights":1,"avg_dep_delay":1.0,"note":"x"}"#)).await;
    for carrier in ["BAD", "ODD"] {
        let answer = fixture.call("put", &row(carrier, r#"{"flights":2}"#)).await;
        assert!(answer.contains("\"outcome\":\"FAILED\""), "{answer}");
    }
    // A whole row takes its place.
    let answer =
        fixture.call("put", &row("ODD", r#"{"flights":1,"avg_dep_delay":1.0,"note":"x"}"#)).await;
    assert!(answer.contains("APPLIED"), "{answer}");
}

/// A body that never ends takes no place from requests that are whole.
#[tokio::test]
async fn who_sends_slowly_keeps_nobody_else_out() {
    let options = Options { requests_under_way_max: 1, ..Options::default() };
    let fixture = Fixture::with_options(Arc::new(MemoryStore::new()), options);
    let path = "/v1/features/online/get";
    let get = r#"{"features":["flights/carrier_daily@1:flights"],"entities":[{"carrier":"AA","origin":"JFK"}]}"#;
    for path in [path, "/v1/features/online/put", "/v1/features/online/delete"] {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let slow = fixture.post_text(path, never);
        let mut slow = std::pin::pin!(slow);
        assert!(futures::poll!(&mut slow).is_pending());
        let (status, answer) = fixture.post_text("/v1/features/online/get", get).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let _under_way = fixture.serving.enter("http").unwrap();
    let (status, _) = fixture.post_text(path, get).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}
