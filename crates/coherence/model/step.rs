//! Which steps the world may take, and what each does.

use stateright::{Model, Property};

use super::{
    Action, Bounds, Guards, State,
    state::{Cell, Phase, ReaderAt, RepairAt, Writer, WriterAt},
};

/// The protocol with some guards, in a world of some size.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub bounds: Bounds,
    pub guards: Guards,
}

impl Protocol {
    /// Whether the lease is checked when a look is sent, and not when its answer has come.
    fn asks_first(&self) -> bool {
        !self.guards.answer_is_checked() || !self.guards.lease_checked_in_request()
    }

    /// The deadline that goes with an attempt. Later attempts lie above all earlier ones.
    fn deadline(&self, writer: u8, attempt: u8) -> u8 {
        if self.bounds.deadlines_tie { attempt + 1 } else { attempt * 2 + writer + 1 }
    }

    /// The attempt's bit in a fence.
    fn bit(&self, writer: u8, attempt: u8) -> u8 {
        1 << (writer * self.bounds.attempts + attempt)
    }

    fn deadline_of_bit(&self, bit: u8) -> u8 {
        self.deadline(bit / self.bounds.attempts, bit % self.bounds.attempts)
    }

    /// Where the key of that epoch lives.
    fn slot(&self, epoch: u8) -> usize {
        if self.guards.keys_carry_epoch() { usize::from(epoch) } else { 0 }
    }

    fn marked(&self, state: &State, epoch: u8) -> bool {
        !self.guards.marker() || state.cache.marked & (1 << epoch) != 0
    }

    fn cell(&self, state: &State, epoch: u8) -> Option<Cell> {
        self.marked(state, epoch).then(|| state.cache.cells[self.slot(epoch)])
    }

    fn set(&self, state: &mut State, epoch: u8, cell: Cell) {
        state.cache.cells[self.slot(epoch)] = cell;
    }

    /// The version's rev: its own number, unless first revs are not seeded and it is of the row's
    /// second life.
    fn rev(&self, state: &State, version: u8) -> u8 {
        if version > state.expired_at && !self.guards.revs_are_seeded() {
            version - state.expired_at
        } else {
            version
        }
    }

    fn newer(&self, state: &State, remembered: u8, added: u8) -> u8 {
        match (remembered, added) {
            (remembered, 0) => remembered,
            (0, added) => added,
            (_, added) if !self.guards.newest_by_rev() => added,
            (remembered, added) if self.rev(state, added) > self.rev(state, remembered) => added,
            (remembered, _) => remembered,
        }
    }

    fn raise(&self, state: &mut State, to: (u8, u8)) {
        state.barrier = if self.guards.raise_takes_max() { state.barrier.max(to) } else { to };
    }

    /// The row that the authority returns; 0: none.
    fn row(state: &State) -> u8 {
        if state.exists { state.version } else { 0 }
    }

    /// One conditional write at the authority; whether it was accepted.
    fn accept(&self, state: &mut State, fence: (u8, u8)) -> bool {
        let above = if self.guards.barrier_is_strict() {
            state.barrier < fence
        } else {
            state.barrier <= fence
        };
        if above {
            state.version += 1;
            state.exists = true;
            if self.guards.write_raises_epoch() {
                state.barrier = state.barrier.max((fence.0, 0));
            }
        }
        above
    }

    fn add_fence(&self, state: &mut State, epoch: u8, bit: u8) {
        let cell = match state.cache.cells[self.slot(epoch)] {
            Cell::Fence(ids, newest) => Cell::Fence(ids | bit, newest),
            Cell::Value(version) => Cell::Fence(bit, version),
            Cell::Missing | Cell::Lease(_) => Cell::Fence(bit, 0),
        };
        self.set(state, epoch, cell);
    }

