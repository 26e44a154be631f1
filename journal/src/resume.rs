//! Takes a log up again where a scan found its end. Before anybody may act on what the scan handed out, it is made
//! durable: what was read may have stood in the page cache alone.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, File, Open, Rename};

use crate::error::{Attempt, Error, Failure};
use crate::frame::{Label, encode};
use crate::header::Parsed;
use crate::layout::{HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::log::{Active, Log, LogOptions, Sealed};
use crate::report::{Finding, Scan, SegmentInfo, Tail};
use crate::walk::{Cursor, End};
use crate::{Lsn, SegmentHeader, contents, make, name};

pub(crate) fn create(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions) -> Result<Log, Error> {
    options.check()?;
    for entry in disk.list(&dir).plain("list", name::DIR)? {
        if let name::Name::Segment(seq) = name::parse(&entry.name) {
            return Err(Error::NotEmpty(name::segment(seq)));
        }
    }
    let job = Job { disk: &*disk, dir: &dir, options };
    let active = job.first()?;
    Ok(Log::new(disk, dir, options, active, VecDeque::new()))
}

pub(crate) fn resume(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions, scan: &Scan) -> Result<Log, Error> {
    options.check()?;
    if let Tail::Corrupt { .. } = scan.tail {
        return Err(Error::Damaged(scan.tail));
    }
    if let Some(found) = scan.tree.filter(|found| *found != options.tree) {
        return Err(Error::Foreign { found, wanted: options.tree });
    }
    let job = Job { disk: &*disk, dir: &dir, options };
    let active = job.run(scan)?;
    let sealed = scan.segments.iter().filter(|segment| segment.header.seq != active.seq);
    let sealed = sealed.map(|s| Sealed { seq: s.header.seq, last: s.last, bytes: s.end }).collect();
    Ok(Log::new(disk, dir, options, active, sealed))
}

struct Job<'a> {
    disk: &'a dyn Disk,
    dir: &'a Dir,
    options: LogOptions,
}

