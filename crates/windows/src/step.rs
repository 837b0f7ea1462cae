//! Messages taken in, rows given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trivium_expr::WindowFilter;
use trivium_model::{KeyValue, Timestamp, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Changes, Entries, Error, Event, Plan, State, keys,
    partial::{Open, Partial, Place},
    scalar::Scalar,
};

/// Rows of one step, about, lest a message that ends a million windows fills the memory: what is left
/// is due in the next step.
const ROWS_MAX: usize = 10_000;
/// Tiles that a step removes, at most; the next one goes on.
const EXPIRED_MAX: usize = 10_000;
/// How many keys are read at once.
const CHUNK: usize = 256;

/// What a window of an entity is.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// The window's end: the row's event time.
    pub end: Timestamp,
    /// One more than the offset of the message that it follows from: a corrected row has a higher one.
    pub sequence: u64,
    /// In the order of the view's features.
    pub values: Vec<Value>,
}

/// What became of a step's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Counted in windows.
    pub counted: u64,
    /// Dropped: none of their windows changes any more.
    pub late: u64,
    /// Dropped: met before, by their id.
    pub repeated: u64,
    /// Left out by the filter.
    pub filtered: u64,
}

/// What has to become durable together.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Of the state. The last one says that the step is over: who takes them one by one has the whole
    /// step with it.
    pub changes: Changes,
    /// By window's end, then entity.
    pub rows: Vec<Row>,
    /// Where the state stands with it.
    pub progress: Progress,
    /// What became of the events.
    pub counts: Counts,
    /// Whether no window is due any more. If not, another step has to follow, and may take messages
    /// only when it has settled.
    pub is_settled: bool,
}

/// Where a state stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Progress {
    /// How many steps it has come from: two states of a partition are one if these are.
    pub steps: u64,
    /// The offset of the next message.
    pub position: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Meta {
    fingerprint: u128,
    watermark: Option<i64>,
    progress: Progress,
}

type Tile = Vec<Open>;

/// Some messages of a partition, on top of its state. Dropped, it has never been.
#[derive(Debug)]
pub struct Step<'s, S> {
    plan: &'s Plan,
    state: &'s S,
    meta: Meta,
    /// Of all keys but those of tiles.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    tiles: BTreeMap<Vec<u8>, Tile>,
    /// Rows that have to be given, by window's end and entity, with their sequence. Computed as late as
    /// may be: most that change once change again.
    wanted: BTreeMap<(i64, Vec<u8>), u64>,
    rows: Vec<Row>,
    counts: Counts,
    rows_max: usize,
    is_settled: bool,
    /// Nothing is due up to this watermark: new rows are expected behind it.
    fired: Option<i64>,
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    postcard::to_allocvec(value).map_err(Error::corrupt)
}

fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(Error::corrupt)
}

/// Where the state stands; none: there have been no steps.
pub fn progress(plan: &Plan, state: &impl State) -> Result<Option<Progress>, Error> {
    let Some(meta) = state.get(keys::META)? else { return Ok(None) };
    let meta: Meta = decode(&meta)?;
    if meta.fingerprint != plan.fingerprint {
        return Err(Error::OtherDeclaration);
    }
    Ok(Some(meta.progress))
}

impl<'s, S: State> Step<'s, S> {
    /// On top of this state.
    pub fn begin(plan: &'s Plan, state: &'s S) -> Result<Self, Error> {
        let meta = match state.get(keys::META)? {
            None => Meta { fingerprint: plan.fingerprint, ..Meta::default() },
            Some(meta) => decode::<Meta>(&meta)?,
        };
        if meta.fingerprint != plan.fingerprint {
            return Err(Error::OtherDeclaration);
        }
        Ok(Self {
            plan,
            state,
            meta,
            changes: BTreeMap::new(),
            tiles: BTreeMap::new(),
            wanted: BTreeMap::new(),
            rows: Vec::new(),
            counts: Counts::default(),
            rows_max: ROWS_MAX,
            is_settled: false,
            fired: None,
        })
    }

    /// The same with room for fewer rows, for tests.
    #[must_use]
    pub fn with_room(mut self, rows: usize) -> Self {
        self.rows_max = rows.max(1);
        self
    }

    /// Takes the rows in that are due; false: there is no room for all of them. Before each message.
    pub fn settle(&mut self) -> Result<bool, Error> {
        self.is_settled = self.fire()?;
        Ok(self.is_settled && self.has_room())
    }