    fn unfence(&self, state: &mut State, epoch: u8, bit: u8, row: u8) {
        let Some(cell) = self.cell(state, epoch) else { return };
        let settled = |newest| if newest == 0 { Cell::Missing } else { Cell::Value(newest) };
        match cell {
            Cell::Fence(ids, newest) if ids & bit != 0 => {
                let newest = self.newer(state, newest, row);
                let ids = ids & !bit;
                self.set(
                    state,
                    epoch,
                    if ids == 0 { settled(newest) } else { Cell::Fence(ids, newest) },
                );
            }
            Cell::Fence(..) => {}
            _ if !self.guards.unfence_needs_its_id() && row != 0 => {
                self.set(state, epoch, Cell::Value(row));
            }
            _ => {}
        }
    }

    /// The write is over: the next one, if any, under a fresh id.
    fn finish(&self, writer: &mut Writer) {
        writer.at = WriterAt::Idle;
        writer.writes_left -= 1;
        self.next_attempt(writer);
    }

    /// A fresh id; without one left the writer gives up.
    fn next_attempt(&self, writer: &mut Writer) {
        if writer.attempt + 1 < self.bounds.attempts {
            writer.attempt += 1;
        } else {
            writer.at = WriterAt::Idle;
            writer.writes_left = 0;
        }
    }

    fn writer_actions(&self, state: &State, index: u8, actions: &mut Vec<Action>) {
        let guards = self.guards;
        let writer = &state.writers[usize::from(index)];
        if writer.orphan != (0, 0) {
            actions.push(Action::OrphanFence(index));
        }
        if writer.late != (0, 0) {
            actions.push(Action::LateWrite(index));
        }
        match writer.at {
            WriterAt::Idle if writer.writes_left > 0 => {
                actions.push(Action::Begin(index));
                if !guards.unfenced_only_disabled() && state.phase == Phase::Draining {
                    actions.push(Action::BeginUnfenced(index));
                }
            }
            WriterAt::Idle => {}
            WriterAt::Fence(_) => {
                actions.push(Action::Fence(index));
                if !guards.fence_is_proven() {
                    actions.push(Action::FenceUnproven(index));
                }
                if writer.orphan == (0, 0) && writer.attempt + 1 < self.bounds.attempts {
                    actions.push(Action::FenceLost(index));
                }
            }
            WriterAt::Write(_, fenced) => {
                actions.push(Action::Write(index));
                if fenced {
                    actions.push(Action::Refuse(index));
                }
                if !guards.sent_once() && writer.late == (0, 0) {
                    actions.push(Action::WriteTwice(index));
                }
                if !guards.unknown_leaves_id() && fenced && writer.late == (0, 0) {
                    actions.push(Action::WriteLost(index));
                }
            }
            WriterAt::Unfence(..) => actions.push(Action::Unfence(index)),
        }
    }

    fn reader_actions(&self, state: &State, index: u8, actions: &mut Vec<Action>) {
        let guards = self.guards;
        let reader = &state.readers[usize::from(index)];
        if state.phase == Phase::Enabled && reader.lease != state.number {
            if guards.lease_from_sending() {
                actions.push(Action::Renew(index));
            } else if reader.renewing == 0 {
                actions.push(Action::RenewSent(index));
            }
        }
        if reader.renewing != 0 {
            actions.push(Action::RenewArrives(index));
        }
        if reader.orphan != 0 {
            actions.push(Action::OrphanLease(index));
        }
        match reader.at {
            ReaderAt::Idle if reader.lease != 0 => {
                if self.asks_first() {
                    actions.push(Action::Ask(index));
                }
                match self.cell(state, reader.lease) {
                    Some(Cell::Value(_)) if !self.asks_first() => actions.push(Action::Look(index)),
                    Some(Cell::Missing) => actions.push(Action::Lease(index)),
                    Some(Cell::Fence(..)) if !guards.lease_spares_fence() => {
                        actions.push(Action::Lease(index));
                    }
                    _ => {}
                }
                if !guards.join_only_unsent() {
                    let other = &state.readers[usize::from(1 - index)];
                    if matches!(other.at, ReaderAt::Answer(..) | ReaderAt::Fill(..)) {
                        actions.push(Action::Join(index));
                    }
                }
                if !guards.lost_lease_fills_nothing() && reader.orphan == 0 {
                    actions.push(Action::LeaseLost(index));
                }
            }
            ReaderAt::Idle => {}
            ReaderAt::Asked(epoch, _) => {
                if let Some(Cell::Value(_)) = self.cell(state, epoch) {
                    actions.push(Action::Look(index));
                }
            }
            ReaderAt::Answer(..) => actions.push(Action::Answer(index)),
            ReaderAt::Leased(_) => actions.push(Action::Get(index)),
            ReaderAt::Cold(..) => actions.push(Action::Raise(index)),
            ReaderAt::Fill(..) => actions.push(Action::Fill(index)),
        }
    }

