//! The cost of recovery grows with what the transaction touched: calls are counted, on the real disk.
#![expect(clippy::disallowed_methods, reason = "the test makes files, and looks at them")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use treewal::Options;
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb};

use crate::hooked::Hooked;

/// In memory where there is such a place: calls are counted there as well, and nobody waits for a disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn options() -> Options {
    Options::new().segment_bytes(64 << 20)
}

/// Calls of the opening of a tree.
fn calls_of_recovery(dir: &Path, label: &str) -> u64 {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let after = move |_: Verb| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let begun = Instant::now();
    let tree = options().open_on(Arc::new(Hooked { inner: RealDisk, after }), dir).unwrap();
    let calls = calls.load(Ordering::Relaxed);
    println!("{label}: {calls} calls, {:?}", begun.elapsed());
    assert!(
        tree.recovery().transactions.iter().any(|line| line.label == label && line.changed > 0),
        "{}",
        tree.recovery()
    );
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
    calls
}

/// A transaction of so many files, promised, and not one of them renamed.
fn redo(files: usize) -> u64 {
    let dir = scratch();
    let faulty = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::Rename));
    let tree = options().open_on(faulty.clone(), dir.path()).unwrap();
    tree.transaction(|tx| tx.create_dir("d")).unwrap();
    tree.checkpoint().unwrap();
    let mut tx = tree.begin();
    for n in 0..files {
        tx.write(format!("d/{n}"), n.to_string()).unwrap();
    }
    faulty.arm(Fault::Off { at: 1 });
    tx.commit().unwrap_err();
    drop(tree);
    let calls = calls_of_recovery(dir.path(), "redo");
    assert_eq!(std::fs::read_dir(dir.path().join("d")).unwrap().count(), files);
    assert_eq!(std::fs::read_to_string(dir.path().join("d/7")).unwrap(), "7");
    calls
}

/// A guard over so many files, each of them overwritten in place.
fn undo(files: usize) -> u64 {
    let dir = scratch();
    let at = dir.path().join("d");
    std::fs::create_dir(&at).unwrap();
    for n in 0..files {
        std::fs::write(at.join(n.to_string()), "before").unwrap();
    }
    let faulty = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::Rename));
    let tree = options().open_on(faulty.clone(), dir.path()).unwrap();
    let guard = tree.guard(["d"]).unwrap();
    for n in 0..files {
        std::fs::write(at.join(n.to_string()), "after!").unwrap();
    }
    faulty.arm(Fault::Off { at: 1 });
    guard.rollback().unwrap_err();
    drop(tree);
    let calls = calls_of_recovery(dir.path(), "undo");
    assert_eq!(std::fs::read_to_string(at.join("7")).unwrap(), "before");
    calls
}

fn assert_linear(kind: &str, counts: &[u64]) {
    for pair in counts.windows(2) {
        // Ten times as many files; what does not depend on them makes it a little less.
        assert!(pair[1] > 5 * pair[0] && pair[1] < 11 * pair[0], "{kind}: {counts:?}");
    }
}

#[test]
fn recovery_is_linear_in_what_a_transaction_touched() {
    let counts: Vec<u64> = [1_000, 10_000, 100_000].map(redo).into();
    assert_linear("redo", &counts);
    let counts: Vec<u64> = [1_000, 10_000].map(undo).into();
    assert_linear("undo", &counts);
}
