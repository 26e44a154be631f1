//! Walks the frames of one segment from the first to where they end, over its bytes alone.

use super::window::{Whole, Window};
use crate::Lsn;
use crate::frame::{Frame, Head, Seal};
use crate::header::SegmentHeader;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, is_zero};

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
    /// What stands there is not the expected frame, or not all of one: the file may end before the segment does.
    Bad,
}

/// By what the frames of a segment are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) header: &'a SegmentHeader,
    /// The header of the next segment, where there is one to go on with.
    pub(crate) next: Option<&'a SegmentHeader>,
    seal: Seal,
    limit: usize,
    /// Frames up to here have been checked before: their checksums fit.
    sealed: usize,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(header: &'a SegmentHeader, next: Option<&'a SegmentHeader>) -> Self {
        Self { header, next, seal: Seal::new(header.seed), limit: limit(header), sealed: 0 }
    }

    pub(crate) fn sealed_up_to(self, sealed: usize) -> Self {
        Self { sealed, ..self }
    }
}

/// What a walk through a part of a segment comes to.
enum Step {
    End(End),
    /// So many bytes are needed at the cursor.
    Wants(usize),
}

impl Cursor {
    /// The first frame of a segment.
    pub(crate) fn start(header: &SegmentHeader) -> Self {
        Self { expected: header.first, chain: header.prev_crc, durable: header.durable, offset: HEADER_BYTES }
    }

    /// Whether `next` continues from the frame just before, or begins where this segment does. The two are not the same
    /// where a repair left numbers out before this segment.
    fn hands_over_to(&self, next: &SegmentHeader, header: &SegmentHeader) -> bool {
        let is_after = next.prev.next() == self.expected;
        let is_instead = || self.offset == HEADER_BYTES && (next.prev, next.first) == (header.prev, header.first);
        next.prev_crc == self.chain && (is_after || is_instead())
    }

