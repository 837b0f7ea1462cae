//! The guards of the protocol, each of which can be taken out.

/// Which guards are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards(u64);

/// Guards without which no violation is found, in any world: the decision record says why they are
/// kept all the same.
pub const NEEDLESS: &[&str] = &["grows_into_disabled", "answer_is_checked"];

macro_rules! guards {
    ($($name:ident $at:literal $what:literal;)*) => {
        impl Guards {
            $(#[doc = $what] pub const fn $name(self) -> bool { self.0 & (1 << $at) != 0 })*
        }
        impl Guards {
            /// Name, bit and meaning of every guard.
            pub const EACH: &[(&str, u32, &str)] = &[$((stringify!($name), $at, $what)),*];
        }
    };
}

impl Guards {
    /// All of them.
    pub const fn all() -> Self {
        Self(u64::MAX)
    }
    /// Without the one at this bit.
    pub const fn without(self, bit: u32) -> Self {
        Self(self.0 & !(1 << bit))
    }
}

guards! {
    writers_fence 0 "a writer fences the key before it writes the authority";
    fence_is_proven 1 "a writer whose fence is not proven does not write";
    fence_again_is_fresh 2 "a fence whose answer was lost is sent again under a fresh id";
    fence_is_not_evicted 3 "a fence has no TTL, so it is never evicted";
    lease_spares_fence 4 "a lease never replaces a fence";
    fill_needs_its_lease 5 "a fill needs the very lease it was given";
    lost_lease_fills_nothing 6 "after a lost answer to the lease script, no fill";
    fill_raises 7 "a fill raises the row's barrier first";
    fill_uses_raised_row 8 "a fill uses the row that raising returned";
    barrier_is_strict 9 "a write must be above the barrier, not level with it";
    write_raises_epoch 10 "an accepted write raises the barrier's epoch to its own";
    raise_takes_max 11 "raising a barrier never lowers it";
    sent_once 12 "a write is sent to the authority once";
    barred_fences_anew 13 "a writer refused by the barrier fences anew";
    refused_adds_nothing 14 "a refused write contributes no row when it unfences";
    unknown_leaves_id 15 "a writer that does not know its outcome leaves its id";
    unfence_needs_its_id 16 "unfencing does nothing where the id is gone";
    newest_by_rev 17 "of two rows seen, a fence keeps the one with the higher rev";
    repair_raises 18 "a repair raises the barrier to the dead writer's deadline";
    repair_merges 19 "a repair merges the row that raising returned";
    repair_uses_raised_row 20 "a repair merges the row of the raise, not one read before";
    repair_needs_a_row 21 "a repair leaves the fence of a row that is absent";
    marker 22 "an epoch's marker is read with every key";
    run_ids 23 "a server that came back under another run id does not count";
    keys_carry_epoch 24 "keys in the cache start with the epoch's number";
    grows_into_disabled 25 "the number grows on the way into disabled";
    grows_into_enabled 26 "the number grows on the way into enabled";
    unfenced_only_disabled 27 "writers go unfenced only in disabled";
    disabling_waits 28 "disabled is set only once every lease has run out";
    lease_from_sending 29 "a lease counts from sending the read of the record";
    lease_checked_in_request 30 "the lease is checked after the request began";
    join_only_unsent 31 "a read joins only a fetch that has not been sent";
    expiry_is_far 32 "a tombstone expires only beyond every write, lease and cached value";
    revs_are_seeded 33 "a row's first rev is above those of its earlier lives";
    answer_is_checked 34 "the lease is checked again when the answer has come";
}
