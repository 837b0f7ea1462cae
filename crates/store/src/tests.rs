use std::sync::Arc;

use proptest::prelude::*;
use trivium_codec::{KeyShape, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{DataType, KeyType, KeyValue, Lane, Name, Timestamp, ViewRef};

use crate::{
    Condition, Decision, MemoryCache, MemoryIndex, MemoryStore, Order, RowWrite, Stamp, WriteId,
    WriteOp, WriteOutcome, decide,
};

async fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}
crate::conformance_tests!(memory);
crate::authority_conformance_tests!(memory);
crate::subject_conformance_tests!(memory);

async fn memory_cache() -> Arc<MemoryCache> {
    Arc::new(MemoryCache::new())
}
crate::row_cache_conformance_tests!(memory_cache);

async fn memory_index() -> Arc<MemoryIndex> {
    Arc::new(MemoryIndex::new())
}
crate::embedding_conformance_tests!(memory_index);

fn key() -> RowKey {
    let view =
        ViewRef { namespace: Name::new("n").unwrap(), view: Name::new("v").unwrap(), version: 1 };
    KeyShape::from_parts(&view, [(Name::new("k").unwrap(), KeyType::Int64)])
        .encode(&[KeyValue::Int64(1)])
        .unwrap()
}

fn put_op() -> WriteOp {
    let schema = Schema::new([(Name::new("f").unwrap(), DataType::Bool)]).unwrap();
    WriteOp::Put(
        RowEncoder::new(&schema).encode(Lane::Direct, &[Some(ValueRef::Bool(true))]).unwrap(),
    )
}

fn stamp(rev: u64, event_time: i64, sequence: u64) -> Stamp {
    Stamp { rev, event_time: Timestamp(event_time), sequence, write_id: WriteId(9), deleted: false }
}

fn at(event_time: i64, sequence: Option<u64>) -> Order {
    Order::At { event_time: Timestamp(event_time), sequence }
}

fn replacing(old: (i64, u64), new: (i64, u64)) -> Order {
    Order::Replacing {
        event_time: Timestamp(old.0),
        sequence: old.1,
        new_event_time: Timestamp(new.0),
        new_sequence: new.1,
    }
}

/// `applied rev time/sequence`, `superseded`, `conflict` or `retry`.
fn show(existing: Option<Stamp>, write: &RowWrite) -> String {
    match decide(existing.as_ref(), write, 1000) {
        Decision::Apply(new) => format!(
            "applied {} {}/{}{}",
            new.rev,
            new.event_time.0,
            new.sequence,
            if new.deleted { " deleted" } else { "" }
        ),
        Decision::Answer(WriteOutcome::Applied(_)) => "retry".to_owned(),
        Decision::Answer(WriteOutcome::Superseded(_)) => "superseded".to_owned(),
        Decision::Answer(WriteOutcome::Conflict(_)) => "conflict".to_owned(),
        Decision::Answer(WriteOutcome::Erased(_)) => "erased".to_owned(),
    }
}

