//! Commits that hold the tree at the same time.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use treewal_journal::record::{Begin, Record};
use treewal_recovery::Batch;
use treewal_vfs::{RealDisk, RelPath, Time};

use super::{Claim, Engine};
use crate::Options;

/// The number of a transaction is that of its first record, so nobody may append between the look at it and the records.
#[test]
fn nobody_appends_between_the_number_of_a_transaction_and_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
    let claim = |path| Arc::new(Claim::of(vec![RelPath::new(path).unwrap()]));
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