    fn repair_actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.repair {
            RepairAt::Idle => {
                if self.guards.repair_needs_a_row() && !state.exists {
                    return;
                }
                let slots = if self.guards.keys_carry_epoch() {
                    1..=self.bounds.number_max
                } else {
                    state.number..=state.number
                };
                for epoch in slots {
                    let Some(Cell::Fence(ids, _)) = self.cell(state, epoch) else { continue };
                    for bit in 0..8 {
                        if ids & (1 << bit) != 0 {
                            actions.push(if self.guards.repair_uses_raised_row() {
                                Action::RepairRaise(epoch, bit)
                            } else {
                                Action::RepairRead(epoch, bit)
                            });
                        }
                    }
                }
            }
            RepairAt::Read(epoch, bit, _) => actions.push(Action::RepairRaise(epoch, bit)),
            RepairAt::Remove(..) => actions.push(Action::RepairRemove),
        }
    }

    /// Whether a tombstone's expiry may come now. Far beyond: no write that might still land, and
    /// nothing in the cache but fences, which have no TTL.
    fn may_expire(&self, state: &State) -> bool {
        let quiet = || {
            state.writers.iter().all(|writer| {
                matches!(writer.at, WriterAt::Idle | WriterAt::Unfence(..))
                    && writer.orphan == (0, 0)
                    && writer.late == (0, 0)
            }) && state.readers.iter().all(|reader| reader.at == ReaderAt::Idle)
                && state.repair == RepairAt::Idle
                && state
                    .cache
                    .cells
                    .iter()
                    .all(|cell| matches!(cell, Cell::Missing | Cell::Fence(..)))
        };
        state.expiries_left > 0 && state.exists && (!self.guards.expiry_is_far() || quiet())
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

    fn apply(&self, state: &mut State, action: Action) {
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
                state.cache = super::state::Cache {
                    marked: 0,
                    cells: [Cell::Missing; super::state::NUMBERS],
                };
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
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.violated {
            return;
        }
        match state.phase {
            Phase::Enabled => actions.push(Action::Drain),
            Phase::Draining => {
                if state.number < self.bounds.number_max {
                    actions.push(Action::Disable);
                }
            }
            Phase::Disabled => {
                if state.number < self.bounds.number_max {
                    actions.push(Action::Enable);
                }
            }
        }
        if state.restarts_left > 0 {
            actions.push(Action::Restart);
            if !self.guards.run_ids() {
                if state.snapshot.is_none() {
                    actions.push(Action::TakeSnapshot);
                } else {
                    actions.push(Action::RestartFromSnapshot);
                }
            }
        }
        if state.cache.cells.iter().any(|cell| *cell != Cell::Missing) {
            actions.push(Action::Evict);
        }
        if self.may_expire(state) {
            actions.push(Action::Expire);
        }
        for index in 0..self.bounds.writers {
            self.writer_actions(state, index as u8, actions);
        }
        for index in 0..self.bounds.readers {
            self.reader_actions(state, index as u8, actions);
        }
        self.repair_actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.apply(&mut next, action);
        let next = if self.bounds.readers == 2 { next.canonical() } else { next };
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("reads are linearizable", |_, state: &State| !state.violated),
            // The model can do what it is about, in the last epoch too.
            Property::sometimes(
                "the cache answers after a write",
                |model: &Self, state: &State| {
                    let last = model.bounds.number_max;
                    state.version > 1
                    && state.readers.iter().any(
                        |reader| matches!(reader.at, ReaderAt::Answer(epoch, _, _) if epoch == last),
                    )
                },
            ),
        ]
    }
}
