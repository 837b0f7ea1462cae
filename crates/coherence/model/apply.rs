//! What each step does.

use super::{
    Action, Protocol, State,
    state::{Cache, Cell, NUMBERS, Phase, ReaderAt, RepairAt, WriterAt},
};

impl Protocol {
    pub(super) fn apply(&self, state: &mut State, action: Action) {
        let guards = self.guards;
        match action {
            Action::Drain => state.phase = Phase::Draining,
            Action::Disable => {
                state.phase = Phase::Disabled;
                state.number += u8::from(guards.grows_into_disabled());
                for reader in &mut state.readers {
                    if guards.disabling_waits() {
                        reader.lease = 0;
                        // An answer that is still under way counts from when it was asked for.
                        if guards.lease_from_sending() {
                            reader.renewing = 0;
                        }
                    }
                }
            }
            Action::Enable => {
                state.phase = Phase::Enabled;
                state.number += u8::from(guards.grows_into_enabled());
                if guards.keys_carry_epoch() {
                    state.cache.marked |= 1 << state.number;
                } else {
                    state.cache.marked = 1 << state.number;
                }
            }
            Action::Restart => {
                state.restarts_left -= 1;
                state.cache = Cache { marked: 0, cells: [Cell::Missing; NUMBERS] };
            }
            Action::TakeSnapshot => state.snapshot = Some(state.cache),
            Action::RestartFromSnapshot => {
                state.restarts_left -= 1;
                if let Some(snapshot) = state.snapshot.take() {
                    state.cache = snapshot;
                }
            }
            Action::Evict => {
                // One step for all epochs: only one of them is ever read.
                for cell in &mut state.cache.cells {
                    let spared = matches!(cell, Cell::Fence(..)) && guards.fence_is_not_evicted();
                    if !spared {
                        *cell = Cell::Missing;
                    }
                }
            }
            Action::Expire => {
                state.expiries_left -= 1;
                state.exists = false;
                state.barrier = (0, 0);
                state.expired_at = state.version;
            }
            Action::Begin(index) => {
                let writer = &mut state.writers[usize::from(index)];
                writer.at = if state.phase == Phase::Disabled || !guards.writers_fence() {
                    WriterAt::Write(state.number, false)
                } else {
                    WriterAt::Fence(state.number)
                };
            }
            Action::BeginUnfenced(index) => {
                state.writers[usize::from(index)].at = WriterAt::Write(state.number, false);
            }
            Action::Fence(index) => {
                let writer = state.writers[usize::from(index)];
                let WriterAt::Fence(epoch) = writer.at else { return };
                let at = if self.marked(state, epoch) {
                    self.add_fence(state, epoch, self.bit(index, writer.attempt));
                    WriterAt::Write(epoch, true)
                } else {
                    WriterAt::Idle
                };
                state.writers[usize::from(index)].at = at;
            }
            Action::FenceUnproven(index) => {
                let writer = &mut state.writers[usize::from(index)];
                let WriterAt::Fence(epoch) = writer.at else { return };
                writer.at = WriterAt::Write(epoch, true);
            }
            Action::FenceLost(index) => {
                let writer = &mut state.writers[usize::from(index)];
                let WriterAt::Fence(epoch) = writer.at else { return };
                writer.orphan = (epoch, writer.attempt + 1);
                if guards.fence_again_is_fresh() {
                    writer.attempt += 1;
                }
                writer.at = WriterAt::Idle;
            }
            Action::OrphanFence(index) => {
                let (epoch, attempt) =
                    std::mem::take(&mut state.writers[usize::from(index)].orphan);
                if self.marked(state, epoch) {
                    self.add_fence(state, epoch, self.bit(index, attempt - 1));
                }
            }
            Action::Write(index) => self.write(state, index),
            Action::WriteTwice(index) => {
                let writer = &mut state.writers[usize::from(index)];
                if let WriterAt::Write(number, _) = writer.at {
                    let attempt = writer.attempt;
                    writer.late = (number, self.deadline(index, attempt));
                }
                self.write(state, index);
            }
            Action::Refuse(index) => {
                let row = if guards.refused_adds_nothing() { 0 } else { Self::row(state) };
                let writer = &mut state.writers[usize::from(index)];
                let WriterAt::Write(number, _) = writer.at else { return };
                writer.at = WriterAt::Unfence(number, row, false);
            }
            Action::WriteLost(index) => {
                let writer = &mut state.writers[usize::from(index)];
                let WriterAt::Write(number, _) = writer.at else { return };
                writer.late = (number, self.deadline(index, writer.attempt));
                writer.at = WriterAt::Unfence(number, 0, false);
            }
            Action::LateWrite(index) => {
                let fence = std::mem::take(&mut state.writers[usize::from(index)].late);
                self.accept(state, fence);
            }
            Action::Unfence(index) => {
                let writer = state.writers[usize::from(index)];
                let WriterAt::Unfence(epoch, row, again) = writer.at else { return };
                self.unfence(state, epoch, self.bit(index, writer.attempt), row);
                let writer = &mut state.writers[usize::from(index)];
                if again {
                    writer.at = WriterAt::Idle;
                    self.next_attempt(writer);
                } else {
                    self.finish(writer);
                }
            }
            Action::Renew(index) => state.readers[usize::from(index)].lease = state.number,
            Action::RenewSent(index) => state.readers[usize::from(index)].renewing = state.number,
            Action::RenewArrives(index) => {
                let reader = &mut state.readers[usize::from(index)];
                reader.lease = std::mem::take(&mut reader.renewing);
            }
            Action::Ask(index) => {
                let reader = &mut state.readers[usize::from(index)];
                reader.at = ReaderAt::Asked(reader.lease, state.version);
            }
            Action::Look(index) => {
                let reader = state.readers[usize::from(index)];
                let (epoch, needed) = match reader.at {
                    ReaderAt::Asked(epoch, needed) if guards.lease_checked_in_request() => {
                        (epoch, needed)
                    }
                    // Checked at some time before: the read begins only now.
                    ReaderAt::Asked(epoch, _) => (epoch, state.version),
                    _ => (reader.lease, state.version),
                };
                if let Some(Cell::Value(version)) = self.cell(state, epoch) {
                    state.readers[usize::from(index)].at = ReaderAt::Answer(epoch, version, needed);
                }
            }
            Action::Join(index) => {
                if let ReaderAt::Answer(epoch, version, _) | ReaderAt::Fill(epoch, version) =
                    state.readers[usize::from(1 - index)].at
                {
                    state.readers[usize::from(index)].at =
                        ReaderAt::Answer(epoch, version, state.version);
                }
            }
            Action::Answer(index) => {
                let reader = &mut state.readers[usize::from(index)];
                let ReaderAt::Answer(epoch, version, needed) = reader.at else { return };
                let counts = reader.lease == epoch || self.asks_first();
                reader.at = ReaderAt::Idle;
                state.violated |= counts && version < needed;
            }
            Action::Lease(index) => {
                let epoch = state.readers[usize::from(index)].lease;
                self.set(state, epoch, Cell::Lease(index));
                state.readers[usize::from(index)].at = ReaderAt::Leased(epoch);
            }
            Action::LeaseLost(index) => {
                let reader = &mut state.readers[usize::from(index)];
                reader.orphan = reader.lease;
                reader.at = ReaderAt::Leased(reader.lease);
            }
            Action::OrphanLease(index) => {
                let epoch = std::mem::take(&mut state.readers[usize::from(index)].orphan);
                if self.cell(state, epoch) == Some(Cell::Missing) {
                    self.set(state, epoch, Cell::Lease(index));
                }
            }
            Action::Get(index) => {
                let row = Self::row(state);
                let reader = &mut state.readers[usize::from(index)];
                let ReaderAt::Leased(epoch) = reader.at else { return };
                reader.at = if row == 0 || state.barrier.0 > epoch {
                    ReaderAt::Idle
                } else if state.barrier.0 == epoch || !guards.fill_raises() {
                    ReaderAt::Fill(epoch, row)
                } else {
                    ReaderAt::Cold(epoch, row)
                };
            }
            Action::Raise(index) => {
                let ReaderAt::Cold(epoch, before) = state.readers[usize::from(index)].at else {
                    return;
                };
                self.raise(state, (epoch, 0));
                let row = if guards.fill_uses_raised_row() { Self::row(state) } else { before };
                state.readers[usize::from(index)].at =
                    if row == 0 { ReaderAt::Idle } else { ReaderAt::Fill(epoch, row) };
            }
            Action::Fill(index) => {
                let ReaderAt::Fill(epoch, row) = state.readers[usize::from(index)].at else {
                    return;
                };
                state.readers[usize::from(index)].at = ReaderAt::Idle;
                match self.cell(state, epoch) {
                    Some(Cell::Lease(token))
                        if token == index || !guards.fill_needs_its_lease() =>
                    {
                        self.set(state, epoch, Cell::Value(row));
                    }
                    Some(Cell::Missing) if !guards.fill_needs_its_lease() => {
                        self.set(state, epoch, Cell::Value(row));
                    }
                    _ => {}
                }
            }
            Action::RepairRead(epoch, bit) => {
                state.repair = RepairAt::Read(epoch, bit, Self::row(state));
            }
            Action::RepairRaise(epoch, bit) => self.repair_raise(state, epoch, bit),
            Action::RepairRemove => {
                let RepairAt::Remove(epoch, bit, row) = state.repair else { return };
                state.repair = RepairAt::Idle;
                self.unfence(state, epoch, 1 << bit, row);
            }
        }
    }
    fn write(&self, state: &mut State, index: u8) {
        let writer = state.writers[usize::from(index)];
        let WriterAt::Write(number, fenced) = writer.at else { return };
        let fence = (number, self.deadline(index, writer.attempt));
        let accepted = self.accept(state, fence);
        let version = state.version;
        let writer = &mut state.writers[usize::from(index)];
        if accepted {
            if fenced {
                writer.at = WriterAt::Unfence(number, version, false);
            } else {
                self.finish(writer);
            }
        } else if !self.guards.barred_fences_anew() && fenced {
            // Another deadline, and no other fence.
            self.next_attempt(writer);
        } else if fenced {
            writer.at = WriterAt::Unfence(number, 0, true);
        } else {
            writer.at = WriterAt::Idle;
            self.next_attempt(writer);
        }
    }

    fn repair_raise(&self, state: &mut State, epoch: u8, bit: u8) {
        if self.guards.repair_raises() {
            self.raise(state, (epoch, self.deadline_of_bit(bit)));
        }
        let row = match state.repair {
            RepairAt::Read(_, _, row) => row,
            _ => Self::row(state),
        };
        // Between choosing to repair and raising, a row may expire.
        if row == 0 && self.guards.repair_needs_a_row() {
            state.repair = RepairAt::Idle;
            return;
        }
        let row = if self.guards.repair_merges() { row } else { 0 };
        state.repair = RepairAt::Remove(epoch, bit, row);
    }
}
