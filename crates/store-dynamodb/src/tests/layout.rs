//! How rows stand in the table, and its limits.

use std::{sync::Arc, time::Duration};

use trivium_store::{
    Checkpoints as _, Error, OnlineRead as _, OnlineWrite as _, ReadOptions, RowWrite,
    Subjects as _, WriteOp, WriteOutcome,
};

use super::support::{SEED, at, delete, key, new_table, number, put, row};
use crate::{DynamoStore, item::row_key};

async fn item(store: &DynamoStore, view: &str) -> Vec<(String, String)> {
    let inner = &*store.0;
    let item = inner.get_item(row_key(&key(view, 1)), inner.end_of(None)).await.unwrap().unwrap();
    let mut item: Vec<(String, String)> = item
        .into_iter()
        .filter(|(name, _)| name != "row_bytes")
        .map(|(name, value)| (name, format!("{value:?}")))
        .collect();
    item.sort();
    item
}

fn value(item: &[(String, String)], name: &str) -> String {
    item.iter()
        .find(|(found, _)| found == name)
        .map_or_else(String::new, |(_, value)| value.clone())
}

async fn write(store: &DynamoStore, write: RowWrite) -> Result<WriteOutcome, Error> {
    store.write(vec![write], SEED, None).await.pop().unwrap()
}

#[tokio::test]
async fn expiry_and_subject_follow_the_row() {
    let store = new_table().await;
    let key = key("v", 1);
    let grace = store.options().grace_seconds;
    let now = SEED / 1_000_000;
    write(&store, put(&key, 1, 5)).await.unwrap();
    let plain = item(&store, "v").await;
    let names: Vec<&str> = plain.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["event_time", "pk", "rev", "seq", "sk", "write_id"]);
    assert_eq!(value(&plain, "pk"), r#"S("n#k#i:1")"#);
    assert_eq!(value(&plain, "sk"), r#"S("v#1")"#);

    let ttl = Some(Duration::from_secs(1_000));
    let named = RowWrite { ttl, subject: Some(Arc::from("n#user#s:u1")), ..put(&key, 2, 0) };
    write(&store, named.clone()).await.unwrap();
    let full = item(&store, "v").await;
    assert_eq!(value(&full, "expires_at"), format!("N(\"{}\")", now + 1_000 + grace));
    assert_eq!(value(&full, "subject"), r#"S("n#user#s:u1")"#);
    assert_eq!(value(&full, "write_id"), "", "it has no name");

    write(&store, delete(&key, 3)).await.unwrap();
    let gone = item(&store, "v").await;
    assert_eq!(value(&gone, "expires_at"), format!("N(\"{}\")", now + grace));
    assert_eq!(
        (value(&gone, "subject"), value(&gone, "dead")),
        (String::new(), "Bool(true)".into())
    );

    write(&store, put(&key, 4, 0)).await.unwrap();
    let back = item(&store, "v").await;
    assert_eq!((value(&back, "expires_at"), value(&back, "dead")), (String::new(), String::new()));
}

#[tokio::test]
async fn a_subject_is_found_page_by_page() {
    let store = new_table().await;
    let of = |view: &str, number: i64, subject: &str| RowWrite {
        subject: Some(Arc::from(subject)),
        ..put(&key(view, number), 1, 0)
    };
    let mut writes: Vec<RowWrite> = (0..1_200).map(|number| of("v", number, "anna")).collect();
    writes.push(of("w", 1, "anna"));
    writes.extend((5_000..5_010).map(|number| of("v", number, "ben")));
    for outcome in store.write(writes, SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    write(&store, delete(&key("v", 3), 2)).await.unwrap();
    let mut found = Vec::new();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = store.keys_of("anna", after.as_deref()).await.unwrap();
        found.extend(page.keys);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(pages >= 3, "{pages} pages");
    found.sort();
    let mut expected: Vec<_> = (0..1_200).filter(|n| *n != 3).map(|n| key("v", n)).collect();
    expected.push(key("w", 1));
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(store.keys_of("ben", None).await.unwrap().keys.len(), 10);
    assert!(store.keys_of("carl", None).await.unwrap().keys.is_empty());
    assert!(matches!(store.keys_of("", None).await, Err(Error::Invalid(_))));
    assert!(matches!(store.keys_of("anna", Some("x")).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn what_is_too_large_is_refused_alone_and_what_fits_fits() {
    let store = new_table().await;
    let sized = |number: i64, bytes: usize| {
        RowWrite::new(key("v", number), WriteOp::Put(row(number, &"x".repeat(bytes))), at(1))
    };
    // The row has a header and more around the text; the item, its key and numbers besides.
    let writes = vec![sized(1, 408_000), sized(2, 409_600), sized(3, 1_000_000), sized(4, 10)];
    let outcomes = store.write(writes, SEED, None).await;
    assert!(matches!(outcomes[0], Ok(WriteOutcome::Applied(_))), "{:?}", outcomes[0]);
    for outcome in &outcomes[1..3] {
        let Err(Error::Invalid(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("409600"), "{why}");
    }
    assert!(matches!(outcomes[3], Ok(WriteOutcome::Applied(_))), "{:?}", outcomes[3]);
    let long = RowWrite { subject: Some(Arc::from("s".repeat(2_049))), ..put(&key("v", 5), 1, 0) };
    assert!(matches!(write(&store, long).await, Err(Error::Invalid(_))));
}

/// 16 MB is all that one answer may hold: DynamoDB leaves the rest of a batch unprocessed by itself.
#[tokio::test]
async fn answers_beyond_16_mb_come_whole() {
    let store = new_table().await;
    let text = "x".repeat(350_000);
    let writes =
        (0..60).map(|n| RowWrite::new(key("v", n), WriteOp::Put(row(n, &text)), at(1))).collect();
    for outcome in store.write(writes, SEED, None).await {
        assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
    }
    let keys: Vec<_> = (0..70).map(|n| key("v", n)).collect();
    let found = store.get(&keys, &ReadOptions::default()).await;
    for (n, found) in found.into_iter().enumerate() {
        assert_eq!(found.unwrap().as_ref().map(number), (n < 60).then_some(n as i64));
    }
}

#[tokio::test]
async fn checkpoints_may_be_larger_than_an_item() {
    let store = new_table().await;
    let values: Vec<bytes::Bytes> =
        [1_000_000, 10, 700_000].iter().map(|&size| vec![size as u8; size].into()).collect();
    let mut before: Option<bytes::Bytes> = None;
    for value in &values {
        assert!(!store.store("c", Some(b"other"), value.clone()).await.unwrap());
        assert!(store.store("c", before.as_deref(), value.clone()).await.unwrap());
        assert_eq!(store.load("c").await.unwrap().as_ref(), Some(value));
        before = Some(value.clone());
    }
    let inner = &*store.0;
    let parts = inner.first.client.scan().table_name(&inner.options.table).send().await.unwrap();
    // The head and the parts of the value that counts: those of the first are gone.
    assert_eq!(parts.items().len(), 1 + 3);
    let huge = bytes::Bytes::from(vec![0; (16 << 20) + 1]);
    assert!(matches!(store.store("c", None, huge).await, Err(Error::Invalid(_))));
    assert!(matches!(store.load("").await, Err(Error::Invalid(_))));
}
