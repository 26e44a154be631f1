//! The reader: goes through a log from its oldest segment to where it ends, and says how it ends. It never mends.

use std::ffi::OsStr;
use std::ops::ControlFlow;

use treewal_vfs::{Dir, Disk, Open};

use crate::error::{Attempt, Error};
use crate::frame::Frame;
use crate::look::{Beyond, beyond};
use crate::report::{Finding, Proof, Scan, SegmentInfo, Tail};
use crate::slot::{Place, Places, Slot};
use crate::walk::{Cursor, End};
use crate::{Lsn, SegmentHeader, TreeId, contents, name};

/// Reads a log.
#[derive(Debug, Clone, Copy)]
pub struct Reader;

impl Reader {
    /// Hands every record that counts to `visit`, oldest first, and says how the log ends and what is not as it should
    /// be. Nothing on the disk changes.
    ///
    /// `visit` may break off: it is then not called any more, but the scan goes on to the end. Records up to the end
    /// are handed out before the end is known. A record may stand in the page cache alone: do not act on any
    /// before [`Log::resume`](crate::Log::resume) has returned, which makes them durable.
    ///
    /// Nobody may write the log meanwhile. Memory is bounded by one segment
    /// ([`SEGMENT_BYTES_MAX`](crate::SEGMENT_BYTES_MAX)), whatever the files hold.
    ///
    /// # Errors
    /// [`Error::Version`] for a segment of a newer format, [`Error::Io`] where the disk refuses a call. A medium that
    /// does not give some bytes (`EIO`) is not an error but a finding.
    pub fn scan(
        disk: &dyn Disk,
        dir: &Dir,
        tree: Option<TreeId>,
        visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Scan, Error> {
        let mut going = true;
        let mut show = |frame: Frame<'_>| going = going && visit(frame).is_continue();
        let places = Places::read(disk, dir, tree)?;
        let mut pass = Pass {
            disk,
            dir,
            scan: Scan {
                segments: Vec::new(),
                reserved: places.reserved,
                tail: Tail::Clean,
                first: Lsn(1),
                last: Lsn::ZERO,
                durable: Lsn::ZERO,
                chain: 0,
                tree: places.tree,
                findings: places.findings,
            },
            buffer: Vec::new(),
        };
        pass.run(&places.all, &mut show)?;
        Ok(pass.scan)
    }
}

/// What comes after a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    Nothing,
    /// A segment, and whether it is the one whose number comes next.
    Segment(SegmentHeader, bool),
    /// The file of this number, which is no segment to go on with. The proof is about the number that comes next: its
    /// file, or that there is none.
    Bad(u64, Proof),
}

struct Pass<'a> {
    disk: &'a dyn Disk,
    dir: &'a Dir,
    scan: Scan,
    buffer: Vec<u8>,
}

