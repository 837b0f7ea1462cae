//! What is told of puts that serving itself refuses.
//!
//! A store looks at the person's tombstone before it looks at the row. Where serving has read the row first,
//! because a put is merged with it or because documents come before it, it may find by itself that a put is
//! superseded or in conflict. Of an erased past that would be half of the truth, and another half each time:
//! the row that stands there now has nothing to do with it.

use std::{collections::HashMap, sync::Arc, time::Instant};

use futures::{StreamExt as _, stream};
use trivium_store::{DoorOutcome, WriteOutcome, check_deadline};

use super::is_newer;
use crate::{
    Serving, ViewDefinition,
    write::{Op, Write},
};

/// Tombstones read at a time, for one request.
const AT_A_TIME: usize = 16;

impl Serving {
    /// Tells the puts that were refused here that they are of an erased past, where they are. It costs a
    /// strong read of the tombstone for each person; who is told *applied* never pays for it.
    pub(crate) async fn tell_erased(
        &self,
        view: &ViewDefinition,
        writes: &[Write],
        done: &mut [(usize, Option<DoorOutcome>)],
        deadline: Option<Instant>,
    ) {
        let Some(store) = &self.stores().subjects else { return };
        let mut of_person: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (place, (at, outcome)) in done.iter().enumerate() {
            let write = &writes[*at];
            let is_refused = matches!(
                outcome,
                Some(Ok(WriteOutcome::Superseded(_) | WriteOutcome::Conflict(_)))
            );
            if is_refused
                && !matches!(write.op, Op::Delete)
                && let Some(subject) = view.subject_of(&write.key)
            {
                of_person.entry(subject).or_default().push(place);
            }
        }
        let mut found = stream::iter(of_person)
            .map(|(subject, places)| async move {
                let tombstone = match check_deadline(deadline) {
                    Ok(()) => store.tombstone(&subject).await,
                    Err(error) => Err(error),
                };
                (places, tombstone)
            })
            .buffer_unordered(AT_A_TIME);
        while let Some((places, tombstone)) = found.next().await {
            for place in places {
                let (at, outcome) = &mut done[place];
                match &tombstone {
                    Ok(Some(tombstone)) if !is_newer(writes[*at].order, tombstone.up_to) => {
                        *outcome = Some(Ok(WriteOutcome::Erased(tombstone.up_to)));
                    }
                    Ok(_) => {}
                    // As where the store is asked, which reads both.
                    Err(error) => *outcome = Some(Err(error.clone().into())),
                }
            }
        }
    }
}
