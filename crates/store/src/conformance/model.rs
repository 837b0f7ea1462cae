//! Random writes, compared with a model that is too simple to be wrong in the same way: it keeps
//! plain tuples and knows nothing of rows, locks or caches.

use std::collections::HashMap;

use trivium_model::Timestamp;

use super::{
    Store,
    support::{Keys, Random, SEED, number, put, read},
};
use crate::{Condition, Order, RowWrite, Stamp, WriteId, WriteOp, WriteOutcome};

#[derive(Debug, Clone, Copy)]
struct Cell {
    stamp: Stamp,
    value: i64,
}

/// Two hundred random batches over few keys, event times and ids, so that everything collides;
/// after each, every row is read back. The seed is in every message.
pub async fn agrees_with_the_model(store: &(impl Store + ?Sized), seed: u64) {
    let keys = Keys::new();
    let all: Vec<_> = (0..6).map(|number| keys.numbered(number)).collect();
    let mut random = Random(seed);
    let mut model: HashMap<usize, Cell> = HashMap::new();
    let mut value = 0;
    for batch in 0..200 {
        let mut writes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..=random.below(6) {
            value += 1;
            let index = random.below(all.len() as u64) as usize;
            let existing = model.get(&index).copied();
            let mut write = put(all[index].clone(), value, random_order(&mut random, existing));
            if random.below(4) == 0 {
                write.op = WriteOp::Delete;
            }
            write.condition = random_condition(&mut random, existing);
            write.write_id = WriteId(u128::from(random.below(8)));
            let outcome = expect(existing.map(|cell| cell.stamp), &write);
            if let WriteOutcome::Applied(stamp) = outcome
                && existing.is_none_or(|cell| cell.stamp.rev != stamp.rev)
            {
                model.insert(index, Cell { stamp, value });
            }
            expected.push(outcome);
            writes.push(write);
        }
        let described = format!("{writes:?}");
        let outcomes: Vec<Option<WriteOutcome>> =
            store.write(writes, SEED, None).await.into_iter().map(Result::ok).collect();
        let expected: Vec<Option<WriteOutcome>> = expected.into_iter().map(Some).collect();
        assert_eq!(outcomes, expected, "seed {seed}, batch {batch}: {described}");
        for (index, found) in read(store, &all).await.into_iter().enumerate() {
            let cell = model.get(&index);
            assert_eq!(
                found.as_ref().map(Stamp::of),
                cell.map(|cell| cell.stamp),
                "seed {seed}, batch {batch}, row {index}: {described}"
            );
            if let (Some(row), Some(cell)) = (found, cell)
                && !row.is_deleted()
            {
                assert_eq!(number(&row), cell.value, "seed {seed}, batch {batch}, row {index}");
            }
        }
    }
}

fn random_order(random: &mut Random, existing: Option<Cell>) -> Order {
    let time = Timestamp(random.below(5) as i64);
    match random.below(6) {
        0 | 1 => Order::At { event_time: time, sequence: Some(random.below(4)) },
        2 => Order::At { event_time: time, sequence: None },
        3 => Order::Now { now: time },
        kind => {
            let hit = existing.filter(|_| kind == 4).map(|cell| cell.stamp);
            Order::Replacing {
                event_time: hit.map_or(time, |stamp| stamp.event_time),
                sequence: hit.map_or(random.below(3), |stamp| stamp.sequence),
                new_event_time: Timestamp(random.below(5) as i64),
                new_sequence: random.below(4),
            }
        }
    }
}

fn random_condition(random: &mut Random, existing: Option<Cell>) -> Condition {
    let rev = match (random.below(3), existing) {
        (0, _) | (_, None) => 0,
        (1, Some(cell)) => cell.stamp.rev,
        (_, Some(cell)) => cell.stamp.rev - 1,
    };
    match random.below(6) {
        0 => Condition::Rev(rev),
        1 => Condition::ExactRev(rev),
        _ => Condition::None,
    }
}

/// The rule once more, from the documentation of the port instead of from `decide`.
fn expect(row: Option<Stamp>, write: &RowWrite) -> WriteOutcome {
    let is_retry = write.write_id != WriteId(0);
    if let Some(row) = row.filter(|row| is_retry && row.write_id == write.write_id) {
        return WriteOutcome::Applied(row);
    }
    let condition_holds = match (write.condition, row) {
        (Condition::None, _) => true,
        (Condition::Rev(0), None) | (Condition::ExactRev(0), None) => true,
        (Condition::Rev(0), Some(row)) => row.deleted,
        (Condition::Rev(rev), Some(row)) => !row.deleted && row.rev == rev,
        (Condition::ExactRev(rev), Some(row)) => row.rev == rev,
        (Condition::Rev(_) | Condition::ExactRev(_), None) => false,
    };
    if !condition_holds {
        return WriteOutcome::Conflict(row);
    }
    let deleted = matches!(write.op, WriteOp::Delete);
    let stamp = |rev, event_time, sequence| {
        WriteOutcome::Applied(Stamp {
            rev,
            event_time,
            sequence,
            write_id: write.write_id,
            deleted,
        })
    };
    let Some(row) = row else {
        return match write.order {
            Order::At { event_time, sequence } => stamp(SEED, event_time, sequence.unwrap_or(0)),
            Order::Now { now } => stamp(SEED, now, 0),
            Order::Replacing { .. } => WriteOutcome::Conflict(None),
        };
    };
    let rev = row.rev + 1;
    match write.order {
        Order::Now { now } if now > row.event_time => stamp(rev, now, 0),
        Order::Now { .. } => stamp(rev, Timestamp(row.event_time.0 + 1), 0),
        Order::Replacing { event_time, sequence, new_event_time, new_sequence } => {
            if event_time == row.event_time && sequence == row.sequence {
                stamp(rev, new_event_time, new_sequence)
            } else {
                WriteOutcome::Superseded(row)
            }
        }
        Order::At { event_time, .. } if event_time < row.event_time => {
            WriteOutcome::Superseded(row)
        }
        Order::At { event_time, sequence } if event_time > row.event_time => {
            stamp(rev, event_time, sequence.unwrap_or(0))
        }
        Order::At { event_time, sequence: None } => stamp(rev, event_time, row.sequence + 1),
        Order::At { event_time, sequence: Some(sequence) } => {
            if sequence > row.sequence {
                stamp(rev, event_time, sequence)
            } else {
                WriteOutcome::Superseded(row)
            }
        }
    }
}
