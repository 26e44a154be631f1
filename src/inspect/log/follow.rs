//! Following a journal while somebody writes it.
//!
//! A follower takes no lock, so it may look at any moment: while a batch is written, while a segment is begun, removed
//! or used again. A record that it sees is always whole, as its checksum says. Everything else that a single look finds
//! (a torn tail, damage, a file that is gone, records that are missing) may be such a moment, and is told only when
//! several looks in a row find the same.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde::Serialize;
use treewal_journal::{Lsn, Record, Scan, Tail};
use treewal_vfs::Open;

use super::place::{Opened, Place};
use super::{LogEntry, LogSegment, LogTail, is_gone, scan};
use crate::Result;

/// How often the same must be seen before it is believed.
const LOOKS: u32 = 5;
/// How often a look may meet files that were there a moment ago, before that is an error.
const MISSES_MAX: u32 = 25;
/// What is read of the place where the next frame will start: the header of a frame.
const PEEK_BYTES: usize = 32;
/// What is read of the beginning of a segment: more than all fields of its header.
const HEAD_BYTES: usize = 128;

/// Something new in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LogEvent {
    /// A segment was begun.
    Segment(LogSegment),
    /// A record was appended. It may not be durable yet; the mark of a later one says when it was.
    Record(LogEntry),
    /// These records were written, and their segment used again, between two looks.
    Missed {
        /// The first of them.
        from: u64,
        /// The last of them.
        upto: u64,
    },
    /// The records behind this one, which were seen, were not durable and are gone: a crash, or another journal in the
    /// place of this one.
    Rewound {
        /// The last one that counts.
        upto: u64,
    },
    /// The journal ends in another way than when this was told last; it is clean to begin with.
    Tail(LogTail),
}

/// Follows a journal: each look gives what came since the last one.
#[derive(Debug)]
pub struct Follow {
    place: Place,
    /// The last record that was shown.
    shown: u64,
    /// The last segment that was shown.
    segment: u64,
    /// How the journal ended when that was told last.
    tail: &'static str,
    /// What the last look found that is not believed yet, and how often.
    doubt: Option<(Doubt, u32)>,
    misses: u32,
    /// What the journal looked like when there was nothing more to show.
    settled: Option<Peek>,
}

/// What may be a moment of a writer at work.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doubt {
    Tail(LogTail),
    Rewound(u64),
}

/// What tells without reading the journal that something happened to it.
#[derive(Debug, PartialEq, Eq)]
struct Peek {
    names: BTreeSet<OsString>,
    /// The header of the last segment, so that another one in its place is noticed.
    head: Vec<u8>,
    /// What stands where the next frame will.
    next: Vec<u8>,
    segment: u64,
    offset: u64,
}

impl Follow {
    /// Follows the journal of the tree at `path`, from its first record on. The tree need not have a journal yet.
    #[must_use]
    pub fn tree(path: impl AsRef<Path>) -> Self {
        Self::new(Place::Tree(path.as_ref().to_owned()))
    }

    /// Follows the journal whose segments lie in the directory `path`.
    #[must_use]
    pub fn journal(path: impl AsRef<Path>) -> Self {
        Self::new(Place::Journal(path.as_ref().to_owned()))
    }

    fn new(place: Place) -> Self {
        Self { place, shown: 0, segment: 0, tail: "clean", doubt: None, misses: 0, settled: None }
    }

    /// Looks, without waiting, and gives what is new; nothing where nothing is. Call it a few times a second: a journal
    /// in which nothing happened costs a list of its directory and two small reads.
    ///
    /// # Errors
    /// As [`log()`](super::log()). Calling it again is allowed.
    pub fn look(&mut self) -> Result<Vec<LogEvent>> {
        match self.try_look() {
            Err(error) if is_gone(&error) && self.misses < MISSES_MAX => {
                self.misses += 1;
                Ok(Vec::new())
            }
            other => {
                self.misses = 0;
                other
            }
        }
    }

    fn try_look(&mut self) -> Result<Vec<LogEvent>> {
        let Some(opened) = self.place.open()? else { return Ok(Vec::new()) };
        if let Some(settled) = &self.settled {
            if peek(&opened, settled.segment, settled.offset).as_ref() == Some(settled) {
                return Ok(Vec::new());
            }
        }
        // Before the scan: what comes between the two is found by the next look.
        let names = names(&opened);
        let mut events = Vec::new();
        let mut records = Vec::new();
        let found = scan(&opened, &mut |frame| {
            if frame.lsn.0 > self.shown {
                let record = Record::decode(frame.kind, frame.payload).map_err(|error| error.to_string());
                records.push(LogEntry::new(frame, record.as_ref().map_err(Clone::clone)));
            }
        })?;
        self.show(&found, records, &mut events);
        self.judge(&found, &mut events);
        self.settled = self.settle(&opened, &found, names);
        Ok(events)
    }

