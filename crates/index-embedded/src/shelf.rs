//! One index in memory: every vector in a block, looked at one after the other.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    ops::Bound,
    sync::Arc,
};

use trivium_codec::RowKey;
use trivium_model::{Distance, Timestamp};
use trivium_store::embedding::{
    Document, DocumentId, Hit, IndexSpec, ListPage, Listing, Nearest, by_nearness, unit,
};

use crate::columns::Columns;

/// Ids on a page.
const PAGE: usize = 500;
/// Sums side by side: the compiler makes vector instructions of them.
const LANES: usize = 16;

/// What searches and listings need of a document, besides its vector.
#[derive(Debug)]
struct Entry {
    id: DocumentId,
    subject: Option<Arc<str>>,
    written: Timestamp,
}

/// An index's documents.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) spec: IndexSpec,
    /// By rev, then key, as listings go: where the document stands.
    slots: BTreeMap<(u64, RowKey), usize>,
    entries: Vec<Option<Entry>>,
    /// Which slots have one, apart from them: a search without filter reads nothing else but vectors.
    live: Vec<bool>,
    /// The vector of slot `n` begins at `n` × dimension.
    block: Vec<f32>,
    metadata: Columns,
    free: Vec<usize>,
}

/// The farthest hit on top, so that it can be replaced.
struct Farthest(Hit);

impl PartialEq for Farthest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Farthest {}
impl PartialOrd for Farthest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Farthest {
    fn cmp(&self, other: &Self) -> Ordering {
        by_nearness(&self.0, &other.0)
    }
}

impl Shelf {
    pub(crate) fn new(spec: IndexSpec) -> Self {
        Self {
            spec,
            slots: BTreeMap::new(),
            entries: Vec::new(),
            live: Vec::new(),
            block: Vec::new(),
            metadata: Columns::default(),
            free: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Numbers that a search looks at: how long it takes.
    pub(crate) fn components(&self) -> usize {
        self.block.len()
    }

    pub(crate) fn has(&self, id: &DocumentId) -> bool {
        self.slots.contains_key(&(id.rev, id.key.clone()))
    }

    /// Adds a document whose id is free.
    pub(crate) fn add(&mut self, document: &Document) {
        let direction = match self.spec.metric {
            Distance::Cosine => unit(&document.vector),
            Distance::L2 | Distance::Dot => None,
        };
        let vector = direction.as_ref().map_or(&*document.vector, |direction| &direction.0);
        let entry = Entry {
            id: document.id.clone(),
            subject: document.subject.clone(),
            written: document.written,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                let from = slot * vector.len();
                self.block[from..from + vector.len()].copy_from_slice(vector);
                self.entries[slot] = Some(entry);
                self.live[slot] = true;
                slot
            }
            None => {
                self.block.extend_from_slice(vector);
                self.entries.push(Some(entry));
                self.live.push(true);
                self.entries.len() - 1
            }
        };
        self.metadata.set(slot, &document.metadata);
        self.slots.insert((document.id.rev, document.id.key.clone()), slot);
    }

    pub(crate) fn remove(&mut self, id: &DocumentId) {
        if let Some(slot) = self.slots.remove(&(id.rev, id.key.clone())) {
            self.entries[slot] = None;
            self.live[slot] = false;
            self.metadata.clear(slot);
            self.free.push(slot);
        }
    }

    /// The nearest documents, exactly.
    pub(crate) fn nearest(&self, query: &Nearest) -> Vec<Hit> {
        let direction = match self.spec.metric {
            Distance::Cosine => unit(&query.vector),
            Distance::L2 | Distance::Dot => None,
        };
        let wanted = direction.as_ref().map_or(&*query.vector, |direction| &direction.0);
        let least = query.score_min.unwrap_or(f32::NEG_INFINITY);
        let mut heap: BinaryHeap<Farthest> = BinaryHeap::with_capacity(query.k + 1);
        let test = query.filter.as_ref().map(|filter| self.metadata.test(filter));
        let vectors = self.block.chunks_exact(self.spec.dimension as usize);
        for (slot, (is_live, vector)) in self.live.iter().zip(vectors).enumerate() {
            if !is_live {
                continue;
            }
            if test.as_ref().is_some_and(|test| !test.passes(slot)) {
                continue;
            }
            let score = self.score(vector, wanted);
            if score < least {
                continue;
            }
            let is_full = heap.len() == query.k;
            if is_full && heap.peek().is_some_and(|farthest| score < farthest.0.score) {
                continue;
            }
            let Some(entry) = &self.entries[slot] else { continue };
            heap.push(Farthest(Hit { id: entry.id.clone(), score }));
            if is_full {
                heap.pop();
            }
        }
        heap.into_sorted_vec().into_iter().map(|hit| hit.0).collect()
    }

    fn score(&self, left: &[f32], right: &[f32]) -> f32 {
        match self.spec.metric {
            Distance::Cosine => sum(left, right, |left, right| left * right).clamp(-1.0, 1.0),
            Distance::Dot => sum(left, right, |left, right| left * right),
            Distance::L2 => {
                let squared = sum(left, right, |left, right| (left - right) * (left - right));
                1.0 / (1.0 + squared)
            }
        }
    }

    /// One page of a listing.
    pub(crate) fn list(&self, listing: &Listing, after: Option<&DocumentId>) -> ListPage {
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded((id.rev, id.key.clone())));
        let to = listing.rev_below.unwrap_or(u64::MAX);
        let mut found = self
            .slots
            .range((from, Bound::Unbounded))
            .take_while(|((rev, _), _)| *rev < to)
            .filter_map(|(_, slot)| self.entries[*slot].as_ref())
            .filter(|entry| {
                let subject = listing.subject.as_ref();
                subject.is_none_or(|subject| entry.subject.as_ref() == Some(subject))
                    && listing.written_before.is_none_or(|time| entry.written < time)
            });
        let ids: Vec<DocumentId> =
            found.by_ref().take(PAGE).map(|entry| entry.id.clone()).collect();
        let next = found.next().and_then(|_| ids.last()).map(DocumentId::to_token);
        ListPage { ids, next }
    }
}

fn sum(left: &[f32], right: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0_f32; LANES];
    let (lefts, left_rest) = left.as_chunks::<LANES>();
    let (rights, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in lefts.iter().zip(rights) {
        for lane in 0..LANES {
            sums[lane] += of(left[lane], right[lane]);
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(left, right)| of(*left, *right));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}
