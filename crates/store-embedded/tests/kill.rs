//! Killed at any moment, a store has lost nothing that it had acknowledged.
//!
//! The test starts itself again as a child, which writes rows and says on its standard output which
//! were acknowledged; kills it (SIGKILL) after some acknowledgement or other; opens the store and
//! looks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use trivium_codec::{KeyShape, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};
use trivium_store::{
    Checkpoints, Condition, OnlineRead, OnlineWrite, Order, ReadOptions, RowWrite, WriteId,
    WriteOp, WriteOutcome,
};
use trivium_store_embedded::{EmbeddedStore, Options};

const CHILD: &str = "TRIVIUM_TEST_KILL_CHILD";
const KILLS: u64 = 20;
const BATCH: i64 = 50;
const KEYS: i64 = 500;

fn schema() -> Schema {
    let name = |text| Name::new(text).unwrap();
    Schema::new([(name("generation"), DataType::Int64), (name("filler"), DataType::String)])
        .unwrap()
}

fn key(number: i64) -> RowKey {
    let view =
        ViewRef { namespace: Name::new("n").unwrap(), view: Name::new("v").unwrap(), version: 1 };
    KeyShape::from_parts(&view, [(Name::new("k").unwrap(), KeyType::Int64)])
        .encode(&[KeyValue::Int64(number)])
        .unwrap()
}

fn open(path: &std::path::Path) -> EmbeddedStore {
    // A small write buffer, so that tables are flushed and journals sealed while we kill.
    EmbeddedStore::open(Options { write_buffer_bytes: 1 << 20, ..Options::new(path) }).unwrap()
}

async fn generation(store: &EmbeddedStore) -> i64 {
    let stored = store.load("generation").await.unwrap();
    stored.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap())
}

/// Writes generation after generation over all keys, each batch acknowledged by one line.
async fn child(path: &std::path::Path) {
    let store = open(path);
    let schema = schema();
    let filler = "x".repeat(150);
    let mut encoder = RowEncoder::new(&schema);
    let mut out = std::io::stdout();
    loop {
        let done = generation(&store).await;
        let generation = done + 1;
        for batch in 0..KEYS / BATCH {
            let writes = (batch * BATCH..(batch + 1) * BATCH)
                .map(|number| RowWrite {
                    key: key(number),
                    op: WriteOp::Put(
                        encoder
                            .encode(
                                Lane::Batch,
                                &[
                                    Some(ValueRef::Int64(generation)),
                                    Some(ValueRef::String(&filler)),
                                ],
                            )
                            .unwrap(),
                    ),
                    order: Order::At { event_time: Timestamp(generation), sequence: None },
                    condition: Condition::None,
                    write_id: WriteId(0),
                    ttl: None,
                    subject: None,
                })
                .collect();
            for outcome in store.write(writes, 1, None).await {
                assert!(matches!(outcome, Ok(WriteOutcome::Applied(_))), "{outcome:?}");
            }
            writeln!(out, "rows {batch} {generation}").unwrap();
            out.flush().unwrap();
        }
        let expected = (done > 0).then(|| done.to_string());
        let value = generation.to_string().into();
        assert!(
            store.store("generation", expected.as_deref().map(str::as_bytes), value).await.unwrap()
        );
        writeln!(out, "checkpoint {generation}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn kill_9_loses_no_acknowledged_write() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(path.as_ref()).await;
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut rows = vec![0_i64; (KEYS / BATCH) as usize];
    let mut checkpoint = 0_i64;
    let mut state = 42_u64;
    for kill in 0..KILLS {
        // The moment: after so many acknowledgements, and whatever the child does until the signal.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lines = (state >> 33) % 120;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill_9_loses_no_acknowledged_write", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut acknowledged = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| {
            let mut words = line.split(' ');
            let mut number = || words.next().unwrap().parse::<i64>();
            match line.split(' ').next() {
                Some("rows") => {
                    number().unwrap_err();
                    let batch = number().unwrap() as usize;
                    rows[batch] = number().unwrap();
                }
                Some("checkpoint") => {
                    number().unwrap_err();
                    checkpoint = number().unwrap();
                }
                // The test harness's own lines.
                _ => return false,
            }
            true
        };
        let mut seen = 0;
        while seen < lines {
            let line = acknowledged.next().expect("the child ended by itself").unwrap();
            seen += u64::from(note(&line));
        }
        child.kill().unwrap();
        // What it had said before it died counts as well.
        for line in acknowledged {
            note(&line.unwrap());
        }
        child.wait().unwrap();

        let store = open(folder.path());
        assert!(generation(&store).await >= checkpoint, "kill {kill}: the checkpoint went back");
        let schema = schema();
        for number in 0..KEYS {
            let expected = rows[(number / BATCH) as usize];
            let found =
                store.get(&[key(number)], &ReadOptions::default()).await.pop().unwrap().unwrap();
            let stored =
                found.map_or(0, |row| match row.reader(&schema).unwrap().get(0).unwrap() {
                    Some(ValueRef::Int64(generation)) => generation,
                    other => panic!("kill {kill}: row {number} reads as {other:?}"),
                });
            assert!(
                stored >= expected.max(generation(&store).await),
                "kill {kill}: row {number} has generation {stored}, {expected} was acknowledged"
            );
        }
        checkpoint = generation(&store).await;
    }
    assert!(
        rows.iter().all(|generation| *generation > 0),
        "the children wrote too little: {rows:?}"
    );
}