#[test]
fn the_rule_case_by_case() {
    let live = Some(stamp(5, 100, 7));
    let gone = Some(Stamp { deleted: true, ..stamp(5, 100, 7) });
    let now = |micros| Order::Now { now: Timestamp(micros) };
    use Condition::{ExactRev, None as Always, Rev};
    let cases = [
        // row, order, condition, write id, what happens
        (None, at(50, Some(3)), Always, 0, "applied 1000 50/3"),
        (None, at(50, None), Always, 0, "applied 1000 50/0"),
        (None, now(60), Always, 0, "applied 1000 60/0"),
        (None, replacing((1, 1), (2, 2)), Always, 0, "conflict"),
        (None, at(50, None), Rev(0), 0, "applied 1000 50/0"),
        (None, at(50, None), ExactRev(0), 0, "applied 1000 50/0"),
        (None, at(50, None), Rev(5), 0, "conflict"),
        (None, at(50, None), ExactRev(5), 0, "conflict"),
        (live, at(99, Some(9)), Always, 0, "superseded"),
        (live, at(100, Some(6)), Always, 0, "superseded"),
        (live, at(100, Some(7)), Always, 0, "superseded"),
        (live, at(100, Some(8)), Always, 0, "applied 6 100/8"),
        (live, at(100, None), Always, 0, "applied 6 100/8"),
        (live, at(101, None), Always, 0, "applied 6 101/0"),
        (live, at(101, Some(0)), Always, 0, "applied 6 101/0"),
        (live, at(99, None), Always, 0, "superseded"),
        (live, now(50), Always, 0, "applied 6 101/0"),
        (live, now(100), Always, 0, "applied 6 101/0"),
        (live, now(500), Always, 0, "applied 6 500/0"),
        (live, replacing((100, 7), (10, 1)), Always, 0, "applied 6 10/1"),
        (live, replacing((100, 6), (10, 1)), Always, 0, "superseded"),
        (live, replacing((99, 7), (200, 1)), Always, 0, "superseded"),
        (live, at(101, None), Rev(5), 0, "applied 6 101/0"),
        (live, at(101, None), Rev(4), 0, "conflict"),
        (live, at(101, None), Rev(0), 0, "conflict"),
        (live, at(99, None), Rev(4), 0, "conflict"),
        (live, at(99, None), Rev(5), 0, "superseded"),
        (live, at(101, None), ExactRev(5), 0, "applied 6 101/0"),
        (live, at(101, None), ExactRev(0), 0, "conflict"),
        (live, at(1, None), Rev(1), 9, "retry"),
        (live, at(101, None), Always, 8, "applied 6 101/0"),
        (gone, at(101, None), Rev(0), 0, "applied 6 101/0"),
        (gone, at(101, None), Rev(5), 0, "conflict"),
        (gone, at(101, None), ExactRev(5), 0, "applied 6 101/0"),
        (gone, at(101, None), ExactRev(0), 0, "conflict"),
        (gone, at(100, Some(7)), Rev(0), 0, "superseded"),
        (gone, at(99, None), Always, 9, "retry"),
        (Some(stamp(u64::MAX, 100, u64::MAX)), at(100, None), Always, 0, "superseded"),
        (Some(stamp(5, i64::MAX, 7)), now(1), Always, 0, "applied 6 9223372036854775807/8"),
    ];
    for (row, order, condition, id, expected) in cases {
        let write =
            RowWrite { condition, write_id: WriteId(id), ..RowWrite::new(key(), put_op(), order) };
        assert_eq!(show(row, &write), expected, "{row:?} {order:?} {condition:?} {id}");
        let delete = RowWrite { op: WriteOp::Delete, ..write };
        let expected = if expected.starts_with("applied") {
            format!("{expected} deleted")
        } else {
            expected.to_owned()
        };
        assert_eq!(show(row, &delete), expected, "delete {row:?} {order:?} {condition:?} {id}");
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        (-3..3_i64, proptest::option::of(0..3_u64)).prop_map(|(time, seq)| at(time, seq)),
        (-3..3_i64).prop_map(|now| Order::Now { now: Timestamp(now) }),
    ]
}

proptest! {
    /// Without retractions a row only moves forward, its rev one at a time, and the order in which
    /// writes with sequences arrive does not matter.
    #[test]
    fn rows_move_forward(orders in proptest::collection::vec(any_order(), 1..20)) {
        let mut row: Option<Stamp> = None;
        for order in orders {
            let write = RowWrite::new(key(), WriteOp::Delete, order);
            if let Decision::Apply(new) = decide(row.as_ref(), &write, 1000) {
                if let Some(old) = row {
                    prop_assert!((new.event_time, new.sequence) > (old.event_time, old.sequence));
                    prop_assert_eq!(new.rev, old.rev + 1);
                }
                row = Some(new);
            }
        }
    }

    #[test]
    fn arrival_order_does_not_matter(
        writes in proptest::collection::vec((-3..3_i64, 0..5_u64), 1..10),
        shuffled in Just(()).prop_perturb(|(), mut random| random.random::<u64>()),
    ) {
        let last = |writes: &[(i64, u64)]| {
            let mut row: Option<Stamp> = None;
            for (time, sequence) in writes {
                let write = RowWrite::new(key(), WriteOp::Delete, at(*time, Some(*sequence)));
                if let Decision::Apply(new) = decide(row.as_ref(), &write, 1000) {
                    row = Some(new);
                }
            }
            row.map(|row| (row.event_time.0, row.sequence))
        };
        let mut other = writes.clone();
        other.sort_by_key(|write| xxh(*write, shuffled));
        prop_assert_eq!(last(&writes), last(&other));
        prop_assert_eq!(last(&writes), writes.iter().copied().max());
    }
}

/// Any permutation will do.
fn xxh(write: (i64, u64), seed: u64) -> u64 {
    (write.0.cast_unsigned() ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ write.1.rotate_left(17)
}
