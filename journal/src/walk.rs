//! Walks the frames of one segment from the first to where they end, over its bytes alone.

use crate::Lsn;
use crate::frame::{Frame, Raw, payload_len};
use crate::header::SegmentHeader;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, frame_bytes, is_zero};

/// How far a reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number that the next frame must have.
    pub(crate) expected: Lsn,
    /// The checksum that the next frame must repeat.
    pub(crate) chain: u32,
    /// The highest mark seen: everything up to here was durable once.
    pub(crate) durable: Lsn,
    /// Where the next frame starts in its segment.
    pub(crate) offset: usize,
}

/// Why the frames of a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The next segment continues from the frame before.
    Handover,
    /// There is no room for another frame.
    Full,
    /// Zeros stand where the next frame would start.
    Zero,
    /// What stands there is not the expected frame.
    Bad,
    /// The file ends before the segment does, and what is left does not say that the frames ended before.
    Cut,
}

impl Cursor {
    /// The first frame of a segment.
    pub(crate) fn start(header: &SegmentHeader) -> Self {
        Self { expected: header.first, chain: header.prev_crc, durable: header.durable, offset: HEADER_BYTES }
    }

    /// Whether `next` continues from the frame just before.
    pub(crate) fn hands_over_to(&self, next: &SegmentHeader) -> bool {
        next.prev.next() == self.expected && next.prev_crc == self.chain
    }

    /// Hands every frame from the cursor on to `visit` and moves the cursor behind the last of them.
    ///
    /// A frame counts when its checksum, which starts from the seed of `header`, its number and its link to the frame
    /// before are as they must be. Where `next` continues from is where the segment ends, whatever follows: that may
    /// be a torn tail, and what was cut once must never come back.
    pub(crate) fn walk(
        &mut self,
        bytes: &[u8],
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        visit: &mut dyn FnMut(Frame<'_>),
    ) -> End {
        let limit = limit(header);
        loop {
            if next.is_some_and(|next| self.hands_over_to(next)) {
                return End::Handover;
            }
            if self.offset + FRAME_HEADER_BYTES > limit {
                return End::Full;
            }
            let rest = &bytes[self.offset.min(bytes.len())..limit.min(bytes.len())];
            let Some(head) = rest.get(..FRAME_HEADER_BYTES) else { return End::Cut };
            if is_zero(head) {
                return End::Zero;
            }
            let Some(raw) = Raw::parse(rest).filter(|raw| self.accepts(raw, header.seed)) else {
                return self.rejected(head, rest.len(), limit);
            };
            visit(Frame {
                lsn: raw.lsn,
                kind: raw.kind,
                durable: raw.durable,
                payload: raw.payload,
                segment: header.seq,
                offset: self.offset as u64,
            });
            self.durable = self.durable.max(raw.durable);
            self.expected = raw.lsn.next();
            self.chain = raw.crc;
            self.offset += raw.bytes();
        }
    }

    fn accepts(&self, raw: &Raw<'_>, seed: u64) -> bool {
        raw.lsn == self.expected && raw.prev_crc == self.chain && raw.durable < raw.lsn && raw.is_sealed(seed)
    }

    /// A frame that reaches beyond the end of the file but not of the segment was cut off with it.
    fn rejected(&self, head: &[u8], readable: usize, limit: usize) -> End {
        match payload_len(head).map(frame_bytes) {
            Some(bytes) if bytes > readable && self.offset + bytes <= limit => End::Cut,
            _ => End::Bad,
        }
    }
}

/// Where the segment ends, as its header says: at most [`SEGMENT_BYTES_MAX`](crate::SEGMENT_BYTES_MAX).
pub(crate) fn limit(header: &SegmentHeader) -> usize {
    usize::try_from(header.segment_bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use treewal_vfs::Time;

    use super::*;
    use crate::TreeId;
    use crate::frame::{Label, encode};
    use crate::layout::SEGMENT_BYTES_MIN;

    fn header() -> SegmentHeader {
        SegmentHeader {
            tree: TreeId([1; 16]),
            boot: [2; 16],
            seq: 5,
            first: Lsn(10),
            seed: 99,
            prev: Lsn(9),
            prev_crc: 1234,
            segment_bytes: SEGMENT_BYTES_MIN,
            created: Time::default(),
            durable: Lsn(9),
        }
    }

    fn label(lsn: u64) -> Label {
        Label { kind: 1, lsn: Lsn(lsn), durable: Lsn(9) }
    }

    /// A segment that starts with these frames, and how a walk through it ends.
    fn walk(frames: &[u8], next: Option<&SegmentHeader>) -> (End, Vec<u64>, Cursor) {
        let mut bytes = vec![0; limit(&header())];
        bytes[HEADER_BYTES..HEADER_BYTES + frames.len()].copy_from_slice(frames);
        let mut cursor = Cursor::start(&header());
        let mut seen = Vec::new();
        let end = cursor.walk(&bytes, &header(), next, &mut |frame| seen.push(frame.lsn.0));
        (end, seen, cursor)
    }

    #[test]
    fn a_frame_counts_only_behind_its_own_predecessor() {
        let mut frames = Vec::new();
        let first = encode(&mut frames, 99, 1234, label(10), b"first");
        let start = frames.len();
        encode(&mut frames, 99, first, label(11), b"second");
        assert_eq!((walk(&frames, None).0, walk(&frames, None).1), (End::Zero, vec![10, 11]));
        // What stood behind another record of the same number, kind and length.
        let mut other = Vec::new();
        let first = encode(&mut other, 99, 1234, label(10), b"FIRST");
        encode(&mut other, 99, first, label(11), b"second");
        let mixed = [&frames[..start], &other[start..]].concat();
        assert_eq!((walk(&mixed, None).0, walk(&mixed, None).1), (End::Bad, vec![10]));
        for (seed, prev_crc, wrong) in [
            (98, 1234, label(10)),
            (99, 1235, label(10)),
            (99, 1234, label(11)),
            (99, 1234, Label { durable: Lsn(10), ..label(10) }),
        ] {
            let mut frames = Vec::new();
            encode(&mut frames, seed, prev_crc, wrong, b"x");
            assert_eq!((walk(&frames, None).0, walk(&frames, None).1.len()), (End::Bad, 0));
        }
    }

    #[test]
    fn the_next_segment_says_where_this_one_ends() {
        let mut frames = Vec::new();
        let first = encode(&mut frames, 99, 1234, label(10), b"first");
        encode(&mut frames, 99, first, label(11), b"second");
        let next = SegmentHeader { seq: 6, first: Lsn(11), prev: Lsn(10), prev_crc: first, ..header() };
        let (end, seen, cursor) = walk(&frames, Some(&next));
        assert_eq!((end, seen, cursor.expected), (End::Handover, vec![10], Lsn(11)));
        let at_once = SegmentHeader { prev: Lsn(9), prev_crc: 1234, ..next };
        assert_eq!((walk(&frames, Some(&at_once)).0, walk(&frames, Some(&at_once)).1.len()), (End::Handover, 0));
        let unlinked = SegmentHeader { prev_crc: first ^ 1, ..next };
        assert_eq!((walk(&frames, Some(&unlinked)).0, walk(&frames, Some(&unlinked)).1.len()), (End::Zero, 2));
    }
}
