//! Which leases a worker takes.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use trivium_ingest::port::Partition;

use crate::leases::Lease;

/// Since when each lease has looked as it does, by this machine's own steady clock: no two clocks are
/// compared, and a worker that has slept sees first that the leases have moved meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<Partition, (u64, u64, Instant)>);

impl Seen {
    /// Notes how the leases are now.
    pub fn note(&mut self, leases: &[Lease], now: Instant) {
        let mut noted = HashMap::with_capacity(leases.len());
        for lease in leases {
            let before = self.0.get(&lease.partition).copied();
            let same = before.filter(|(epoch, renewals, _)| {
                (*epoch, *renewals) == (lease.epoch, lease.renewals)
            });
            let since = same.map_or(now, |(_, _, since)| since);
            noted.insert(lease.partition.clone(), (lease.epoch, lease.renewals, since));
        }
        self.0 = noted;
    }

    /// Whether nobody has renewed it for so long.
    fn is_stale(&self, lease: &Lease, length: Duration, now: Instant) -> bool {
        let since = self.0.get(&lease.partition).map(|(_, _, since)| *since);
        since.is_some_and(|since| now.saturating_duration_since(since) >= length)
    }
}

/// What to take of leases that have not ended: what nobody has, up to this worker's share; where there is
/// nothing of that, one of whoever has at least two more than this worker. So shares come to differ by
/// one at most, and then nothing moves.
pub(crate) fn choose(
    leases: &[Lease],
    seen: &Seen,
    me: &str,
    length: Duration,
    now: Instant,
) -> Vec<Lease> {
    let mut free = Vec::new();
    let mut held: HashMap<&str, Vec<&Lease>> = HashMap::from([(me, Vec::new())]);
    for lease in leases.iter().filter(|lease| !lease.ended) {
        match lease.owner.as_deref() {
            Some(owner) if owner == me || !seen.is_stale(lease, length, now) => {
                held.entry(owner).or_default().push(lease);
            }
            _ => free.push(lease.clone()),
        }
    }
    let mine = held.get(me).map_or(0, Vec::len);
    let all = free.len() + held.values().map(Vec::len).sum::<usize>();
    if !free.is_empty() {
        let share = all.div_ceil(held.len());
        // At random: others choose at the same time.
        free.shuffle(&mut rand::rng());
        free.truncate(share.saturating_sub(mine));
        return free;
    }
    let richest = held.iter().max_by_key(|(_, leases)| leases.len());
    let one = richest.filter(|(_, leases)| leases.len() >= mine + 2);
    one.and_then(|(_, leases)| leases.choose(&mut rand::rng()))
        .map(|lease| vec![(*lease).clone()])
        .unwrap_or_default()
}

/// Leases in this worker's name that it does not work on: an answer got lost when they were taken. Each
/// is told the second time it is met: the first time it may be on its way.
#[derive(Debug, Default)]
pub(crate) struct Strays(HashSet<(Partition, u64)>);

impl Strays {
    pub fn find(
        &mut self,
        leases: &[Lease],
        me: &str,
        works: impl Fn(&Lease) -> bool,
    ) -> Vec<Lease> {
        let stray =
            |lease: &&Lease| !lease.ended && lease.owner.as_deref() == Some(me) && !works(lease);
        let strays: Vec<&Lease> = leases.iter().filter(stray).collect();
        let id = |lease: &Lease| (lease.partition.clone(), lease.epoch);
        let known = std::mem::replace(&mut self.0, strays.iter().map(|lease| id(lease)).collect());
        strays.into_iter().filter(|lease| known.contains(&id(lease))).cloned().collect()
    }
}
