use std::ffi::OsStr;

use super::{builder, coloured};

#[test]
fn logs_are_coloured_on_a_terminal_only() {
    assert!(coloured(true, None));
    assert!(coloured(true, Some(OsStr::new(""))));
    assert!(!coloured(true, Some(OsStr::new("1"))));
    assert!(!coloured(false, None));
}

/// The page after these samples.
fn page(samples: &[(&'static str, f64)]) -> String {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for (name, sample) in samples {
            metrics::histogram!(*name).record(*sample);
        }
    });
    recorder.handle().render()
}

/// The bounds of a histogram's buckets that are not all of them, and how many samples are in each.
fn buckets(page: &str, name: &str) -> Vec<(f64, u64)> {
    let begin = format!("{name}_bucket{{le=\"");
    let lines = page.lines().filter_map(|line| line.strip_prefix(&begin)?.split_once("\"} "));
    let finite = lines.filter(|(bound, _)| *bound != "+Inf");
    finite.map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap())).collect()
}

#[test]
fn every_histogram_is_shown_as_one() {
    let names = [
        "trivium_store_seconds",
        "trivium_ingest_freshness_seconds",
        "trivium_ingest_batch_records",
        "trivium_of_another_name",
    ];
    let page = page(&names.map(|name| (name, 3.0)));
    for name in names {
        assert!(page.contains(&format!("# TYPE {name} histogram\n")), "{page}");
        let buckets = buckets(&page, name);
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0), "{buckets:?}");
        assert_eq!(buckets.last().unwrap().1, 1, "{name} is in no bucket");
    }
    assert!(!page.contains("quantile"), "{page}");
}

#[test]
fn ages_of_hours_batches_and_calls_are_told_apart() {
    let freshness = "trivium_ingest_freshness_seconds";
    let hours: Vec<_> = [0.2, 7_200.0, 80_000.0].map(|age| (freshness, age)).into();
    let found = buckets(&page(&hours), freshness);
    let below = |bound: f64| found.iter().find(|bucket| bucket.0 == bound).unwrap().1;
    assert_eq!([0.1, 0.25, 3_600.0, 14_400.0, 43_200.0, 86_400.0].map(below), [0, 1, 1, 2, 2, 3]);

    let batch = "trivium_ingest_batch_records";
    let sizes: Vec<_> = [1.0, 1_000.0, 1_001.0].map(|size| (batch, size)).into();
    let found = buckets(&page(&sizes), batch);
    let below = |bound: f64| found.iter().find(|bucket| bucket.0 == bound).unwrap().1;
    assert_eq!([1.0, 500.0, 1_000.0, 2_000.0].map(below), [1, 1, 2, 3]);

    // A call of 60 µs is not one of 40.
    let calls = "trivium_store_seconds";
    let found = buckets(&page(&[(calls, 0.00006), (calls, 0.00004)]), calls);
    assert_eq!(found[..2], [(0.00005, 1), (0.0001, 2)]);
}
