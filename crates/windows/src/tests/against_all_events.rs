//! Random events, shuffled, repeated and late, in random steps.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*};

use super::naive::{event, filtered, keys_of, naive, newest, run, same, view};
use crate::{Event, MemoryState, Plan};
use trivium_model::FeatureView;

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => -1e6..1e6_f64,
        1 => Just(f64::NAN),
        1 => Just(-0.0),
        1 => Just(0.0),
        1 => Just(1e300),
    ]
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![10 => -1_000..1_000_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

/// Messages whose times go up and down; some are no events, some come twice.
fn messages() -> impl Strategy<Value = Vec<Option<Event>>> {
    let one = (
        0..4_i64,
        -15..25_i64,
        option::weighted(0.8, numbers()),
        option::weighted(0.8, floats()),
        "[a-c]{0,2}",
        0..6_i64,
        prop_oneof![30 => Just(0_i64), 1 => 100..4_000_i64],
        0..12_u8,
    );
    vec(one, 0..120).prop_map(|all| {
        let (mut now, mut messages) = (-50_i64, Vec::new());
        for (entity, by, n, f, s, id, jump, special) in all {
            now += 2 + jump;
            let made = event(entity, now + by, n, f, &s, id);
            match special {
                0 => messages.push(None),
                1 => messages.extend([Some(made.clone()), Some(made)]),
                _ => messages.push(Some(made)),
            }
        }
        messages
    })
}

fn views() -> impl Strategy<Value = FeatureView> {
    let sizes = prop_oneof![Just((10, 10)), Just((30, 10)), Just((60, 5)), Just((7, 1))];
    let lateness = prop_oneof![Just(0_u32), Just(4), Just(20), Just(200)];
    (sizes, lateness, any::<bool>(), any::<bool>()).prop_map(
        |((size, slide), lateness, by_id, is_filtered)| {
            let whole = view(size, slide, lateness, by_id);
            if is_filtered { filtered(whole) } else { whole }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_those_of_all_events_whatever_the_steps(
        messages in messages(),
        view in views(),
        cuts in vec(0..130_usize, 0..12),
        room in prop_oneof![Just(1_usize), Just(3), Just(10_000)],
    ) {
        let plan = Plan::new(&view).unwrap();
        let cuts: BTreeSet<usize> = cuts.into_iter().collect();
        let (rows, state, outputs) = run(&plan, &messages, &cuts, room).unwrap();
        let (expected, found) = (naive(&view, &messages), newest(&rows));
        prop_assert_eq!(
            expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>()
        );
        for (key, row) in &expected {
            prop_assert!(same(row, &found[key]), "{:?}\n{:?}", row, found[key]);
        }
        // Nothing is given that a step for each message would not give, and bit by bit the same.
        let each = (0..=messages.len()).collect();
        let (each_rows, each_state, _) = run(&plan, &messages, &each, 10_000).unwrap();
        let shown = |row: &crate::Row| format!("{row:?}");
        let all: BTreeSet<String> = each_rows.iter().map(shown).collect();
        for row in &rows {
            prop_assert!(all.contains(&shown(row)), "{:?}", row);
        }
        let kept = |state: &MemoryState| {
            let mut kept = state.clone();
            // It counts the steps.
            kept.apply(vec![(b"m".to_vec(), None)]);
            kept
        };
        prop_assert_eq!(kept(&state), kept(&each_state));
        // Every message had one end.
        let counted: u64 =
            outputs.iter().map(|o| &o.counts).map(|c| c.counted + c.late + c.repeated + c.filtered).sum();
        prop_assert_eq!(counted, messages.iter().flatten().count() as u64);
    }

    #[test]
    fn what_can_no_longer_change_is_forgotten(
        messages in messages(),
        view in views(),
    ) {
        let plan = Plan::new(&view).unwrap();
        let mut messages = messages;
        // Somebody else's event, long after.
        messages.push(Some(event(99, 1_000_000, Some(1), None, "", 0)));
        let (_, state, _) = run(&plan, &messages, &BTreeSet::new(), 10_000).unwrap();
        // What is left is of that event.
        for kind in [b't', b'x', b'w', b'e'] {
            prop_assert_eq!(keys_of(&state, kind), 1, "{}", kind as char);
        }
        prop_assert_eq!(keys_of(&state, b'd'), usize::from(view.window.unwrap().event_id.is_some()));
    }
}
