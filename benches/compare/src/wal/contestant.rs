//! The contestants, by the names that the tables give them.

use std::path::Path;

use crate::Result;
use crate::limit::{FRAME_BYTES, Limit, WIDE_FRAME_BYTES};
use crate::okay::Okay;
use crate::ours::Ours;
use crate::raft::Raft;
use crate::redb::Redb;
use crate::sqlite::Sqlite;
use crate::waldb::WalDb;

/// A log that records are appended to, by any number of threads.
pub(crate) trait Log: Send + Sync {
    /// Appends a record for the thread of this number. The record survives a power loss when this returns.
    fn commit(&self, thread: usize, record: &[u8]) -> Result;

    /// Appends a record so many times, durably, with one write and one sync.
    fn commit_many(&self, _record: &[u8], _records: usize) -> Result {
        Err("commits one record at a time".into())
    }

    /// Appends a record that survives nothing yet.
    fn append(&self, _record: &[u8]) -> Result {
        Err("appends only what it makes durable".into())
    }

    /// Hands the kernel what was appended.
    fn flush(&self) -> Result {
        Ok(())
    }

    /// Makes durable what was appended.
    fn sync(&self) -> Result {
        Err("appends only what it makes durable".into())
    }

    /// Lets go of the directory.
    fn end(self: Box<Self>) -> Result {
        Ok(())
    }
}

/// What a row of a table is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Limit,
    Ours,
    Peer,
    /// Shown, but no one's rival: a limit with a part left out, or ours in a special case.
    Aside,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Limit,
    Framed,
    FramedWide,
    Ours,
    Okay,
    OkayLarge,
    Raft,
    RaftPrefilled,
    WalDb,
    Sqlite,
    Redb,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Framed => "limit, with frames",
            Self::FramedWide => "limit, frames of 32 bytes",
            Self::Ours => "treewal-journal",
            Self::Okay => "okaywal 0.3.1, defaults",
            Self::OkayLarge => "okaywal 0.3.1, large segments",
            Self::Raft => "raft-engine 0.4.2",
            Self::RaftPrefilled => "raft-engine 0.4.2, prefilled",
            Self::WalDb => "wal-db 1.1.0",
            Self::Sqlite => "SQLite, WAL, synchronous=FULL",
            Self::Redb => "redb 4.4.0, Immediate",
        }
    }

    /// The row of a table whose limit has frames.
    pub(crate) fn row_under_framed_limit(self) -> (String, Role) {
        match self {
            Self::Framed => ("limit".to_owned(), Role::Limit),
            other => (other.name().to_owned(), other.role()),
        }
    }

    pub(crate) fn role(self) -> Role {
        match self {
            Self::Limit => Role::Limit,
            Self::Framed | Self::FramedWide => Role::Aside,
            Self::Ours => Role::Ours,
            _ => Role::Peer,
        }
    }

    /// Makes an empty log in an empty directory, with `room` bytes for all that will be appended, frames among it.
    pub(crate) fn make(self, dir: &Path, room: u64) -> Result<Box<dyn Log>> {
        Ok(match self {
            Self::Limit => Box::new(Limit::new(dir, room, 0)?),
            Self::Framed => Box::new(Limit::new(dir, room, FRAME_BYTES)?),
            Self::FramedWide => Box::new(Limit::new(dir, room, WIDE_FRAME_BYTES)?),
            Self::Ours => Box::new(Ours::new(dir, room, false)?),
            Self::Okay => Box::new(Okay::new(dir, None)?),
            Self::OkayLarge => Box::new(Okay::new(dir, Some(room))?),
            Self::Raft => Box::new(Raft::new(dir, None)?),
            Self::RaftPrefilled => Box::new(Raft::new(dir, Some(room))?),
            Self::WalDb => Box::new(WalDb::new(dir)?),
            Self::Sqlite => Box::new(Sqlite::new(dir)?),
            Self::Redb => Box::new(Redb::new(dir)?),
        })
    }
}
