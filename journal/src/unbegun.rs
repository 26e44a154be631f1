//! Looks whether a segment that says that it is not begun holds frames all the same. Then its second header is gone:
//! cut off with the rest of an unacknowledged beginning, or damaged.
//!
//! The checksums of the frames start from a number that stood in that header. But each frame repeats the checksum of
//! the one before, and the first one that of the last record before the segment: that links them as well, and what an
//! earlier use of the file left has lower numbers.

use crate::Lsn;
use crate::frame::Raw;
use crate::layout::HEADER_BYTES;
use crate::report::Proof;

/// What stands in a reserved segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unbegun {
    /// Nothing that counts: it can be begun.
    Unused,
    /// The rest of a beginning that was acknowledged to nobody.
    Torn,
    /// Frames of which a later one says that the first was durable.
    Damaged(Proof),
}

/// Judges the bytes of a reserved segment that would continue from the record before `expected`, with the checksum
/// `chain`.
pub(crate) fn look(bytes: &[u8], expected: Lsn, chain: u32) -> Unbegun {
    let (mut lsn, mut link, mut offset) = (expected, chain, HEADER_BYTES);
    let mut verdict = Unbegun::Unused;
    while let Some(raw) = bytes.get(offset..).and_then(Raw::parse) {
        if raw.lsn != lsn || raw.prev_crc != link || raw.durable >= raw.lsn {
            break;
        }
        if raw.durable >= expected {
            return Unbegun::Damaged(Proof::Mark { lsn, offset: offset as u64, durable: raw.durable });
        }
        verdict = Unbegun::Torn;
        (lsn, link) = (lsn.next(), raw.crc);
        offset += raw.bytes();
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Label, encode};

    fn segment(first: u64, chain: u32, marks: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut link = chain;
        for (lsn, mark) in (first..).zip(marks) {
            let label = Label { kind: 1, lsn: Lsn(lsn), durable: Lsn(*mark) };
            link = encode(&mut bytes, 99, link, label, &[3; 50]);
        }
        bytes.resize(16384, 0);
        bytes
    }

    #[test]
    fn an_acknowledged_beginning_is_told_from_a_torn_one_and_from_an_earlier_use() {
        assert_eq!(look(&segment(8, 5, &[]), Lsn(8), 5), Unbegun::Unused);
        assert_eq!(look(&segment(8, 5, &[7, 7, 7]), Lsn(8), 5), Unbegun::Torn);
        let acknowledged = segment(8, 5, &[7, 7, 9]);
        let Unbegun::Damaged(Proof::Mark { lsn: Lsn(10), durable: Lsn(9), offset }) = look(&acknowledged, Lsn(8), 5)
        else {
            panic!("the third frame says that the first is durable");
        };
        assert_eq!(offset, 4096 + 2 * 88);
        // The same numbers behind another record, and an earlier use of the file.
        assert_eq!(look(&acknowledged, Lsn(8), 6), Unbegun::Unused);
        assert_eq!(look(&acknowledged, Lsn(20), 5), Unbegun::Unused);
        assert_eq!(look(&[], Lsn(8), 5), Unbegun::Unused);
    }
}
