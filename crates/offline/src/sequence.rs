//! The sequence of a published row: what orders rows of one event time, online and in training sets.
//!
//! From the high bits: the period's start in seconds (of two partitions with a row of the same
//! entity and event time, the later period's counts), the partition's revision in which the
//! entity's rows last changed (a correction replaces what it corrects; what did not change keeps
//! its sequence, so that it is not loaded again), and the row's place among rows of the same entity
//! and event time in its partition. 63 bits, so that it is a positive int64 in files.

use trivium_model::Timestamp;

/// Bits for the place among ties; the 256th and later ones share a place.
const TIE_BITS: u32 = 8;
/// Bits for the partition's revision.
const REVISION_BITS: u32 = 16;
/// Added to seconds, so that those before 1970 are positive: 39 bits, 8,700 years either way.
const SECONDS_OFFSET: i64 = 1 << 38;

/// The most revisions of one partition.
pub const REVISION_MAX: u64 = (1 << REVISION_BITS) - 1;

/// Makes the sequence of a row.
pub fn sequence(period_start: Timestamp, revision: u64, tie: u64) -> i64 {
    let seconds =
        (period_start.0.div_euclid(1_000_000) + SECONDS_OFFSET).clamp(0, 2 * SECONDS_OFFSET - 1);
    let revision = revision.min(REVISION_MAX).cast_signed();
    let tie = tie.min((1 << TIE_BITS) - 1).cast_signed();
    (seconds << (REVISION_BITS + TIE_BITS)) | (revision << TIE_BITS) | tie
}

/// The revision in a sequence.
pub fn revision_of(sequence: i64) -> u64 {
    (sequence.cast_unsigned() >> TIE_BITS) & REVISION_MAX
}

/// The start of the period in a sequence.
pub fn period_of(sequence: i64) -> Timestamp {
    Timestamp(((sequence >> (REVISION_BITS + TIE_BITS)) - SECONDS_OFFSET).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_periods_then_revisions_then_ties() {
        let day = |n: i64| Timestamp(n * 86_400_000_000);
        let ordered = [
            sequence(day(-4000), 7, 3),
            sequence(day(0), 1, 0),
            sequence(day(0), 1, 1),
            sequence(day(0), 2, 0),
            sequence(day(1), 1, 0),
            sequence(Timestamp(day(1).0 + 1_000_000), 1, 0),
            sequence(day(20_000), 65_535, 255),
        ];
        assert!(ordered.is_sorted());
        assert!(ordered[0] > 0);
        assert_eq!(ordered.map(revision_of), [7, 1, 1, 2, 1, 1, 65_535]);
        assert_eq!(period_of(ordered[0]), day(-4000));
        assert_eq!(period_of(ordered[6]), day(20_000));
    }
}
