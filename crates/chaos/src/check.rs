//! Whether what clients saw of a row can have come from one register.
//!
//! The register: a row that is absent at first; a put makes it live under the next rev, a delete
//! absent, which takes a rev too; a first rev may be any. A conditional write is applied only where
//! the live row has the rev that it names (0: where no live row is). Each operation takes effect at one
//! moment between its beginning and its end; one of unknown outcome at any moment after its
//! beginning, or never; one that was refused never.
//!
//! In general this takes a search over orders. Here it does not, because every answer names the
//! *version* (the rev) that it saw or made, so the order of the writes is known:
//!
//! 1. Each version has one writer. A number that was read names the put that wrote it, so a rev that
//!    shows another write's number, a number under two revs, a number that was refused or never
//!    written are violations by themselves; so is a conditional write of rev r that is not version
//!    r + 1, or a conflict that names the rev asked for.
//! 2. Versions are consecutive. One that nobody saw was written by a write of unknown outcome: no
//!    two by the same one. That is a matching of missing versions to such writes (`slots`).
//! 3. What is left is when. Version i begins at a moment `w(i)`, not before its writer began nor before
//!    the beginning of an operation that saw a version before i, not before `w(i-1)`: at `earliest(i)` at
//!    the earliest. And not after its writer's end, nor after the end of an operation that saw version
//!    i or a later one: at `latest(i)` at the latest. If `earliest(i) <= latest(i)` everywhere then `w(i) =
//!    earliest(i)` will do: an operation that saw version i ends after `w(i)` and began before `w(i+1)`.
//!    If not, no moment does. So the check of time is complete.
//! 4. An answer that there is no row names no version: it saw one of the absent ones. It is given
//!    the last absent version that can have begun before its end. That pushes the versions after it
//!    to its beginning or later, which may take versions from others: repeated until nothing
//!    changes. Every possible order has, by induction over the repetitions, no earlier moments and no
//!    later assignments than those found. So this is complete too.
//!
//! A put may set a row's number alone, which leaves the text of the version before: since the order of
//! versions is known, so is the text that each must have.
//!
//! A read that may be answered by a copy stands in the history as much earlier as its bound allows: it has
//! more moments to choose from, and that is all of it.
//!
//! A hit of a search is a read of its row, from the search's beginning to its end.
//!
//! An erasure of the row's person is a delete of unknown outcome that comes once or never (`erasures`): a row
//! of before can go only once. Besides, nobody who begins when an erasure is done sees a version that was there
//! when it began, nor one of history: history is refused by then, and what of it was there is gone.
//!
//! One thing is taken too lightly, never too strictly: which unknown write wrote a missing version is
//! asked for in (2) as a whole, and in (3) and for texts one by one. The tests hold all this against a
//! search through all orders, on random small histories: no false alarm, and where no outcome is
//! unknown nothing missed.

mod erasures;
mod slots;
#[cfg(test)]
mod tests;
mod versions;

use std::fmt;

use crate::history::{NEVER, Op, What};

/// What cannot be, and the operations that show it.
#[derive(Debug, Clone)]
pub struct Violation {
    pub row: u32,
    pub what: String,
    pub ops: Vec<Op>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.what)?;
        for op in &self.ops {
            let ms = |nanos: u64| nanos as f64 / 1e6;
            write!(f, "\n    client {:>2}, node {}, ", op.client, op.node)?;
            match op.ended {
                NEVER => write!(f, "{:.3} ms to nobody knows: {:?}", ms(op.began), op.what)?,
                ended => write!(f, "{:.3} to {:.3} ms: {:?}", ms(op.began), ms(ended), op.what)?,
            }
        }
        Ok(())
    }
}

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A row; its number where it is known.
    Live(Option<i64>),
    Absent,
    /// Nobody saw it.
    Missing,
}

#[derive(Debug)]
struct Version {
    rev: u64,
    kind: Kind,
    /// Its place among the operations; `None`: the initial one, or some write of unknown outcome.
    writer: Option<usize>,
    seen_by: Vec<usize>,
}

/// A moment, and the operation that is the reason for it.
type Bound = (u64, Option<usize>);

/// Checks the operations of one row, in the order in which they began.
pub fn check_row(ops: &[Op]) -> Result<(), Violation> {
    let row = ops.first().map_or(0, |op| op.row);
    let erasures: Vec<Op> = ops.iter().filter(|op| op.what == What::Erase).copied().collect();
    let ops = &erasures::as_deletes(ops);
    check(ops, &erasures).map_err(|(what, places)| {
        let ops = places.into_iter().filter_map(|place| ops.get(place).copied()).collect();
        Violation { row, what, ops }
    })
}

/// What is wrong, and the places of the operations that show it.
type Wrong = (String, Vec<usize>);

