//! What the model's world looks like.

/// How large the world is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub writers: usize,
    pub readers: usize,
    /// Writes that each writer makes.
    pub writes: u8,
    /// Attempts (ids) that each writer has for all its writes together.
    pub attempts: u8,
    /// The highest number of an epoch: 1 for one enabled epoch, 3 for two, 5 for three.
    pub number_max: u8,
    pub restarts: u8,
    /// Tombstones that may expire.
    pub expiries: u8,
    /// Whether both writers choose the same deadlines.
    pub deadlines_tie: bool,
    /// Whether there is a row to begin with.
    pub row_exists: bool,
    /// Whether what the cache holds of epochs that have ended is forgotten at once. Nobody has a
    /// lease on them, so it makes no difference to any answer; it leaves out repairs in ended
    /// epochs, which could only refuse more writes. For worlds that are too large otherwise.
    pub forget_ended: bool,
}

pub const WRITERS: usize = 2;
pub const READERS: usize = 2;
pub const NUMBERS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Enabled,
    Draining,
    Disabled,
}

/// What the key holds in the cache, in one epoch. Rows are versions; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    Missing,
    Value(u8),
    Lease(u8),
    /// Attempts as bits, newest row seen.
    Fence(u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WriterAt {
    Idle,
    /// About to fence in that epoch.
    Fence(u8),
    /// About to write under that number; whether it has to unfence.
    Write(u8, bool),
    /// About to unfence in that epoch with that row; whether the write is to be tried again.
    Unfence(u8, u8, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writer {
    pub at: WriterAt,
    /// The id in use.
    pub attempt: u8,
    pub writes_left: u8,
    /// A fence in flight that nobody waits for: (epoch, attempt + 1); 0: none.
    pub orphan: (u8, u8),
    /// A write in flight that nobody waits for: (number, deadline); 0: none.
    pub late: (u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReaderAt {
    Idle,
    /// The lease has been checked and a look is on its way: epoch, what the authority had then.
    /// (Only where a guard is out. Where the lease is checked when the answer has come, it was alive
    /// when the cache was looked at too, and the read might as well have begun at that very moment.)
    Asked(u8, u8),
    /// A VALUE is on its way back: epoch, version, what the authority had when the read began.
    Answer(u8, u8, u8),
    /// Holds a lease on the key in that epoch, about to read the authority.
    Leased(u8),
    /// Has read that version under a barrier of an earlier epoch, about to raise.
    Cold(u8, u8),
    /// About to fill with that version.
    Fill(u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reader {
    pub at: ReaderAt,
    /// The epoch it has a lease on; 0: none.
    pub lease: u8,
    /// The epoch that an answer under way found enabled; 0: none.
    pub renewing: u8,
    /// A lease script in flight that nobody waits for, in that epoch; 0: none.
    pub orphan: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepairAt {
    Idle,
    /// Has read that version, about to raise (only without `repair_uses_raised_row`).
    Read(u8, u8, u8),
    /// About to take the attempt out of the epoch's fence, with that row.
    Remove(u8, u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cache {
    /// Epochs whose marker stands, as bits.
    pub marked: u8,
    pub cells: [Cell; NUMBERS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Versions the row has had; the row is this one.
    pub version: u8,
    /// Whether there is a row (or tombstone) at all.
    pub exists: bool,
    /// The version after which the row expired once; 0: never.
    pub expired_at: u8,
    pub barrier: (u8, u8),
    pub number: u8,
    pub phase: Phase,
    pub cache: Cache,
    /// Only without `run_ids`: what a restart may bring back.
    pub snapshot: Option<Cache>,
    pub writers: [Writer; WRITERS],
    pub readers: [Reader; READERS],
    pub repair: RepairAt,
    pub restarts_left: u8,
    pub expiries_left: u8,
    pub violated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    // The epoch record.
    Drain,
    Disable,
    Enable,
    // What befalls the cache and the authority.
    Restart,
    TakeSnapshot,
    RestartFromSnapshot,
    Evict,
    Expire,
    // Writers.
    Begin(u8),
    BeginUnfenced(u8),
    Fence(u8),
    FenceUnproven(u8),
    FenceLost(u8),
    OrphanFence(u8),
    Write(u8),
    WriteTwice(u8),
    Refuse(u8),
    WriteLost(u8),
    LateWrite(u8),
    Unfence(u8),
    // Readers.
    Renew(u8),
    RenewSent(u8),
    RenewArrives(u8),
    Ask(u8),
    Look(u8),
    Join(u8),
    Answer(u8),
    Lease(u8),
    LeaseLost(u8),
    OrphanLease(u8),
    Get(u8),
    Raise(u8),
    Fill(u8),
    // Whoever repairs.
    RepairRead(u8, u8),
    RepairRaise(u8, u8),
    RepairRemove,
}

impl State {
    pub fn initial(bounds: &Bounds) -> Self {
        let writer = |index| Writer {
            at: WriterAt::Idle,
            attempt: 0,
            writes_left: if index < bounds.writers { bounds.writes } else { 0 },
            orphan: (0, 0),
            late: (0, 0),
        };
        let reader = Reader { at: ReaderAt::Idle, lease: 0, renewing: 0, orphan: 0 };
        Self {
            version: u8::from(bounds.row_exists),
            exists: bounds.row_exists,
            expired_at: 0,
            barrier: (0, 0),
            number: 0,
            phase: Phase::Disabled,
            cache: Cache { marked: 0, cells: [Cell::Missing; NUMBERS] },
            snapshot: None,
            writers: [writer(0), writer(1)],
            readers: [reader; READERS],
            repair: RepairAt::Idle,
            restarts_left: bounds.restarts,
            expiries_left: bounds.expiries,
            violated: false,
        }
    }

    /// Without what is left of epochs that have ended.
    pub fn without_the_past(mut self) -> Self {
        let current = if self.phase == Phase::Disabled { self.number + 1 } else { self.number };
        for (epoch, cell) in self.cache.cells.iter_mut().enumerate() {
            if epoch < usize::from(current) {
                *cell = Cell::Missing;
            }
        }
        for reader in &mut self.readers {
            if let ReaderAt::Answer(epoch, ..) | ReaderAt::Fill(epoch, _) = reader.at
                && epoch < current
            {
                reader.at = ReaderAt::Idle;
            }
        }
        if let RepairAt::Remove(epoch, ..) = self.repair
            && epoch < current
        {
            self.repair = RepairAt::Idle;
        }
        self
    }

    /// The same world with its interchangeable readers in order: half as many states.
    pub fn canonical(mut self) -> Self {
        if self.readers[0] > self.readers[1] {
            self.readers.swap(0, 1);
            let swap = |cache: &mut Cache| {
                for cell in &mut cache.cells {
                    if let Cell::Lease(reader) = cell {
                        *reader = 1 - *reader;
                    }
                }
            };
            swap(&mut self.cache);
            if let Some(snapshot) = &mut self.snapshot {
                swap(snapshot);
            }
        }
        self
    }
}
