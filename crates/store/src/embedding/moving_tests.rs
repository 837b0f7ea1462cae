//! An index that is being replaced keeps every promise of one that is not, at every stage.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use async_trait::async_trait;
use trivium_model::Distance;

use super::{
    Checked, Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexCompared, IndexSpec,
    ListPage, Listing, MemoryIndex, MovingIndex, Nearest, PutOutcome, Visible, compare_index,
    copy_index,
};
use crate::{
    Error,
    conformance::embedding::{document, unique_spec},
};

/// Shared, so that two nodes may know the same two indexes.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<MemoryIndex>);

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl EmbeddingIndex for Shared {
            $(async fn $name(
                &self,
                spec: &IndexSpec,
                $($argument: $type,)*
                deadline: Option<std::time::Instant>,
            ) -> $answer {
                self.0.$name(spec, $($argument,)* deadline).await
            })*
        }
    };
}
forward! {
    ensure() -> Result<Ensured, Error>;
    remove() -> Result<(), Error>;
    put(documents: Vec<Document>, visible: Visible) -> Vec<Result<PutOutcome, Error>>;
    get(ids: &[DocumentId]) -> Vec<Result<Option<Document>, Error>>;
    delete(ids: &[DocumentId]) -> Vec<Result<bool, Error>>;
    nearest(query: &Nearest) -> Result<Vec<Hit>, Error>;
    list(listing: &Listing, after: Option<&str>) -> Result<ListPage, Error>;
    refresh() -> Result<(), Error>;
}

type Pair = MovingIndex<Shared, Shared>;

mod reading_the_old_one {
    use super::*;

    async fn make() -> Arc<Pair> {
        Arc::new(MovingIndex::new(Shared::default(), Shared::default()))
    }
    crate::embedding_conformance_tests!(make);
}

/// Nodes of both stages write; each check is asked of one that reads the new index.
mod beside_each_other {
    use super::*;

    /// Puts by one node, reads by the other.
    struct Two {
        reads_old: Pair,
        reads_new: Pair,
    }

    #[async_trait]
    impl EmbeddingIndex for Two {
        async fn ensure(
            &self,
            spec: &IndexSpec,
            deadline: Option<std::time::Instant>,
        ) -> Result<Ensured, Error> {
            self.reads_old.ensure(spec, deadline).await
        }
        async fn remove(
            &self,
            spec: &IndexSpec,
            deadline: Option<std::time::Instant>,
        ) -> Result<(), Error> {
            self.reads_new.remove(spec, deadline).await
        }
        async fn put(
            &self,
            spec: &IndexSpec,
            documents: Vec<Document>,
            visible: Visible,
            deadline: Option<std::time::Instant>,
        ) -> Vec<Result<PutOutcome, Error>> {
            self.reads_old.put(spec, documents, visible, deadline).await
        }
        async fn get(
            &self,
            spec: &IndexSpec,
            ids: &[DocumentId],
            deadline: Option<std::time::Instant>,
        ) -> Vec<Result<Option<Document>, Error>> {
            self.reads_new.get(spec, ids, deadline).await
        }
        async fn delete(
            &self,
            spec: &IndexSpec,
            ids: &[DocumentId],
            deadline: Option<std::time::Instant>,
        ) -> Vec<Result<bool, Error>> {
            self.reads_old.delete(spec, ids, deadline).await
        }
        async fn nearest(
            &self,
            spec: &IndexSpec,
            query: &Nearest,
            deadline: Option<std::time::Instant>,
        ) -> Result<Vec<Hit>, Error> {
            self.reads_new.nearest(spec, query, deadline).await
        }
        async fn list(
            &self,
            spec: &IndexSpec,
            listing: &Listing,
            after: Option<&str>,
            deadline: Option<std::time::Instant>,
        ) -> Result<ListPage, Error> {
            self.reads_new.list(spec, listing, after, deadline).await
        }
        async fn refresh(
            &self,
            spec: &IndexSpec,
            deadline: Option<std::time::Instant>,
        ) -> Result<(), Error> {
            self.reads_new.refresh(spec, deadline).await
        }
    }

    async fn make() -> Arc<Two> {
        let (old, new) = (Shared::default(), Shared::default());
        Arc::new(Two {
            reads_old: MovingIndex::new(old.clone(), new.clone()),
            reads_new: MovingIndex::new(new, old),
        })
    }
    crate::embedding_conformance_tests!(make);
}

