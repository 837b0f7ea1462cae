//! Linearizability under faults, on the real code: serving nodes as processes, a real Valkey, a real
//! DynamoDB API behind a proxy; random clients; everything killed, stopped, cut off, throttled,
//! restarted from old snapshots. What clients saw is checked row by row (`check`). `docs/chaos.md`.

#[expect(missing_docs, reason = "a harness: its parts are for each other")]
pub mod check;
#[expect(missing_docs, reason = "a harness: its parts are for each other")]
pub mod history;
