//! Whether anybody saw what an erasure had done away with.

use super::{Bound, Kind, Version, Wrong};
use crate::{
    history::{NEVER, Op, Outcome, What},
    rows::PAST,
};

/// Each erasure as the delete that it may have done, once, at any time from its beginning on.
pub(super) fn as_deletes(ops: &[Op]) -> Vec<Op> {
    let delete = What::Write { put: None, whole: true, if_rev: None, outcome: Outcome::Unknown };
    let as_delete = |op: &Op| match op.what {
        What::Erase => Op { ended: NEVER, what: delete, ..*op },
        _ => *op,
    };
    ops.iter().map(as_delete).collect()
}

/// Of the version that was there for certain when an erasure began, and of history, nobody sees anything who
/// begins when it has ended.
pub(super) fn check(
    versions: &[Version],
    latest: &[Bound],
    ops: &[Op],
    erasures: &[Op],
) -> Result<(), Wrong> {
    for (index, version) in versions.iter().enumerate() {
        let Kind::Live(number) = version.kind else { continue };
        // Who saw it last.
        let seen_by = version.seen_by.iter().map(|place| (ops[*place].began, *place));
        let made_by = version.writer.map(|writer| (ops[writer].began, writer));
        let last_seen = seen_by.max();
        let is_past = number.is_some_and(|number| number >= PAST);
        // A put of history that was applied, though it began when the erasure had ended.
        let last = if is_past { last_seen.max(made_by) } else { last_seen };
        let Some((began, place)) = last else { continue };
        let is_gone =
            |erasure: &&Op| erasure.ended < began && (is_past || latest[index].0 < erasure.began);
        if let Some(erasure) = erasures.iter().find(is_gone) {
            let what = format!(
                "version {} ({:?}) is of before the erasure from {} to {} ns, and was seen or made by the last \
                 of these, which began later",
                version.rev, version.kind, erasure.began, erasure.ended
            );
            let places = latest[index].1.into_iter().chain([place]);
            return Err((what, places.collect()));
        }
    }
    Ok(())
}