async fn ids(index: &impl EmbeddingIndex, spec: &IndexSpec) -> Vec<DocumentId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = index.list(spec, &Listing::default(), after.as_deref(), None).await.unwrap();
        ids.extend(page.ids);
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn an_index_is_replaced_and_brought_back() {
    let spec = unique_spec(2, Distance::L2);
    let (old, new) = (Shared::default(), Shared::default());
    old.ensure(&spec, None).await.unwrap();
    new.ensure(&spec, None).await.unwrap();
    // More than two pages, and what the two have in common lies across their ends.
    let documents: Vec<Document> = (0..1_300)
        .map(|n| document(&spec, &format!("e{n}"), 1 + n % 7, &[n as f32, 1.0]))
        .collect();
    old.put(&spec, documents.clone(), Visible::Now, None).await;
    let both = MovingIndex::new(old.clone(), new.clone());
    let late = document(&spec, "late", 3, &[5.0, 5.0]);
    assert!(matches!(
        both.put(&spec, vec![late.clone()], Visible::Now, None).await[..],
        [Ok(PutOutcome::Stored)]
    ));
    let compared = compare_index(&old, &new, &spec).await.unwrap();
    assert_eq!(compared, IndexCompared { same: 1, only_first: 1_300, ..IndexCompared::default() });
    assert_eq!(ids(&both, &spec).await, ids(&old, &spec).await);

    let copied = copy_index(&old, &new, &spec).await.unwrap();
    assert_eq!((copied.seen, copied.copied), (1_301, 1_300));
    assert_eq!(copy_index(&old, &new, &spec).await.unwrap().copied, 0, "it may be repeated");
    let same = IndexCompared { same: 1_301, ..IndexCompared::default() };
    assert_eq!(compare_index(&old, &new, &spec).await.unwrap(), same);

    // Some nodes know the new one alone by then: what they put is found by those that read it first, and
    // by key by those that do not.
    let switched = MovingIndex::new(new.clone(), old.clone());
    let alone = document(&spec, "alone", 9, &[9.0, 9.0]);
    new.put(&spec, vec![alone.clone()], Visible::Now, None).await;
    for node in [&switched, &both] {
        let found = node.get(&spec, std::slice::from_ref(&alone.id), None).await.remove(0).unwrap();
        assert!(found.is_some_and(|found| found.is_same(&alone)));
        assert_eq!(ids(node, &spec).await.len(), 1_302);
    }
    let query = Nearest { vector: alone.vector.clone(), k: 1, filter: None, score_min: None };
    assert_eq!(switched.nearest(&spec, &query, None).await.unwrap()[0].id, alone.id);
    // Deleted is deleted in both.
    both.delete(&spec, &[late.id.clone(), alone.id.clone()], None).await;
    assert!(
        new.get(&spec, &[late.id, alone.id], None)
            .await
            .into_iter()
            .all(|found| found.unwrap().is_none())
    );
    // And back: what was put meanwhile is in both, or copied.
    assert_eq!(copy_index(&new, &old, &spec).await.unwrap().copied, 0);
    assert_eq!(compare_index(&old, &new, &spec).await.unwrap().same, 1_300);
}

/// Two writers of one id, each of whom asks another index first: at most one is told that it is stored.
#[tokio::test]
async fn an_id_is_decided_once_by_nodes_of_both_stages() {
    let spec = unique_spec(2, Distance::L2);
    let (old, new) = (Shared::default(), Shared::default());
    old.ensure(&spec, None).await.unwrap();
    new.ensure(&spec, None).await.unwrap();
    let (one, two) = (document(&spec, "a", 1, &[1.0, 0.0]), document(&spec, "a", 1, &[2.0, 0.0]));
    // The worst order: each has been to one index.
    old.put(&spec, vec![one.clone()], Visible::Now, None).await;
    new.put(&spec, vec![two.clone()], Visible::Now, None).await;
    for (node, document) in
        [(MovingIndex::new(old.clone(), new.clone()), one), (MovingIndex::new(new, old), two)]
    {
        let outcome = node.put(&spec, vec![document], Visible::Now, None).await;
        assert!(matches!(outcome[..], [Ok(PutOutcome::Taken)]), "{outcome:?}");
    }
}

/// An index that is not known to be complete is not searched; everything else goes on.
#[tokio::test]
async fn searches_wait_until_the_check_has_passed_once() {
    static PASSES: AtomicBool = AtomicBool::new(false);
    fn check<'a>(_: &'a Shared, _: &'a Shared) -> Checked<'a> {
        Box::pin(async {
            let why = || Error::Unavailable("not yet".to_owned());
            if PASSES.load(SeqCst) { Ok(()) } else { Err(why()) }
        })
    }
    let spec = unique_spec(2, Distance::L2);
    let pair = MovingIndex::checked(Shared::default(), Shared::default(), check);
    pair.ensure(&spec, None).await.unwrap();
    let one = document(&spec, "one", 1, &[1.0, 2.0]);
    let query = Nearest { vector: Arc::clone(&one.vector), k: 1, filter: None, score_min: None };
    assert!(pair.put(&spec, vec![one.clone()], Visible::Now, None).await[0].is_ok());
    assert!(pair.get(&spec, std::slice::from_ref(&one.id), None).await[0].is_ok());
    assert!(matches!(pair.nearest(&spec, &query, None).await, Err(Error::Unavailable(_))));
    PASSES.store(true, SeqCst);
    assert_eq!(pair.nearest(&spec, &query, None).await.unwrap().len(), 1);
    // It is not asked again.
    PASSES.store(false, SeqCst);
    assert_eq!(pair.nearest(&spec, &query, None).await.unwrap().len(), 1);
}
