//! Takes a log up again that somebody else has written meanwhile, without reading again what this writer knows.
//!
//! Two writers that take turns under a lock would otherwise each read the whole log at every turn. The one before says
//! where it [left off](LogEnd), and this one walks from where it left off itself to there. It makes nothing durable and
//! mends nothing: where the walk meets anything that a writer which gave the log back in order does not leave, it gives
//! up, and the log is to be [scanned](crate::Reader::scan) and [resumed](crate::Log::resume).
//!
//! Segments may have come and gone meanwhile. An open file tells nothing of that, so every segment is opened by its name
//! again and has to say in its header which it is.

use std::collections::VecDeque;

use treewal_vfs::{Disk, File};

use super::make;
use super::tail::Tail;
use super::writer::{Files, Reserved, Sealed, Writer};
use crate::error::{Attempt, Error};
use crate::frame::Frame;
use crate::header::Parsed;
use crate::layout::HEADER_BYTES;
use crate::name::Name;
use crate::read::onward::Onward;
use crate::read::walk::{Cursor, End, Rules};
use crate::read::{contents, slot};
use crate::{Lsn, SegmentHeader, name};

/// Where a log ends: the number of its last record and the checksum of that record's frame, which stands for all before
/// it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Number of the last record; 0 in a log that never had one.
    pub last: Lsn,
    /// Checksum of its frame.
    pub crc: u32,
}

/// What a writer knows of the log when it is at rest: nothing is buffered, and everything is durable.
struct Rest {
    seq: u64,
    end: LogEnd,
    offset: usize,
    sealed: VecDeque<Sealed>,
}

/// What the names in the directory say.
struct Names {
    /// The numbers of the segments, ascending.
    segments: Vec<u64>,
    spares: Vec<String>,
}

/// What the walk over what others wrote comes to.
struct Walked {
    header: SegmentHeader,
    file: File,
    cursor: Cursor,
    sealed: VecDeque<Sealed>,
    first: Lsn,
}

impl Writer {
    /// See [`Log::end`](crate::Log::end).
    pub(crate) fn end(&self) -> Option<LogEnd> {
        self.rest().map(|rest| rest.end)
    }

    fn rest(&self) -> Option<Rest> {
        let durable = self.group.check().ok()?;
        let files = self.files.lock();
        let tail = self.tail.lock();
        let is_at_rest = tail.buffer.is_empty() && !tail.sealed && tail.last == durable;
        is_at_rest.then(|| Rest {
            seq: tail.seq,
            end: LogEnd { last: tail.last, crc: tail.chain },
            offset: tail.start,
            sealed: files.sealed.clone(),
        })
    }

