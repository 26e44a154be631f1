//! The journal as a list of entries, for people and scripts.

mod entry;
mod follow;
mod place;
mod transactions;

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use treewal_journal::{Frame, Lsn, Reader, Record, Scan, SegmentInfo, Tail};

pub use entry::LogEntry;
pub use follow::{Follow, LogEvent};
use place::{Opened, Place};
pub use transactions::LogTransaction;
use transactions::Transactions;

use crate::{Error, Result};

/// A journal: what it is made of, how it ends, and every record that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Log {
    /// The tree that it belongs to, as 32 hexadecimal digits; `None` where no segment can be read.
    pub tree: Option<String>,
    /// How it ends.
    pub tail: LogTail,
    /// Number of the first record; 0 where there is none.
    pub first_lsn: u64,
    /// Number of the last record; 0 where there is none. What comes next is numbered as `tail` says.
    pub last_lsn: u64,
    /// Every record up to here is known to have been durable when something later was written. What comes after it may
    /// stand in the page cache alone.
    pub durable_lsn: u64,
    /// The segments that count, oldest first.
    pub segments: Vec<LogSegment>,
    /// The transactions that the records tell of, oldest first.
    pub transactions: Vec<LogTransaction>,
    /// What about the files is not as it should be, or is left from a crash.
    pub findings: Vec<String>,
    /// The records, oldest first. Those that a checkpoint covers are listed until their segment is used again.
    pub records: Vec<LogEntry>,
}

/// How a journal ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogTail {
    /// `clean`, `torn` (what a crash left of a batch that nobody was promised anything of) or `corrupt` (acknowledged
    /// records are gone).
    pub state: &'static str,
    /// The same in a sentence.
    pub says: String,
    /// The segment it ends in; 0 in an empty journal.
    pub segment: u64,
    /// Where in it, in bytes; 0 where the segment as a whole is not what must stand there.
    pub offset: u64,
    /// Number of the record that would have come next, or is missing; 0 where nothing tells.
    pub lsn: u64,
}

/// A segment of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogSegment {
    /// Its number, from 1. In hexadecimal it is the name of the file.
    pub number: u64,
    /// `sealed` where another one continues from it, else how the journal ends in it: `current`, `torn` or `corrupt`.
    pub state: &'static str,
    /// Number of its first record; one more than `last_lsn` where there is none.
    pub first_lsn: u64,
    /// Number of its last record that counts.
    pub last_lsn: u64,
    /// Number of the record that it continues from; 0 where there is none. It is less than `first_lsn - 1` where a
    /// repair left numbers out.
    pub previous_lsn: u64,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// How many of them are used: where the next record would stand.
    pub used: u64,
    /// Every record up to here was durable when the segment was begun.
    pub durable: u64,
    /// When it was begun, in seconds since 1970 by the clock of the writer.
    pub created: i64,
}

/// The journal of the tree at `path`; an empty one where treewal was never used on the tree. Reads only, and may be
/// called while somebody writes: what is being written at that moment may look torn.
///
/// # Errors
/// Any error of the disk, a journal of a newer format.
pub fn log(path: impl AsRef<Path>) -> Result<Log> {
    read(&Place::Tree(path.as_ref().to_owned()))
}

/// The journal whose segments lie in the directory `path`, a copied one for instance: no tree is needed around it, and
/// no permission to write.
///
/// # Errors
/// As [`log()`]; [`Error::Store`] where there is no segment.
pub fn log_of(path: impl AsRef<Path>) -> Result<Log> {
    read(&Place::Journal(path.as_ref().to_owned()))
}

/// How often a look that may have met a writer at work is repeated.
const LOOKS_MAX: u32 = 5;

