//! The first block of a segment: whose it is, where it stands in the log, and what makes its frames its own.

use treewal_vfs::Time;

use crate::layout::{
    self, BEGUN_AT, FRAME_HEADER_BYTES, HEADER_BYTES, MAGIC, VERSION, header as field, put, u32_at, u64_at,
};
use crate::lsn::LSN_MAX;
use crate::{Lsn, TreeId};

/// What stands in the header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The tree that the log belongs to.
    pub tree: TreeId,
    /// The boot of the machine that made the segment, for diagnosis only.
    pub boot: [u8; 16],
    /// Number of the segment, from 1 and without a gap.
    pub seq: u64,
    /// Number of the first record in it.
    pub first: Lsn,
    /// Random number of this incarnation of the file: every checksum in it starts from here, so that a frame of an
    /// earlier incarnation, or of another file, never passes.
    pub seed: u64,
    /// The record that this segment continues from: the one before `first`, but for a gap that a repair left. What the
    /// segment before holds beyond this record does not count.
    pub prev: Lsn,
    /// Checksum of the frame of `prev`: the chain crosses segments.
    pub prev_crc: u32,
    /// Length of the file when it was made.
    pub segment_bytes: u64,
    /// Wall clock when the segment was made, for people only.
    pub created: Time,
    /// Every record up to here was durable when the segment was made.
    pub durable: Lsn,
}

/// What stands in the first block of a segment that is not begun: the first LSN is 0, and so is all that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReservedHeader {
    pub(crate) tree: TreeId,
    pub(crate) seq: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) created: Time,
}

impl ReservedHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { tree, seq, segment_bytes, created } = *self;
        let nothing = Lsn::ZERO;
        let header = SegmentHeader {
            tree,
            boot: [0; 16],
            seq,
            first: nothing,
            seed: 0,
            prev: nothing,
            prev_crc: 0,
            segment_bytes,
            created,
            durable: nothing,
        };
        header.encode()
    }

    /// Whether `begun` can be what became of it.
    fn becomes(&self, begun: &SegmentHeader) -> bool {
        (self.tree, self.seq, self.segment_bytes) == (begun.tree, begun.seq, begun.segment_bytes)
    }

    /// Where `header` is that of a segment that is not begun.
    fn of(header: &SegmentHeader) -> Option<Self> {
        let SegmentHeader { tree, seq, segment_bytes, created, .. } = *header;
        let reserved = Self { tree, seq, segment_bytes, created };
        let same = reserved.encode() == header.encode();
        (header.first == Lsn::ZERO && same).then_some(reserved)
    }
}

/// Why a block is not the header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// The file ends before the header does.
    Short,
    /// It starts with other bytes than a segment.
    Magic,
    /// The checksum does not fit.
    Checksum,
    /// The checksum fits, but a value is out of its range.
    Value,
    /// It says that the segment was not begun, and frames say that it was.
    Unbegun,
}

impl std::fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Short => "file ends within the header",
            Self::Magic => "file does not start like a segment",
            Self::Checksum => "checksum of the header does not fit",
            Self::Value => "header holds a value out of its range",
            Self::Unbegun => "header says that the segment was not begun, and frames say that it was",
        })
    }
}

/// What the first block of a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A header that can be relied on.
    Header(SegmentHeader),
    /// A segment that is not begun.
    Reserved(ReservedHeader),
    /// An intact header of a version that is not read here.
    Version(u32),
    /// Not a header.
    Fault(HeaderFault),
}

impl SegmentHeader {
    /// The rest of the header block of a segment that was reserved, from [`BEGUN_AT`] on.
    pub(crate) fn encode_begun(&self) -> Vec<u8> {
        let mut block = self.encode();
        block.truncate(HEADER_BYTES - BEGUN_AT);
        block
    }