impl Job<'_> {
    fn run(&self, scan: &Scan) -> Result<Active, Error> {
        self.drop_unfinished(scan)?;
        let doubt = scan.findings.contains(&Finding::Doubt);
        if doubt {
            // Its pages may be among those that the kernel dropped.
            make::discard_spare(self.disk, self.dir)?;
        }
        let active = match scan.segments.last() {
            None => self.first()?,
            Some(last) if doubt => self.rewrite(last)?,
            Some(last) if scan.tail == Tail::Clean && last.whole => self.go_on(last, scan)?,
            Some(last) => self.cut(last, scan)?,
        };
        if doubt {
            make::clear_doubt(self.disk, self.dir)?;
        }
        Ok(active)
    }

    /// A segment that was being made holds nothing, but its name would be in the way of the next one.
    fn drop_unfinished(&self, scan: &Scan) -> Result<(), Error> {
        for finding in &scan.findings {
            if let Finding::Unfinished { segment } = finding {
                make::remove_if_there(self.disk, self.dir, &name::segment(*segment))?;
                self.sync_dir()?;
            }
        }
        Ok(())
    }

    /// The first segment of a log that has none.
    fn first(&self) -> Result<Active, Error> {
        let header = self.header(1, Lsn::ZERO, 0);
        let file = self.make(&header, &[], Rename::NoReplace)?;
        Ok(Active::new(file, &header, Lsn::ZERO, 0, HEADER_BYTES))
    }

    /// A clean log goes on in its last segment, once that and its name are durable.
    fn go_on(&self, last: &SegmentInfo, scan: &Scan) -> Result<Active, Error> {
        let file = self.open(last)?;
        self.sync(&file, last)?;
        self.sync_dir()?;
        let offset = usize::try_from(last.end).map_err(|_| changed(last))?;
        Ok(Active::new(file, &last.header, scan.last, scan.chain, offset))
    }

    /// A torn log goes on in a new segment, which says from where: what is left of the torn batch lies beyond that for
    /// ever, whatever the disk makes of it later.
    fn cut(&self, last: &SegmentInfo, scan: &Scan) -> Result<Active, Error> {
        let file = self.open(last)?;
        self.sync(&file, last)?;
        let seq = last.header.seq.checked_add(1).ok_or(Error::Exhausted)?;
        let header = self.header(seq, scan.last, scan.chain);
        let file = self.make(&header, &[], Rename::NoReplace)?;
        Ok(Active::new(file, &header, scan.last, scan.chain, HEADER_BYTES))
    }

    /// After a failed sync nothing tells whether the disk holds what the page cache shows, and the kernel does not try
    /// again. So the records of the last segment, the only one that was not synced when the next was begun, go into
    /// a new file, which then takes the name of the old one in one step.
    fn rewrite(&self, last: &SegmentInfo) -> Result<Active, Error> {
        let file = self.open(last)?;
        let mut bytes = Vec::new();
        contents::read(self.disk, &file, SEGMENT_BYTES_MAX, &mut bytes)
            .plain("read", &name::segment(last.header.seq))?;
        let SegmentHeader { seq, prev, prev_crc, first, durable, segment_bytes, .. } = last.header;
        let segment_bytes = segment_bytes.max(self.options.segment_bytes);
        let header = SegmentHeader { first, durable, segment_bytes, ..self.header(seq, prev, prev_crc) };
        let mut frames = Vec::new();
        let mut chain = header.prev_crc;
        let mut cursor = Cursor::start(&last.header);
        let end = cursor.walk(&bytes, &last.header, None, &mut |frame| {
            let label = Label { kind: frame.kind, lsn: frame.lsn, durable: frame.durable };
            chain = encode(&mut frames, header.seed, chain, label, frame.payload);
        });
        if cursor.expected.before() != last.last || end == End::Handover {
            return Err(changed(last));
        }
        let file = self.make(&header, &frames, Rename::Replace)?;
        Ok(Active::new(file, &header, last.last, chain, HEADER_BYTES + frames.len()))
    }

    /// Opens a segment and makes sure that it is the one that was scanned.
    fn open(&self, segment: &SegmentInfo) -> Result<File, Error> {
        let name = name::segment(segment.header.seq);
        let file = self.disk.open(self.dir, OsStr::new(&name), Open::ReadWrite).plain("open", &name)?;
        let mut block = Vec::new();
        contents::read(self.disk, &file, HEADER_BYTES as u64, &mut block).plain("read", &name)?;
        match SegmentHeader::decode(&block) {
            Parsed::Header(header) if header == segment.header => Ok(file),
            _ => Err(changed(segment)),
        }
    }

    fn header(&self, seq: u64, prev: Lsn, prev_crc: u32) -> SegmentHeader {
        make::header(self.disk, &self.options, seq, prev, prev_crc)
    }

    fn make(&self, header: &SegmentHeader, frames: &[u8], how: Rename) -> Result<File, Error> {
        let made = make::prepare(self.disk, self.dir, header, frames)
            .and_then(|file| make::place(self.disk, self.dir, header.seq, how).map(|()| file));
        self.settle(made)
    }

    fn sync(&self, file: &File, segment: &SegmentInfo) -> Result<(), Error> {
        self.settle(self.disk.sync_data(file).fatal("sync", &name::segment(segment.header.seq)))
    }

    fn sync_dir(&self) -> Result<(), Error> {
        self.settle(self.disk.sync_dir(self.dir).fatal("sync", name::DIR))
    }

    /// The next one to try must know that a sync failed.
    fn settle<T>(&self, outcome: Result<T, Failure>) -> Result<T, Error> {
        outcome.map_err(|failure| {
            if failure.fatal {
                make::leave_doubt(self.disk, self.dir);
            }
            failure.into()
        })
    }
}

fn changed(segment: &SegmentInfo) -> Error {
    Error::Changed { name: name::segment(segment.header.seq) }
}
