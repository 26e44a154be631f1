//! One record of the journal, in words.

use serde::Serialize;
use treewal_journal::record::{Body, Goal, PathBytes, Record};
use treewal_journal::{Frame, Lsn};
use treewal_vfs::RelPath;

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
    /// Its mark: every record up to here was durable when it was written. 0 says nothing of any.
    pub durable: u64,
    /// What it is: `begin`, `intent`, `commit`, `rollback`, `attempt`, `checkpoint`, `quarantine`, `guard`, `unknown`.
    pub kind: &'static str,
    /// What it says, on one line.
    pub says: String,
}

impl LogEntry {
    /// A frame with what it holds; `Err` says why that is no record.
    pub(super) fn new(frame: &Frame<'_>, record: Result<&Record, String>) -> Self {
        let (kind, says) = record.map_or_else(|error| ("unknown", error), describe);
        let (Lsn(lsn), Lsn(durable)) = (frame.lsn, frame.durable);
        let (segment, offset, bytes) = (frame.segment, frame.offset, frame.payload.len());
        Self { lsn, segment, offset, bytes, durable, kind, says }
    }
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
        Goal::Emptied => "remove directory".to_owned(),
        Goal::Kept => "set attributes of".to_owned(),
        Goal::Moved { from, .. } => format!("move {} to", shown(from)),
        Goal::New(new) => match &new.body {
            Body::Dir => "make directory".to_owned(),
            Body::Symlink(_) => "make symlink".to_owned(),
            Body::Inline(bytes) => format!("write {} bytes to", bytes.len()),
            Body::Link { from } => format!("link {} to", shown(from)),
            Body::Staged => format!("write {} staged bytes to", new.identity.size),
        },
        Goal::Rewritten { new, .. } => format!("write {} bytes in place to", new.identity.size),
    }
}

fn shown(path: &PathBytes) -> String {
    RelPath::from_bytes(&path.0).map_or_else(|_| "(a path outside the tree)".to_owned(), |path| format!("{path:?}"))
}
