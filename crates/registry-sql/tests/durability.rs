//! What a crash, a damaged file and another release leave behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sqlx::{Connection, Row, SqliteConnection};
use trivium_model::Timestamp;
use trivium_registry::{
    AuditFilter, Error, PartitionFilter, PartitionRecord, Partitions as _, Registry, Revision,
    conformance::{change, partitions::record, view},
};
use trivium_registry_sql::{SCHEMA_VERSION, SqlRegistry, SqliteOptions};

/// Names the file that the child process of the kill test applies to.
const CHILD: &str = "TRIVIUM_TEST_REGISTRY";

async fn open(path: &Path) -> Result<SqlRegistry, Error> {
    SqlRegistry::open_sqlite(path, &SqliteOptions::default()).await
}

fn marked(base: u64) -> trivium_registry::Apply {
    let mark = base.to_string();
    let views =
        (0..20).map(|number| view(&format!("v{number}"), 1, &[("x", "\"int64\"", Some(&mark))]));
    change(base, views.collect())
}

/// All twenty views and twenty audit lines of each revision up to the head as it was just now: an apply that
/// was abandoned may be committed while this looks.
async fn check_whole(registry: &SqlRegistry) -> u64 {
    let head = registry.head().await.unwrap();
    let snapshot = registry.snapshot(Some(head)).await.unwrap();
    if head == Revision(0) {
        assert!(snapshot.views.is_empty());
        return 0;
    }
    assert_eq!(snapshot.views.len(), 20);
    for (reference, stored) in &snapshot.views {
        assert_eq!(stored.revision, head);
        let history = registry.view_history(reference).await.unwrap();
        let revisions = history.iter().map(|stored| stored.revision.0);
        let revisions: Vec<u64> = revisions.filter(|revision| *revision <= head.0).collect();
        assert_eq!(revisions, (1..=head.0).collect::<Vec<_>>());
    }
    let mut since = Revision(0);
    let mut lines = 0;
    loop {
        let filter = AuditFilter { since, limit: 1000, subject: None };
        let page = registry.audit(&filter).await.unwrap();
        lines += page.iter().filter(|line| line.revision <= head).count() as u64;
        let Some(last) = page.last() else { break };
        assert_eq!(last.ordinal, 19, "pages of 1000 end with a revision of 20 lines");
        since = last.revision.next();
    }
    assert_eq!(lines, head.0 * 20);
    head.0
}

/// Not a test of its own: what the kill test starts as another process. Prints each acknowledged
/// revision; ends only by being killed.
#[tokio::test]
async fn child_applies_for_ever() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let registry = open(Path::new(&path)).await.unwrap();
    let mut base = registry.head().await.unwrap().0;
    loop {
        base = registry.apply(marked(base)).await.unwrap().0;
        println!("acknowledged {base}");
    }
}

#[tokio::test]
async fn a_killed_apply_leaves_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut killed_at = 0;
    for round in 0..10u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_applies_for_ever", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = killed_at;
        // Killed somewhere in the apply after this one: where, the scheduler decides.
        let until = killed_at + 1 + round % 3;
        while acknowledged < until {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = number.trim().parse().unwrap();
            }
        }
        for _ in 0..(round * 1000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let registry = open(&path).await.unwrap();
        let head = check_whole(&registry).await;
        assert!(head >= acknowledged, "acknowledged {acknowledged}, found {head}");
        killed_at = head;
        registry.close().await;
    }
}

#[tokio::test]
async fn an_apply_that_fails_in_the_middle_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = open(&path).await.unwrap();
    registry.apply(marked(0)).await.unwrap();
    // The database itself refuses the last audit line: everything before it was written by then.
    let mut raw = raw(&path).await;
    sqlx::raw_sql(
        "CREATE TRIGGER fault BEFORE INSERT ON audit WHEN NEW.ordinal = 19
         BEGIN SELECT RAISE(ABORT, 'injected'); END",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    let failed = registry.apply(marked(1)).await.unwrap_err();
    assert!(failed.to_string().contains("injected"), "{failed}");
    assert_eq!(check_whole(&registry).await, 1);
    sqlx::raw_sql("DROP TRIGGER fault").execute(&mut raw).await.unwrap();
    assert_eq!(registry.apply(marked(1)).await.unwrap(), Revision(2));
    assert_eq!(check_whole(&registry).await, 2);
}

