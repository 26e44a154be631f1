//! What can go wrong, and in which state it leaves the tree.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use treewal_vfs::{BadPath, RelPath, errno};

use crate::engine::Own;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// In which state an error leaves the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The transaction is not committed, and the tree was never touched.
    Unchanged,
    /// The transaction is not committed; what it had begun to change was put back, and that is durable.
    RolledBack,
    /// Nobody knows before the tree is opened again: the disk failed at the commit point, or while putting things back.
    /// Opening the tree, or `treewal recover`, decides it one way or the other, wholly.
    Undecided,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holder {
    /// Process id, where the lock file says so or, of a reader, the system.
    pub pid: Option<u32>,
    /// When the holder opened the tree, as seconds since 1970 by its clock; of a reader, when its process began.
    pub since: Option<u64>,
    /// Whether the holder is this very process.
    pub this_process: bool,
    /// Whether it is the very thread that asked, with a guard or a reader that has not ended: nothing was waited for.
    pub this_thread: bool,
    /// Whether it only reads. There may be other readers beside it.
    pub reads: bool,
    /// Where it is a guard of the same handle that is in the way: the guarded path, or pattern, that is met.
    pub guards: Option<PathBuf>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.guards {
            let who = if self.this_thread { "of this thread: end it first" } else { "of this process" };
            return write!(f, "a guard on {path:?} {who}");
        }
        match (self.pid, self.reads) {
            (_, true) if self.this_thread => f.write_str("this thread, which reads it: drop the reader first"),
            _ if self.this_thread => f.write_str("this thread, which guards it: end the guard first"),
            (_, reads) if self.this_process => {
                f.write_str(if reads { "this process, which reads it" } else { "this process" })
            }
            (Some(pid), true) => write!(f, "process {pid}, which reads it"),
            (Some(pid), false) => write!(f, "process {pid}"),
            (None, true) => f.write_str("a reader"),
            (None, false) => f.write_str("another process"),
        }
    }
}

