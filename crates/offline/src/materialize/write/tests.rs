use std::num::NonZeroU32;

use super::*;

/// A wait never ends early, however slow the machine is: only the lower bound is asserted.
#[tokio::test]
async fn rows_are_kept_apart() {
    let begun = Instant::now();
    let mut pace = Pace::new(NonZeroU32::new(100).unwrap());
    for _ in 0..3 {
        pace.wait(10).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}