#[tokio::test]
async fn an_apply_that_is_abandoned_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder.path().join("registry.db")).await.unwrap();
    // Polled a few times, then dropped: a caller that went away.
    for polls in 0..12 {
        let mut apply = Box::pin(registry.apply(marked(registry.head().await.unwrap().0)));
        for _ in 0..polls {
            if futures_poll(&mut apply).await {
                break;
            }
        }
        drop(apply);
        check_whole(&registry).await;
    }
}

/// Polls once and lets others run; whether it was ready.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    let ready = std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await;
    tokio::task::yield_now().await;
    ready
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let first = open(&path).await.unwrap();
    for base in 0..3 {
        first.apply(marked(base)).await.unwrap();
    }
    let before = first.snapshot(None).await.unwrap();
    // A second process reads and writes the same file; both see what the other did.
    let second = open(&path).await.unwrap();
    assert_eq!(second.snapshot(None).await.unwrap(), before);
    second.apply(marked(3)).await.unwrap();
    assert_eq!(first.snapshot(None).await.unwrap(), second.snapshot(None).await.unwrap());
    let stale = first.apply(marked(3)).await.unwrap_err();
    assert_eq!(
        stale.to_string(),
        "planned against revision 3 but the registry is at 4: plan again"
    );
    first.close().await;
    second.close().await;
    let third = open(&path).await.unwrap();
    assert_eq!(check_whole(&third).await, 4);
    assert_eq!(third.snapshot(Some(Revision(3))).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(folder.path().join("registry.db"));
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let path = Arc::clone(&path);
            tokio::spawn(async move { open(&path).await })
        })
        .collect();
    let mut won = 0;
    for registry in opened {
        let registry = registry.await.unwrap().unwrap();
        won += u32::from(registry.apply(marked(0)).await.is_ok());
    }
    assert_eq!(won, 1);
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

#[tokio::test]
async fn accepted_rows_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = open(&path).await.unwrap();
    registry.apply(marked(0)).await.unwrap();
    let partition = PartitionRecord { view: "flights/v0@1".parse().unwrap(), ..record(1, 1) };
    registry.record(&[partition], "anna", Timestamp(1)).await.unwrap();
    let mut raw = raw(&path).await;
    for sql in [
        "UPDATE partition_record SET author = 'x'",
        "DELETE FROM partition_record",
        "UPDATE feature_view SET config_text = ''",
        "DELETE FROM feature_view",
        "UPDATE feature_service SET config_text = '' WHERE 1 = 1",
        "UPDATE audit SET author = ''",
        "UPDATE audit SET detail = ''",
        "DELETE FROM audit",
        "UPDATE registry_revision SET author = 'x'",
        "DELETE FROM registry_revision",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&mut raw).await;
        // No service row is there to be guarded, and `audit` has no author.
        let expected = !sql.contains("feature_service");
        assert_eq!(refused.is_err(), expected, "{sql}");
    }
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut raw).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "wal");
    assert_eq!(check_whole(&registry).await, 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    open(&path).await.unwrap().close().await;
    let mut raw = raw(&path).await;
    sqlx::query("INSERT INTO registry_schema (version) VALUES ($1)")
        .bind(SCHEMA_VERSION + 1)
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    let refused = open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    let said = refused.to_string();
    let (newer, known) = (SCHEMA_VERSION + 1, SCHEMA_VERSION);
    let expected = format!("has schema {newer}, this release knows {known}: use the release");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("registry.db"), "{said}");
}

#[tokio::test]
async fn a_newer_config_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = open(&path).await.unwrap();
    registry.apply(marked(0)).await.unwrap();
    registry.close().await;
    let mut raw = raw(&path).await;
    sqlx::raw_sql(
        "DROP TRIGGER feature_view_is_kept; UPDATE feature_view SET format = 2 WHERE name = 'v3'",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    let said = open(&path).await.unwrap().snapshot(None).await.unwrap_err().to_string();
    assert!(said.contains("flights/v3.v1.json was stored in config format 2"), "{said}");
}