    /// See [`Log::rejoin`](crate::Log::rejoin).
    pub(crate) fn rejoin(&self, end: LogEnd, visit: &mut dyn FnMut(Frame<'_>)) -> Result<Option<(Writer, Lsn)>, Error> {
        let Some(rest) = self.rest() else { return Ok(None) };
        let Some(names) = self.names()? else { return Ok(None) };
        let highest = names.segments.last().copied().unwrap_or(0);
        let Some((known, new)) = split(&names.segments, &rest) else { return Ok(None) };
        let mut begun = Vec::new();
        let mut reserved = None;
        for &seq in new {
            match self.head(seq)? {
                Some((Parsed::Header(header), file)) if reserved.is_none() && header.tree == self.options.tree => {
                    begun.push((header, file));
                }
                Some((Parsed::Reserved(header), file))
                    if reserved.is_none()
                        && header.tree == self.options.tree
                        && make::is_reusable(
                            &*self.disk,
                            &self.dir,
                            &name::segment(seq),
                            self.options.segment_bytes,
                        )? =>
                {
                    reserved = Some(Reserved { seq, file });
                }
                _ => return Ok(None),
            }
        }
        let sealed = rest.sealed.iter().filter(|segment| known.contains(&segment.seq)).copied().collect();
        let Some(walked) = walk(&*self.disk, begun, &rest, sealed, visit)? else { return Ok(None) };
        let Walked { header, file, cursor, sealed, first } = walked;
        if end != (LogEnd { last: cursor.expected.before(), crc: cursor.chain }) {
            return Ok(None);
        }
        let tail = Tail::resumed(file, &header, end.last, end.crc, cursor.offset);
        let files = Files { sealed, highest, next: reserved, spare: self.reusable(names.spares)? };
        Ok(Some((Writer::new(self.disk.clone(), self.dir.clone(), self.options, tail, files), first)))
    }

    /// `None` where a sync of the log has failed.
    fn names(&self) -> Result<Option<Names>, Error> {
        let mut names = Names { segments: Vec::new(), spares: Vec::new() };
        for entry in self.disk.list(&self.dir).plain("list", name::DIR)? {
            match name::parse(&entry.name) {
                Name::Segment(seq) => names.segments.push(seq),
                Name::Spare(spare) => names.spares.push(spare),
                Name::Doubt => return Ok(None),
                Name::Stray(_) => {}
            }
        }
        names.segments.sort_unstable();
        Ok(Some(names))
    }

    /// The first block of a segment that says that it is the one of this number.
    fn head(&self, seq: u64) -> Result<Option<(Parsed, File)>, Error> {
        let name = name::segment(seq);
        let file = make::open(&*self.disk, &self.dir, &name).plain("open", &name)?;
        let mut block = Vec::new();
        contents::read(&*self.disk, &file, HEADER_BYTES as u64, &mut block).plain("read", &name)?;
        let parsed = SegmentHeader::decode(&block);
        Ok(slot::is_of(&parsed, seq).then_some((parsed, file)))
    }

    fn reusable(&self, spares: Vec<String>) -> Result<Option<String>, Error> {
        for spare in spares {
            if make::is_reusable(&*self.disk, &self.dir, &spare, self.options.segment_bytes)? {
                return Ok(Some(spare));
            }
        }
        Ok(None)
    }
}

/// The segments before the one that this writer wrote last, and those from it on; where that one is gone, those that have
/// come since. `None` where there are others than a log that was only written to, and given back from its beginning, has.
fn split<'a>(segments: &'a [u64], rest: &Rest) -> Option<(&'a [u64], &'a [u64])> {
    let (known, new) = segments.split_at(segments.partition_point(|seq| *seq < rest.seq));
    let is_known = known.iter().all(|seq| rest.sealed.iter().any(|segment| segment.seq == *seq));
    let goes_on = new.first() == Some(&rest.seq) || known.is_empty();
    (is_known && goes_on && !new.is_empty()).then_some((known, new))
}

/// Walks from where this writer left off to where the last of the segments ends. `None` where they do not hang together.
fn walk(
    disk: &dyn Disk,
    begun: Vec<(SegmentHeader, File)>,
    rest: &Rest,
    mut sealed: VecDeque<Sealed>,
    visit: &mut dyn FnMut(Frame<'_>),
) -> Result<Option<Walked>, Error> {
    let Some((first, _)) = begun.first() else { return Ok(None) };
    let Some(mut cursor) = start(first, rest) else { return Ok(None) };
    let first = cursor.expected;
    let mut begun = begun.into_iter().peekable();
    while let Some((header, file)) = begun.next() {
        let next = begun.peek().map(|(next, _)| *next);
        let mut bytes = Onward::new(disk, file.clone(), cursor.offset);
        let rules = Rules::new(&header, next.as_ref());
        let ended = cursor.walk_through(&mut bytes, &rules, &mut |frame| visit(frame));
        match (ended.plain("read", &name::segment(header.seq))?, next) {
            (End::Handover, Some(next)) => {
                let last = cursor.expected.before();
                sealed.push_back(Sealed { seq: header.seq, last, bytes: cursor.offset as u64 });
                cursor = Cursor { durable: cursor.durable, ..Cursor::start(&next) };
            }
            (End::Zero | End::Full, None) => return Ok(Some(Walked { header, file, cursor, sealed, first })),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Where to begin in the oldest segment that holds anything new.
fn start(oldest: &SegmentHeader, rest: &Rest) -> Option<Cursor> {
    let LogEnd { last, crc } = rest.end;
    if oldest.seq == rest.seq {
        return Some(Cursor { expected: last.next(), chain: crc, durable: last, offset: rest.offset });
    }
    // Records between the two may be gone for good. None may come again.
    let follows = oldest.prev > last || oldest.prev == last && oldest.prev_crc == crc;
    follows.then(|| Cursor::start(oldest))
}
