//! What is told again behind a checkpoint is the same transaction, told whole or not at all.

use treewal_journal::record::{Goal, PathBytes};
use treewal_vfs::Time;

use super::*;

fn begin(txn: u64) -> Record {
    Record::Begin(Begin { txn, stage: "s".to_owned(), barrier: false })
}

fn intent(path: &str) -> Record {
    let path = PathBytes(path.into());
    Record::Intent(Intent { path, base: None, prior: None, goal: Goal::Absent, look: None })
}

fn commit(txn: u64, intents: u32) -> Record {
    Record::Commit { txn, intents, at: Time::default() }
}

fn attempt(txn: u64, number: u32, reason: &str) -> Record {
    Record::Attempt { txn, number, reason: reason.to_owned() }
}

fn guard(txn: u64) -> Record {
    Record::Guard(Guard { txn, snapshot: "g".to_owned(), paths: Vec::new() })
}

fn told(records: Vec<Record>) -> History {
    let mut history = History::default();
    for (lsn, record) in (1..).zip(records) {
        history.tell(Lsn(lsn), record);
    }
    history
}

fn paths(history: &History, txn: u64) -> Vec<Vec<u8>> {
    match &history.transactions[&txn].work {
        Work::Staged(_, intents) => intents.iter().map(|intent| intent.path.0.clone()).collect(),
        Work::Guarded(_) => Vec::new(),
    }
}

fn again() -> Vec<Record> {
    vec![begin(1), intent("a"), intent("b"), commit(1, 2), attempt(1, 1, "broken"), attempt(1, 2, "")]
}

#[test]
fn ro24_what_is_told_again_outlasts_the_checkpoint_before_it_and_is_not_told_twice() {
    let first = vec![begin(1), intent("a"), intent("b"), commit(1, 2), attempt(1, 1, "")];
    for seen in [true, false] {
        // Where the segment of the first telling is gone, the second is the first.
        let mut records = if seen { first.clone() } else { vec![Record::Rollback { txn: 99 }; 5] };
        records.extend(again());
        records.push(Record::Checkpoint { upto: 5 });
        let history = told(records);
        assert_eq!(paths(&history, 1), [b"a", b"b"], "{seen}");
        let it = &history.transactions[&1];
        assert_eq!(it.tries, ["broken", ""], "{seen}");
        assert_eq!((it.committed, it.facts(5).complete), (Some(2), true), "{seen}");
    }
}

#[test]
fn ro24_what_a_crash_left_of_a_second_telling_changes_nothing() {
    let first = vec![begin(1), intent("a"), intent("b"), commit(1, 2), attempt(1, 1, "broken")];
    for cut in 0..again().len() {
        let mut records = first.clone();
        records.extend(again().into_iter().take(cut));
        let history = told(records);
        let it = &history.transactions[&1];
        assert_eq!(paths(&history, 1), [b"a", b"b"], "cut at {cut}");
        assert_eq!((it.committed, it.facts(5).complete), (Some(2), true), "cut at {cut}");
        assert_eq!(it.tries, ["broken"], "cut at {cut}");
    }
}

#[test]
fn ro24_the_end_of_what_was_given_back_is_nobodys() {
    let records = vec![intent("b"), commit(1, 2), attempt(1, 1, "x"), begin(7), intent("c"), commit(7, 1)];
    let history = told(records);
    assert_eq!(history.transactions.keys().copied().collect::<Vec<_>>(), [7]);
}

#[test]
fn ro24_a_guard_that_is_told_again_keeps_its_tries() {
    let history = told(vec![
        guard(1),
        attempt(1, 1, "broken"),
        guard(1),
        attempt(1, 1, "broken"),
        Record::Checkpoint { upto: 2 },
    ]);
    assert_eq!(history.transactions[&1].tries, ["broken"]);
    assert!(history.transactions[&1].has_failed());
    let history = told(vec![guard(1), Record::Rollback { txn: 1 }, Record::Checkpoint { upto: 2 }]);
    assert!(history.transactions.is_empty());
}

#[test]
fn a_number_from_a_journal_asks_for_no_memory() {
    let history = told(vec![guard(1), attempt(1, u32::MAX, "x"), attempt(1, 0, "y")]);
    assert_eq!(history.transactions[&1].tries.len(), TRIES_MAX);
}
