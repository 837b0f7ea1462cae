//! What every keeper of partitions must do; `flights/daily@1` is registered with it and nothing recorded.

use trivium_model::{ColumnStatistics, Distinct, Severity, Timestamp, ViewRef};

use crate::{
    Error,
    partition::{
        CheckOutcome, ColumnLineage, PartitionFilter, PartitionRecord, Partitions, RECORDS_MAX,
        RecordOutcome, Recorded, SourceColumn,
    },
};

const DAY: i64 = 86_400_000_000;

/// A record of `flights/daily@1`.
pub fn record(day: i64, revision: u64) -> PartitionRecord {
    PartitionRecord {
        view: daily(),
        start: Timestamp(day * DAY),
        end: Timestamp((day + 1) * DAY),
        revision,
        content_hash: format!("{revision:064x}"),
        rows: 7,
        engine: "datafusion".to_owned(),
        sql_sha256: format!("{:064x}", 9),
        inputs_sha256: String::new(),
        quality: vec![CheckOutcome {
            check: "between(delay)".to_owned(),
            severity: Severity::Warn,
            passed: false,
            found: Some("0.5 (3 rows)".to_owned()),
            expected: "-120 to 'quoted' 3000".to_owned(),
        }],
        statistics: vec![ColumnStatistics {
            column: "delay".to_owned(),
            data_type: "float64".to_owned(),
            count: 7,
            null_count: 1,
            null_fraction: 1.0 / 7.0,
            nan_count: Some(0),
            distinct: Some(Distinct { count: 6, exact: true }),
            min: Some("-Infinity".into()),
            max: Some(0.1.into()),
            mean: None,
            quantiles: [("0.5".to_owned(), 0.1.into())].into(),
            lengths: None,
        }],
        tables: vec!["flights".to_owned()],
        lineage: vec![ColumnLineage {
            column: "delay".to_owned(),
            sources: vec![SourceColumn { table: None, column: "dep_delay".to_owned() }],
        }],
        started: None,
        finished: Timestamp((day + 2) * DAY),
        run: "run-1".to_owned(),
    }
}

fn version(version: u32) -> ViewRef {
    super::view("daily", version, &[("delay", "\"float64\"", None)]).0.reference()
}

fn daily() -> ViewRef {
    version(1)
}

fn all() -> PartitionFilter {
    PartitionFilter {
        view: daily(),
        from: None,
        to: None,
        after: None,
        all_revisions: false,
        limit: 100,
    }
}

async fn places(
    kept: &(impl Partitions + ?Sized),
    filter: PartitionFilter,
) -> Result<Vec<(i64, u64)>, Error> {
    let found = kept.partitions(&filter).await?;
    Ok(found.iter().map(|one| (one.partition.start.0 / DAY, one.partition.revision)).collect())
}

/// Panics where one does something else than it must; an error is one that it gave.
#[expect(clippy::missing_panics_doc, reason = "a check")]
pub async fn keeps_partitions(kept: &(impl Partitions + ?Sized)) -> Result<(), Error> {
    use RecordOutcome::{Recorded as New, Superseded, Unchanged};
    let now = Timestamp(99);
    assert_eq!(kept.partitions(&all()).await?, []);
    let three = [record(1, 1), record(3, 2), record(2, 1)];
    assert_eq!(kept.record(&three, "anna", now).await?, [New, New, New]);
    // Again, by somebody else: the first record stands.
    let again = [record(3, 2), record(3, 1), record(3, 4), record(3, 3)];
    assert_eq!(kept.record(&again, "bert", now).await?, [Unchanged, Superseded, New, Superseded]);
    let found = kept.partitions(&PartitionFilter { limit: 1, ..all() }).await?;
    assert_eq!(found, [Recorded { partition: record(3, 4), author: "bert".to_owned(), at: now }]);
    let revisions = PartitionFilter { all_revisions: true, ..all() };
    assert_eq!(places(kept, revisions.clone()).await?, [(3, 4), (3, 2), (2, 1), (1, 1)]);
    let first = kept
        .partitions(&PartitionFilter { after: Some(record(3, 4).place()), ..revisions.clone() })
        .await?;
    assert_eq!(first[0].author, "anna");
    assert_eq!(first[0].partition, record(3, 2));

    // Newest first, by pages and by range.
    assert_eq!(places(kept, all()).await?, [(3, 4), (2, 1), (1, 1)]);
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = kept.partitions(&PartitionFilter { after, limit: 2, ..all() }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.partition.place());
        pages.push(page.len());
    }
    assert_eq!(pages, [2, 1]);
    let range =
        PartitionFilter { from: Some(Timestamp(2 * DAY)), to: Some(Timestamp(3 * DAY)), ..all() };
    assert_eq!(places(kept, range).await?, [(2, 1)]);
    let other = PartitionFilter { view: other(), ..all() };
    assert_eq!(kept.partitions(&other).await?, []);

    refuses(kept, now).await
}

fn other() -> ViewRef {
    version(2)
}

/// What is refused changes nothing, and takes what came with it along.
async fn refuses(kept: &(impl Partitions + ?Sized), now: Timestamp) -> Result<(), Error> {
    let unknown = PartitionRecord { view: other(), ..record(5, 1) };
    let outcome = kept.record(&[record(5, 1), unknown], "anna", now).await;
    assert!(matches!(outcome, Err(Error::NotFound(_))), "{outcome:?}");
    let changed = PartitionRecord { content_hash: "a".repeat(64), ..record(1, 1) };
    let wrong = [
        changed,
        PartitionRecord { revision: 0, ..record(5, 1) },
        PartitionRecord { end: Timestamp(5 * DAY), ..record(5, 1) },
        PartitionRecord { content_hash: "A".repeat(64), ..record(5, 1) },
        PartitionRecord { engine: String::new(), ..record(5, 1) },
        PartitionRecord { run: "x\n".to_owned(), ..record(5, 1) },
        PartitionRecord { started: Some(Timestamp(i64::MAX)), ..record(5, 1) },
        PartitionRecord { tables: vec!["x".repeat(2 << 20)], ..record(5, 1) },
    ];
    for one in wrong {
        let outcome = kept.record(&[record(5, 1), one], "anna", now).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    }
    for author in ["", " ", "a\nb"] {
        let outcome = kept.record(&[record(5, 1)], author, now).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    }
    let many = vec![record(5, 1); RECORDS_MAX + 1];
    assert!(matches!(kept.record(&many, "anna", now).await, Err(Error::Invalid(_))));
    assert_eq!(places(kept, all()).await?, [(3, 4), (2, 1), (1, 1)]);
    Ok(())
}
