//! Crash-safe transactions over a tree of files: many files change together, or not at all.
//!
//! Use a [`Transaction`] when your program makes the changes itself; a [`Guard`] when it lets something else make them: a
//! library, an embedded database, a child process. Either way the tree is, after any crash and one opening, as it was
//! before or as it should be after, and never in between.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let project = dir.path();
//! let tree = treewal::Tree::open(project)?;
//!
//! tree.transaction(|tx| {
//!     tx.create_dir_all("posts")?;
//!     tx.write("posts/first.md", "# Hello")?;
//!     tx.write("index.md", "- [Hello](posts/first.md)")
//! })?;
//!
//! // Anything may write here in place; without the commit, all of it is undone.
//! let guard = tree.guard(["index.md"])?;
//! # {
//! # #![allow(clippy::disallowed_methods)]
//! std::fs::write(project.join("index.md"), "oops")?;
//! # }
//! guard.rollback()?;
//! assert_eq!(tree.begin().read_to_string("index.md")?, "- [Hello](posts/first.md)");
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! A transaction gathers its changes in memory and in a private stage. A commit writes what it is about to do, small
//! contents included, to a journal, and syncs that once: the commit point, one sync for any number of files. Then it
//! exchanges the new entries with the old ones by rename, so that no path is ever missing. A crash leaves a tree that the
//! next opening brings to what the journal says. A guard snapshots its paths first, by reflink where the file system can,
//! and restores them unless it is committed.
//!
//! # What it does not promise
//!
//! Isolation from readers that do not know of treewal: while a commit renames its files one after another, such a reader
//! may see some new and some old. Each single path is old or new, and there. See `docs/guarantees.md` for what each
//! promise needs of the disk.

mod batch;
mod changeset;
mod commit;
mod engine;
mod error;
mod guard;
mod inspect;
mod options;
mod path;
mod quarantine;
mod reader;
mod resolve;
mod retry;
mod snapshot;
mod taking;
mod transaction;
mod tree;

pub use batch::Batch;
pub use changeset::{Change, ChangeSet, Expectation, Timestamp};
pub use commit::Receipt;
#[doc(hidden)]
pub use commit::interleave;
pub use engine::Others;
pub use error::{Error, Holder, Outcome, Result};
pub use guard::{Guard, GuardOptions, Guarding};
pub use inspect::{
    Finding, Follow, Log, LogEntry, LogEvent, LogSegment, LogTail, LogTransaction, Status, Unfinished,
    export_quarantine, log, log_of, quarantine, quarantined, snapshots, status, status_with, verify, verify_with,
};
pub use options::{CheckpointSync, Checkpoints, Durability, MountedFiles, OnDamage, Options};
pub use quarantine::{
    Exported, QuarantineDetails, QuarantineItem, Quarantined, Retried, Retry, RetryConflict, RetryStep,
};
pub use reader::Reader;
pub use resolve::outlooks;
pub use retry::RetryPolicy;
pub use snapshot::{Naming, Snapshot, SnapshotEntry, SnapshotOptions, SnapshotSummary};
pub use taking::Taking;
pub use transaction::{DirEntry, Expect, FileTimes, How, Metadata, PathChange, Publish, StagedFile, Transaction};
pub use tree::Tree;
pub use treewal_recovery::decide::Resolution;
pub use treewal_recovery::resolve::Outlook;
pub use treewal_recovery::{LastRecovery, RecoveryReport, TransactionReport};
pub use treewal_snapshot::{
    Change as GuardChange, ChangeKind as GuardChangeKind, Mode as SnapshotMode, Progress, Report as SnapshotReport,
    Sharing,
};
pub use treewal_vfs::Kind;
