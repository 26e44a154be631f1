//! The journal as a list of entries, for people and scripts.

use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use treewal_journal::record::{Body, Goal, PathBytes, Record};
use treewal_journal::{Frame, Reader};
use treewal_vfs::RelPath;

use super::home;
use crate::{Error, Result};

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number.
    pub lsn: u64,
    /// The segment it is in.
    pub segment: u64,
    /// Where its frame starts, in bytes.
    pub offset: u64,
    /// Length of its payload, in bytes.
    pub bytes: usize,
    /// What it is: `begin`, `intent`, `commit`, `rollback`, `attempt`, `checkpoint`, `quarantine`, `guard`, `unknown`.
    pub kind: &'static str,
    /// What it says, on one line.
    pub says: String,
}

/// The records of the journal of the tree at `path`, oldest first; none where treewal was never used on the tree.
///
/// Records that a checkpoint covers may still be listed until their segment is used again.
///
/// # Errors
/// Any error of the disk, a journal of a newer format.
pub fn log(path: impl AsRef<Path>) -> Result<Vec<LogEntry>> {
    let Some(home) = home(path.as_ref())? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    Reader::scan(&*home.disk, &home.journal, None, &mut |frame| {
        entries.push(entry(&frame));
        ControlFlow::Continue(())
    })
    .map_err(Error::Journal)?;
    Ok(entries)
}

fn entry(frame: &Frame<'_>) -> LogEntry {
    let (kind, says) = match Record::decode(frame.kind, frame.payload) {
        Ok(record) => describe(&record),
        Err(error) => ("unknown", error.to_string()),
    };
    LogEntry { lsn: frame.lsn.0, segment: frame.segment, offset: frame.offset, bytes: frame.payload.len(), kind, says }
}

fn describe(record: &Record) -> (&'static str, String) {
    match record {
        Record::Begin(begin) if begin.barrier => {
            ("begin", format!("transaction {}, alone between checkpoints", begin.txn))
        }
        Record::Begin(begin) => ("begin", format!("transaction {}", begin.txn)),
        Record::Intent(intent) => ("intent", format!("{} {}", what(&intent.goal), shown(&intent.path))),
        Record::Commit { txn, intents: 0, .. } => ("commit", format!("transaction {txn}")),
        Record::Commit { txn, intents, .. } => ("commit", format!("transaction {txn}, {intents} changes")),
        Record::Rollback { txn } => ("rollback", format!("transaction {txn}")),
        Record::Attempt { txn, number, .. } => ("attempt", format!("transaction {txn}, try {number}")),
        Record::Checkpoint { upto } => ("checkpoint", format!("everything up to {upto} is in the tree")),
        Record::Quarantine { txn, name, reason } => ("quarantine", format!("transaction {txn} in {name}: {reason}")),
        Record::Guard(guard) => {
            let paths: Vec<String> = guard.paths.iter().map(shown).collect();
            ("guard", format!("transaction {} on {}", guard.txn, paths.join(", ")))
        }
    }
}

fn what(goal: &Goal) -> String {
    match goal {
        Goal::Absent => "remove".to_owned(),
        Goal::Kept => "set the mode of".to_owned(),
        Goal::Moved { from, .. } => format!("move {} to", shown(from)),
        Goal::New(new) => match &new.body {
            Body::Dir => "make directory".to_owned(),
            Body::Symlink(_) => "make symlink".to_owned(),
            Body::Inline(bytes) => format!("write {} bytes to", bytes.len()),
            Body::Staged => format!("write {} staged bytes to", new.identity.size),
        },
    }
}

fn shown(path: &PathBytes) -> String {
    RelPath::from_bytes(&path.0).map_or_else(|_| "(a path outside the tree)".to_owned(), |path| format!("{path:?}"))
}
