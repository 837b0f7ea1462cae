//! Where partitions end that nothing is fetched from. librdkafka knows a partition's end from what it
//! fetches; of one that is paused it would say for ever what it was, and the lag would look small just
//! when it grows.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use trivium_runtime::Shutdown;

use crate::lanes::Lanes;

const EVERY: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
/// How long a broker may take to say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until the shutdown, or until the consumer is gone. Waits for the broker: for a thread of its own.
pub(crate) fn follow<C: ConsumerContext>(
    consumer: &Weak<BaseConsumer<C>>,
    lanes: &Arc<Lanes>,
    shutdown: &Shutdown,
) {
    let mut waited = Duration::ZERO;
    while !shutdown.is_triggered() {
        if waited < EVERY {
            std::thread::sleep(STEP);
            waited += STEP;
            continue;
        }
        waited = Duration::ZERO;
        for id in lanes.paused() {
            let Some(consumer) = consumer.upgrade() else { return };
            // A broker that is away is told of by the consumer.
            if let Ok((begin, end)) = consumer.fetch_watermarks(&id.0, id.1, PATIENCE) {
                lanes.ends_at(&id, begin, end);
            }
            if shutdown.is_triggered() {
                return;
            }
        }
    }
}