    /// What the scan shows beyond doubt: segments with their headers, and records.
    fn show(&mut self, found: &Scan, records: Vec<LogEntry>, events: &mut Vec<LogEvent>) {
        let mut segments: Vec<LogSegment> =
            LogSegment::all(found).into_iter().filter(|segment| segment.number > self.segment).collect();
        for record in records {
            let begun = segments.iter().take_while(|segment| segment.number <= record.segment).count();
            self.begin(segments.drain(..begun), events);
            self.shown = record.lsn;
            events.push(LogEvent::Record(record));
        }
        self.begin(segments, events);
    }

    fn begin(&mut self, segments: impl IntoIterator<Item = LogSegment>, events: &mut Vec<LogEvent>) {
        for segment in segments {
            // Not its first number: a repair leaves some out that no record has.
            let upto = segment.previous_lsn;
            if self.segment > 0 && upto > self.shown {
                events.push(LogEvent::Missed { from: self.shown.saturating_add(1), upto });
                self.shown = upto;
            }
            self.segment = segment.number;
            events.push(LogEvent::Segment(segment));
        }
    }

    /// What the scan finds that may be a moment of a writer at work.
    fn judge(&mut self, found: &Scan, events: &mut Vec<LogEvent>) {
        let tail = LogTail::of(found);
        let doubt = if found.last < Lsn(self.shown) && found.tail == Tail::Clean {
            Some(Doubt::Rewound(found.last.0))
        } else if found.tail != Tail::Clean {
            Some(Doubt::Tail(tail.clone()))
        } else {
            None
        };
        let Some(doubt) = doubt else {
            self.doubt = None;
            if self.tail != tail.state {
                self.tail = tail.state;
                events.push(LogEvent::Tail(tail));
            }
            return;
        };
        let seen = match self.doubt.take() {
            Some((before, seen)) if before == doubt => seen.saturating_add(1),
            _ => 1,
        };
        if seen == LOOKS {
            match &doubt {
                Doubt::Rewound(upto) => {
                    (self.shown, self.segment) = (*upto, found.segments.last().map_or(0, |last| last.header.seq));
                    events.push(LogEvent::Rewound { upto: *upto });
                }
                Doubt::Tail(tail) if self.tail != tail.state => {
                    self.tail = tail.state;
                    events.push(LogEvent::Tail(tail.clone()));
                }
                Doubt::Tail(_) => {}
            }
        }
        self.doubt = Some((doubt, seen));
    }

    /// What to compare the next look with; `None` where it must read the journal in any case.
    fn settle(&self, opened: &Opened, found: &Scan, names: Option<BTreeSet<OsString>>) -> Option<Peek> {
        if self.doubt.is_some() {
            return None;
        }
        let last = found.segments.last()?;
        let (segment, offset) = (last.header.seq, last.end);
        let head = part(opened, segment, 0, HEAD_BYTES)?;
        // What the scan saw there: zeros, or no room.
        Some(Peek { names: names?, head, next: vec![0; PEEK_BYTES], segment, offset })
    }
}

fn names(opened: &Opened) -> Option<BTreeSet<OsString>> {
    Some(opened.disk.list(&opened.journal).ok()?.into_iter().map(|entry| entry.name).collect())
}

/// `None` where something is not as it was, so that the journal must be read anyway.
fn peek(opened: &Opened, segment: u64, offset: u64) -> Option<Peek> {
    let (names, head) = (names(opened)?, part(opened, segment, 0, HEAD_BYTES)?);
    Some(Peek { names, head, next: part(opened, segment, offset, PEEK_BYTES)?, segment, offset })
}

/// These bytes of a segment, with zeros for those that it does not have.
fn part(opened: &Opened, segment: u64, offset: u64, bytes: usize) -> Option<Vec<u8>> {
    let file = opened.disk.open(&opened.journal, OsStr::new(&format!("{segment:016x}.wal")), Open::Read).ok()?;
    let mut part = vec![0; bytes];
    opened.disk.read_at(&file, &mut part, offset).ok()?;
    Some(part)
}
