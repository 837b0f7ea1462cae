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
    pub(super) fn asks_first(&self) -> bool {
        !self.guards.answer_is_checked() || !self.guards.lease_checked_in_request()
    }

    /// The deadline that goes with an attempt. Later attempts lie above all earlier ones.
    pub(super) fn deadline(&self, writer: u8, attempt: u8) -> u8 {
        if self.bounds.deadlines_tie { attempt + 1 } else { attempt * 2 + writer + 1 }
    }

    /// The attempt's bit in a fence.
    pub(super) fn bit(&self, writer: u8, attempt: u8) -> u8 {
        1 << (writer * self.bounds.attempts + attempt)
    }

    pub(super) fn deadline_of_bit(&self, bit: u8) -> u8 {
        self.deadline(bit / self.bounds.attempts, bit % self.bounds.attempts)
    }

    /// Where the key of that epoch lives.
    fn slot(&self, epoch: u8) -> usize {
        if self.guards.keys_carry_epoch() { usize::from(epoch) } else { 0 }
    }

    pub(super) fn marked(&self, state: &State, epoch: u8) -> bool {
        !self.guards.marker() || state.cache.marked & (1 << epoch) != 0
    }

    pub(super) fn cell(&self, state: &State, epoch: u8) -> Option<Cell> {
        self.marked(state, epoch).then(|| state.cache.cells[self.slot(epoch)])
    }

    pub(super) fn set(&self, state: &mut State, epoch: u8, cell: Cell) {
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

    pub(super) fn newer(&self, state: &State, remembered: u8, added: u8) -> u8 {
        match (remembered, added) {
            (remembered, 0) => remembered,
            (0, added) => added,
            (_, added) if !self.guards.newest_by_rev() => added,
            (remembered, added) if self.rev(state, added) > self.rev(state, remembered) => added,
            (remembered, _) => remembered,
        }
    }

    pub(super) fn raise(&self, state: &mut State, to: (u8, u8)) {
        state.barrier = if self.guards.raise_takes_max() { state.barrier.max(to) } else { to };
    }

    /// The row that the authority returns; 0: none.
    pub(super) fn row(state: &State) -> u8 {
        if state.exists { state.version } else { 0 }
    }

    /// One conditional write at the authority; whether it was accepted.
    pub(super) fn accept(&self, state: &mut State, fence: (u8, u8)) -> bool {
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

    pub(super) fn add_fence(&self, state: &mut State, epoch: u8, bit: u8) {
        let cell = match state.cache.cells[self.slot(epoch)] {
            Cell::Fence(ids, newest) => Cell::Fence(ids | bit, newest),
            Cell::Value(version) => Cell::Fence(bit, version),
            Cell::Missing | Cell::Lease(_) => Cell::Fence(bit, 0),
        };
        self.set(state, epoch, cell);
    }

    pub(super) fn unfence(&self, state: &mut State, epoch: u8, bit: u8, row: u8) {
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
    pub(super) fn finish(&self, writer: &mut Writer) {
        writer.at = WriterAt::Idle;
        writer.writes_left -= 1;
        self.next_attempt(writer);
    }

    /// A fresh id; without one left the writer gives up.
    pub(super) fn next_attempt(&self, writer: &mut Writer) {
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
        let next = if self.bounds.forget_ended { next.without_the_past() } else { next };
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
