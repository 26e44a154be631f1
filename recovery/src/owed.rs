//! Transactions that are owed: recovery could neither finish nor undo them yet.
//!
//! The tree works on beside them. What they touch is refused to others, so whatever is committed meanwhile never meets
//! them, and a later try does to their paths what an earlier one would have done. They must outlast the checkpoints of the
//! others, and must not keep the journal from forgetting: so each checkpoint *tells them again*, behind what it covers.
//! The journal then holds what is owed once or twice, and never grows with what is committed beside it.

use treewal_journal::record::Record;
use treewal_vfs::RelPath;

use crate::history::{Told, Work};
use crate::home::Home;
use crate::reach::Reach;

/// A transaction that is owed.
#[derive(Debug, Clone)]
pub struct Owed {
    /// Its number.
    pub txn: u64,
    reach: Reach,
    /// All that the journal has to say of it.
    records: Vec<Record>,
    bytes: u64,
}

impl Owed {
    /// With the tries that were made, the last one among them.
    pub(crate) fn new(home: &Home, txn: u64, told: &Told, tries: &[String]) -> Self {
        let records = again(txn, told, tries);
        let size = |record: &Record| record.encode().map_or(0, |bytes| bytes.len() as u64);
        let bytes = records.iter().map(size).sum();
        Self { txn, reach: Reach::of(home, told), records, bytes }
    }

    /// What a checkpoint writes behind what it covers.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// How many bytes that is, without what frames add.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What of it is touched by who touches `path`, with all that lies beneath it.
    #[must_use]
    pub fn touched(&self, path: &RelPath) -> Option<RelPath> {
        self.reach.touched(path)
    }

    /// What of it a pattern describes, or may come to describe.
    #[must_use]
    pub fn matched(&self, pattern: &RelPath) -> Option<RelPath> {
        self.reach.matched(pattern)
    }

    /// The stage that it may still need.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match record {
            Record::Begin(begin) => Some(begin.stage.as_str()),
            _ => None,
        })
    }

    /// The snapshot that it may still need, below `guards`.
    #[must_use]
    pub fn snapshot(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match record {
            Record::Guard(guard) => Some(guard.snapshot.as_str()),
            _ => None,
        })
    }
}

/// All records of a transaction, with all its tries: what the journal said of it, said again.
fn again(txn: u64, told: &Told, tries: &[String]) -> Vec<Record> {
    let mut records = Vec::new();
    match &told.work {
        Work::Staged(begin, intents) => {
            records.push(Record::Begin(begin.clone()));
            records.extend(intents.iter().cloned().map(Record::Intent));
            let intents = told.committed.unwrap_or_default();
            records.push(Record::Commit { txn, intents, at: told.at });
        }
        Work::Guarded(guard) => records.push(Record::Guard(guard.clone())),
    }
    // A handle that follows another knows by these that something is owed.
    records.extend((1..).zip(tries).map(|(number, reason)| Record::Attempt { txn, number, reason: reason.clone() }));
    records
}
