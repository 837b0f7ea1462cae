//! Replacing an embedding index while it is served. Documents never change and are found under (key,
//! rev), so it is enough to write both, and to ask the one that is complete. The procedure, and which nodes
//! may run beside which: `docs/decisions/0010-replacing-a-store.md`.

use std::{
    cmp::Ordering,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

use async_trait::async_trait;

use super::{
    Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest,
    PutOutcome, Visible,
};
use crate::Error;

/// Two indexes as one: `complete` answers searches, `other` is written too. While documents are copied the
/// old one is the complete one; once [`compare_index`] finds no difference, either may be.
#[derive(Debug)]
pub struct MovingIndex<A, B> {
    complete: A,
    other: B,
    /// What has to be right before the first search. `None`: nothing has.
    check: Option<Check<A, B>>,
    is_checked: AtomicBool,
}

/// Whether the first index may be taken for complete; an error says why not.
pub type Check<A, B> = for<'a> fn(&'a A, &'a B) -> Checked<'a>;

/// What it says.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl<A, B> MovingIndex<A, B> {
    /// Reads `complete`, writes both.
    pub const fn new(complete: A, other: B) -> Self {
        Self { complete, other, check: None, is_checked: AtomicBool::new(false) }
    }

    /// The same, and refuses searches until `check` has said once that they miss nothing: nobody would
    /// notice if they did.
    pub const fn checked(complete: A, other: B, check: Check<A, B>) -> Self {
        Self { complete, other, check: Some(check), is_checked: AtomicBool::new(false) }
    }

    async fn may_search(&self) -> Result<(), Error> {
        let Some(check) = self.check.filter(|_| !self.is_checked.load(Relaxed)) else {
            return Ok(());
        };
        check(&self.complete, &self.other).await?;
        self.is_checked.store(true, Relaxed);
        Ok(())
    }
}

/// How a copying went, or a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexCopied {
    /// Documents looked at.
    pub seen: u64,
    /// Documents that were put.
    pub copied: u64,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexCompared {
    /// Documents that both have, alike.
    pub same: u64,
    /// Documents that only the first one has. They are what `copy_index` is for.
    pub only_first: u64,
    /// Documents that only the second one has.
    pub only_second: u64,
    /// Documents that are not the same in both: two writers decided one id, and no row names either.
    pub different: u64,
}

#[async_trait]
impl<A: EmbeddingIndex, B: EmbeddingIndex> EmbeddingIndex for MovingIndex<A, B> {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        self.other.ensure(spec, deadline).await?;
        self.complete.ensure(spec, deadline).await
    }

    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.other.remove(spec, deadline).await?;
        self.complete.remove(spec, deadline).await
    }

    /// Stored is what both stored: of two documents with one id at most one is told so, whichever index
    /// each of their writers reads.
    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        let (ours, theirs) = futures::join!(
            self.complete.put(spec, documents.clone(), visible, deadline),
            self.other.put(spec, documents, visible, deadline),
        );
        both(ours, theirs, |one, two| match (one, two) {
            (PutOutcome::Stored, PutOutcome::Stored) => PutOutcome::Stored,
            _ => PutOutcome::Taken,
        })
    }

    /// From the complete one; what it does not have was put by a node that knows the other one alone.
    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        let mut found = self.complete.get(spec, ids, deadline).await;
        let missing = |(_, found): &(usize, &Result<_, _>)| matches!(found, Ok(None));
        let places: Vec<usize> =
            found.iter().enumerate().filter(missing).map(|(place, _)| place).collect();
        if places.is_empty() {
            return found;
        }
        let wanted: Vec<DocumentId> = places.iter().map(|place| ids[*place].clone()).collect();
        for (place, document) in
            places.into_iter().zip(self.other.get(spec, &wanted, deadline).await)
        {
            found[place] = document;
        }
        found
    }

    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        let (ours, theirs) = futures::join!(
            self.complete.delete(spec, ids, deadline),
            self.other.delete(spec, ids, deadline),
        );
        both(ours, theirs, |one, two| one || two)
    }

    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        self.may_search().await?;
        self.complete.nearest(spec, query, deadline).await
    }

    /// What either has, once: sweepers and erasures must leave nothing in either.
    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        list_both(&self.complete, &self.other, spec, listing, after, deadline).await
    }

    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        self.other.refresh(spec, deadline).await?;
        self.complete.refresh(spec, deadline).await
    }
}

/// The union of two listings, in their order.
async fn list_both(
    first: &(impl EmbeddingIndex + ?Sized),
    second: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    listing: &Listing,
    after: Option<&str>,
    deadline: Option<Instant>,
) -> Result<ListPage, Error> {
    let (ours, theirs) = futures::join!(
        first.list(spec, listing, after, deadline),
        second.list(spec, listing, after, deadline),
    );
    let (ours, theirs) = (ours?, theirs?);
    // What lies beyond the end of a page that has another one after it is not known yet.
    let ends: Vec<&DocumentId> = [&ours, &theirs]
        .into_iter()
        .filter(|page| page.next.is_some())
        .filter_map(|page| page.ids.last())
        .collect();
    let end = ends.into_iter().min_by(|one, two| by_place(one, two)).cloned();
    let mut ids: Vec<DocumentId> = ours.ids.into_iter().chain(theirs.ids).collect();
    ids.sort_by(by_place);
    ids.dedup();
    if let Some(end) = &end {
        ids.retain(|id| by_place(id, end) != Ordering::Greater);
    }
    Ok(ListPage { ids, next: end.as_ref().map(DocumentId::to_token) })
}

