//! How a log ends, from how the frames of a segment end and what comes after it: the table of docs/format.md.

use super::look::Beyond;
use super::report::{Finding, Proof, Tail};
use super::slot::{Place, Slot};
use super::walk::{Cursor, End};
use crate::Lsn;
use crate::SegmentHeader;

/// What comes after a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Nothing,
    /// A segment, and whether it is the one whose number comes next.
    Segment(SegmentHeader, bool),
    /// The file of this number, which is no segment to go on with. The proof is about the number that comes next: its
    /// file, or that there is none.
    Bad(u64, Proof),
}

pub(crate) fn follow(place: &Place, next: Option<&Place>, reserved: Option<u64>) -> Follow {
    match next {
        // A segment is reserved while the one before it is written: what lies between the two was begun once.
        None => match reserved.filter(|seq| !is_next(place.seq, *seq)) {
            Some(seq) => Follow::Bad(seq, Proof::Missing),
            None => Follow::Nothing,
        },
        // A gap in the numbers is no damage where the segment behind it links to the record before: one that was
        // in doubt is gone.
        Some(Place { seq, slot: Slot::Segment(header), .. }) => Follow::Segment(*header, is_next(place.seq, *seq)),
        Some(Place { seq, slot: Slot::Bad(proof), .. }) if is_next(place.seq, *seq) => Follow::Bad(*seq, *proof),
        Some(next) => Follow::Bad(next.seq, Proof::Missing),
    }
}

/// How the frames of a segment end, as far as the segment itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnEnd {
    Clean,
    Torn,
    Damaged(Proof),
}

impl OwnEnd {
    /// `short` is why the file has fewer bytes than the segment, where it has.
    pub(crate) fn new(end: End, beyond: Beyond, short: Option<Proof>) -> Self {
        if end == End::Full {
            return Self::Clean;
        }
        match (beyond, short) {
            (Beyond::Durable { lsn, offset, durable }, _) => {
                Self::Damaged(Proof::Mark { lsn, offset: offset as u64, durable })
            }
            (Beyond::Costly, _) => Self::Damaged(Proof::Costly),
            // The file had its whole length before its first frame: only damage makes it shorter.
            (_, Some(proof)) if end != End::Zero => Self::Damaged(proof),
            (Beyond::Nothing, _) if end == End::Zero => Self::Clean,
            (Beyond::Nothing | Beyond::Unproven, _) => Self::Torn,
        }
    }
}

/// How the log ends with a segment whose frames end at `cursor`, where the next segment does not continue from there.
pub(crate) fn tail(header: &SegmentHeader, cursor: &Cursor, own: OwnEnd, follow: Follow) -> Tail {
    let expected = cursor.expected;
    let here = |proof| Tail::Corrupt { segment: header.seq, offset: cursor.offset as u64, expected, proof };
    let after = header.seq.saturating_add(1);
    let there = |proof| Tail::Corrupt { segment: after, offset: 0, expected, proof };
    match (own, follow) {
        (OwnEnd::Damaged(proof), _) => here(proof),
        (OwnEnd::Clean, Follow::Nothing) => Tail::Clean,
        (OwnEnd::Torn, Follow::Nothing) => Tail::Torn { segment: header.seq, offset: cursor.offset as u64, expected },
        (OwnEnd::Torn, Follow::Segment(next, _)) => here(Proof::Successor { segment: next.seq, from: next.prev }),
        (OwnEnd::Torn, Follow::Bad(segment, _)) => here(Proof::Successor { segment, from: Lsn::ZERO }),
        (OwnEnd::Clean, Follow::Bad(_, proof)) => there(proof),
        (OwnEnd::Clean, Follow::Segment(_, false)) => there(Proof::Missing),
        (OwnEnd::Clean, Follow::Segment(next, true)) if next.prev >= expected => {
            here(Proof::Successor { segment: next.seq, from: next.prev })
        }
        (OwnEnd::Clean, Follow::Segment(_, true)) => there(Proof::Unlinked),
    }
}

/// The numbers between two segments, but not more than a few: names are chosen by whoever made the files.
pub(crate) fn missing(before: u64, after: u64) -> impl Iterator<Item = Finding> {
    const SHOWN_MAX: usize = 16;
    (before.saturating_add(1)..after).take(SHOWN_MAX).map(|segment| Finding::Missing { segment })
}

fn is_next(before: u64, after: u64) -> bool {
    before.checked_add(1) == Some(after)
}
