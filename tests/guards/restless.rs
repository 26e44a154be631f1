//! A writer that goes on while the guard is rolled back: whenever a name is removed, it makes it again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use treewal::{Guard, Options, Outcome, Tree};
use treewal_vfs::{RealDisk, Verb};

use crate::hooked::Hooked;

/// A guarded directory in which everything was changed, and somebody who makes a name again so many times.
fn begun(dir: &std::path::Path, times: u32) -> (Tree, Guard) {
    let at = |path: &str| dir.join(path);
    fs::create_dir(at("d")).unwrap();
    for n in 0..60 {
        fs::write(at(&format!("d/{n}")), "old").unwrap();
    }
    let left = AtomicU32::new(0);
    let (own, restless) = (at("go on"), at("d/more"));
    let after = move |verb| {
        if verb == Verb::RemoveFile && own.exists() && left.fetch_add(1, Ordering::Relaxed) < times {
            fs::write(&restless, "again").unwrap();
        }
    };
    let tree = Options::new().open_on(Arc::new(Hooked { inner: RealDisk, after }), dir).unwrap();
    let guard = tree.guard(["d"]).unwrap();
    for n in 0..60 {
        fs::write(at(&format!("d/{n}")), "new").unwrap();
    }
    fs::write(at("d/more"), "first").unwrap();
    fs::write(at("go on"), "").unwrap();
    (tree, guard)
}

fn is_old(dir: &std::path::Path) {
    assert_eq!(fs::read_dir(dir.join("d")).unwrap().count(), 60);
    assert!((0..60).all(|n| fs::read(dir.join(format!("d/{n}"))).unwrap() == b"old"));
}

#[test]
fn a_rollback_under_a_writer_that_does_not_stop_is_undecided_and_names_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, guard) = begun(dir.path(), u32::MAX);
    let error = guard.rollback().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Undecided);
    let cause = format!("{error:?}");
    assert!(cause.contains("d/more") && cause.contains("must end first"), "{cause}");
    assert!(tree.transaction(|tx| tx.write("a", "a")).is_err(), "the handle refuses further work");
    drop(tree);
    fs::remove_file(dir.path().join("go on")).unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let told = &tree.recovery().transactions[0];
    assert_eq!((told.label, told.error.as_deref()), ("undo", None));
    is_old(dir.path());
}

#[test]
fn one_that_stops_in_time_does_no_harm() {
    for times in [0, 1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (tree, guard) = begun(dir.path(), times);
        guard.rollback().unwrap();
        is_old(dir.path());
        tree.transaction(|tx| tx.write("a", "a")).unwrap();
    }
}
