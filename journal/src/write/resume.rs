//! Takes a log up again where a scan found its end. Before anybody may act on what the scan handed out, it is made
//! durable: what was read may have stood in the page cache alone.

use std::collections::VecDeque;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, File, Rename};

use super::log::LogOptions;
use super::make;
use super::tail::Tail as End;
use super::writer::{Files, Reserved, Sealed, Writer};
use crate::error::{Attempt, Error, Failure};
use crate::frame::{Label, Seal, encode};
use crate::header::Parsed;
use crate::layout::{HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::name::Name;
use crate::read::contents;
use crate::read::report::{Finding, Scan, SegmentInfo, Tail};
use crate::read::walk::Cursor;
use crate::{Lsn, SegmentHeader, name, stamp};

pub(crate) fn create(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions) -> Result<Writer, Error> {
    options.check()?;
    let job = Job { disk: &*disk, dir: &dir, options };
    if let Some(seq) =
        job.names()?.iter().find_map(|name| if let Name::Segment(seq) = name { Some(*seq) } else { None })
    {
        return Err(Error::NotEmpty(name::segment(seq)));
    }
    let spare = job.sweep(false)?;
    let end = job.first(spare)?;
    let highest = end.seq;
    Ok(Writer::new(disk, dir, options, end, Files { sealed: VecDeque::new(), highest, next: None, spare: None }))
}

pub(crate) fn resume(disk: Arc<dyn Disk>, dir: Dir, options: LogOptions, scan: &Scan) -> Result<Writer, Error> {
    options.check()?;
    if let Tail::Corrupt { .. } = scan.tail {
        return Err(Error::Damaged(scan.tail));
    }
    if let Some(found) = scan.tree.filter(|found| *found != options.tree) {
        return Err(Error::Foreign { found, wanted: options.tree });
    }
    let (end, files) = Job { disk: &*disk, dir: &dir, options }.run(scan)?;
    Ok(Writer::new(disk, dir, options, end, files))
}

struct Job<'a> {
    disk: &'a dyn Disk,
    dir: &'a Dir,
    options: LogOptions,
}

