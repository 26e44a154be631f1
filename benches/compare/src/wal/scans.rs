//! Logs that are read as a whole, and who reads them.

use std::path::Path;

use treewal_journal::Source;

use crate::Result;
use crate::contestant::{Kind, Role};
use crate::home::Home;
use crate::rounds::Run;
use crate::{mapped, okay, ours, raft, waldb};

/// What a reader saw: enough that it has to have looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) records: u64,
    bytes: u64,
    first: u64,
}

impl Seen {
    #[inline]
    pub(crate) fn visit(&mut self, payload: &[u8]) {
        self.records += 1;
        self.bytes += payload.len() as u64;
        self.first += payload.first().map_or(0, |byte| u64::from(*byte));
    }
}

/// A reader, by the name that the tables give it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Limit,
    Ours,
    OursMapped,
    OursTwo,
    Okay,
    Raft,
    RaftIndex,
    WalDb,
}

impl Reader {
    pub(crate) const ALL: [Self; 8] = [
        Self::Limit,
        Self::OursMapped,
        Self::OursTwo,
        Self::Ours,
        Self::Okay,
        Self::Raft,
        Self::RaftIndex,
        Self::WalDb,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit, mapped",
            Self::Ours => "treewal-journal, read",
            Self::OursMapped => "treewal-journal, mapped",
            Self::OursTwo => "treewal-journal, mapped, two threads",
            Self::Okay => "okaywal 0.3.1, recover",
            Self::Raft => "raft-engine 0.4.2, open and fetch",
            Self::RaftIndex => "raft-engine 0.4.2, open, for an index alone",
            Self::WalDb => "wal-db 1.1.0, open and iter",
        }
    }

    pub(crate) fn role(self) -> Role {
        match self {
            Self::Limit => Role::Limit,
            // Recovery maps; who merely looks reads.
            Self::OursMapped => Role::Ours,
            Self::Ours | Self::OursTwo => Role::Aside,
            Self::RaftIndex => Role::Aside,
            _ => Role::Peer,
        }
    }

    /// Who writes the log, and the room that it is given at the start.
    fn writer(self, all: Whole) -> (Kind, u64) {
        match self {
            Self::Limit => (Kind::Framed, all.room()),
            Self::Ours | Self::OursMapped | Self::OursTwo => (Kind::Ours, SEGMENT_BYTES),
            Self::Okay => (Kind::OkayLarge, all.room()),
            Self::Raft | Self::RaftIndex => (Kind::Raft, all.room()),
            Self::WalDb => (Kind::WalDb, all.room()),
        }
    }

    /// Reads the log in `dir` and refuses one that does not hold all of it.
    pub(crate) fn read(self, dir: &Path, all: Whole) -> Result {
        let seen = match self {
            Self::Limit => mapped::scan(dir)?,
            Self::Ours => ours::scan(dir, Source::Buffered, 1)?,
            Self::OursMapped => ours::scan(dir, Source::Mapped, 1)?,
            Self::OursTwo => ours::scan(dir, Source::Mapped, 2)?,
            Self::Okay => okay::scan(dir, all.room())?,
            Self::WalDb => waldb::scan(dir)?,
            Self::Raft => Seen { first: all.seen().first, ..raft::scan(dir)? },
            Self::RaftIndex => Seen { records: raft::open(dir)?, ..all.seen() },
        };
        if seen == all.seen() { Ok(()) } else { Err(format!("{}: saw {seen:?}", self.name()).into()) }
    }

    /// Writes a log to read, durably.
    pub(crate) fn write(self, run: &mut Run, all: Whole) -> Result<Home> {
        let home = run.home()?;
        let record = all.payload();
        let (kind, room) = self.writer(all);
        let log = kind.make(&home.path, room)?;
        if self == Self::Okay {
            // An entry is durable: one for each record would take an hour.
            let chunks = CHUNKED_BYTES / all.record;
            (0..all.records / chunks).try_for_each(|_| log.commit_many(&record, chunks))?;
        } else {
            (0..all.records).try_for_each(|_| log.append(&record))?;
            log.sync()?;
        }
        log.end()?;
        home.settle()?;
        Ok(home)
    }
}

/// Of ours; the default of its options.
const SEGMENT_BYTES: u64 = 8 << 20;
const CHUNKED_BYTES: usize = 1 << 20;

/// A log as a whole.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) record: usize,
    pub(crate) records: usize,
}

impl Whole {
    pub(crate) fn new(record: usize, bytes: usize) -> Self {
        Self { record, records: bytes / record }
    }

    pub(crate) fn bytes(self) -> usize {
        self.records * self.record
    }

    /// Room for it with everybody's frames.
    fn room(self) -> u64 {
        (self.records * (self.record + 32)).next_multiple_of(1 << 20) as u64
    }

    /// Each record of it. A raft log writes numbers over the first bytes.
    fn payload(self) -> Vec<u8> {
        vec![1; self.record]
    }

    fn seen(self) -> Seen {
        Seen { records: self.records as u64, bytes: self.bytes() as u64, first: self.records as u64 }
    }
}
