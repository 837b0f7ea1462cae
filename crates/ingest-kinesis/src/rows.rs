//! Shards' messages into the ingest lanes, which write rows.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use trivium_ingest::{Lane, Parts, port::Record};
use trivium_runtime::Clock;

use crate::{
    KinesisOptions,
    lanes::Shared,
    reader::{Item, Mark},
    taker::{Names, Next, Taker},
};

const NAMES: Names = Names {
    lag: "trivium_ingest_lag_seconds",
    rebalances: "trivium_ingest_rebalances_total",
    expired: "trivium_ingest_expired_total",
};

/// A lane a shard.
pub(crate) struct Rows {
    pub parts: Parts,
    pub options: KinesisOptions,
}

#[async_trait]
impl Taker for Rows {
    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    fn topics(&self) -> Vec<String> {
        self.parts.routes.load().topics()
    }

    async fn take(&self, shared: &Arc<Shared>, mut fed: mpsc::UnboundedReceiver<Item>) -> Next {
        let stop = shared.stop.clone();
        let mut lane = Lane::new(shared.tended.partition().clone(), self.parts.clone());
        let (mut items, mut records) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return Next::Stop,
                _ = fed.recv_many(&mut items, self.options.batch_records) => {}
            }
            if items.is_empty() {
                // The reader has come to the shard's end, and so has the lane.
                return Next::Stop;
            }
            let (mut last, mut ended): (Option<(Mark, u64)>, bool) = (None, false);
            for item in items.drain(..) {
                match item {
                    Item::End => ended = true,
                    Item::Message(record, mark) => {
                        // Progress stands between records: in the middle of an aggregate it waits.
                        if let Some(mark) = mark {
                            last = Some((mark, record.offset));
                        }
                        records.push(record);
                    }
                }
            }
            let retry = self.options.flood_retry;
            if !records.is_empty() && !shared.tended.take(&mut lane, &records, retry, &stop).await {
                return Next::Stop;
            }
            shared.done_with(last, ended);
            shared.freed(records.iter().map(Record::bytes).sum());
            records.clear();
        }
    }
}
