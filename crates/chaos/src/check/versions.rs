//! Which versions of a row there were, whose they are, and what each must look like.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Kind, Version, Wrong};
use crate::history::{Op, Outcome, What};

/// The versions, consecutive, the initial one first; and the writes that may have written missing
/// ones.
pub(super) fn of(ops: &[Op]) -> Result<(Vec<Version>, Vec<usize>), Wrong> {
    let mut puts: HashMap<i64, usize> = HashMap::new();
    for (place, op) in ops.iter().enumerate() {
        if let What::Write { put: Some(number), .. } = op.what {
            puts.insert(number, place);
        }
    }
    let mut found: BTreeMap<u64, Version> = BTreeMap::new();
    // Which version each write made.
    let mut made: HashMap<usize, u64> = HashMap::new();
    for (place, op) in ops.iter().enumerate() {
        let (rev, kind, writer) = match op.what {
            What::Broken(why) => return Err((why.to_owned(), vec![place])),
            What::Conflict { if_rev, rev, .. } if if_rev == rev => {
                return Err((
                    "a conflict with the very rev that was named".to_owned(),
                    vec![place],
                ));
            }
            What::Saw { rev, number, .. } => match puts.get(&number) {
                None => return Err((format!("nobody put the number {number}"), vec![place])),
                Some(writer) => (rev, Kind::Live(Some(number)), Some(*writer)),
            },
            What::Conflict { rev: rev @ 1.., .. } => (rev, Kind::Live(None), None),
            What::Write { put, outcome: Outcome::Applied(rev), .. } => {
                let kind = put.map_or(Kind::Absent, |number| Kind::Live(Some(number)));
                (rev, kind, Some(place))
            }
            _ => continue,
        };
        if rev == 0 {
            return Err(("a row has rev 0".to_owned(), vec![place]));
        }
        if let Some(writer) = writer {
            let What::Write { if_rev, outcome, .. } = ops[writer].what else { continue };
            if outcome == Outcome::Refused {
                return Err(("what was refused is seen".to_owned(), vec![writer, place]));
            }
            let is_once = match outcome {
                Outcome::Applied(as_rev) => as_rev == rev,
                _ => *made.entry(writer).or_insert(rev) == rev,
            };
            if !is_once {
                let what = format!("one write made version {rev} and another one");
                return Err((what, vec![writer, place]));
            }
            made.insert(writer, rev);
            if if_rev.is_some_and(|named| named > 0 && named.saturating_add(1) != rev) {
                let what = format!("a write on the condition of {if_rev:?} made version {rev}");
                return Err((what, vec![writer, place]));
            }
        }
        let version =
            found.entry(rev).or_insert_with(|| Version { rev, kind, writer, seen_by: Vec::new() });
        let agree = match (version.kind, kind) {
            (Kind::Live(None), Kind::Live(_)) => {
                (version.kind, version.writer) = (kind, writer);
                true
            }
            (Kind::Live(_), Kind::Live(None)) => true,
            (one, other) => one == other && version.writer == writer,
        };
        if !agree {
            let mut places = vec![place];
            places.extend(version.writer);
            places.extend(version.seen_by.first());
            return Err((format!("version {rev} is {:?} and {kind:?}", version.kind), places));
        }
        if writer != Some(place) {
            version.seen_by.push(place);
        }
    }
    // What a condition named was there, whether or not anybody else saw it.
    for writer in made.keys() {
        if let What::Write { if_rev: Some(rev @ 1..), .. } = ops[*writer].what {
            let kind = Kind::Live(None);
            found.entry(rev).or_insert(Version { rev, kind, writer: None, seen_by: Vec::new() });
        }
    }
    let is_free = |place: &usize| {
        matches!(ops[*place].what, What::Write { outcome: Outcome::Unknown, .. })
            && !made.contains_key(place)
    };
    let free: Vec<usize> = (0..ops.len()).filter(is_free).collect();
    let mut versions =
        vec![Version { rev: 0, kind: Kind::Absent, writer: None, seen_by: Vec::new() }];
    let mut missing = 0;
    for (rev, version) in found {
        // What came before the first that anybody saw left no trace.
        let before = versions.last().map(|version| version.rev).filter(|rev| *rev > 0);
        let gap = before.map_or(0, |before| rev - before - 1);
        missing += gap;
        if missing > free.len() as u64 {
            let what = format!(
                "{missing} versions before {rev} were seen by nobody, and only {} writes may have made them",
                free.len()
            );
            return Err((
                what,
                version.writer.into_iter().chain(version.seen_by).take(1).collect(),
            ));
        }
        versions.extend((rev - gap..rev).map(|rev| Version {
            rev,
            kind: Kind::Missing,
            writer: None,
            seen_by: Vec::new(),
        }));
        versions.push(version);
    }
    conditions(&versions, ops)?;
    texts(&versions, ops, &free)?;
    for version in &versions {
        let Kind::Live(number @ Some(_)) = version.kind else { continue };
        let is_own = |place: &&usize| matches!(ops[**place].what, What::Conflict { not, .. } if not == number);
        if let Some(place) = version.seen_by.iter().find(is_own) {
            let what = "a retry was told that another row stands there, which was its own";
            return Err((what.to_owned(), version.writer.into_iter().chain([*place]).collect()));
        }
    }
    Ok((versions, free))
}

/// What was conditional on a row, or on none, comes right after one.
fn conditions(versions: &[Version], ops: &[Op]) -> Result<(), Wrong> {
    for pair in versions.windows(2) {
        let [before, version] = pair else { continue };
        let Some(writer) = version.writer else { continue };
        let What::Write { if_rev: Some(named), .. } = ops[writer].what else { continue };
        let holds = match before.kind {
            Kind::Missing => true,
            Kind::Live(_) => named == before.rev,
            Kind::Absent => named == 0,
        };
        if !holds {
            let what = format!(
                "version {} was conditional on rev {named}, after version {} ({:?})",
                version.rev, before.rev, before.kind
            );
            return Err((what, before.writer.into_iter().chain([writer]).collect()));
        }
    }
    Ok(())
}

/// A put of the number alone leaves the text of the version before it.
fn texts(versions: &[Version], ops: &[Op], free: &[usize]) -> Result<(), Wrong> {
    // All that it may be; what nobody saw being written may be anything that may have been.
    let mut texts = BTreeSet::from([0]);
    let lost = free.iter().filter_map(|place| match ops[*place].what {
        What::Write { put, whole: true, .. } => Some(put.unwrap_or(0)),
        _ => None,
    });
    let lost: Vec<i64> = lost.collect();
    for version in versions {
        match (version.kind, version.writer.map(|writer| ops[writer].what)) {
            (Kind::Live(_), Some(What::Write { put: Some(number), whole: true, .. })) => {
                texts = BTreeSet::from([number]);
            }
            (Kind::Live(_), Some(_)) => {}
            (Kind::Absent, Some(_)) => texts = BTreeSet::from([0]),
            // The initial one too: what came before the first that anybody saw left no trace.
            (_, None) | (Kind::Missing, _) => texts.extend(&lost),
        }
        for place in &version.seen_by {
            let What::Saw { page, .. } = ops[*place].what else { continue };
            if !texts.contains(&page) {
                let what = format!("version {} has the text of another one", version.rev);
                return Err((what, version.writer.into_iter().chain([*place]).collect()));
            }
            texts = BTreeSet::from([page]);
        }
    }
    Ok(())
}
