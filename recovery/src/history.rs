//! The journal read as history: which transactions it tells of, and what became of each. Pure.

use std::collections::BTreeMap;

use treewal_journal::Lsn;
use treewal_journal::record::{Begin, Guard, Intent, Record};

/// Everything the journal says that no checkpoint has settled.
#[derive(Debug, Default)]
pub struct History {
    /// The transactions, by number, oldest first.
    pub transactions: BTreeMap<u64, Told>,
    /// Up to where the latest checkpoint has settled everything; zero without one.
    pub settled: Lsn,
    open: Option<u64>,
}

/// What the journal tells of one transaction.
#[derive(Debug)]
pub struct Told {
    /// What it is.
    pub work: Work,
    /// The LSN of its latest record.
    pub last: Lsn,
    /// How many intents its commit record counted; `None` without one.
    pub committed: Option<u32>,
    /// Whether its undoing is recorded.
    pub rolled_back: bool,
    /// Whether it was given up.
    pub quarantined: bool,
    /// How many tries to finish or undo it were begun.
    pub attempts: u32,
    /// When it was committed, by the clock of the writer.
    pub at: treewal_vfs::Time,
}

/// The two kinds of transaction.
#[derive(Debug)]
pub enum Work {
    /// Redo: the intents say what shall be.
    Staged(Begin, Vec<Intent>),
    /// Undo: a snapshot says what was.
    Guarded(Guard),
}

impl History {
    /// Takes in one record, in the order of the log.
    pub fn tell(&mut self, lsn: Lsn, record: Record) {
        if !matches!(record, Record::Intent(_)) {
            self.open = None;
        }
        match record {
            Record::Begin(begin) => {
                let number = begin.txn;
                self.add(number, lsn, Work::Staged(begin, Vec::new()));
                self.open = Some(number);
            }
            Record::Guard(guard) => self.add(guard.txn, lsn, Work::Guarded(guard)),
            // An intent belongs to the transaction whose batch it stands in; one without is nobody's.
            Record::Intent(intent) => {
                if let Some(told) = self.open.and_then(|number| self.transactions.get_mut(&number)) {
                    told.last = lsn;
                    if let Work::Staged(_, intents) = &mut told.work {
                        intents.push(intent);
                    }
                }
            }
            Record::Commit { txn, intents, at } => self.update(txn, lsn, |told| {
                told.committed = Some(intents);
                told.at = at;
            }),
            Record::Rollback { txn } => self.update(txn, lsn, |told| told.rolled_back = true),
            Record::Attempt { txn, number, .. } => {
                self.update(txn, lsn, |told| told.attempts = told.attempts.max(number));
            }
            Record::Quarantine { txn, .. } => self.update(txn, lsn, |told| told.quarantined = true),
            Record::Checkpoint { upto } => {
                self.settled = Lsn(upto);
                self.transactions.retain(|_, told| told.last > Lsn(upto));
            }
        }
    }

    fn add(&mut self, number: u64, lsn: Lsn, work: Work) {
        let told = Told {
            work,
            last: lsn,
            committed: None,
            rolled_back: false,
            quarantined: false,
            attempts: 0,
            at: treewal_vfs::Time::default(),
        };
        self.transactions.insert(number, told);
    }

    fn update(&mut self, number: u64, lsn: Lsn, change: impl FnOnce(&mut Told)) {
        if let Some(told) = self.transactions.get_mut(&number) {
            told.last = lsn;
            change(told);
        }
    }
}

impl Told {
    /// The facts that decide what to do about it.
    #[must_use]
    pub fn facts(&self, attempts_max: u32) -> crate::decide::Facts {
        let complete = match &self.work {
            Work::Staged(_, intents) => self.committed.is_none_or(|count| count as usize == intents.len()),
            Work::Guarded(_) => true,
        };
        crate::decide::Facts {
            staged: matches!(self.work, Work::Staged(..)),
            committed: self.committed.is_some(),
            complete,
            rolled_back: self.rolled_back,
            quarantined: self.quarantined,
            exhausted: self.attempts >= attempts_max,
        }
    }
}
