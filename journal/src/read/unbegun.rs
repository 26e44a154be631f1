//! Looks whether a segment that says that it is not begun holds frames all the same. Then its second header is gone:
//! cut off with the rest of an unacknowledged beginning, or damaged.
//!
//! The checksums of the frames start from a number that stood in that header. But each frame repeats the checksum of
//! the one before, and the first one that of the last record before the segment: that links them as well, and what an
//! earlier use of the file left has lower numbers.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Open};

use super::how::Source;
use super::report::{Finding, Proof, Scan, Tail};
use super::window::{SegmentBytes, Window};
use crate::frame::Head;
use crate::header::HeaderFault;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::{Lsn, name};

/// What stands in a reserved segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unbegun {
    /// Nothing that counts: it can be begun.
    Unused,
    /// The rest of a beginning that was acknowledged to nobody.
    Torn,
    /// Frames of which a later one says that the first was durable.
    Damaged(Proof),
}

/// Looks into the reserved segment behind a log that ends cleanly, and corrects what `scan` says about the two.
pub(crate) fn check(disk: &dyn Disk, dir: &Dir, scan: &mut Scan) -> io::Result<()> {
    let Some(segment) = scan.reserved.filter(|_| scan.tail == Tail::Clean) else { return Ok(()) };
    let file = disk.open(dir, OsStr::new(&name::segment(segment)), Open::Read)?;
    let mut window = SegmentBytes::new(disk, file, SEGMENT_BYTES_MAX, Source::Buffered, Vec::new())?;
    match look(&mut window, scan.last.next(), scan.chain)? {
        Unbegun::Unused => {}
        Unbegun::Torn => {
            scan.reserved = None;
            scan.findings.push(Finding::Unfinished { segment });
        }
        Unbegun::Damaged(proof) => {
            scan.reserved = None;
            scan.findings.push(Finding::Header { segment, fault: HeaderFault::Unbegun });
            scan.tail = Tail::Corrupt { segment, offset: 0, expected: scan.last.next(), proof };
        }
    }
    Ok(())
}

/// Judges a reserved segment that would continue from the record before `expected`, with the checksum `chain`.
fn look<W: Window>(window: &mut W, expected: Lsn, chain: u32) -> Result<Unbegun, W::Error> {
    let (mut lsn, mut link, mut offset) = (expected, chain, HEADER_BYTES);
    let mut verdict = Unbegun::Unused;
    loop {
        let Some(head) = window.at(offset, FRAME_HEADER_BYTES)?.first_chunk().and_then(Head::parse) else { break };
        if head.lsn != lsn || head.prev_crc != link || head.durable >= head.lsn {
            break;
        }
        if head.durable >= expected {
            return Ok(Unbegun::Damaged(Proof::Mark { lsn, offset: offset as u64, durable: head.durable }));
        }
        verdict = Unbegun::Torn;
        (lsn, link) = (lsn.next(), head.crc);
        offset += head.padded();
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Label, Seal, encode};
    use crate::read::window::Whole;

    fn segment(first: u64, chain: u32, marks: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut link = chain;
        for (lsn, mark) in (first..).zip(marks) {
            let label = Label { kind: 1, lsn: Lsn(lsn), durable: Lsn(*mark) };
            link = encode(&mut bytes, Seal::new(99), link, label, &[3; 50]);
        }
        bytes.resize(16384, 0);
        bytes
    }

    fn look_at(bytes: &[u8], expected: u64, chain: u32) -> Unbegun {
        let Ok(verdict) = look(&mut Whole(bytes), Lsn(expected), chain);
        verdict
    }

    #[test]
    fn an_acknowledged_beginning_is_told_from_a_torn_one_and_from_an_earlier_use() {
        assert_eq!(look_at(&segment(8, 5, &[]), 8, 5), Unbegun::Unused);
        assert_eq!(look_at(&segment(8, 5, &[7, 7, 7]), 8, 5), Unbegun::Torn);
        let acknowledged = segment(8, 5, &[7, 7, 9]);
        let proof = Proof::Mark { lsn: Lsn(10), offset: 4096 + 2 * 88, durable: Lsn(9) };
        assert_eq!(look_at(&acknowledged, 8, 5), Unbegun::Damaged(proof));
        // The same numbers behind another record, and an earlier use of the file.
        assert_eq!(look_at(&acknowledged, 8, 6), Unbegun::Unused);
        assert_eq!(look_at(&acknowledged, 20, 5), Unbegun::Unused);
        assert_eq!(look_at(&[], 8, 5), Unbegun::Unused);
    }
}
