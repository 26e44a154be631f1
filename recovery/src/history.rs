//! The journal read as history: which transactions it tells of, and what became of each. Pure.

use std::collections::BTreeMap;

use treewal_journal::Lsn;
use treewal_journal::record::{Begin, Guard, Intent, Record};

use crate::decide::{Facts, Tried};
use crate::tries::left;

/// Everything the journal says that no checkpoint has settled.
#[derive(Debug, Default)]
pub struct History {
    /// The transactions, by number, oldest first.
    pub transactions: BTreeMap<u64, Told>,
    /// Up to where the latest checkpoint has settled everything; zero without one.
    pub settled: Lsn,
    open: Option<Open>,
}

/// The staged transaction that the next intents belong to.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// It is told of for the first time.
    First(u64),
    /// What is known is told again, behind a checkpoint that covers the first telling: so many intents of it.
    Again(u64, u32),
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
    /// The tries to finish or undo it that were begun, each with why it failed; empty where that is not known.
    pub tries: Vec<String>,
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
        let open = self.open.take();
        match record {
            Record::Begin(begin) => self.open = Some(self.begin(begin, lsn)),
            // One that is told of again is known.
            Record::Guard(guard) if self.knows(guard.txn) => self.update(guard.txn, lsn, |_| {}),
            Record::Guard(guard) => self.add(guard.txn, lsn, Work::Guarded(guard)),
            // An intent belongs to the transaction whose batch it stands in; one without is nobody's.
            Record::Intent(intent) => self.open = self.intent(open, lsn, intent),
            Record::Commit { txn, intents, at } => match open {
                // All of it, or it stays as it was told first.
                Some(Open::Again(again, count)) => {
                    if (again, count) == (txn, intents) {
                        self.update(txn, lsn, |_| {});
                    }
                }
                _ => self.update(txn, lsn, |told| {
                    told.committed = Some(intents);
                    told.at = at;
                }),
            },
            Record::Rollback { txn } => self.update(txn, lsn, |told| told.rolled_back = true),
            Record::Attempt { txn, number, reason } => self.update(txn, lsn, |told| told.tried(number, reason)),
            Record::Quarantine { txn, .. } => self.update(txn, lsn, |told| told.quarantined = true),
            Record::Checkpoint { upto } => {
                self.settled = Lsn(upto);
                self.transactions.retain(|_, told| told.last > Lsn(upto));
            }
        }
    }

    /// Whether all of a staged transaction, or the beginning of a guarded one, has been told.
    fn knows(&self, number: u64) -> bool {
        let known = self.transactions.get(&number);
        known.is_some_and(|told| told.committed.is_some() || matches!(told.work, Work::Guarded(_)))
    }

    fn begin(&mut self, begin: Begin, lsn: Lsn) -> Open {
        let number = begin.txn;
        if self.knows(number) {
            return Open::Again(number, 0);
        }
        self.add(number, lsn, Work::Staged(begin, Vec::new()));
        Open::First(number)
    }

    fn intent(&mut self, open: Option<Open>, lsn: Lsn, intent: Intent) -> Option<Open> {
        match open? {
            Open::Again(number, count) => return Some(Open::Again(number, count.saturating_add(1))),
            Open::First(number) => {
                let told = self.transactions.get_mut(&number)?;
                told.last = lsn;
                if let Work::Staged(_, intents) = &mut told.work {
                    intents.push(intent);
                }
            }
        }
        open
    }

    fn add(&mut self, number: u64, lsn: Lsn, work: Work) {
        let told = Told {
            work,
            last: lsn,
            committed: None,
            rolled_back: false,
            quarantined: false,
            tries: Vec::new(),
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

/// More tries than this are not told apart: a number from a journal is not trusted.
const TRIES_MAX: usize = 4096;

impl Told {
    /// `staged` or `guarded`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if matches!(self.work, Work::Staged(..)) { "staged" } else { "guarded" }
    }

    /// How many tries to finish or undo it were begun.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// A try began, or has failed for this reason.
    fn tried(&mut self, number: u32, reason: String) {
        let number = usize::try_from(number).unwrap_or(usize::MAX).min(TRIES_MAX);
        if self.tries.len() < number {
            self.tries.resize(number, String::new());
        }
        if let Some(known) = number.checked_sub(1).and_then(|place| self.tries.get_mut(place)) {
            if known.is_empty() {
                *known = reason;
            }
        }
    }

    /// The facts of the journal that decide what to do about it, of a transaction that is sound.
    #[must_use]
    pub fn facts(&self, attempts_max: u32) -> Facts {
        let complete = match &self.work {
            Work::Staged(_, intents) => self.committed.is_none_or(|count| count as usize == intents.len()),
            Work::Guarded(_) => true,
        };
        Facts {
            staged: matches!(self.work, Work::Staged(..)),
            committed: self.committed.is_some(),
            complete,
            sound: true,
            rolled_back: self.rolled_back,
            quarantined: self.quarantined,
            covered: false,
            waits: false,
            tries: left(&self.tries, attempts_max),
            tried: Tried::Not,
            wanted: None,
        }
    }

    /// Whether the last try failed, and is known to have.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.tries.last().is_some_and(|reason| !reason.is_empty())
    }
}

#[cfg(test)]
mod tests;
