//! The reader: goes through a log from its oldest segment to where it ends, and says how it ends. It never mends.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;

use treewal_vfs::{Dir, Disk, Open};

use super::ending::{Follow, OwnEnd, follow, missing, tail};
use super::helpers::{self, Ahead, Checked};
use super::how::ScanOptions;
use super::look::{Beyond, beyond};
use super::report::{Excerpt, Finding, Proof, Scan, SegmentInfo, Tail};
use super::slot::{Place, Places, Slot};
use super::walk::{Cursor, End, Rules};
use super::window::SegmentBytes;
use crate::error::{Attempt, Error};
use crate::frame::Frame;
use crate::{Lsn, SegmentHeader, TreeId, name};

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
    /// Nobody may write the log meanwhile. Beside what is said about each segment, memory holds what is read ahead:
    /// twice the largest record, or a few hundred KiB where records are small, whatever the files hold.
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
        Self::scan_with(disk, dir, &ScanOptions::new(tree), visit)
    }

    /// [`scan`](Reader::scan) with a choice of where the bytes come from and how many threads check them. What is
    /// handed out and what is said do not depend on that; memory does, see [`ScanOptions`].
    ///
    /// # Errors
    /// As [`scan`](Reader::scan).
    pub fn scan_with(
        disk: &dyn Disk,
        dir: &Dir,
        options: &ScanOptions,
        visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Scan, Error> {
        let places = Places::read(disk, dir, options.tree)?;
        let scan = scan(disk, dir, options, (&places.all, places.reserved), visit)?;
        places.complete(scan, disk, dir)
    }

    /// Hands out the records from `from` on, for somebody who has those before. Older segments that hold none of them
    /// are not looked at beyond their headers: the excerpt says which. A log from which `from` is gone already is
    /// handed out from its [first](Excerpt::first) record on.
    ///
    /// Nothing can be told about what was not looked at, so a log cannot be resumed from an excerpt. Segments are left
    /// out from the oldest on, up to where one is missing or damaged: how a log ends is said as a full scan does, but
    /// for damage that lies within what was left out.
    ///
    /// # Errors
    /// As [`scan`](Reader::scan).
    pub fn scan_from(
        disk: &dyn Disk,
        dir: &Dir,
        options: &ScanOptions,
        from: Lsn,
        visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Excerpt, Error> {
        let places = Places::read(disk, dir, options.tree)?;
        let (skipped, rest) = places.all.split_at(before(&places.all, from));
        let skipped: Vec<SegmentHeader> = skipped.iter().filter_map(Place::header).collect();
        let scan = scan(disk, dir, options, (rest, places.reserved), &mut |frame| {
            if frame.lsn < from { ControlFlow::Continue(()) } else { visit(frame) }
        })?;
        Ok(Excerpt::new(places.complete(scan, disk, dir)?, skipped))
    }
}

/// How many segments, from the oldest on, hold nothing from `from` on: the next one continues from a record before it.
fn before(places: &[Place], from: Lsn) -> usize {
    let is_before = |pair: &[Place]| match pair {
        [this, next] => match (this.header(), next.header()) {
            (Some(a), Some(b)) => a.seq.checked_add(1) == Some(b.seq) && a.prev <= b.prev && b.prev < from,
            _ => false,
        },
        _ => false,
    };
    places.windows(2).take_while(|pair| is_before(pair)).count()
}

/// A segment to be read.
#[derive(Debug)]
pub(crate) struct Job {
    header: SegmentHeader,
    follow: Follow,
    /// The number of the file that comes next, or its own.
    after: u64,
}

impl Job {
    fn rules(&self) -> Rules<'_> {
        Rules::new(&self.header, if let Follow::Segment(next, _) = &self.follow { Some(next) } else { None })
    }

    /// The file, with `buffer` to read into.
    fn open<'a>(
        &self,
        disk: &'a dyn Disk,
        dir: &Dir,
        options: &ScanOptions,
        buffer: Vec<u8>,
    ) -> io::Result<SegmentBytes<'a>> {
        let file = disk.open(dir, OsStr::new(&name::segment(self.header.seq)), Open::Read)?;
        SegmentBytes::new(disk, file, self.header.segment_bytes, options.source, buffer)
    }
}