#[tokio::test]
async fn a_config_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = open(&path).await.unwrap();
    registry.apply(marked(0)).await.unwrap();
    registry.close().await;
    let mut raw = raw(&path).await;
    sqlx::raw_sql("DROP TRIGGER feature_view_is_kept; UPDATE feature_view SET config_text = '{' WHERE name = 'v3'")
        .execute(&mut raw)
        .await
        .unwrap();
    let error = open(&path).await.unwrap().snapshot(None).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)));
    let said = error.to_string();
    assert!(
        said.contains(
            "accepted at revision 1 cannot be read by this release: flights/v3.v1.json:1:"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn damaged_files_are_refused_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.db");
    let registry = open(&good).await.unwrap();
    for base in 0..5 {
        registry.apply(marked(base)).await.unwrap();
    }
    registry.close().await;
    let bytes = std::fs::read(&good).unwrap();
    assert!(bytes.len() > 3 * 4096, "several pages");

    let cases: [(&str, Vec<u8>); 4] = [
        (
            "text",
            b"this is not a database, but it is long enough to be taken for one by its size"
                .repeat(20),
        ),
        ("half", bytes[..bytes.len() / 2].to_vec()),
        ("zeroed", {
            let mut damaged = bytes.clone();
            let middle = damaged.len() / 2 / 4096 * 4096;
            damaged[middle..middle + 4096].fill(0);
            damaged
        }),
        ("noise", {
            let mut damaged = bytes.clone();
            for (index, byte) in damaged.iter_mut().enumerate().skip(4096).step_by(7) {
                *byte ^= (index % 251) as u8;
            }
            damaged
        }),
    ];
    for (name, damaged) in cases {
        let path = folder.path().join(format!("{name}.db"));
        std::fs::write(&path, damaged).unwrap();
        let refused = open(&path).await.expect_err(name);
        assert!(matches!(refused, Error::Corrupt(_)), "{name}: {refused:?}");
        let said = refused.to_string();
        assert!(said.contains(&format!("{name}.db")) && said.contains("backup"), "{said}");
    }
}

/// Where the file has this text, of which there is one.
fn page_of(bytes: &[u8], text: &str) -> std::ops::Range<usize> {
    let found: Vec<usize> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text.as_bytes())
        .map(|(at, _)| at)
        .collect();
    let [at] = found[..] else { panic!("{text} is at {found:?}") };
    let start = at / 4096 * 4096;
    start..start + 4096
}

/// A registry with many records: its file, and one of its definitions' and one of its records' texts.
async fn with_records(path: &Path) -> (&'static str, &'static str) {
    let registry = open(path).await.unwrap();
    let views = (0..40).map(|number| {
        view(&format!("v{number}"), 1, &[("a_definition_of_its_own", "\"int64\"", None)])
    });
    let mut views: Vec<_> = views.collect();
    views[20] = view("v20", 1, &[("the_one_definition", "\"int64\"", None)]);
    registry.apply(change(0, views)).await.unwrap();
    for revision in 1..=40 {
        let engine = if revision == 20 { "the-one-engine" } else { "another-engine" };
        let one = PartitionRecord {
            view: "flights/v0@1".parse().unwrap(),
            engine: engine.to_owned(),
            ..record(1, revision)
        };
        registry.record(&[one], "anna", Timestamp(1)).await.unwrap();
    }
    registry.close().await;
    ("the_one_definition", "the-one-engine")
}

#[tokio::test]
async fn opening_reads_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let (_, engine) = with_records(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let page = page_of(&bytes, engine);
    bytes[page].fill(0);
    std::fs::write(&path, &bytes).unwrap();

    let registry = open(&path).await.unwrap();
    assert_eq!(registry.snapshot(None).await.unwrap().views.len(), 40);
    let all = PartitionFilter {
        view: "flights/v0@1".parse().unwrap(),
        from: None,
        to: None,
        after: None,
        all_revisions: true,
        limit: 100,
    };
    let refused = registry.partitions(&all).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused:?}");
    assert!(refused.to_string().contains("backup"), "{refused}");
}

#[tokio::test]
async fn opening_looks_for_damage_while_another_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let (definition, _) = with_records(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let page = page_of(&bytes, definition);
    bytes[page].fill(0);
    std::fs::write(&path, &bytes).unwrap();

    let mut writer = raw(&path).await;
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut writer).await.unwrap();
    let _transaction = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let options = SqliteOptions { busy_timeout_ms: 1, ..SqliteOptions::default() };
    let refused = SqlRegistry::open_sqlite(&path, &options).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "before it waits for a lock: {refused:?}");
}

#[tokio::test]
async fn places_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    // Another program's database is left alone.
    let other = folder.path().join("other.db");
    let mut theirs =
        SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", other.display())).await.unwrap();
    sqlx::raw_sql("CREATE TABLE theirs (x)").execute(&mut theirs).await.unwrap();
    let refused = open(&other).await.unwrap_err();
    assert!(refused.to_string().contains("another program's SQLite database"), "{refused}");
    let tables =
        sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut theirs).await.unwrap();
    assert_eq!(tables.get::<i64, _>(0), 1);
    // A folder, and a path below a file.
    let refused = open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    let refused = open(&other.join("below/registry.db")).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
}
