//! The state of a tree, without touching it.

use std::path::Path;

use serde::Serialize;
use treewal_journal::Tail;
use treewal_recovery::decide::{Facts, Verdict, decide};
use treewal_recovery::home::{Holder, Home, TreeLock};
use treewal_recovery::survey::{is_sound, read_history};
use treewal_recovery::{LastRecovery, read_last};
use treewal_vfs::Dir;

use super::home;
use crate::snapshot::list;
use crate::{Error, Options, Result};

/// The state of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// `unused` where treewal was never used on the tree, `clean`, `busy` while another process works on it,
    /// `unfinished` where the next opening has something to finish or undo, `damaged`.
    pub state: &'static str,
    /// Process that holds the tree right now.
    pub holder: Option<u32>,
    /// Processes that read it right now and keep others from writing, as far as the system tells.
    pub readers: Vec<u32>,
    /// How the journal ends: `clean`, `torn` or `corrupt`.
    pub tail: &'static str,
    /// Number of the last record.
    pub last_lsn: u64,
    /// Bytes of the journal's segments.
    pub journal_bytes: u64,
    /// Transactions that no checkpoint has settled, and what the next opening does about them.
    pub transactions: Vec<Unfinished>,
    /// How many stage directories there are; each belongs to an open handle, or is swept by the next opening.
    pub stages: usize,
    /// Named snapshots.
    pub snapshots: Vec<String>,
    /// What recovery could not place: directories below `.treewal/quarantine`.
    pub quarantine: Vec<String>,
    /// Bytes of disk that quarantine takes.
    pub quarantine_bytes: u64,
    /// Whether that is more than [`Options::quarantine_limit`]. Nothing is removed for it.
    pub quarantine_is_full: bool,
    /// What the last recovery that had anything to do found and did; `None` where there was none.
    pub last_recovery: Option<LastRecovery>,
}

/// A transaction that no checkpoint has settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unfinished {
    /// Its number.
    pub txn: u64,
    /// `staged` or `guarded`.
    pub kind: &'static str,
    /// The row of recovery's decision table.
    pub label: &'static str,
    /// Whether the next opening has work with it.
    pub owed: bool,
    /// How many tries were made already.
    pub attempts: u32,
    /// Why each of them failed; empty for one that was cut short.
    pub failures: Vec<String>,
}

/// The state of the tree at `path`. Reads only: takes no lock, and makes nothing.
///
/// # Errors
/// Any error of the disk, a journal of a newer format.
pub fn status(path: impl AsRef<Path>) -> Result<Status> {
    status_with(&Options::new(), path)
}

/// The same, with what [`Options::quarantine_limit`] says; no other option counts.
///
/// # Errors
/// As [`status`].
pub fn status_with(options: &Options, path: impl AsRef<Path>) -> Result<Status> {
    home(path.as_ref())?.map_or_else(|| Ok(unused()), |home| of(&home, options))
}

fn unused() -> Status {
    Status {
        state: "unused",
        holder: None,
        readers: Vec::new(),
        tail: "clean",
        last_lsn: 0,
        journal_bytes: 0,
        transactions: Vec::new(),
        stages: 0,
        snapshots: Vec::new(),
        quarantine: Vec::new(),
        last_recovery: None,
        quarantine_bytes: 0,
        quarantine_is_full: false,
    }
}

/// The state of the tree that is at home there.
pub(crate) fn of(home: &Home, options: &Options) -> Result<Status> {
    let mut status = unused();
    let (scan, history) = read_history(home, None).map_err(Error::from_recovery)?;
    status.tail = match scan.tail {
        Tail::Clean => "clean",
        Tail::Torn { .. } => "torn",
        Tail::Corrupt { .. } => "corrupt",
    };
    status.last_lsn = scan.last.0;
    status.journal_bytes = scan.segments.iter().map(|segment| segment.header.segment_bytes).sum();
    for (txn, told) in &history.transactions {
        let (sound, waits) = (is_sound(*txn, told), told.has_failed());
        let (label, verdict) = decide(Facts { sound, waits, ..told.facts(u32::MAX) });
        status.transactions.push(Unfinished {
            txn: *txn,
            kind: told.kind(),
            label,
            owed: !matches!(verdict, Verdict::Forget | Verdict::Discard),
            attempts: told.attempts(),
            failures: told.tries.clone(),
        });
    }
    status.stages = names(home, &home.stage)?.iter().filter(|name| !name.ends_with(".lock")).count();
    status.snapshots = list(home)?.iter().map(|snapshot| snapshot.name().to_owned()).collect();
    let quarantine = crate::quarantine::names(home)?;
    status.quarantine = quarantine.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    status.quarantine_bytes = crate::quarantine::bytes(home)?;
    status.quarantine_is_full = status.quarantine_bytes > options.quarantine_limit;
    status.last_recovery = read_last(home);
    status.holder = TreeLock::held_by(home).map_err(Error::from_recovery)?.map(|holder: Holder| holder.pid);
    if status.holder.is_none() {
        status.readers = TreeLock::readers(home).map_err(Error::from_recovery)?;
    }
    status.state = match (&scan.tail, status.holder) {
        (Tail::Corrupt { .. }, None) => "damaged",
        (_, Some(_)) => "busy",
        _ if status.transactions.iter().any(|transaction| transaction.owed) => "unfinished",
        _ => "clean",
    };
    Ok(status)
}

fn names(home: &Home, dir: &Dir) -> Result<Vec<String>> {
    let entries = home.disk.list(dir).map_err(|source| Error::from_os("list", ".treewal".into(), source))?;
    let mut names: Vec<String> = entries.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}