fn scan(
    disk: &dyn Disk,
    dir: &Dir,
    options: &ScanOptions,
    (places, reserved): (&[Place], Option<u64>),
    visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
) -> Result<Scan, Error> {
    let mut scan = Scan::empty();
    let mut jobs = Vec::new();
    if let Some(segment) = reserved.filter(|seq| places.is_empty() && *seq > 1) {
        scan.tail = Tail::Corrupt { segment, offset: 0, expected: Lsn::ZERO, proof: Proof::Missing };
    }
    for (at, place) in places.iter().enumerate() {
        match place.slot {
            Slot::Segment(header) => {
                let next = places.get(at + 1);
                let after = next.map(|next| next.seq).or(reserved).unwrap_or(place.seq);
                jobs.push(Job { header, follow: follow(place, next, reserved), after });
            }
            Slot::Reserved(_) => {}
            Slot::Bad(proof) if at == 0 => {
                let expected = if place.seq == 1 { Lsn(1) } else { Lsn::ZERO };
                scan.tail = Tail::Corrupt { segment: place.seq, offset: 0, expected, proof };
                break;
            }
            // The log ends no later than here: the segment before knows how.
            Slot::Bad(_) => break,
        }
    }
    if let Some(oldest) = jobs.first() {
        scan.first = oldest.header.first;
    }
    let check = |job: &Job| {
        let mut bytes = job.open(disk, dir, options, Vec::new())?.keeping();
        let mut cursor = Cursor::start(&job.header);
        cursor.walk_through(&mut bytes, &job.rules(), &mut |_| {})?;
        Ok(Checked { bytes, upto: cursor.offset })
    };
    helpers::with_others(&jobs, options, check, |ahead| {
        let mut pass = Pass { disk, dir, options, scan, buffer: Vec::new(), going: true };
        pass.run(&jobs, ahead, visit)?;
        Ok(pass.scan)
    })
}

struct Pass<'a> {
    disk: &'a dyn Disk,
    dir: &'a Dir,
    options: &'a ScanOptions,
    scan: Scan,
    buffer: Vec<u8>,
    /// Whether the visitor wants more.
    going: bool,
}

impl<'a> Pass<'a> {
    fn run(
        &mut self,
        jobs: &[Job],
        ahead: &Ahead<'a>,
        visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        for (at, job) in jobs.iter().enumerate() {
            if let Some(tail) = self.segment(job, ahead.take(at), visit)? {
                self.scan.findings.extend(missing(job.header.seq, job.after));
                self.scan.tail = tail;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads one segment; gives how the log ends where it ends here.
    fn segment(
        &mut self,
        job: &Job,
        checked: Option<Checked<'a>>,
        visit: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Tail>, Error> {
        let header = &job.header;
        let name = name::segment(header.seq);
        let is_own = checked.is_none();
        let (mut bytes, sealed) = match checked {
            Some(checked) => (checked.bytes, checked.upto),
            None => {
                let buffer = std::mem::take(&mut self.buffer);
                (job.open(self.disk, self.dir, self.options, buffer).plain("open", &name)?, 0)
            }
        };
        let mut cursor = Cursor::start(header);
        let going = &mut self.going;
        let mut show = |frame: Frame<'_>| *going = *going && visit(frame).is_continue();
        let end = cursor.walk_through(&mut bytes, &job.rules().sealed_up_to(sealed), &mut show).plain("read", &name)?;
        let found = match end {
            End::Handover | End::Full => Beyond::Nothing,
            _ => beyond(&mut bytes, header, &cursor).plain("read", &name)?,
        };
        let (readable, is_refused) = match end {
            // What lies behind a segment that another one continues does not count, and is not asked for.
            End::Handover => (bytes.file_bytes(), false),
            _ => bytes.exhaust(cursor.offset).plain("read", &name)?,
        };
        let short = self.shortness(header, readable as u64, is_refused);
        if is_own {
            self.buffer = bytes.into_buffer();
        }
        let scan = &mut self.scan;
        scan.durable = scan.durable.max(cursor.durable);
        scan.last = cursor.expected.before();
        scan.chain = cursor.chain;
        let end_offset = cursor.offset as u64;
        scan.segments.push(SegmentInfo { header: *header, last: scan.last, end: end_offset, whole: short.is_none() });
        Ok(match end {
            End::Handover => None,
            _ => Some(tail(header, &cursor, OwnEnd::new(end, found, short), job.follow)),
        })
    }

    /// Why a segment has fewer bytes than it was made with, where it has; notes that.
    fn shortness(&mut self, header: &SegmentHeader, readable: u64, is_refused: bool) -> Option<Proof> {
        let segment = header.seq;
        if is_refused {
            self.scan.findings.push(Finding::Unreadable { segment, offset: readable });
            Some(Proof::Unreadable)
        } else if readable < header.segment_bytes {
            self.scan.findings.push(Finding::Short { segment, bytes: readable, expected: header.segment_bytes });
            Some(Proof::Short { bytes: readable })
        } else {
            None
        }
    }
}