    /// [`walk_through`](Cursor::walk_through) a segment that is in memory as a whole.
    pub(crate) fn walk(
        &mut self,
        bytes: &[u8],
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        visit: &mut dyn FnMut(Frame<'_>),
    ) -> End {
        let bytes = &bytes[..limit(header).min(bytes.len())];
        let Ok(end) = self.walk_through(&mut Whole(bytes), &Rules::new(header, next), &mut |frame| visit(frame));
        end
    }

    /// Hands every frame from the cursor on to `visit` and moves the cursor behind the last of them.
    ///
    /// A frame counts when its checksum, which starts from the seed of the segment, its number and its link to the
    /// frame before are as they must be. Where the next segment continues from is where this one ends, whatever
    /// follows: that may be a torn tail, and what was cut once must never come back.
    pub(crate) fn walk_through<W: Window>(
        &mut self,
        window: &mut W,
        rules: &Rules<'_>,
        visit: &mut impl FnMut(Frame<'_>),
    ) -> Result<End, W::Error> {
        let mut wanted = FRAME_HEADER_BYTES;
        loop {
            let bytes = window.at(self.offset, wanted)?;
            match self.walk_part(bytes, bytes.len() < wanted, rules, visit) {
                Step::End(end) => return Ok(end),
                Step::Wants(bytes) => wanted = bytes,
            }
        }
    }

    /// Goes through `bytes`, which begin at the cursor; `is_rest` where nothing follows them.
    ///
    /// What is done with each record becomes a part of it: passing a frame on by the way costs as much as checking it.
    fn walk_part(&mut self, bytes: &[u8], is_rest: bool, rules: &Rules<'_>, visit: &mut impl FnMut(Frame<'_>)) -> Step {
        let mut bytes = bytes;
        loop {
            if rules.next.is_some_and(|next| self.hands_over_to(next, rules.header)) {
                return Step::End(End::Handover);
            }
            if self.offset + FRAME_HEADER_BYTES > rules.limit {
                return Step::End(End::Full);
            }
            let Some(first) = bytes.first_chunk() else {
                return if is_rest { Step::End(End::Bad) } else { Step::Wants(FRAME_HEADER_BYTES) };
            };
            let Some(head) = Head::parse(first) else {
                return Step::End(if is_zero(first) { End::Zero } else { End::Bad });
            };
            let padded = head.padded();
            if padded > bytes.len() && !is_rest {
                return Step::Wants(padded);
            }
            let frame = bytes.get(..head.bytes()).filter(|frame| self.accepts(&head, frame, rules));
            let Some(frame) = frame else { return Step::End(End::Bad) };
            visit(Frame {
                lsn: head.lsn,
                kind: head.kind,
                durable: head.durable,
                payload: &frame[FRAME_HEADER_BYTES..],
                segment: rules.header.seq,
                offset: self.offset as u64,
            });
            self.durable = self.durable.max(head.durable);
            self.expected = head.lsn.next();
            self.chain = head.crc;
            self.offset += padded;
            bytes = bytes.get(padded..).unwrap_or_default();
        }
    }

    #[inline]
    fn accepts(&self, head: &Head, frame: &[u8], rules: &Rules<'_>) -> bool {
        head.lsn == self.expected
            && head.prev_crc == self.chain
            && head.durable < head.lsn
            && (self.offset + head.padded() <= rules.sealed || rules.seal.fits(head.crc, frame))
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
    use crate::frame::{Label, Seal, encode};
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
        let first = encode(&mut frames, Seal::new(99), 1234, label(10), b"first");
        let start = frames.len();
        encode(&mut frames, Seal::new(99), first, label(11), b"second");
        assert_eq!((walk(&frames, None).0, walk(&frames, None).1), (End::Zero, vec![10, 11]));
        // What stood behind another record of the same number, kind and length.
        let mut other = Vec::new();
        let first = encode(&mut other, Seal::new(99), 1234, label(10), b"FIRST");
        encode(&mut other, Seal::new(99), first, label(11), b"second");
        let mixed = [&frames[..start], &other[start..]].concat();
        assert_eq!((walk(&mixed, None).0, walk(&mixed, None).1), (End::Bad, vec![10]));
        for (seed, prev_crc, wrong) in [
            (98, 1234, label(10)),
            (99, 1235, label(10)),
            (99, 1234, label(11)),
            (99, 1234, Label { durable: Lsn(10), ..label(10) }),
        ] {
            let mut frames = Vec::new();
            encode(&mut frames, Seal::new(seed), prev_crc, wrong, b"x");
            assert_eq!((walk(&frames, None).0, walk(&frames, None).1.len()), (End::Bad, 0));
        }
    }

    #[test]
    fn a_segment_behind_a_repair_is_handed_over_to_another_that_begins_where_it_does() {
        let header = SegmentHeader { prev: Lsn(5), ..header() };
        let anew = SegmentHeader { seq: 6, ..header };
        let end = |next: &SegmentHeader| {
            let mut frames = vec![0; HEADER_BYTES];
            encode(&mut frames, Seal::new(99), 1234, label(10), b"first");
            frames.resize(limit(&header), 0);
            Cursor::start(&header).walk(&frames, &header, Some(next), &mut |_| {})
        };
        assert_eq!(end(&anew), End::Handover);
        for other in [
            SegmentHeader { prev_crc: 1235, ..anew },
            SegmentHeader { prev: Lsn(4), ..anew },
            SegmentHeader { first: Lsn(11), ..anew },
        ] {
            assert_eq!(end(&other), End::Zero);
        }
    }

    #[test]
    fn the_next_segment_says_where_this_one_ends() {
        let mut frames = Vec::new();
        let first = encode(&mut frames, Seal::new(99), 1234, label(10), b"first");
        encode(&mut frames, Seal::new(99), first, label(11), b"second");
        let next = SegmentHeader { seq: 6, first: Lsn(11), prev: Lsn(10), prev_crc: first, ..header() };
        let (end, seen, cursor) = walk(&frames, Some(&next));
        assert_eq!((end, seen, cursor.expected), (End::Handover, vec![10], Lsn(11)));
        let at_once = SegmentHeader { prev: Lsn(9), prev_crc: 1234, ..next };
        assert_eq!((walk(&frames, Some(&at_once)).0, walk(&frames, Some(&at_once)).1.len()), (End::Handover, 0));
        let anew = SegmentHeader { seq: 6, ..header() };
        assert_eq!((walk(&frames, Some(&anew)).0, walk(&frames, Some(&anew)).1.len()), (End::Handover, 0));
        let unlinked = SegmentHeader { prev_crc: first ^ 1, ..next };
        assert_eq!((walk(&frames, Some(&unlinked)).0, walk(&frames, Some(&unlinked)).1.len()), (End::Zero, 2));
    }
}
