//! What can go wrong while a tree's directory is opened or recovered.

use std::io;
use std::path::PathBuf;

use crate::home::Holder;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of recovery. The journal still holds whatever was not finished, so the next open goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what, relative to the tree.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory that treewal keeps in the tree cannot be used.
    #[error("cannot use {path:?}: {reason}")]
    Store {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Another handle holds the tree's lock.
    #[error("the tree is locked by {holder}")]
    Locked {
        /// Who.
        holder: Holder,
        /// Whether it is a reader, of which there may be more.
        reads: bool,
    },
    /// A step found something else than what it was to move: somebody changed it in the meantime.
    #[error("{path:?} changed while it was being replaced")]
    Changed {
        /// Where.
        path: PathBuf,
    },
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] treewal_journal::Error),
    /// A snapshot failed.
    #[error("the snapshot failed")]
    Snapshot(#[from] treewal_snapshot::Error),
    /// A record does not fit.
    #[error("cannot encode a record: {0}")]
    Codec(treewal_vfs::codec::CodecError),
}

impl Error {
    pub(crate) fn io(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { verb, path, source }
    }

    /// The kind, as `std::io` names it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Store { .. } => io::ErrorKind::PermissionDenied,
            Self::Locked { .. } => io::ErrorKind::ResourceBusy,
            Self::Changed { .. } => io::ErrorKind::StaleNetworkFileHandle,
            Self::Journal(source) => journal_kind(source),
            Self::Snapshot(source) => snapshot_kind(source),
            Self::Codec(_) => io::ErrorKind::InvalidData,
        }
    }
}

/// The kind of an error of the journal.
#[must_use]
pub fn journal_kind(error: &treewal_journal::Error) -> io::ErrorKind {
    use treewal_journal::Error as Journal;
    match error {
        Journal::Io { source, .. } => source.kind(),
        Journal::Poisoned { source, .. } => source.kind(),
        Journal::RecordTooLarge { .. } | Journal::SegmentBytes(_) | Journal::KindZero => io::ErrorKind::InvalidInput,
        Journal::Version { .. } => io::ErrorKind::Unsupported,
        Journal::Damaged(_) | Journal::Foreign { .. } => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    }
}

/// The kind of an error of a snapshot.
#[must_use]
pub fn snapshot_kind(error: &treewal_snapshot::Error) -> io::ErrorKind {
    use treewal_snapshot::Error as Snapshot;
    match error {
        Snapshot::Io { source, .. } => source.kind(),
        Snapshot::OtherFileSystem { .. } => io::ErrorKind::CrossesDevices,
        Snapshot::NotADirectory { .. } => io::ErrorKind::NotADirectory,
        Snapshot::Excluded { .. } | Snapshot::TooLarge { .. } => io::ErrorKind::InvalidInput,
        Snapshot::Version { .. } => io::ErrorKind::Unsupported,
        Snapshot::Incomplete { .. } | Snapshot::Damaged { .. } | Snapshot::Lost { .. } | Snapshot::InPlace { .. } => {
            io::ErrorKind::InvalidData
        }
        _ => io::ErrorKind::Other,
    }
}
