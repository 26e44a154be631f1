//! Looks beyond a place where the frames of a segment end, for what tells a torn tail from damage.
//!
//! A frame that was written after the missing one, and says that the missing one was durable by then, proves that
//! something acknowledged is gone. Other frames behind the missing one prove that it was never acknowledged alone, but
//! also that appending here could bring them back.

use super::walk::{Cursor, limit};
use super::window::Window;
use crate::Lsn;
use crate::frame::{Head, Seal, gap};
use crate::header::SegmentHeader;
use crate::layout::{ALIGN, FRAME_HEADER_BYTES};

/// What stands beyond the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// No frame of this segment.
    Nothing,
    /// Frames that were written after the missing one, and no word that it was durable.
    Unproven,
    /// A frame that says the missing one was durable.
    Durable { lsn: Lsn, offset: usize, durable: Lsn },
    /// Looking on would cost more than a file is worth that was made to cost: see [`WORK_MAX`].
    Costly,
}

/// How many bytes go through the checksum at most, as a multiple of the segment. A log that nobody tampered with needs
/// about one.
const WORK_MAX: usize = 4;

/// Looks for frames of this segment from the cursor on, up to its end.
pub(crate) fn beyond<W: Window>(window: &mut W, header: &SegmentHeader, cursor: &Cursor) -> Result<Beyond, W::Error> {
    let limit = limit(header);
    let seal = Seal::new(header.seed);
    let mut work = limit.saturating_mul(WORK_MAX);
    let mut found = Beyond::Nothing;
    let mut offset = cursor.offset;
    let lsn_max = cursor.expected.0.saturating_add((limit.saturating_sub(offset) / FRAME_HEADER_BYTES) as u64);
    loop {
        let bytes = window.at(offset, FRAME_HEADER_BYTES)?;
        let Some(first) = bytes.first_chunk() else { return Ok(found) };
        let head = Head::parse(first).filter(|head| is_later(head, cursor.expected, lsn_max));
        let Some(head) = head else {
            offset += ALIGN + gap(&bytes[ALIGN..]);
            continue;
        };
        let Some(frame) = window.at(offset, head.bytes())?.get(..head.bytes()) else {
            offset += ALIGN;
            continue;
        };
        let Some(left) = work.checked_sub(head.padded()) else { return Ok(Beyond::Costly) };
        work = left;
        if !seal.fits(head.crc, frame) {
            offset += ALIGN;
        } else if head.durable >= cursor.expected {
            return Ok(Beyond::Durable { lsn: head.lsn, offset, durable: head.durable });
        } else {
            found = Beyond::Unproven;
            offset += head.padded();
        }
    }
}

/// Whether the numbers of a would-be frame can be those of one written after `expected` in the same segment.
fn is_later(head: &Head, expected: Lsn, lsn_max: u64) -> bool {
    head.lsn > expected && head.lsn.0 <= lsn_max && head.durable < head.lsn
}
