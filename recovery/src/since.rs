//! What others have done since a handle last held the tree, as the journal tells it. Pure.
//!
//! A handle that takes the tree over from one that left it in order has nothing to redo or to undo. It has to know what no
//! checkpoint covers yet, since from now on that is its concern as well. And it makes sure that the records say the same as
//! the one before: what does not fit is not gone on with.

use std::collections::BTreeMap;

use treewal_journal::record::Record;
use treewal_journal::{Frame, Lsn};

/// The records since then, taken in one by one.
#[derive(Debug, Default)]
pub struct Since {
    settled: Lsn,
    ended: Option<Lsn>,
    /// Transactions of which no end is told, with where they were last told of: a guard that outlasts a checkpoint is told of
    /// again behind it.
    open: BTreeMap<u64, Lsn>,
    /// The last word of a recovery, which ends with a checkpoint.
    recovered: Lsn,
    unknown: bool,
}

/// What they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Up to where the last of their checkpoints covers everything; 0 where there was none.
    pub settled: Lsn,
    /// The last end of a transaction, committed or undone, that lies behind that.
    pub unsettled: Option<Lsn>,
}

impl Since {
    /// Takes in one record, in the order of the log.
    pub fn tell(&mut self, frame: &Frame<'_>) {
        if frame.kind == Record::INTENT {
            return;
        }
        match Record::decode(frame.kind, frame.payload) {
            Ok(record) => self.take_in(frame.lsn, &record),
            // Of a later version: not for this one to judge.
            Err(_) => self.unknown = true,
        }
    }

    fn take_in(&mut self, lsn: Lsn, record: &Record) {
        match record {
            Record::Begin(begin) => drop(self.open.insert(begin.txn, lsn)),
            Record::Guard(guard) => drop(self.open.insert(guard.txn, lsn)),
            Record::Commit { txn, .. } | Record::Rollback { txn } => {
                self.open.remove(txn);
                self.ended = Some(lsn);
            }
            Record::Checkpoint { upto } => {
                self.settled = self.settled.max(Lsn(*upto));
                self.open.retain(|_, last| *last > Lsn(*upto));
            }
            Record::Attempt { .. } | Record::Quarantine { .. } => self.recovered = lsn,
            Record::Intent(_) => {}
        }
    }

    /// How things stand after the last record, where `first` was the first that could be told, and `next` the one that
    /// would have come next. `None` where something is in doubt: a transaction has no end, a recovery was not finished,
    /// records are gone that no checkpoint covers, or one cannot be read.
    #[must_use]
    pub fn standing(&self, first: Lsn, next: Lsn) -> Option<Standing> {
        let is_whole = first == next || first.0 <= self.settled.0.saturating_add(1);
        let is_over = self.open.is_empty() && self.recovered <= self.settled && !self.unknown;
        let unsettled = self.ended.filter(|lsn| *lsn > self.settled);
        (is_whole && is_over).then_some(Standing { settled: self.settled, unsettled })
    }
}

#[cfg(test)]
mod tests {
    use treewal_journal::record::{Begin, Guard};
    use treewal_vfs::Time;

    use super::*;

    fn begin(txn: u64) -> Record {
        Record::Begin(Begin { txn, stage: String::new(), barrier: false })
    }

    fn guard(txn: u64) -> Record {
        Record::Guard(Guard { txn, snapshot: String::new(), paths: Vec::new() })
    }

    fn commit(txn: u64) -> Record {
        Record::Commit { txn, intents: 0, at: Time::default() }
    }

    /// The records from number 10 on.
    fn told(records: &[Record]) -> Since {
        let mut since = Since::default();
        for (lsn, record) in (10..).zip(records) {
            since.take_in(Lsn(lsn), record);
        }
        since
    }

    fn standing(records: &[Record]) -> Option<(u64, Option<u64>)> {
        let standing = told(records).standing(Lsn(10), Lsn(10));
        standing.map(|Standing { settled, unsettled }| (settled.0, unsettled.map(|lsn| lsn.0)))
    }

    #[test]
    fn what_no_checkpoint_covers_is_taken_over() {
        let checkpoint = |upto| Record::Checkpoint { upto };
        let rollback = |txn| Record::Rollback { txn };
        assert_eq!(standing(&[]), Some((0, None)));
        assert_eq!(standing(&[begin(10), commit(10)]), Some((0, Some(11))));
        assert_eq!(standing(&[begin(10), commit(10), rollback(10)]), Some((0, Some(12))));
        assert_eq!(standing(&[begin(10), commit(10), checkpoint(11)]), Some((11, None)));
        // Made beside commits: one came after what it covers.
        let beside = [begin(10), commit(10), begin(12), commit(12), checkpoint(11)];
        assert_eq!(standing(&beside), Some((11, Some(13))));
        assert_eq!(standing(&[guard(10), rollback(10), checkpoint(11)]), Some((11, None)));
        assert_eq!(standing(&[guard(10), commit(10)]), Some((0, Some(11))));
    }

    #[test]
    fn what_is_in_doubt_is_not_gone_on_with() {
        let attempt = Record::Attempt { txn: 3, number: 1, reason: String::new() };
        let given_up = Record::Quarantine { txn: 3, name: String::new(), reason: String::new() };
        assert_eq!(standing(&[begin(10)]), None);
        assert_eq!(standing(&[guard(10)]), None);
        assert_eq!(standing(&[begin(10), commit(9)]), None);
        // A guard that outlasts a checkpoint.
        let outlasts = [guard(10), guard(10), Record::Checkpoint { upto: 10 }];
        assert_eq!(standing(&outlasts), None);
        assert_eq!(standing(&[&outlasts[..], &[commit(10)]].concat()), Some((10, Some(13))));
        assert_eq!(standing(&[begin(10), Record::Checkpoint { upto: 9 }]), None);
        assert_eq!(standing(std::slice::from_ref(&attempt)), None);
        assert_eq!(standing(std::slice::from_ref(&given_up)), None);
        // A recovery in between that was finished, also one that found a transaction without a promise.
        assert_eq!(standing(&[begin(10), attempt, given_up, Record::Checkpoint { upto: 12 }]), Some((12, None)));
        let mut since = told(&[]);
        since.unknown = true;
        assert_eq!(since.standing(Lsn(10), Lsn(10)), None);
    }

    #[test]
    fn records_that_are_gone_must_be_covered() {
        let since = told(&[begin(10), commit(10), Record::Checkpoint { upto: 9 }]);
        assert!(since.standing(Lsn(10), Lsn(4)).is_some());
        let since = told(&[begin(10), commit(10), Record::Checkpoint { upto: 8 }]);
        assert!(since.standing(Lsn(10), Lsn(4)).is_none());
        assert!(since.standing(Lsn(10), Lsn(10)).is_some());
    }
}
