//! What clients saw, and whether it could have come from one register a row.
//!
//! The authority gives every version of a row a rev, one above the other, so the order of the
//! writes is known. A history is then linearizable exactly if nobody sees a rev below one that
//! somebody had seen (or had been told of) before he began; if each rev is one write's; and if what
//! was reported as failed is never seen.

use std::collections::BTreeMap;

/// What an operation on a row was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A read saw this rev (0: no row) with this number in it (0: a tombstone).
    Saw { rev: u64, number: i64 },
    /// The write of this number was applied as this rev.
    Applied { rev: u64, number: i64 },
    /// A refusal that named the rev which stands there.
    Refused { rev: u64 },
    /// The write of this number was certainly not applied.
    Failed { number: i64 },
}

/// One operation on one row, with the moments (ticks of one counter) at which it began and ended.
#[derive(Debug, Clone, Copy)]
struct Operation {
    began: u64,
    ended: u64,
    told: Told,
}

/// All operations of a run that were told something.
#[derive(Debug, Default)]
pub struct History {
    rows: BTreeMap<usize, Vec<Operation>>,
    tick: u64,
}

impl History {
    /// Now.
    pub fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// An operation that began then has just ended.
    pub fn record(&mut self, row: usize, began: u64, told: Told) {
        let ended = self.tick();
        self.rows.entry(row).or_default().push(Operation { began, ended, told });
    }

    /// The first thing that cannot be.
    pub fn check(&self) -> Result<(), String> {
        self.rows.iter().try_for_each(|(row, operations)| {
            check_row(operations).map_err(|what| format!("row {row}: {what}"))
        })
    }
}

fn check_row(operations: &[Operation]) -> Result<(), String> {
    let mut numbers: BTreeMap<u64, i64> = BTreeMap::new();
    for operation in operations {
        let (rev, number) = match operation.told {
            Told::Saw { rev, number } | Told::Applied { rev, number } => (rev, number),
            Told::Refused { .. } | Told::Failed { .. } => continue,
        };
        let other = *numbers.entry(rev).or_insert(number);
        if other != number {
            return Err(format!("rev {rev} was {other} and {number}"));
        }
    }
    for operation in operations {
        // 0 is every tombstone's number.
        if let Told::Failed { number } = operation.told
            && number != 0
            && numbers.values().any(|seen| *seen == number)
        {
            return Err(format!("{number} was reported as failed and seen"));
        }
    }
    // By their ends: what had ended before an operation began is a prefix of this.
    let mut ended: Vec<(u64, u64)> = operations
        .iter()
        .filter_map(|operation| Some((operation.ended, rev_of(operation.told)?)))
        .collect();
    ended.sort_unstable();
    let mut highest = 0;
    let highest_by: Vec<(u64, u64)> = ended
        .into_iter()
        .map(|(end, rev)| {
            highest = highest.max(rev);
            (end, highest)
        })
        .collect();
    for operation in operations {
        let Some(rev) = rev_of(operation.told) else { continue };
        let before = highest_by.partition_point(|(end, _)| *end < operation.began);
        let known = before.checked_sub(1).map_or(0, |last| highest_by[last].1);
        if rev < known {
            return Err(format!("{operation:?}, after rev {known} had been seen"));
        }
    }
    Ok(())
}

fn rev_of(told: Told) -> Option<u64> {
    match told {
        Told::Saw { rev, .. } | Told::Applied { rev, .. } | Told::Refused { rev } => Some(rev),
        Told::Failed { .. } => None,
    }
}

#[test]
fn the_check_itself() {
    let told = |list: &[(u64, u64, Told)]| {
        let operations: Vec<Operation> = list
            .iter()
            .map(|(began, ended, told)| Operation { began: *began, ended: *ended, told: *told })
            .collect();
        check_row(&operations).is_ok()
    };
    let saw = |rev, number| Told::Saw { rev, number };
    let applied = |rev, number| Told::Applied { rev, number };
    assert!(told(&[(1, 4, applied(9, 1)), (2, 3, saw(0, 0)), (2, 5, saw(9, 1))]));
    assert!(!told(&[(1, 2, applied(9, 1)), (3, 4, saw(0, 0))]), "stale after the write");
    assert!(!told(&[(1, 9, applied(9, 1)), (2, 3, saw(9, 1)), (4, 5, saw(0, 0))]), "going back");
    assert!(told(&[(1, 9, applied(9, 1)), (2, 4, saw(9, 1)), (3, 5, saw(0, 0))]), "overlapping");
    assert!(!told(&[(1, 2, applied(9, 1)), (3, 4, applied(9, 2))]), "one rev, two writes");
    assert!(!told(&[(1, 2, Told::Failed { number: 3 }), (3, 4, saw(9, 3))]), "failed, yet there");
}
