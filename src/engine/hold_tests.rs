//! Commits that hold the tree at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use treewal_journal::record::{Begin, Record};
use treewal_recovery::Batch;
use treewal_vfs::{RealDisk, RelPath, Time};

use super::hold::BATCH_MAX;
use super::{Changed, Claim, Engine};
use crate::Options;

fn claim(path: &str) -> Arc<Claim> {
    Arc::new(Claim::of(vec![RelPath::new(path).unwrap()]))
}

/// The number of a transaction is that of its first record, so nobody may append between the look at it and the records.
#[test]
fn nobody_appends_between_the_number_of_a_transaction_and_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
    let (mut first, mut second) = (engine.join(&claim("a")).unwrap(), engine.join(&claim("b")).unwrap());
    let begin = || Begin { txn: 0, stage: String::new(), barrier: false };
    let commit = |txn| Record::Commit { txn, intents: 0, at: Time::default() };
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let appended = first.append_staged(begin(), &Batch::default(), |txn| {
            scope.spawn(move || tell.send(second.append_staged(begin(), &Batch::default(), commit).unwrap()).unwrap());
            assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "another has appended meanwhile");
            commit(txn)
        });
        let (txn, last) = appended.unwrap();
        let (later, _) = told.recv().unwrap();
        assert_eq!((last.0, later), (txn + 1, txn + 2));
    });
}

/// However many come: other processes get their turn.
#[test]
fn a_batch_that_goes_on_takes_in_no_more_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
    let first = engine.join(&claim("first")).unwrap();
    for _ in 1..BATCH_MAX {
        drop(engine.join(&claim("another")).unwrap());
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            let hold = engine.join(&claim("late")).unwrap();
            let waited = is_over.load(Ordering::SeqCst);
            drop(hold);
            waited
        });
        std::thread::sleep(Duration::from_millis(100));
        is_over.store(true, Ordering::SeqCst);
        drop(first);
        assert!(late.join().unwrap(), "it was taken in");
    });
}

/// In a batch, a checkpoint beside it can settle what was there when the batch began, and no more.
#[test]
fn a_checkpoint_beside_a_batch_is_not_made_where_it_would_settle_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
    let first = engine.join(&claim("first")).unwrap();
    let mut second = engine.join(&claim("second")).unwrap();
    let begin = Begin { txn: 0, stage: String::new(), barrier: false };
    let commit = |txn| Record::Commit { txn, intents: 0, at: Time::default() };
    let (_, lsn) = second.append_staged(begin, &Batch::default(), commit).unwrap();
    second.sync(lsn).unwrap();
    second.note_commit(lsn, Changed::Nothing, []);
    drop(second);
    assert!(!engine.checkpoint_beside().unwrap());
    drop(first);
    assert!(engine.checkpoint_beside().unwrap());
}