/// The order of listings.
fn by_place(one: &DocumentId, two: &DocumentId) -> Ordering {
    one.rev.cmp(&two.rev).then_with(|| one.key.cmp(&two.key))
}

fn both<T>(
    ours: Vec<Result<T, Error>>,
    theirs: Vec<Result<T, Error>>,
    join: impl Fn(T, T) -> T,
) -> Vec<Result<T, Error>> {
    ours.into_iter().zip(theirs).map(|(one, two)| Ok(join(one?, two?))).collect()
}

/// Puts what `from` has into `to`. Begin it when every node writes both; it may be repeated.
pub async fn copy_index(
    from: &(impl EmbeddingIndex + ?Sized),
    to: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
) -> Result<IndexCopied, Error> {
    copy_index_with(from, to, spec, async |_| {}).await
}

/// The same, and says after each page how far it is; it goes on when that returns.
pub async fn copy_index_with(
    from: &(impl EmbeddingIndex + ?Sized),
    to: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    mut tell: impl AsyncFnMut(&IndexCopied),
) -> Result<IndexCopied, Error> {
    to.ensure(spec, None).await?;
    from.refresh(spec, None).await?;
    let mut copied = IndexCopied::default();
    let mut after: Option<String> = None;
    loop {
        let page = from.list(spec, &Listing::default(), after.as_deref(), None).await?;
        copied.seen += page.ids.len() as u64;
        let here = get_all(from, spec, &page.ids).await?;
        let there = get_all(to, spec, &page.ids).await?;
        let lacking = here.into_iter().zip(there).filter(|(_, there)| there.is_none());
        let documents: Vec<Document> = lacking.filter_map(|(here, _)| here).collect();
        let ids: Vec<DocumentId> = documents.iter().map(|document| document.id.clone()).collect();
        copied.copied += documents.len() as u64;
        for outcome in to.put(spec, documents, Visible::Later, None).await {
            // One that is taken by another was decided by nobody: see `put`.
            outcome?;
        }
        // Deleted meanwhile, perhaps from both before it was put: then it must not be left in one.
        let still = get_all(from, spec, &ids).await?;
        let gone: Vec<DocumentId> = ids
            .into_iter()
            .zip(still)
            .filter(|(_, still)| still.is_none())
            .map(|(id, _)| id)
            .collect();
        for outcome in to.delete(spec, &gone, None).await {
            outcome?;
        }
        tell(&copied).await;
        after = page.next;
        if after.is_none() {
            to.refresh(spec, None).await?;
            return Ok(copied);
        }
    }
}

async fn get_all(
    index: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
    ids: &[DocumentId],
) -> Result<Vec<Option<Document>>, Error> {
    index.get(spec, ids, None).await.into_iter().collect()
}

impl IndexCompared {
    /// Why searches must not be sent to the second one, if they must not.
    pub fn problem(&self) -> Option<String> {
        let Self { only_first, different, .. } = self;
        (only_first + different > 0).then(|| {
            format!(
                "{only_first} documents are not there, and {different} are others: copy again; what two writers \
                 decided at once is a leftover, and goes with the next sweep"
            )
        })
    }

    /// Adds what another comparison found.
    pub const fn add(&mut self, other: &Self) {
        self.same += other.same;
        self.only_first += other.only_first;
        self.only_second += other.only_second;
        self.different += other.different;
    }
}

/// Looks at a difference so often: a write under way is in one of the two for a moment.
const LOOKS: usize = 3;

/// Compares two indexes, document by document. What is written meanwhile may count as a difference.
pub async fn compare_index(
    first: &(impl EmbeddingIndex + ?Sized),
    second: &(impl EmbeddingIndex + ?Sized),
    spec: &IndexSpec,
) -> Result<IndexCompared, Error> {
    first.refresh(spec, None).await?;
    second.refresh(spec, None).await?;
    let mut compared = IndexCompared::default();
    let mut after: Option<String> = None;
    loop {
        let all = Listing::default();
        let page = list_both(first, second, spec, &all, after.as_deref(), None).await?;
        let mut ids = page.ids;
        for look in 1..=LOOKS {
            let one = get_all(first, spec, &ids).await?;
            let two = get_all(second, spec, &ids).await?;
            let mut now = IndexCompared::default();
            let mut left = Vec::new();
            for (id, pair) in ids.into_iter().zip(one.into_iter().zip(two)) {
                let count = match pair {
                    (Some(one), Some(two)) if one.is_same(&two) => {
                        compared.same += 1;
                        continue;
                    }
                    (Some(_), Some(_)) => &mut now.different,
                    (Some(_), None) => &mut now.only_first,
                    (None, Some(_)) => &mut now.only_second,
                    // Deleted since it was listed.
                    (None, None) => continue,
                };
                *count += 1;
                left.push(id);
            }
            if look == LOOKS {
                compared.add(&now);
            }
            ids = left;
        }
        after = page.next;
        if after.is_none() {
            return Ok(compared);
        }
    }
}