/// A writer that uses a segment again while it is read can make a sound journal look damaged, or a file go away: what is
/// found twice in a row is so.
fn read(place: &Place) -> Result<Log> {
    let mut before = None;
    for _ in 1..LOOKS_MAX {
        match read_once(place) {
            Ok(log) if log.tail.state != "corrupt" || before.as_ref() == Some(&log.tail) => return Ok(log),
            Ok(log) => before = Some(log.tail),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    read_once(place)
}

/// Whether a file was removed or renamed between the list of the names and the opening.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Journal(treewal_journal::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound)
}

fn read_once(place: &Place) -> Result<Log> {
    let mut records = Vec::new();
    let mut transactions = Transactions::default();
    let scan = match place.open()? {
        None => None,
        Some(opened) => Some(scan(&opened, &mut |frame| {
            let record = Record::decode(frame.kind, frame.payload).map_err(|error| error.to_string());
            if let Ok(record) = &record {
                transactions.tell(frame, record);
            }
            records.push(LogEntry::new(frame, record.as_ref().map_err(Clone::clone)));
        })?),
    };
    Ok(Log {
        tree: scan.as_ref().and_then(|scan| scan.tree).map(|tree| tree.to_string()),
        tail: scan.as_ref().map_or_else(LogTail::of_nothing, LogTail::of),
        first_lsn: records.first().map_or(0, |record| record.lsn),
        last_lsn: records.last().map_or(0, |record| record.lsn),
        durable_lsn: scan.as_ref().map_or(0, |scan| scan.durable.0),
        segments: scan.as_ref().map_or_else(Vec::new, LogSegment::all),
        transactions: transactions.all(),
        findings: scan.iter().flat_map(|scan| &scan.findings).map(ToString::to_string).collect(),
        records,
    })
}

fn scan(opened: &Opened, show: &mut dyn FnMut(&Frame<'_>)) -> Result<Scan> {
    Reader::scan(&*opened.disk, &opened.journal, None, &mut |frame| {
        show(&frame);
        ControlFlow::Continue(())
    })
    .map_err(Error::Journal)
}

impl LogTail {
    fn of_nothing() -> Self {
        Self { state: "clean", says: Tail::Clean.to_string(), segment: 0, offset: 0, lsn: 1 }
    }

    fn of(scan: &Scan) -> Self {
        let last = scan.segments.last().map_or(0, |segment| segment.header.seq);
        let (state, segment, offset, lsn) = match scan.tail {
            Tail::Clean => ("clean", last, scan.next_offset(), next(scan)),
            Tail::Torn { segment, offset, expected } => ("torn", segment, offset, expected),
            Tail::Corrupt { segment, offset, expected, .. } => ("corrupt", segment, offset, expected),
        };
        Self { state, says: scan.tail.to_string(), segment, offset, lsn: lsn.0 }
    }
}

/// The number of the next record: a repair leaves out those that cut records may have had.
fn next(scan: &Scan) -> Lsn {
    let first = scan.segments.last().map_or(Lsn(1), |segment| segment.header.first);
    first.max(Lsn(scan.last.0.saturating_add(1)))
}

impl LogSegment {
    fn all(scan: &Scan) -> Vec<Self> {
        let last = scan.segments.last().map(|segment| segment.header.seq);
        let state = |segment: &SegmentInfo| match scan.tail {
            _ if Some(segment.header.seq) != last => "sealed",
            Tail::Corrupt { segment: damaged, .. } if damaged != segment.header.seq => "sealed",
            Tail::Clean => "current",
            Tail::Torn { .. } => "torn",
            Tail::Corrupt { .. } => "corrupt",
        };
        scan.segments.iter().map(|segment| Self::of(segment, state(segment))).collect()
    }

    fn of(segment: &SegmentInfo, state: &'static str) -> Self {
        let header = &segment.header;
        Self {
            number: header.seq,
            state,
            first_lsn: header.first.0,
            last_lsn: segment.last.0,
            previous_lsn: header.prev.0,
            bytes: header.segment_bytes,
            used: segment.end,
            durable: header.durable.0,
            created: header.created.secs,
        }
    }
}
