//! Every offset and limit of a segment file: the constants behind docs/format.md. All integers are little-endian.

use std::ops::Range;

/// First bytes of every segment.
pub(crate) const MAGIC: [u8; 8] = *b"TREEWAL\0";
/// Version of the format that is written, and the newest that is read.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the first frame of a segment.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Where the header of a segment stands that was reserved before it was begun: in a sector of its own, so that whatever
/// a crash leaves of it, the one before still says that the segment was reserved.
pub(crate) const BEGUN_AT: usize = 512;
/// Bytes of a frame before its payload; as many zero bytes end the frames of a segment.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Every frame starts at a multiple of this.
pub(crate) const ALIGN: usize = 8;

/// The largest payload of a record, in bytes: 1 MiB.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// The smallest segment, in bytes: 64 KiB.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// The largest segment, in bytes: 64 MiB.
pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// The length of a segment is a multiple of this, in bytes.
pub(crate) const SEGMENT_BYTES_STEP: u64 = 4096;

/// Where the fields of a segment's header stand. Magic, version and checksum keep their places in every version.
pub(crate) mod header {
    use super::Range;

    pub(crate) const MAGIC: Range<usize> = 0..8;
    pub(crate) const VERSION: Range<usize> = 8..12;
    pub(crate) const HEADER_BYTES: Range<usize> = 12..16;
    pub(crate) const TREE: Range<usize> = 16..32;
    pub(crate) const BOOT: Range<usize> = 32..48;
    pub(crate) const SEQ: Range<usize> = 48..56;
    pub(crate) const FIRST_LSN: Range<usize> = 56..64;
    pub(crate) const SEED: Range<usize> = 64..72;
    pub(crate) const PREV_CRC: Range<usize> = 72..76;
    pub(crate) const ZERO_A: Range<usize> = 76..80;
    pub(crate) const PREV_LSN: Range<usize> = 80..88;
    pub(crate) const SEGMENT_BYTES: Range<usize> = 88..96;
    pub(crate) const CREATED_SECS: Range<usize> = 96..104;
    pub(crate) const CREATED_NANOS: Range<usize> = 104..108;
    pub(crate) const ZERO_B: Range<usize> = 108..112;
    pub(crate) const DURABLE_LSN: Range<usize> = 112..120;
    pub(crate) const CRC: Range<usize> = 120..124;
    /// What the checksum covers.
    pub(crate) const COVERED: Range<usize> = 0..120;
}

/// Where the fields of a frame's header stand.
pub(crate) mod frame {
    use super::Range;

    pub(crate) const CRC: Range<usize> = 0..4;
    pub(crate) const PREV_CRC: Range<usize> = 4..8;
    pub(crate) const LEN: Range<usize> = 8..12;
    pub(crate) const KIND: usize = 12;
    pub(crate) const ZERO: Range<usize> = 13..16;
    /// Both of them, as one integer.
    pub(crate) const KIND_WORD: Range<usize> = 12..16;
    pub(crate) const LSN: Range<usize> = 16..24;
    pub(crate) const DURABLE_LSN: Range<usize> = 24..32;
    /// What the checksum covers of the header; the payload follows.
    pub(crate) const COVERED: Range<usize> = 4..32;
}

const _: () = {
    // No field overlaps the next, none leaves a gap.
    let fields = [
        header::MAGIC,
        header::VERSION,
        header::HEADER_BYTES,
        header::TREE,
        header::BOOT,
        header::SEQ,
        header::FIRST_LSN,
        header::SEED,
        header::PREV_CRC,
        header::ZERO_A,
        header::PREV_LSN,
        header::SEGMENT_BYTES,
        header::CREATED_SECS,
        header::CREATED_NANOS,
        header::ZERO_B,
        header::DURABLE_LSN,
        header::CRC,
    ];
    let mut at = 0;
    let mut n = 0;
    while n < fields.len() {
        assert!(fields[n].start == at && fields[n].end > at);
        at = fields[n].end;
        n += 1;
    }
    assert!(header::COVERED.end == header::CRC.start && at <= BEGUN_AT && BEGUN_AT + at <= HEADER_BYTES);
    assert!(frame::PREV_CRC.start == frame::CRC.end && frame::LEN.start == frame::PREV_CRC.end);
    assert!(frame::KIND == frame::LEN.end && frame::ZERO.start == frame::KIND + 1);
    assert!(frame::KIND_WORD.start == frame::KIND && frame::KIND_WORD.end == frame::ZERO.end);
    assert!(frame::LSN.start == frame::ZERO.end && frame::DURABLE_LSN.start == frame::LSN.end);
    assert!(frame::DURABLE_LSN.end == FRAME_HEADER_BYTES && frame::COVERED.end == FRAME_HEADER_BYTES);
    assert!(frame::COVERED.start == frame::CRC.end);
    assert!(HEADER_BYTES % ALIGN == 0 && FRAME_HEADER_BYTES % ALIGN == 0);
    assert!(SEGMENT_BYTES_STEP % ALIGN as u64 == 0 && SEGMENT_BYTES_MIN % SEGMENT_BYTES_STEP == 0);
    assert!(((RECORD_BYTES_MAX + FRAME_HEADER_BYTES + HEADER_BYTES) as u64) < SEGMENT_BYTES_MAX);
};

/// Bytes that a frame with a payload of `len` bytes takes, padding included.
pub(crate) const fn frame_bytes(len: usize) -> usize {
    (FRAME_HEADER_BYTES + len).next_multiple_of(ALIGN)
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: Range<usize>) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at]);
    u32::from_le_bytes(raw)
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: Range<usize>) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at]);
    u64::from_le_bytes(raw)
}

pub(crate) fn id_at(bytes: &[u8], at: Range<usize>) -> [u8; 16] {
    let mut raw = [0; 16];
    raw.copy_from_slice(&bytes[at]);
    raw
}

/// Writes the bytes of a field into its place.
pub(crate) fn put(bytes: &mut [u8], at: Range<usize>, value: &[u8]) {
    bytes[at].copy_from_slice(value);
}

/// Whether all of `bytes` is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Without a way out within a lane, so that a lane is looked at in a few instructions.
    let is_zero = |lane: &[u8]| lane.iter().fold(0, |all, byte| all | byte) == 0;
    let mut lanes = bytes.chunks_exact(64);
    lanes.all(is_zero) && is_zero(lanes.remainder())
}
