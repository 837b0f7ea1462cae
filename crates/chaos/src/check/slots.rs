//! Which write of unknown outcome wrote which version that nobody can name a writer for.

use crate::history::{NEVER, Op, What};

use super::{Bound, Kind, Version, Wrong};

/// What a version without a known writer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Put,
    Delete,
    Either,
}

/// A version without a known writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub rev: u64,
    pub kind: Wanted,
    /// What the version before it is.
    pub after: Kind,
}

impl Slot {
    /// Whether that write may have made it, times aside.
    pub(super) fn takes(self, op: &Op) -> bool {
        let What::Write { put, if_rev, .. } = op.what else { return false };
        let kind = match self.kind {
            Wanted::Put => put.is_some(),
            Wanted::Delete => put.is_none(),
            Wanted::Either => true,
        };
        let holds = match if_rev {
            None => true,
            Some(0) => !matches!(self.after, Kind::Live(_)),
            Some(named) => self.after != Kind::Absent && named.saturating_add(1) == self.rev,
        };
        kind && holds
    }
}

/// Of a version other than the initial one.
fn slot_of(versions: &[Version], index: usize) -> Slot {
    let version = &versions[index];
    let kind = match version.kind {
        Kind::Live(_) => Wanted::Put,
        Kind::Absent => Wanted::Delete,
        Kind::Missing => Wanted::Either,
    };
    Slot { rev: version.rev, kind, after: versions[index - 1].kind }
}

/// When the first write that may have made it began.
pub(super) fn earliest(versions: &[Version], index: usize, ops: &[Op], free: &[usize]) -> Bound {
    let slot = slot_of(versions, index);
    let began = free
        .iter()
        .filter(|place| slot.takes(&ops[**place]))
        .map(|place| (ops[*place].began, Some(*place)));
    began.min().unwrap_or((NEVER, None))
}

/// When the first delete that may have made that version began; never, where there is none.
pub(super) fn delete_from(versions: &[Version], index: usize, ops: &[Op], free: &[usize]) -> u64 {
    let slot = Slot { kind: Wanted::Delete, ..slot_of(versions, index) };
    let began =
        free.iter().filter(|place| slot.takes(&ops[**place])).map(|place| ops[*place].began);
    began.min().unwrap_or(NEVER)
}

/// Whether all versions without a known writer can have different ones.
pub(super) fn check(
    versions: &[Version],
    latest: &[Bound],
    ops: &[Op],
    free: &[usize],
) -> Result<(), Wrong> {
    let mut wanted = Vec::new();
    for (index, version) in versions.iter().enumerate().skip(1) {
        if version.writer.is_some() {
            continue;
        }
        let mut slot = slot_of(versions, index);
        // What comes next may say what it was.
        if let Some(What::Write { if_rev: Some(named), .. }) =
            versions.get(index + 1).and_then(|next| next.writer).map(|writer| ops[writer].what)
        {
            slot.kind = match (slot.kind, named) {
                (Wanted::Either, 0) => Wanted::Delete,
                (Wanted::Either, _) => Wanted::Put,
                (kind, _) => kind,
            };
        }
        wanted.push((slot, latest[index].0));
    }
    let mut matching = Matching { ops, free, wanted: &wanted, taken: vec![None; free.len()] };
    for (index, (slot, _)) in wanted.iter().enumerate() {
        let mut tried = vec![false; free.len()];
        if !matching.place(index, &mut tried) {
            let what = format!(
                "nobody can have made version {} ({:?}): a write of unknown outcome was applied twice, or a lost one came back",
                slot.rev, slot.kind
            );
            let near = versions.iter().find(|version| version.rev > slot.rev);
            let places = near
                .map(|version| version.writer.into_iter().chain(version.seen_by.iter().copied()));
            return Err((what, places.into_iter().flatten().take(2).collect()));
        }
    }
    Ok(())
}

/// Augmenting paths. There are few of either.
struct Matching<'a> {
    ops: &'a [Op],
    free: &'a [usize],
    wanted: &'a [(Slot, u64)],
    /// Which slot each free write has.
    taken: Vec<Option<usize>>,
}

impl Matching<'_> {
    fn place(&mut self, index: usize, tried: &mut [bool]) -> bool {
        let (slot, until) = self.wanted[index];
        let (ops, free) = (self.ops, self.free);
        let fits = |write: usize| {
            let op = &ops[free[write]];
            op.began <= until && slot.takes(op)
        };
        // One that nobody has is enough, and there mostly is one.
        if let Some(write) =
            (0..free.len()).find(|write| self.taken[*write].is_none() && fits(*write))
        {
            self.taken[write] = Some(index);
            return true;
        }
        for write in 0..free.len() {
            if tried[write] || !fits(write) {
                continue;
            }
            tried[write] = true;
            let is_free = match self.taken[write] {
                None => true,
                Some(other) => self.place(other, tried),
            };
            if is_free {
                self.taken[write] = Some(index);
                return true;
            }
        }
        false
    }
}