    /// Takes the message at this offset in: its event, or none where it is none. Only when the step has
    /// settled since the message before. One that was taken in before is passed over.
    pub fn take(&mut self, offset: u64, event: Option<&Event>) -> Result<(), Error> {
        if offset < self.meta.progress.position {
            return Ok(());
        }
        self.meta.progress.position = offset + 1;
        match event {
            Some(event) => self.event(offset, event),
            None => Ok(()),
        }
    }

    /// What the step comes to.
    pub fn finish(mut self) -> Result<Output, Error> {
        self.is_settled = self.fire()?;
        self.give(i64::MAX)?;
        for (key, tile) in std::mem::take(&mut self.tiles) {
            let partials: Vec<Partial> = tile.iter().map(Open::close).collect();
            self.changes.insert(key, Some(encode(&partials)?));
        }
        if self.is_settled {
            self.expire()?;
        }
        self.meta.progress.steps += 1;
        self.changes.insert(keys::META.to_vec(), Some(encode(&self.meta)?));
        self.rows.sort_by(|a, b| (a.end, &a.entity).cmp(&(b.end, &b.entity)));
        // The last of all: who has it, has the whole step.
        let meta = self.changes.remove_entry(keys::META);
        Ok(Output {
            changes: self.changes.into_iter().chain(meta).collect(),
            rows: self.rows,
            progress: self.meta.progress,
            counts: self.counts,
            is_settled: self.is_settled,
        })
    }

    fn has_room(&self) -> bool {
        self.rows.len() + self.wanted.len() < self.rows_max
    }

    /// Windows that end here or before stay as they are; none yet: none do.
    fn frozen(&self) -> Option<i64> {
        self.meta.watermark.map(|watermark| watermark.saturating_sub(self.plan.lateness))
    }

    fn event(&mut self, offset: u64, event: &Event) -> Result<(), Error> {
        // What stays as it is from now on must not see what comes for its neighbours.
        if let Some(frozen) = self.frozen() {
            self.give(frozen)?;
        }
        let tile = self.plan.tile_of(event.time);
        let last = self.plan.last_end(tile);
        if self.frozen().is_some_and(|frozen| last <= frozen) {
            self.counts.late += 1;
            return Ok(());
        }
        let counts = |filter: &WindowFilter| filter.holds(&event.entity, event.time, &event.values);
        if !self.plan.filter.as_ref().is_none_or(counts) {
            self.counts.filtered += 1;
        } else {
            let entity = encode(&event.entity)?;
            if self.is_repeated(tile, &entity, event)? {
                self.counts.repeated += 1;
            } else {
                self.counts.counted += 1;
                self.count(offset, tile, entity, event)?;
            }
        }
        let watermark = self.meta.watermark.map_or(event.time.0, |old| old.max(event.time.0));
        self.meta.watermark = Some(watermark);
        Ok(())
    }

    fn is_repeated(&mut self, tile: i64, entity: &[u8], event: &Event) -> Result<bool, Error> {
        let id = self.plan.event_id.and_then(|column| event.values.get(column));
        let Some(id) = id.and_then(Scalar::of) else { return Ok(false) };
        let key = keys::met(tile, entity, xxh3_128(&encode(&id)?));
        if self.get(&key)?.is_some() {
            return Ok(true);
        }
        self.changes.insert(key, Some(Vec::new()));
        Ok(false)
    }

    fn count(
        &mut self,
        offset: u64,
        end: i64,
        entity: Vec<u8>,
        event: &Event,
    ) -> Result<(), Error> {
        let key = keys::tile(&entity, end);
        let plan = self.plan;
        let mut tile = match self.tiles.remove(&key) {
            Some(tile) => tile,
            None => match self.state.get(&key)? {
                Some(bytes) => opened(plan, &bytes)?,
                None => {
                    self.changes.insert(keys::expiry(end, &entity), Some(Vec::new()));
                    self.fall_due(end, &entity)?;
                    plan.features.iter().map(|one| Open::new(one.kind)).collect::<Result<_, _>>()?
                }
            },
        };
        let place = Place { time: event.time, offset };
        for (open, computed) in tile.iter_mut().zip(&plan.features) {
            match computed.column {
                None => open.add(computed.kind, None, place),
                Some(column) => {
                    let value = event.values.get(column).unwrap_or(&Value::Null);
                    open.add(computed.kind, Some(value), place);
                }
            }
        }
        self.tiles.insert(key, tile);
        // Rows that have been given already.
        let (Some(watermark), Some(frozen)) = (self.meta.watermark, self.frozen()) else {
            return Ok(());
        };
        let mut window = end.max(first_after(frozen, plan.slide));
        while window <= plan.last_end(end).min(watermark) {
            self.wanted.insert((window, entity.clone()), offset + 1);
            window += plan.slide;
        }
        Ok(())
    }

