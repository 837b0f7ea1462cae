//! What is joined comes apart again.

use trivium_codec::KeyShape;
use trivium_model::{KeyType, KeyValue, Timestamp, ViewRef};

use super::*;
use crate::{Stamp, WriteId, WriteOp};

fn key(view: &str, id: i64) -> RowKey {
    let name = |text| Name::new(text).unwrap();
    let view = ViewRef { namespace: name("n"), view: name(view), version: 1 };
    let shape = KeyShape::from_parts(&view, [(name("id"), KeyType::Int64)]);
    shape.encode(&[KeyValue::Int64(id)]).unwrap()
}

fn tombstone(rev: u64) -> Row {
    let stamp =
        Stamp { rev, event_time: Timestamp(0), sequence: 0, write_id: WriteId(0), deleted: true };
    stamp.apply_to(WriteOp::Delete)
}

#[test]
fn rows_come_out_as_they_went_in() {
    let (one, other, absent) = (key("one", 7), key("other", 7), key("absent", 7));
    let joined = join([(&one, &tombstone(1)), (&other, &tombstone(2))]).unwrap();
    let found: Vec<_> = parted(&joined, [&other, &absent, &one].into_iter()).collect();
    assert_eq!(found, [Some(tombstone(2)), None, Some(tombstone(1))]);
    // Anything else gives nothing, and does not panic.
    assert_eq!(parted(&tombstone(1), [&one].into_iter()).collect::<Vec<_>>(), [None]);
}

#[test]
fn too_much_is_not_joined() {
    let keys: Vec<RowKey> = (0..30_000).map(|id| key("one", id)).collect();
    let row = tombstone(1);
    assert!(join(keys.iter().map(|key| (key, &row))).is_none());
}

#[test]
fn views_are_together_by_their_entity() {
    let (one, other) = (key("one", 7), key("other", 7));
    let of = |key: &RowKey| (key.entity_type().to_owned(), key.sort().to_owned());
    let made = |keys: &[&RowKey]| {
        let views: Vec<_> = keys.iter().map(|key| of(key)).collect();
        Together::new(views.iter().map(|(entity, sort)| (entity.as_str(), sort.as_str())))
    };
    let together = made(&[&other, &one, &one]);
    assert_eq!(together.with(&key("else", 9)), [key("one", 9), key("other", 9)]);
    assert!(together.holds(&key("one", 3)) && !together.holds(&key("else", 3)));
    assert!(made(&[&one]).is_empty(), "one row is kept as it is");
    let entity = one.entity();
    assert!(entity.is_entity() && !one.is_entity());
    assert_eq!(entity, other.entity());
    assert_eq!(RowKey::from_bytes(entity.as_bytes()).unwrap(), entity);
    assert_eq!(entity.partition(), one.partition());
}
