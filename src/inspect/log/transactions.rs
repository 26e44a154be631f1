//! What the records say of each transaction, added up.

use std::collections::BTreeMap;

use serde::Serialize;
use treewal_journal::{Frame, Record};

/// A transaction, as far as the journal still tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogTransaction {
    /// Its number.
    pub number: u64,
    /// `staged` or `guarded`; `unknown` where the record that begins it is no longer there.
    pub kind: &'static str,
    /// `open` (neither committed nor undone), `committed`, `rolled-back` or `quarantined`.
    pub state: &'static str,
    /// Whether a checkpoint covers all of it: nothing of it is left to do.
    pub settled: bool,
    /// Number of its first record.
    pub first_lsn: u64,
    /// Number of its last record.
    pub last_lsn: u64,
    /// How many records are of it.
    pub records: u64,
    /// What they hold, in bytes.
    pub bytes: u64,
}

/// The transactions of a journal while it is read.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    all: BTreeMap<u64, LogTransaction>,
    /// The one that intents belong to: that of the batch they stand in.
    open: Option<u64>,
}

impl Transactions {
    /// Takes in one record, in the order of the log.
    pub(super) fn tell(&mut self, frame: &Frame<'_>, record: &Record) {
        let (number, kind, state) = match record {
            Record::Begin(begin) => (Some(begin.txn), Some("staged"), Some("open")),
            Record::Guard(guard) => (Some(guard.txn), Some("guarded"), Some("open")),
            Record::Intent(_) => (self.open, None, None),
            Record::Commit { txn, .. } => (Some(*txn), None, Some("committed")),
            Record::Rollback { txn } => (Some(*txn), None, Some("rolled-back")),
            Record::Quarantine { txn, .. } => (Some(*txn), None, Some("quarantined")),
            Record::Attempt { txn, .. } => (Some(*txn), None, None),
            Record::Checkpoint { upto } => {
                self.settle(*upto);
                (None, None, None)
            }
        };
        self.open = match record {
            Record::Begin(_) | Record::Intent(_) => number,
            _ => None,
        };
        let Some(number) = number else { return };
        let told = self.all.entry(number).or_insert(LogTransaction {
            number,
            kind: "unknown",
            state: "open",
            settled: false,
            first_lsn: frame.lsn.0,
            last_lsn: frame.lsn.0,
            records: 0,
            bytes: 0,
        });
        told.kind = kind.unwrap_or(told.kind);
        told.state = state.unwrap_or(told.state);
        told.settled = false;
        told.last_lsn = frame.lsn.0;
        told.records += 1;
        told.bytes = told.bytes.saturating_add(frame.payload.len() as u64);
    }

    fn settle(&mut self, upto: u64) {
        for told in self.all.values_mut().filter(|told| told.last_lsn <= upto) {
            told.settled = true;
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(self) -> Vec<LogTransaction> {
        self.all.into_values().collect()
    }
}