impl Pass<'_> {
    fn run(&mut self, places: &[Place], show: &mut dyn FnMut(Frame<'_>)) -> Result<(), Error> {
        let reserved = self.scan.reserved;
        if let Some(segment) = reserved.filter(|seq| places.is_empty() && *seq > 1) {
            self.scan.tail = Tail::Corrupt { segment, offset: 0, expected: Lsn::ZERO, proof: Proof::Missing };
            return Ok(());
        }
        for (at, place) in places.iter().enumerate() {
            let header = match place.slot {
                Slot::Segment(header) => header,
                Slot::Reserved(_) => continue,
                // Only the oldest: every later one is judged as the follower of the one before.
                Slot::Bad(proof) => {
                    let expected = if place.seq == 1 { Lsn(1) } else { Lsn::ZERO };
                    self.scan.tail = Tail::Corrupt { segment: place.seq, offset: 0, expected, proof };
                    return Ok(());
                }
            };
            if at == 0 {
                self.scan.first = header.first;
            }
            let follow = follow(place, places.get(at + 1), reserved);
            if let Some(tail) = self.segment(place, &header, follow, show)? {
                let after = places.get(at + 1).map(|next| next.seq).or(reserved).unwrap_or(place.seq);
                self.scan.findings.extend(missing(place.seq, after));
                self.scan.tail = tail;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads one segment; gives how the log ends where it ends here.
    fn segment(
        &mut self,
        place: &Place,
        header: &SegmentHeader,
        follow: Follow,
        show: &mut dyn FnMut(Frame<'_>),
    ) -> Result<Option<Tail>, Error> {
        let name = name::segment(place.seq);
        let file = self.disk.open(self.dir, OsStr::new(&name), Open::Read).plain("open", &name)?;
        let given = contents::read(self.disk, &file, header.segment_bytes, &mut self.buffer).plain("read", &name)?;
        let readable = self.buffer.len() as u64;
        let short = (readable < header.segment_bytes).then_some(if given {
            Proof::Short { bytes: readable }
        } else {
            Proof::Unreadable
        });
        if let Some(proof) = short {
            self.scan.findings.push(shortness(place.seq, header, readable, proof));
        }
        let next = if let Follow::Segment(next, _) = &follow { Some(next) } else { None };
        let mut cursor = Cursor::start(header);
        let end = cursor.walk(&self.buffer, header, next, show);
        let scan = &mut self.scan;
        scan.durable = scan.durable.max(cursor.durable);
        scan.last = cursor.expected.before();
        scan.chain = cursor.chain;
        let end_offset = cursor.offset as u64;
        scan.segments.push(SegmentInfo { header: *header, last: scan.last, end: end_offset, whole: short.is_none() });
        let tail = match end {
            End::Handover => None,
            _ => Some(tail(header, &cursor, own_end(&self.buffer, header, &cursor, end, short), follow)),
        };
        Ok(tail)
    }
}

/// How the frames of a segment end, as far as the segment itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnEnd {
    Clean,
    Torn,
    Damaged(Proof),
}

fn own_end(bytes: &[u8], header: &SegmentHeader, cursor: &Cursor, end: End, short: Option<Proof>) -> OwnEnd {
    if end == End::Full {
        return OwnEnd::Clean;
    }
    match (beyond(bytes, header, cursor), short) {
        (Beyond::Durable { lsn, offset, durable }, _) => {
            OwnEnd::Damaged(Proof::Mark { lsn, offset: offset as u64, durable })
        }
        (Beyond::Costly, _) => OwnEnd::Damaged(Proof::Costly),
        // The file had its whole length before its first frame: only damage makes it shorter.
        (_, Some(proof)) if end != End::Zero => OwnEnd::Damaged(proof),
        (Beyond::Nothing, _) if end == End::Zero => OwnEnd::Clean,
        (Beyond::Nothing | Beyond::Unproven, _) => OwnEnd::Torn,
    }
}

/// How the log ends with a segment whose frames end at `cursor`, where the next segment does not continue from there.
fn tail(header: &SegmentHeader, cursor: &Cursor, own: OwnEnd, follow: Follow) -> Tail {
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

fn follow(place: &Place, next: Option<&Place>, reserved: Option<u64>) -> Follow {
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

/// The numbers between two segments, but not more than a few: names are chosen by whoever made the files.
fn missing(before: u64, after: u64) -> impl Iterator<Item = Finding> {
    const SHOWN_MAX: usize = 16;
    (before.saturating_add(1)..after).take(SHOWN_MAX).map(|segment| Finding::Missing { segment })
}

fn is_next(before: u64, after: u64) -> bool {
    before.checked_add(1) == Some(after)
}

fn shortness(segment: u64, header: &SegmentHeader, readable: u64, proof: Proof) -> Finding {
    match proof {
        Proof::Unreadable => Finding::Unreadable { segment, offset: readable },
        _ => Finding::Short { segment, bytes: readable, expected: header.segment_bytes },
    }
}
