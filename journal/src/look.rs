//! Looks beyond a place where the frames of a segment end, for what tells a torn tail from damage.
//!
//! A frame that was written after the missing one, and says that the missing one was durable by then, proves that
//! something acknowledged is gone. Other frames behind the missing one prove that it was never acknowledged alone, but
//! also that appending here could bring them back.

use crate::Lsn;
use crate::frame::Raw;
use crate::header::SegmentHeader;
use crate::layout::ALIGN;
use crate::walk::{Cursor, limit};

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

/// Looks for frames of this segment from the cursor on.
pub(crate) fn beyond(bytes: &[u8], header: &SegmentHeader, cursor: &Cursor) -> Beyond {
    let limit = limit(header);
    let bytes = &bytes[..limit.min(bytes.len())];
    let mut work = limit.saturating_mul(WORK_MAX);
    let mut found = Beyond::Nothing;
    let mut offset = cursor.offset;
    let lsn_max =
        cursor.expected.0.saturating_add((limit.saturating_sub(offset) / crate::layout::FRAME_HEADER_BYTES) as u64);
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let raw = Raw::parse(rest).filter(|raw| is_later(raw, cursor.expected, lsn_max));
        let Some(raw) = raw else {
            offset += ALIGN;
            continue;
        };
        let Some(left) = work.checked_sub(raw.bytes()) else { return Beyond::Costly };
        work = left;
        if !raw.is_sealed(header.seed) {
            offset += ALIGN;
        } else if raw.durable >= cursor.expected {
            return Beyond::Durable { lsn: raw.lsn, offset, durable: raw.durable };
        } else {
            found = Beyond::Unproven;
            offset += raw.bytes();
        }
    }
    found
}

/// Whether the numbers of a would-be frame can be those of one written after `expected` in the same segment.
fn is_later(raw: &Raw<'_>, expected: Lsn, lsn_max: u64) -> bool {
    raw.lsn > expected && raw.lsn.0 <= lsn_max && raw.durable < raw.lsn
}