fn check(ops: &[Op], erasures: &[Op]) -> Result<(), Wrong> {
    let (mut versions, free) = versions::of(ops)?;
    let absent: Vec<usize> =
        (0..ops.len()).filter(|place| sees_absence(ops[*place].what)).collect();
    // After the last version that anybody saw there may be one more, if a delete may be under way.
    let last = versions.last().map_or(0, |version| version.rev);
    let trailing = slots::Slot {
        rev: last.saturating_add(1),
        kind: slots::Wanted::Delete,
        after: versions.last().map_or(Kind::Absent, |version| version.kind),
    };
    let has_trailing = last > 0 && free.iter().any(|place| trailing.takes(&ops[*place]));
    if has_trailing {
        versions.push(Version {
            rev: trailing.rev,
            kind: Kind::Missing,
            writer: None,
            seen_by: Vec::new(),
        });
    }
    let deletes_from: Vec<u64> = (0..versions.len())
        .map(|index| match versions[index].kind {
            Kind::Missing => slots::delete_from(&versions, index, ops, &free),
            _ => NEVER,
        })
        .collect();
    let latest = latest(&versions, ops);
    erasures::check(&versions, &latest, ops, erasures)?;
    let mut assigned: Vec<usize> = vec![versions.len() - 1; absent.len()];
    let mut earliest;
    loop {
        earliest = earliest_of(&versions, ops, &free, &absent, &assigned);
        let mut changed = false;
        for (place, version) in absent.iter().zip(&mut assigned) {
            let end = ops[*place].ended;
            let fits = |index: &usize| match versions[*index].kind {
                Kind::Live(_) => false,
                Kind::Absent => true,
                Kind::Missing => deletes_from[*index] <= end,
            };
            let begun = earliest.partition_point(|moment| moment.0 <= end);
            // The initial version is always one.
            let found = (0..begun.min(*version + 1)).rev().find(fits).unwrap_or(0);
            changed |= found != *version;
            *version = found;
        }
        if !changed {
            break;
        }
    }
    for (index, version) in versions.iter().enumerate() {
        if earliest[index].0 > latest[index].0 {
            let places = [earliest[index].1, latest[index].1, version.writer];
            let mut places: Vec<usize> = places.into_iter().flatten().collect();
            places.dedup();
            let what = format!(
                "of these the second made or saw version {} ({:?}) or a later one, and had ended when the \
                 first began, which makes that version or saw an earlier one",
                version.rev, version.kind
            );
            return Err((what, places));
        }
    }
    let needs_trailing = has_trailing && {
        let index = versions.len() - 1;
        absent.iter().zip(&assigned).any(|(place, version)| {
            // Whether an earlier absent version would do as well.
            *version == index
                && !(0..index).any(|other| {
                    let is_absent = match versions[other].kind {
                        Kind::Live(_) => false,
                        Kind::Absent => true,
                        Kind::Missing => deletes_from[other] <= ops[*place].ended,
                    };
                    is_absent
                        && latest.get(other + 1).is_none_or(|next| ops[*place].began <= next.0)
                })
        })
    };
    if needs_trailing {
        versions.iter_mut().rev().take(1).for_each(|version| version.kind = Kind::Absent);
    } else if has_trailing {
        versions.pop();
    }
    slots::check(&versions, &latest, ops, &free)
}

fn sees_absence(what: What) -> bool {
    matches!(what, What::Absent | What::Conflict { rev: 0, .. })
}

fn latest(versions: &[Version], ops: &[Op]) -> Vec<Bound> {
    let mut bound: Bound = (NEVER, None);
    let mut latest = vec![bound; versions.len()];
    for (index, version) in versions.iter().enumerate().rev() {
        for place in version.seen_by.iter().chain(&version.writer) {
            bound = bound.min((ops[*place].ended, Some(*place)));
        }
        latest[index] = bound;
    }
    latest
}

fn earliest_of(
    versions: &[Version],
    ops: &[Op],
    free: &[usize],
    absent: &[usize],
    assigned: &[usize],
) -> Vec<Bound> {
    // What those who saw a version push the next ones to.
    let mut pushes: Vec<Bound> = versions
        .iter()
        .map(|version| {
            let began = version.seen_by.iter().map(|place| (ops[*place].began, Some(*place)));
            began.max().unwrap_or((0, None))
        })
        .collect();
    for (place, version) in absent.iter().zip(assigned) {
        pushes[*version] = pushes[*version].max((ops[*place].began, Some(*place)));
    }
    let mut bound: Bound = (0, None);
    let mut earliest = Vec::with_capacity(versions.len());
    for (index, version) in versions.iter().enumerate() {
        if let Some(before) = index.checked_sub(1) {
            bound = bound.max(pushes[before]);
        }
        let own = match version.writer {
            Some(writer) => (ops[writer].began, Some(writer)),
            None if version.rev == 0 => (0, None),
            None => slots::earliest(versions, index, ops, free),
        };
        bound = bound.max(own);
        earliest.push(bound);
    }
    earliest
}