    /// Sees to it that the entity has a row due, if a new tile is in windows that have not ended. Where it
    /// has one, that is none too late: it is of the first window with a tile that ends after the
    /// watermark, which is not before any tile's first event.
    fn fall_due(&mut self, tile: i64, entity: &[u8]) -> Result<(), Error> {
        let first = match self.meta.watermark {
            Some(watermark) => tile.max(first_after(watermark, self.plan.slide)),
            None => tile,
        };
        if first > self.plan.last_end(tile) {
            return Ok(());
        }
        let expected = keys::expected(entity);
        if self.get(&expected)?.is_none() {
            self.changes.insert(keys::due(first, entity), Some(Vec::new()));
            self.changes.insert(expected, Some(Vec::new()));
        }
        Ok(())
    }

    /// Wants the rows whose windows have ended; false: there is no room for all of them.
    fn fire(&mut self) -> Result<bool, Error> {
        let Some(watermark) = self.meta.watermark else { return Ok(true) };
        let to = keys::dues(watermark.saturating_add(1));
        if self.fired == Some(watermark) {
            return Ok(true);
        }
        let mut from = keys::dues(self.fired.map_or(i64::MIN, |fired| fired.saturating_add(1)));
        loop {
            let (due, rest) = self.scan(&from, &to)?;
            for (key, _) in due {
                let (end, entity) =
                    keys::read_due(&key).ok_or_else(|| Error::corrupt("no window that is due"))?;
                if !self.fire_entity(end, entity, watermark)? {
                    return Ok(false);
                }
            }
            match rest {
                Some(rest) => from = rest,
                None => break,
            }
        }
        self.fired = Some(watermark);
        Ok(true)
    }

    /// The rows of one entity, from this window on.
    fn fire_entity(&mut self, due: i64, entity: &[u8], watermark: i64) -> Result<bool, Error> {
        let mut next = Some(due);
        let mut has_room = true;
        while let Some(end) = next.filter(|end| *end <= watermark) {
            has_room = self.has_room();
            if !has_room {
                break;
            }
            self.wanted.insert((end, entity.to_vec()), self.meta.progress.position);
            next = self.next_window(end, entity)?;
        }
        if next == Some(due) {
            return Ok(has_room);
        }
        self.changes.insert(keys::due(due, entity), None);
        match next {
            Some(next) => self.changes.insert(keys::due(next, entity), Some(Vec::new())),
            None => self.changes.insert(keys::expected(entity), None),
        };
        Ok(has_room)
    }

    /// The end of the entity's first window after this one that has a tile.
    fn next_window(&self, end: i64, entity: &[u8]) -> Result<Option<i64>, Error> {
        let following = end + self.plan.slide;
        let from = keys::tile(entity, self.plan.first_tile(following));
        let to = keys::after(&keys::tile(entity, i64::MAX));
        let stored = self.state.scan(&from, &to, 1)?;
        let stored = stored.first().map(|(key, _)| key.as_slice());
        let changed = self.tiles.range(from..to).next().map(|(key, _)| key.as_slice());
        let first = match (stored, changed) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(first) = first else { return Ok(None) };
        let tile = keys::tile_end(first).ok_or_else(|| Error::corrupt("no tile's key"))?;
        Ok(Some(tile.max(following)))
    }

    /// Computes the wanted rows of windows that end by then.
    fn give(&mut self, to: i64) -> Result<(), Error> {
        while let Some(first) = self.wanted.first_entry() {
            if first.key().0 > to {
                break;
            }
            let ((end, entity), sequence) = first.remove_entry();
            let row = self.row(end, &entity, sequence)?;
            self.rows.push(row);
        }
        Ok(())
    }

