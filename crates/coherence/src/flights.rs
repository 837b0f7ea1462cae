//! Reads of one row that come at once share a trip to the authority, and no trip is shared by a
//! read that began after it was sent: it would be answered from before its own beginning.
//!
//! A key has at most one trip under way and one that waits for it to end. Who comes while one is
//! under way leads, or joins, the waiting one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use trivium_codec::{Row, RowKey};

/// Where a joined reader waits for what the trip brings home. Errors are not shared: they may be of
/// the leader's own deadline.
type Follower = oneshot::Sender<Option<Row>>;

/// The trips of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<RowKey, Slot>>>);

/// A key with a trip under way.
#[derive(Debug, Default)]
struct Slot {
    next: Option<Next>,
}

/// The trip that waits.
#[derive(Debug)]
struct Next {
    start: oneshot::Sender<Flight>,
    followers: Vec<Follower>,
}

/// How a reader gets its row.
pub(crate) enum Seat {
    /// Go now.
    Go(Flight),
    /// Go when told, for all who have joined until then.
    Lead(oneshot::Receiver<Flight>),
    /// Somebody goes for you, and has not left yet.
    Join(oneshot::Receiver<Option<Row>>),
}

/// A trip under way; dropped, it is over, however it ended.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Flights,
    key: RowKey,
    followers: Vec<Follower>,
}

impl Flights {
    pub(crate) fn board(&self, key: &RowKey) -> Seat {
        let mut slots = self.slots();
        let Some(slot) = slots.get_mut(key) else {
            slots.insert(key.clone(), Slot::default());
            let (flights, key) = (self.clone(), key.clone());
            return Seat::Go(Flight { flights, key, followers: Vec::new() });
        };
        if let Some(next) = &mut slot.next
            && !next.start.is_closed()
        {
            let (follower, followed) = oneshot::channel();
            next.followers.push(follower);
            return Seat::Join(followed);
        }
        let (start, started) = oneshot::channel();
        slot.next = Some(Next { start, followers: Vec::new() });
        Seat::Lead(started)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<RowKey, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Tells everybody who joined.
    pub(crate) fn share(&mut self, row: &Option<Row>) {
        for follower in self.followers.drain(..) {
            // One that has left needs nothing.
            let _ = follower.send(row.clone());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut slots = self.flights.slots();
        let Some(slot) = slots.get_mut(&self.key) else { return };
        let Some(next) = slot.next.take() else {
            slots.remove(&self.key);
            return;
        };
        let flight = Flight {
            flights: self.flights.clone(),
            key: self.key.clone(),
            followers: next.followers,
        };
        let unsent = next.start.send(flight);
        drop(slots);
        // The leader is gone: its trip is over before it began, and its followers go on their own.
        drop(unsent);
    }
}

#[cfg(test)]
mod tests {
    use trivium_codec::{KeyShape, RowKey};
    use trivium_model::{KeyType, KeyValue, Name, ViewRef};

    use super::{Flights, Seat};

    fn key() -> RowKey {
        let name = |text| Name::new(text).unwrap();
        let view = ViewRef { namespace: name("n"), view: name("v"), version: 1 };
        KeyShape::from_parts(&view, [(name("k"), KeyType::Int64)])
            .encode(&[KeyValue::Int64(1)])
            .unwrap()
    }

    #[tokio::test]
    async fn nobody_joins_a_trip_that_has_been_sent() {
        let (flights, key) = (Flights::default(), key());
        let Seat::Go(first) = flights.board(&key) else { panic!("the first goes") };
        let Seat::Lead(started) = flights.board(&key) else { panic!("the second leads the next") };
        let Seat::Join(joined) = flights.board(&key) else { panic!("the third joins it") };
        drop(first);
        let mut second = started.await.unwrap();
        // Under way since: who comes now leads another.
        let Seat::Lead(third) = flights.board(&key) else { panic!("too late to join") };
        second.share(&None);
        drop(second);
        assert_eq!(joined.await.unwrap(), None);
        drop(third.await.unwrap());
        assert!(flights.slots().is_empty());
    }

    #[tokio::test]
    async fn a_leader_that_leaves_strands_nobody() {
        let (flights, key) = (Flights::default(), key());
        let Seat::Go(first) = flights.board(&key) else { panic!("the first goes") };
        let Seat::Lead(started) = flights.board(&key) else { panic!("the second leads the next") };
        let Seat::Join(joined) = flights.board(&key) else { panic!("the third joins it") };
        drop(started);
        let Seat::Lead(fourth) = flights.board(&key) else { panic!("nobody joins the leaderless") };
        assert!(joined.await.is_err(), "the third goes on its own");
        drop(fourth);
        drop(first);
        assert!(flights.slots().is_empty());
        // Gone between being told and going.
        let Seat::Go(first) = flights.board(&key) else { panic!("the first goes") };
        let Seat::Lead(started) = flights.board(&key) else { panic!("the second leads the next") };
        drop(first);
        drop(started);
        assert!(flights.slots().is_empty());
    }
}
