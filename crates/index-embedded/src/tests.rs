use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tempfile::TempDir;
use trivium_model::{Distance, Name, ViewRef};
use trivium_store::{
    conformance::embedding::{document, key_of, survives_a_restart, unique_spec},
    embedding::{
        DocumentId, EmbeddingIndex as _, IndexSpec, Listing, Nearest, PutOutcome, Visible,
    },
};

use crate::{EmbeddedIndex, Error};

/// The folder goes with the process, not with the test: the suite wants only the index.
fn kept_folder() -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    FOLDER.path().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

async fn make() -> Arc<EmbeddedIndex> {
    Arc::new(EmbeddedIndex::open(&kept_folder()).unwrap())
}
trivium_store::embedding_conformance_tests!(make);

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    survives_a_restart(index, async |index| {
        drop(index);
        EmbeddedIndex::open(folder.path()).unwrap()
    })
    .await;
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let error = EmbeddedIndex::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(index);
    EmbeddedIndex::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_removed_index_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let (spec, other) = (unique_spec(2, Distance::L2), unique_spec(2, Distance::L2));
    for spec in [&spec, &other] {
        index.ensure(spec, None).await.unwrap();
        let one = document(spec, "a", 1, &[1.0, 2.0]);
        index.put(spec, vec![one], Visible::Later, None).await.remove(0).unwrap();
    }
    index.remove(&spec, None).await.unwrap();
    drop(index);
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    assert!(index.refresh(&spec, None).await.is_err());
    index.ensure(&spec, None).await.unwrap();
    let listing = Listing::default();
    assert!(index.list(&spec, &listing, None, None).await.unwrap().ids.is_empty());
    assert_eq!(index.list(&other, &listing, None, None).await.unwrap().ids.len(), 1);
}

fn fixed_spec() -> IndexSpec {
    let name = |text| Name::new(text).unwrap();
    let view = ViewRef { namespace: name("n"), view: name("killed"), version: 1 };
    IndexSpec { view, ..unique_spec(16, Distance::Cosine) }
}

const FOLDER: &str = "TRIVIUM_TEST_KILLED_FOLDER";

/// What the test starts and kills. Says each rev that was acknowledged; every third document is deleted
/// again, and then that is said.
async fn write_until_killed(folder: &Path) {
    let index = EmbeddedIndex::open(folder).unwrap();
    let spec = fixed_spec();
    index.ensure(&spec, None).await.unwrap();
    for rev in 1.. {
        let one = document(&spec, "a", rev, &[rev as f32; 16]);
        let id = one.id.clone();
        let stored = index.put(&spec, vec![one], Visible::Later, None).await.remove(0).unwrap();
        assert_eq!(stored, PutOutcome::Stored);
        println!("\nput {rev}");
        if rev % 3 == 0 {
            assert!(index.delete(&spec, &[id], None).await.remove(0).unwrap());
            println!("\ndeleted {rev}");
        }
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    // This test is its own child, too.
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_killed(Path::new(&folder)).await;
    }
    let folder = TempDir::new().unwrap();
    let mut last = (0, 0);
    for acknowledged in [5_u64, 300] {
        // The second life begins where the first one's documents are in the way.
        let inner = folder.path().join(acknowledged.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::acknowledged_writes_survive_kill_9", "--nocapture"])
            .env(FOLDER, &inner)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while last.0 < acknowledged {
            let line = lines.next().unwrap().unwrap();
            match line.split_once(' ') {
                Some(("put", rev)) => last.0 = rev.parse().unwrap(),
                Some(("deleted", rev)) => last.1 = rev.parse().unwrap(),
                _ => {}
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it acknowledged while it was being killed.
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("put", rev)) => last.0 = rev.parse().unwrap_or(last.0),
                Some(("deleted", rev)) => last.1 = rev.parse().unwrap_or(last.1),
                _ => {}
            }
        }
        let index = EmbeddedIndex::open(&inner).unwrap();
        let spec = fixed_spec();
        index.ensure(&spec, None).await.unwrap();
        let ids: Vec<DocumentId> =
            (1..=last.0).map(|rev| DocumentId { key: key_of(&spec, "a"), rev }).collect();
        for (id, found) in ids.iter().zip(index.get(&spec, &ids, None).await) {
            let found = found.unwrap();
            if id.rev % 3 != 0 {
                assert!(found.is_some(), "{id:?} was acknowledged and is lost");
            } else if id.rev <= last.1 {
                assert!(found.is_none(), "{id:?} was deleted and is back");
            }
        }
        let query =
            Nearest { vector: Arc::from([1.0; 16]), k: 1_000, filter: None, score_min: None };
        let hits = index.nearest(&spec, &query, None).await.unwrap();
        let listed = index.list(&spec, &Listing::default(), None, None).await.unwrap();
        assert_eq!(hits.len(), listed.ids.len());
        last = (0, 0);
    }
}

/// A slot that is used again has nothing of the document before it.
#[tokio::test]
async fn slots_are_used_again_clean() {
    use trivium_store::embedding::{Document, Filter, MetaValue};

    let folder = TempDir::new().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let spec = unique_spec(2, Distance::L2);
    index.ensure(&spec, None).await.unwrap();
    let number = Name::new("number").unwrap();
    let old = Document {
        metadata: vec![(number.clone(), MetaValue::Int(1))],
        ..document(&spec, "a", 1, &[1.0, 2.0])
    };
    let id = old.id.clone();
    index.put(&spec, vec![old], Visible::Later, None).await.remove(0).unwrap();
    assert!(index.delete(&spec, &[id], None).await.remove(0).unwrap());
    let new = document(&spec, "b", 1, &[3.0, 4.0]);
    index.put(&spec, vec![new], Visible::Later, None).await.remove(0).unwrap();
    let nearest = |filter| Nearest { vector: Arc::from([3.0, 4.0]), k: 5, filter, score_min: None };
    let all = index.nearest(&spec, &nearest(None), None).await.unwrap();
    assert_eq!((all.len(), all[0].score), (1, 1.0));
    let filter = Filter::Equals { field: number, value: MetaValue::Int(1) };
    assert!(index.nearest(&spec, &nearest(Some(filter)), None).await.unwrap().is_empty());
}