impl Job<'_> {
    fn run(&self, scan: &Scan) -> Result<(End, Files), Error> {
        let highest = self.highest()?;
        self.drop_unfinished(scan)?;
        let doubt = scan.findings.contains(&Finding::Doubt);
        let mut spare = self.sweep(doubt)?;
        let goes_on = scan.tail == Tail::Clean && !doubt && scan.segments.last().is_some_and(|last| last.whole);
        let next = self.next(scan, goes_on)?;
        let mut sealed = scan.segments.as_slice();
        let end = match scan.segments.last() {
            None => self.first(spare.take())?,
            Some(last) if goes_on => {
                sealed = &sealed[..sealed.len() - 1];
                self.go_on(last, scan)?
            }
            Some(last) if doubt => {
                sealed = &sealed[..sealed.len() - 1];
                self.copy_kept(&scan.segments)?;
                self.write_anew(last, highest)?
            }
            Some(last) => self.cut(last, scan, highest, spare.take())?,
        };
        if doubt {
            make::remove_if_there(self.disk, self.dir, name::DOUBT)?;
        }
        let sealed = sealed.iter().map(|s| Sealed { seq: s.header.seq, last: s.last, bytes: s.end }).collect();
        let highest = next.as_ref().map_or(end.seq, |next| next.seq);
        Ok((end, Files { sealed, highest, next, spare }))
    }

    /// The reserved segment, where the log goes on just before it. Else it goes.
    fn next(&self, scan: &Scan, goes_on: bool) -> Result<Option<Reserved>, Error> {
        let Some(seq) = scan.reserved else { return Ok(None) };
        let name = name::segment(seq);
        if goes_on && make::is_reusable(self.disk, self.dir, &name, self.options.segment_bytes)? {
            return Ok(Some(Reserved { seq, file: self.reopen(&name)? }));
        }
        make::remove_if_there(self.disk, self.dir, &name)?;
        if goes_on {
            self.sync_dir()?;
        }
        Ok(None)
    }

    /// The highest number that a file has. A new segment gets one beyond: where a sync of the directory failed, what
    /// was done to a name is in doubt, and all that is done to it later with it.
    fn highest(&self) -> Result<u64, Error> {
        let number = |name: Name| if let Name::Segment(seq) = name { seq } else { 0 };
        Ok(self.names()?.into_iter().map(number).max().unwrap_or(0))
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        let entries = self.disk.list(self.dir).plain("list", name::DIR)?;
        Ok(entries.iter().map(|entry| name::parse(&entry.name)).collect())
    }

    /// Removes all spare files but one that fits, and that one too after a failed sync: its pages, and the change of
    /// its name, may be among what the kernel dropped.
    fn sweep(&self, doubt: bool) -> Result<Option<String>, Error> {
        let mut kept = None;
        for name in self.names()? {
            let Name::Spare(spare) = name else { continue };
            let fits =
                !doubt && kept.is_none() && make::is_reusable(self.disk, self.dir, &spare, self.options.segment_bytes)?;
            if fits {
                kept = Some(spare);
            } else {
                make::remove_if_there(self.disk, self.dir, &spare)?;
            }
        }
        Ok(kept)
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
    fn first(&self, spare: Option<String>) -> Result<End, Error> {
        let header = self.header(1, Lsn::ZERO, 0);
        let file = self.make(spare, &header, &[])?;
        Ok(End::resumed(file, &header, Lsn::ZERO, 0, HEADER_BYTES))
    }

    /// A clean log goes on in its last segment, once that and its name are durable.
    fn go_on(&self, last: &SegmentInfo, scan: &Scan) -> Result<End, Error> {
        let file = self.open(last)?;
        self.sync(&file, last)?;
        self.sync_dir()?;
        let offset = usize::try_from(last.end).map_err(|_| changed(last))?;
        Ok(End::resumed(file, &last.header, scan.last, scan.chain, offset))
    }

    /// A torn log goes on in a new segment, which says from where: what is left of the torn batch lies beyond that for
    /// ever, whatever the disk makes of it later.
    fn cut(&self, last: &SegmentInfo, scan: &Scan, highest: u64, spare: Option<String>) -> Result<End, Error> {
        let file = self.open(last)?;
        self.sync(&file, last)?;
        let seq = highest.checked_add(1).ok_or(Error::Exhausted)?;
        let header = self.header(seq, scan.last, scan.chain);
        let file = self.make(spare, &header, &[])?;
        Ok(End::resumed(file, &header, scan.last, scan.chain, HEADER_BYTES))
    }

    /// After a failed sync nothing tells whether the disk holds what the page cache shows, and the kernel does not try
    /// again. So the records of the last segment, the only one that was not synced when the next was begun, go into
    /// a new one that continues from the same record: from then on the old one does not count, whether the disk knows
    /// its name and its bytes or not.
    fn write_anew(&self, last: &SegmentInfo, highest: u64) -> Result<End, Error> {
        let file = self.open(last)?;
        let mut bytes = Vec::new();
        let old = name::segment(last.header.seq);
        contents::read(self.disk, &file, SEGMENT_BYTES_MAX, &mut bytes).plain("read", &old)?;
        let SegmentHeader { prev, prev_crc, first, durable, segment_bytes, .. } = last.header;
        let segment_bytes = segment_bytes.max(self.options.segment_bytes);
        let seq = highest.checked_add(1).ok_or(Error::Exhausted)?;
        let header = SegmentHeader { first, durable, segment_bytes, ..self.header(seq, prev, prev_crc) };
        let mut frames = Vec::new();
        let (seal, mut chain) = (Seal::new(header.seed), header.prev_crc);
        let mut cursor = Cursor::start(&last.header);
        cursor.walk(&bytes, &last.header, None, &mut |frame| {
            let label = Label { kind: frame.kind, lsn: frame.lsn, durable: frame.durable };
            chain = encode(&mut frames, seal, chain, label, frame.payload);
        });
        if cursor.expected.before() != last.last {
            return Err(changed(last));
        }
        let file = self.make(None, &header, &frames)?;
        make::remove_if_there(self.disk, self.dir, &old)?;
        Ok(End::resumed(file, &header, last.last, chain, HEADER_BYTES + frames.len()))
    }

    /// A repair puts a segment behind the last one that it keeps, which is then no longer the last, and as much in doubt.
    /// It is copied into another file, which takes its name: the same frames under the same header, and nothing else.
    fn copy_kept(&self, segments: &[SegmentInfo]) -> Result<(), Error> {
        for pair in segments.windows(2).rev() {
            let [kept, behind] = pair else { break };
            if behind.header.first == behind.header.prev.next() {
                break;
            }
            let file = self.open(kept)?;
            let mut bytes = Vec::new();
            contents::read(self.disk, &file, kept.end, &mut bytes).plain("read", &name::segment(kept.header.seq))?;
            let end = usize::try_from(kept.end).map_err(|_| changed(kept))?;
            // The file may end within the padding of the last frame.
            bytes.resize(end, 0);
            let mut cursor = Cursor::start(&kept.header);
            cursor.walk(&bytes, &kept.header, Some(&behind.header), &mut |_| {});
            if cursor.expected.before() != kept.last {
                return Err(changed(kept));
            }
            let copied = make::prepare(self.disk, self.dir, &mut None, &kept.header, &bytes[HEADER_BYTES..])
                .and_then(|segment| segment.place(self.disk, self.dir, Rename::Replace));
            self.settle(copied)?;
        }
        Ok(())
    }

    /// Opens a segment and makes sure that it is the one that was scanned.
    fn open(&self, segment: &SegmentInfo) -> Result<File, Error> {
        let name = name::segment(segment.header.seq);
        let file = self.reopen(&name)?;
        let mut block = Vec::new();
        contents::read(self.disk, &file, HEADER_BYTES as u64, &mut block).plain("read", &name)?;
        match SegmentHeader::decode(&block) {
            Parsed::Header(header) if header == segment.header => Ok(file),
            _ => Err(changed(segment)),
        }
    }

    fn reopen(&self, name: &str) -> Result<File, Failure> {
        make::open(self.disk, self.dir, name).plain("open", name)
    }

    fn header(&self, seq: u64, prev: Lsn, prev_crc: u32) -> SegmentHeader {
        make::header(stamp::boot(&self.disk.boot_id()), &self.options, seq, prev, prev_crc)
    }

    fn make(&self, mut spare: Option<String>, header: &SegmentHeader, frames: &[u8]) -> Result<File, Error> {
        let made = make::prepare(self.disk, self.dir, &mut spare, header, frames)
            .and_then(|segment| segment.place(self.disk, self.dir, Rename::NoReplace));
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