/// An error of treewal. [`Error::outcome`] says in which state it leaves the tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. Where `std::fs` would give an error, the kind is the same.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path cannot name anything in the tree.
    #[error("invalid path {path:?}")]
    InvalidPath {
        /// As it was given.
        path: PathBuf,
        /// Why.
        source: BadPath,
    },
    /// A component of the path is a symlink. A transaction does not go through links: what it changes must be where
    /// its path says. Name the target instead.
    #[error("{path:?} is a symlink, and a transaction does not go through links; name its target instead")]
    ThroughSymlink {
        /// The link, or the path that meets it.
        path: PathBuf,
    },
    /// The path is on another file system than the tree: nothing can be moved there in one step.
    #[error("{path:?} is on another file system than the tree")]
    OtherFileSystem {
        /// Which.
        path: PathBuf,
    },
    /// The tree is on a network file system: other machines may have it mounted, where treewal's lock may keep nobody out.
    /// [`Options::allow_network`](crate::Options::allow_network) opens it all the same.
    #[error("{path:?} is on a network file system ({file_system}), where nothing can be promised")]
    NetworkFileSystem {
        /// The tree.
        path: PathBuf,
        /// The name of the file system.
        file_system: String,
    },
    /// The path is treewal's own directory.
    #[error("{path:?} belongs to treewal itself")]
    Reserved {
        /// Which.
        path: PathBuf,
    },
    /// The directory that treewal keeps in the tree cannot be used.
    #[error("cannot use {path:?}: {reason}")]
    Store {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Somebody else changed what the transaction is about to replace, or an expectation does not hold. Nothing
    /// happened; starting again from what is there now may succeed.
    #[error("conflict at {path:?}: {detail}")]
    Conflict {
        /// Where.
        path: PathBuf,
        /// What is there instead.
        detail: String,
    },
    /// Another process, a guard, or a reader holds the tree.
    #[error("the tree is locked by {holder}")]
    Locked {
        /// Who.
        holder: Holder,
    },
    /// The commit failed after its commit point; what it had changed was put back, durably.
    #[error("commit failed at {path:?} and was rolled back")]
    RolledBack {
        /// Where.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// The disk failed at the commit point, or while putting things back. Open the tree again to decide it.
    #[error("the outcome is undecided until the tree is opened again")]
    Undecided {
        /// Why.
        source: Box<Error>,
    },
    /// An earlier failure left this handle without a journal it may trust. Open the tree again.
    #[error("an earlier disk error stopped this tree; open it again")]
    Poisoned,
    /// Recovery could not finish or undo an earlier transaction yet: until it can, nobody touches the paths of that, so
    /// that it never meets later work. Other paths go on. Mend what keeps it from working and open the tree again, or
    /// [`resolve`](crate::Options::resolve) it.
    #[error("{path:?} belongs to transaction {txn}, which is still to be finished or undone")]
    Pending {
        /// The path of that transaction that is touched.
        path: PathBuf,
        /// Its number.
        txn: u64,
    },
    /// A change of a change set failed.
    #[error("change {index} failed")]
    Change {
        /// Which, counted from 0.
        index: usize,
        /// Why.
        source: Box<Error>,
    },
    /// A value of a change set is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[source] treewal_journal::Error),
    /// A snapshot failed.
    #[error("the snapshot failed")]
    Snapshot(#[source] treewal_snapshot::Error),
    /// Recovery could not run.
    #[error("recovery failed")]
    Recovery(#[source] treewal_recovery::Error),
}

impl Error {
    pub(crate) fn io(verb: &'static str, path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::from_os(verb, path.to_path(), source)
    }

    /// Turns the system's answer into ours, where it has a name of its own.
    pub(crate) fn from_os(verb: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::CrossesDevices => Self::OtherFileSystem { path },
            _ if source.raw_os_error() == Some(errno::ELOOP) => Self::ThroughSymlink { path },
            _ => Self::Io { verb, path, source },
        }
    }

    /// An error of recovery, as one of ours.
    pub(crate) fn from_recovery(error: treewal_recovery::Error) -> Self {
        use treewal_recovery::Error as From;
        match error {
            From::Io { verb, path, source } => Self::from_os(verb, path, source),
            From::Store { path, reason } => Self::Store { path, reason },
            From::Changed { path } => {
                Self::Conflict { path, detail: "somebody changed it while it was being replaced".to_owned() }
            }
            From::Journal(source) => Self::Journal(source),
            From::Snapshot(source) => Self::Snapshot(source),
            other => Self::Recovery(other),
        }
    }

    /// An error of taking the lock; `me` is who asked, with what its thread has of the tree already.
    pub(crate) fn from_lock(error: treewal_recovery::Error, me: treewal_recovery::home::Holder, own: Own) -> Self {
        match error {
            treewal_recovery::Error::Locked { holder, reads } => Self::Locked {
                holder: Holder {
                    pid: (holder.pid != 0).then_some(holder.pid),
                    since: (holder.since != 0).then_some(holder.since),
                    this_process: holder.pid == me.pid || own.is_any(),
                    this_thread: own.is_any(),
                    reads: if own.is_any() { own.reads && !own.guards } else { reads },
                    guards: None,
                },
            },
            other => Self::from_recovery(other),
        }
    }

    pub(crate) fn kinded(verb: &'static str, path: &RelPath, kind: io::ErrorKind) -> Self {
        Self::Io { verb, path: path.to_path(), source: kind.into() }
    }

    /// The kind, as `std::io` names it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::InvalidPath { .. } | Self::Input(_) | Self::ThroughSymlink { .. } => io::ErrorKind::InvalidInput,
            Self::OtherFileSystem { .. } => io::ErrorKind::CrossesDevices,
            Self::Reserved { .. } | Self::Store { .. } => io::ErrorKind::PermissionDenied,
            Self::NetworkFileSystem { .. } => io::ErrorKind::Unsupported,
            Self::Conflict { .. } => io::ErrorKind::StaleNetworkFileHandle,
            Self::Locked { .. } => io::ErrorKind::ResourceBusy,
            Self::RolledBack { source, .. } | Self::Undecided { source } | Self::Change { source, .. } => source.kind(),
            Self::Pending { .. } => io::ErrorKind::ResourceBusy,
            Self::Poisoned => io::ErrorKind::Other,
            Self::Journal(source) => treewal_recovery::journal_kind(source),
            Self::Snapshot(source) => treewal_recovery::snapshot_kind(source),
            Self::Recovery(source) => source.kind(),
        }
    }

    /// The path that the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::InvalidPath { path, .. }
            | Self::ThroughSymlink { path }
            | Self::OtherFileSystem { path }
            | Self::NetworkFileSystem { path, .. }
            | Self::Reserved { path }
            | Self::Store { path, .. }
            | Self::Conflict { path, .. }
            | Self::Pending { path, .. }
            | Self::RolledBack { path, .. } => Some(path),
            Self::Undecided { source } | Self::Change { source, .. } => source.path(),
            Self::Locked { holder } => holder.guards.as_deref(),
            _ => None,
        }
    }

    /// Whether the same transaction, started again, may succeed without anything being mended.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Locked { holder } => !holder.this_thread,
            Self::RolledBack { source, .. } | Self::Change { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// In which state the error leaves the tree.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::RolledBack { .. } => Outcome::RolledBack,
            Self::Undecided { .. } => Outcome::Undecided,
            Self::Change { source, .. } => source.outcome(),
            _ => Outcome::Unchanged,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}
