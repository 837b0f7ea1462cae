//! All orders, one after the other: slow, and plain enough to be believed.

use std::collections::HashSet;

use crate::history::{Op, Outcome, What};

/// The register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    rev: Rev,
    /// Its number, and its text's.
    live: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rev {
    /// There has never been a row.
    None,
    /// A first row, or later ones, that nobody has seen: any.
    Any,
    Known(u64),
}

pub fn is_linearizable(ops: &[Op]) -> bool {
    let start = State { rev: Rev::None, live: None };
    explore(ops, (1 << ops.len()) - 1, start, &mut HashSet::new())
}

fn explore(ops: &[Op], left: u32, state: State, seen: &mut HashSet<(u32, State)>) -> bool {
    if !seen.insert((left, state)) {
        return false;
    }
    let is_left = |index: &usize| left & (1 << index) != 0;
    let left_over: Vec<usize> = (0..ops.len()).filter(is_left).collect();
    let may_be_left = |index: &usize| {
        matches!(ops[*index].what, What::Write { outcome: Outcome::Unknown | Outcome::Refused, .. })
    };
    if left_over.iter().all(may_be_left) {
        return true;
    }
    let first_end = left_over.iter().map(|index| ops[*index].ended).min().unwrap_or(0);
    left_over.iter().any(|index| {
        ops[*index].began <= first_end
            && step(ops[*index].what, state)
                .is_some_and(|next| explore(ops, left & !(1 << index), next, seen))
    })
}

fn step(what: What, state: State) -> Option<State> {
    let is_rev = |rev: u64| match state.rev {
        Rev::None => false,
        Rev::Any => true,
        Rev::Known(known) => known == rev,
    };
    match what {
        What::Nothing => Some(state),
        What::Broken(_) | What::Erase => None,
        What::Absent => state.live.is_none().then_some(state),
        What::Saw { rev, number, page } => (state.live == Some((number, page)) && is_rev(rev))
            .then_some(State { rev: Rev::Known(rev), ..state }),
        What::Conflict { if_rev, rev, .. } if if_rev == rev => None,
        What::Conflict { not: Some(not), .. }
            if state.live.is_some_and(|(number, _)| number == not) =>
        {
            None
        }
        What::Conflict { rev: 0, .. } => state.live.is_none().then_some(state),
        What::Conflict { rev, .. } => {
            (state.live.is_some() && is_rev(rev)).then_some(State { rev: Rev::Known(rev), ..state })
        }
        What::Write { outcome: Outcome::Refused, .. } => None,
        What::Write { put, whole, if_rev, outcome } => {
            let before = match (if_rev, state.live) {
                (None, _) | (Some(0), None) => state.rev,
                (Some(named @ 1..), Some(_)) if is_rev(named) => Rev::Known(named),
                _ => return None,
            };
            let rev = match (outcome, before) {
                (Outcome::Applied(rev), Rev::Known(before)) if rev != before + 1 => return None,
                (Outcome::Applied(rev), _) => Rev::Known(rev),
                (_, Rev::Known(before)) => Rev::Known(before + 1),
                (_, _) => Rev::Any,
            };
            let kept = state.live.map_or(0, |(_, page)| page);
            let live = put.map(|number| (number, if whole { number } else { kept }));
            Some(State { rev, live })
        }
    }
}
