//! Histories of a row whose person is erased, and reads that may be answered by a copy.

use super::{delete, op, put, saw, unknown};
use crate::{
    check::check_row,
    history::{History, NEVER, Op, What},
    rows::{PAST, of_person},
};

fn wrong(ops: &[(u64, u64, What)]) -> String {
    let mut ops: Vec<Op> =
        ops.iter().map(|(began, ended, what)| op(*began, *ended, *what)).collect();
    ops.sort_by_key(|op| op.began);
    check_row(&ops).err().map_or_else(String::new, |violation| violation.to_string())
}

#[test]
fn what_is_gone_stays_so_and_what_is_newer_stays() {
    for fine in [
        &[(1, 2, put(1, 5)), (3, 6, What::Erase), (4, 5, saw(5, 1)), (7, 8, What::Absent)][..],
        // Begun before it ended: it may have seen what was there.
        &[(1, 2, put(1, 5)), (3, 6, What::Erase), (5, 9, saw(5, 1))],
        &[(1, 2, put(1, 5)), (3, 6, What::Erase), (4, 5, put(2, 6)), (7, 8, saw(6, 2))],
        &[(1, 2, put(1, 5)), (3, 6, What::Erase), (4, 5, put(2, 7)), (7, 8, saw(7, 2))],
        &[(1, 2, put(1, 5)), (3, 6, What::Erase), (4, 5, delete(6)), (7, 8, What::Absent)],
        // Never acknowledged: it may come or not.
        &[(1, 2, put(1, 5)), (3, NEVER, What::Erase), (7, 8, saw(5, 1))],
        &[(1, 2, put(1, 5)), (3, NEVER, What::Erase), (7, 8, What::Absent)],
        // It may have been put after the tombstone: newer.
        &[(3, 6, What::Erase), (1, 5, put(1, 5)), (7, 8, saw(5, 1))],
        &[(1, 2, put(PAST, 5)), (3, 6, What::Erase), (7, 8, What::Absent)],
    ] {
        assert_eq!(wrong(fine), "", "{fine:?}");
    }
    for (bad, why) in [
        (&[(1, 2, put(1, 5)), (3, 6, What::Erase), (7, 8, saw(5, 1))][..], "of before the erasure"),
        // The put was lost, and seen before the erasure began.
        (
            &[
                (1, NEVER, unknown(Some(1))),
                (2, 3, saw(5, 1)),
                (4, 6, What::Erase),
                (7, 8, saw(5, 1)),
            ],
            "of before the erasure",
        ),
        // It takes one version, not two; and brings none back.
        (&[(1, 2, put(1, 5)), (3, 6, What::Erase), (4, 5, put(2, 8))], "seen by nobody"),
        (
            &[
                (1, 2, put(1, 5)),
                (3, 6, What::Erase),
                (7, 8, What::Absent),
                (9, 10, put(2, 7)),
                (11, 12, What::Absent),
            ],
            "nobody can have made version 8",
        ),
        // History: applied, or landed late, or left.
        (&[(3, 6, What::Erase), (7, 8, put(PAST, 5))], "of before the erasure"),
        (
            &[(4, NEVER, unknown(Some(PAST))), (3, 6, What::Erase), (7, 8, saw(5, PAST))],
            "of before the erasure",
        ),
        (&[(3, 6, What::Erase), (5, 7, put(PAST, 5)), (8, 9, saw(5, PAST))], "of before"),
    ] {
        let told = wrong(bad);
        assert!(told.contains(why), "`{told}` does not say `{why}`: {bad:?}");
    }
}

#[test]
fn a_read_with_a_bound_may_be_as_old() {
    let history = History::default();
    let bound = std::time::Duration::from_secs(3_600);
    let place = history.begin(1, 0, 0, unknown(Some(1)));
    history.end(place, put(1, 5));
    let place = history.begin(1, 0, 0, unknown(Some(2)));
    history.end(place, put(2, 6));
    for (staleness, is_fine) in [(bound, true), (std::time::Duration::ZERO, false)] {
        let place = history.begin_stale(1, 0, 0, What::Nothing, staleness);
        history.end(place, saw(5, 1));
        assert_eq!(check_row(&history.by_row()[0]).is_ok(), is_fine, "{staleness:?}");
    }
}

#[test]
fn an_erasure_is_of_all_rows_of_the_person() {
    let history = History::default();
    let rows = [of_person(3, 0), of_person(3, 77), of_person(4, 0), 3];
    for row in rows {
        let place = history.begin(row, 0, 0, unknown(Some(1)));
        history.end(place, put(1, 5));
    }
    let place = history.begin(of_person(3, 0), 0, 0, What::Erase);
    history.end(place, What::Erase);
    for row in rows {
        let place = history.begin(row, 0, 0, What::Nothing);
        history.end(place, saw(5, 1));
    }
    let wrong: Vec<u32> =
        history.by_row().iter().filter_map(|ops| check_row(ops).err()).map(|v| v.row).collect();
    assert_eq!(wrong, [of_person(3, 0), of_person(3, 77)]);
}