    /// The header block and the zero terminator after it, so that the segment reads as empty whatever the file held.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; HEADER_BYTES + FRAME_HEADER_BYTES];
        put(&mut block, field::MAGIC, &MAGIC);
        put(&mut block, field::VERSION, &VERSION.to_le_bytes());
        put(&mut block, field::HEADER_BYTES, &header_bytes().to_le_bytes());
        put(&mut block, field::TREE, &self.tree.0);
        put(&mut block, field::BOOT, &self.boot);
        put(&mut block, field::SEQ, &self.seq.to_le_bytes());
        put(&mut block, field::FIRST_LSN, &self.first.0.to_le_bytes());
        put(&mut block, field::SEED, &self.seed.to_le_bytes());
        put(&mut block, field::PREV_CRC, &self.prev_crc.to_le_bytes());
        put(&mut block, field::PREV_LSN, &self.prev.0.to_le_bytes());
        put(&mut block, field::SEGMENT_BYTES, &self.segment_bytes.to_le_bytes());
        put(&mut block, field::CREATED_SECS, &self.created.secs.to_le_bytes());
        put(&mut block, field::CREATED_NANOS, &self.created.nanos.to_le_bytes());
        put(&mut block, field::DURABLE_LSN, &self.durable.0.to_le_bytes());
        let crc = crc32fast::hash(&block[field::COVERED]);
        put(&mut block, field::CRC, &crc.to_le_bytes());
        block
    }

    /// Reads a header from the start of a file. Where that says that the segment is reserved, a second one may say that
    /// it is begun.
    pub(crate) fn decode(bytes: &[u8]) -> Parsed {
        if bytes.len() < HEADER_BYTES {
            return Parsed::Fault(HeaderFault::Short);
        }
        let (first, second) = bytes.split_at(BEGUN_AT);
        match Self::decode_one(first) {
            Parsed::Reserved(reserved) if !layout::is_zero(&second[..field::CRC.end]) => {
                match Self::decode_one(second) {
                    Parsed::Header(begun) if reserved.becomes(&begun) => Parsed::Header(begun),
                    Parsed::Header(_) | Parsed::Reserved(_) => Parsed::Fault(HeaderFault::Value),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// Checksum before version: a flipped bit is damage, not a newer format.
    fn decode_one(bytes: &[u8]) -> Parsed {
        if bytes[field::MAGIC] != MAGIC {
            return Parsed::Fault(HeaderFault::Magic);
        }
        if crc32fast::hash(&bytes[field::COVERED]) != u32_at(bytes, field::CRC) {
            return Parsed::Fault(HeaderFault::Checksum);
        }
        let version = u32_at(bytes, field::VERSION);
        if version != VERSION {
            return Parsed::Version(version);
        }
        let header = Self {
            tree: TreeId(layout::id_at(bytes, field::TREE)),
            boot: layout::id_at(bytes, field::BOOT),
            seq: u64_at(bytes, field::SEQ),
            first: Lsn(u64_at(bytes, field::FIRST_LSN)),
            seed: u64_at(bytes, field::SEED),
            prev: Lsn(u64_at(bytes, field::PREV_LSN)),
            prev_crc: u32_at(bytes, field::PREV_CRC),
            segment_bytes: u64_at(bytes, field::SEGMENT_BYTES),
            created: Time {
                secs: i64::from_le_bytes(u64_at(bytes, field::CREATED_SECS).to_le_bytes()),
                nanos: u32_at(bytes, field::CREATED_NANOS),
            },
            durable: Lsn(u64_at(bytes, field::DURABLE_LSN)),
        };
        let zeros = layout::is_zero(&bytes[field::ZERO_A]) && layout::is_zero(&bytes[field::ZERO_B]);
        let lengths = u32_at(bytes, field::HEADER_BYTES) == header_bytes() && is_segment_bytes(header.segment_bytes);
        if !zeros || !lengths || header.seq == 0 {
            return Parsed::Fault(HeaderFault::Value);
        }
        match ReservedHeader::of(&header) {
            Some(reserved) => Parsed::Reserved(reserved),
            None if header.is_ordered() => Parsed::Header(header),
            None => Parsed::Fault(HeaderFault::Value),
        }
    }

    fn is_ordered(&self) -> bool {
        self.prev < self.first && self.durable < self.first && self.first <= LSN_MAX
    }
}

/// Whether a segment may have this length.
pub(crate) fn is_segment_bytes(bytes: u64) -> bool {
    (layout::SEGMENT_BYTES_MIN..=layout::SEGMENT_BYTES_MAX).contains(&bytes) && bytes % layout::SEGMENT_BYTES_STEP == 0
}

fn header_bytes() -> u32 {
    const BYTES: u32 = 4096;
    const { assert!(BYTES as usize == HEADER_BYTES) };
    BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            tree: TreeId([7; 16]),
            boot: [9; 16],
            seq: 3,
            first: Lsn(41),
            seed: 0x0123_4567_89ab_cdef,
            prev: Lsn(40),
            prev_crc: 0xdead_beef,
            segment_bytes: layout::SEGMENT_BYTES_MIN,
            created: Time { secs: -5, nanos: 999_999_999 },
            durable: Lsn(40),
        }
    }

    #[test]
    fn comes_back_as_it_went() {
        let block = header().encode();
        assert_eq!(SegmentHeader::decode(&block), Parsed::Header(header()));
        assert!(layout::is_zero(&block[field::CRC.end..]));
    }

    #[test]
    fn any_flipped_bit_of_the_used_part_is_damage_and_not_a_version() {
        let block = header().encode();
        for at in 0..field::CRC.end {
            for bit in 0..8 {
                let mut bad = block.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(SegmentHeader::decode(&bad), Parsed::Fault(_)), "byte {at} bit {bit}");
            }
        }
        for len in 0..HEADER_BYTES {
            assert_eq!(SegmentHeader::decode(&block[..len]), Parsed::Fault(HeaderFault::Short));
        }
    }

    fn resealed(change: impl FnOnce(&mut [u8])) -> Parsed {
        let mut block = header().encode();
        change(&mut block);
        let crc = crc32fast::hash(&block[field::COVERED]);
        put(&mut block, field::CRC, &crc.to_le_bytes());
        SegmentHeader::decode(&block)
    }

    #[test]
    fn a_newer_version_is_named_and_a_value_out_of_range_refused() {
        assert_eq!(resealed(|b| put(b, field::VERSION, &2u32.to_le_bytes())), Parsed::Version(2));
        let bad = Parsed::Fault(HeaderFault::Value);
        assert_eq!(resealed(|b| put(b, field::SEQ, &[0; 8])), bad);
        assert_eq!(resealed(|b| put(b, field::FIRST_LSN, &u64::MAX.to_le_bytes())), bad);
        assert_eq!(resealed(|b| put(b, field::PREV_LSN, &41u64.to_le_bytes())), bad);
        assert_eq!(resealed(|b| put(b, field::DURABLE_LSN, &41u64.to_le_bytes())), bad);
        assert_eq!(resealed(|b| put(b, field::SEGMENT_BYTES, &u64::MAX.to_le_bytes())), bad);
        assert_eq!(resealed(|b| b[field::ZERO_A.start] = 1), bad);
        assert_eq!(resealed(|b| b[field::ZERO_B.start] = 1), bad);
    }
}