    fn row(&self, end: i64, entity: &[u8], sequence: u64) -> Result<Row, Error> {
        let plan = self.plan;
        let from = keys::tile(entity, plan.first_tile(end));
        let to = keys::after(&keys::tile(entity, end));
        let tiles = usize::try_from(plan.size / plan.slide).unwrap_or(usize::MAX);
        let mut merged: Tile =
            plan.features.iter().map(|one| Open::new(one.kind)).collect::<Result<_, _>>()?;
        let mut merge = |partials: &[Partial]| {
            let both = merged.iter_mut().zip(partials).zip(&plan.features);
            both.into_iter().try_for_each(|((open, other), one)| open.merge(one.kind, other))
        };
        let stored = self.state.scan(&from, &to, tiles)?;
        let mut changed = self.tiles.range(from..to).peekable();
        let closed = |tile: &Tile| tile.iter().map(Open::close).collect::<Vec<Partial>>();
        for (key, bytes) in &stored {
            while let Some((_, tile)) = changed.next_if(|(other, _)| *other < key) {
                merge(&closed(tile))?;
            }
            match changed.next_if(|(other, _)| *other == key) {
                Some((_, tile)) => merge(&closed(tile))?,
                None => merge(&partials(plan, bytes)?)?,
            }
        }
        for (_, tile) in changed {
            merge(&closed(tile))?;
        }
        let values = merged.into_iter().zip(&plan.features);
        Ok(Row {
            entity: decode(entity)?,
            end: Timestamp(end),
            sequence,
            values: values.map(|(open, one)| open.result(one.kind)).collect::<Result<_, _>>()?,
        })
    }

    /// Removes tiles whose windows stay as they are.
    fn expire(&mut self) -> Result<(), Error> {
        let Some(frozen) = self.frozen() else { return Ok(()) };
        // The last window of a tile that ends here is frozen.
        let end = frozen.saturating_sub(self.plan.size - self.plan.slide);
        let to = keys::expiries(end.saturating_add(1));
        let mut from = keys::expiries(i64::MIN);
        let mut removed = 0;
        while removed < EXPIRED_MAX {
            let (expired, rest) = self.scan(&from, &to)?;
            for (key, _) in expired {
                let (end, entity) =
                    keys::read_expiry(&key).ok_or_else(|| Error::corrupt("no tile that goes"))?;
                let room = EXPIRED_MAX.saturating_sub(removed);
                let (forgotten, is_whole) = self.forget(end, entity, room)?;
                removed += 1 + forgotten;
                // An entity may have had millions of events: the next step goes on.
                if !is_whole {
                    return Ok(());
                }
                self.changes.insert(keys::tile(entity, end), None);
                self.changes.insert(key.clone(), None);
            }
            match rest {
                Some(rest) => from = rest,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Removes ids that were met in a tile, some more than `room` at most; says how many, and whether they
    /// are all.
    fn forget(&mut self, end: i64, entity: &[u8], room: usize) -> Result<(usize, bool), Error> {
        if self.plan.event_id.is_none() {
            return Ok((0, true));
        }
        let prefix = keys::all_met(end, entity);
        let to = keys::beyond(&prefix);
        let (mut from, mut removed) = (prefix, 0);
        loop {
            let (met, rest) = self.scan(&from, &to)?;
            removed += met.len();
            for (key, _) in met {
                self.changes.insert(key, None);
            }
            match rest {
                Some(_) if removed >= room => return Ok((removed, false)),
                Some(rest) => from = rest,
                None => return Ok((removed, true)),
            }
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.state.get(key),
        }
    }

    /// Some keys of a range, as they are with the changes, and where the rest begins.
    fn scan(&self, from: &[u8], to: &[u8]) -> Result<(Entries, Option<Vec<u8>>), Error> {
        if from >= to {
            return Ok((Vec::new(), None));
        }
        let stored = self.state.scan(from, to, CHUNK)?;
        let rest = match stored.last() {
            Some((last, _)) if stored.len() >= CHUNK => Some(keys::after(last)),
            _ => None,
        };
        let upto = rest.as_deref().unwrap_or(to);
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for (key, value) in self.changes.range(from.to_vec()..upto.to_vec()) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok((found.into_iter().collect(), rest))
    }
}

fn partials(plan: &Plan, bytes: &[u8]) -> Result<Vec<Partial>, Error> {
    let partials: Vec<Partial> = decode(bytes)?;
    if partials.len() != plan.features.len() {
        return Err(Error::corrupt("a tile of other features"));
    }
    Ok(partials)
}

fn opened(plan: &Plan, bytes: &[u8]) -> Result<Tile, Error> {
    partials(plan, bytes)?.into_iter().map(Open::of).collect()
}

/// The first multiple of the slide that is greater.
fn first_after(at: i64, slide: i64) -> i64 {
    (at.div_euclid(slide) + 1) * slide
}
