//! A `.treewal` that somebody removes: while the tree is closed, while a handle is open, while something is owed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Error, Options, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::from_millis(100))
}

fn remove(dir: &Path) {
    fs::remove_dir_all(dir.join(".treewal")).unwrap();
}

fn text(dir: &Path, path: &str) -> String {
    fs::read_to_string(dir.join(path)).unwrap()
}

#[test]
fn removed_while_the_tree_is_closed_nothing_is_missing_but_snapshots_and_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    let tree = options().open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    tree.snapshot("s").unwrap();
    drop(tree);
    remove(dir.path());
    assert_eq!(treewal::status(dir.path()).unwrap().state, "unused");
    assert!(matches!(options().open_read_only(dir.path()), Err(Error::Store { .. })));
    let tree = options().open(dir.path()).unwrap();
    assert!(tree.recovery().is_clean() && tree.snapshots().unwrap().is_empty(), "{}", tree.recovery());
    tree.transaction(|tx| tx.append("a", "2")).unwrap();
    assert_eq!(text(dir.path(), "a"), "12");
}

/// The handle holds directories that have no name any more. It must not acknowledge what only they would know of, and one that
/// opens the tree anew must be able to work.
#[test]
fn removed_under_an_open_handle_it_acknowledges_nothing_any_more() {
    for again_first in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let tree = options().open(dir.path()).unwrap();
        tree.transaction(|tx| tx.write("a", "1")).unwrap();
        let mut staged = tree.begin();
        staged.write("a", "never").unwrap();
        staged.write("large", vec![b'l'; 200_000]).unwrap();
        remove(dir.path());
        let again = again_first.then(|| options().open(dir.path()).unwrap());
        let refused = |ended: treewal::Result<()>| {
            let error = ended.unwrap_err();
            assert!(!error.is_retryable() && error.outcome() == treewal::Outcome::Unchanged, "{error:?}");
        };
        refused(staged.commit().map(drop));
        refused(tree.transaction(|tx| tx.write("a", "never")));
        refused(tree.guard(["a"]).map(drop));
        refused(tree.read().map(drop));
        refused(tree.snapshot("s").map(drop));
        refused(tree.checkpoint());
        assert_eq!(text(dir.path(), "a"), "1");
        drop(tree);
        let again = again.unwrap_or_else(|| options().open(dir.path()).unwrap());
        assert!(again.recovery().is_clean(), "{}", again.recovery());
        again.transaction(|tx| tx.append("a", "2")).unwrap();
        drop(again);
        assert_eq!(text(dir.path(), "a"), "12");
        assert!(!dir.path().join("large").exists());
    }
}

/// A guard that is alive: its snapshot is gone. Its end says so, and leaves the paths as they are.
#[test]
fn removed_under_a_guard_its_paths_stay_as_they_are() {
    for commits in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "before").unwrap();
        let tree = options().open(dir.path()).unwrap();
        let guard = tree.guard(["a"]).unwrap();
        fs::write(dir.path().join("a"), "in place").unwrap();
        remove(dir.path());
        let ended = if commits { guard.commit() } else { guard.rollback() };
        let left = text(dir.path(), "a");
        // A commit may still be true: what was written is there. A rollback without a snapshot is none.
        assert_eq!(left, "in place", "{ended:?}");
        assert!(commits || ended.is_err(), "{ended:?}");
        drop(tree);
        let again = options().open(dir.path()).unwrap();
        again.transaction(|tx| tx.append("a", "!")).unwrap();
        assert_eq!(text(dir.path(), "a"), "in place!");
    }
}

/// A tree that is left with a commit to finish, or a guard to undo: each path old or new, and whole, as after a kill and before
/// a recovery; what was owed is forgotten with the journal.
#[test]
fn removed_while_a_transaction_is_owed_each_path_is_old_or_new() {
    for at in (1..60).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), "old").unwrap();
        }
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = options().open_on(disk.clone(), dir.path()).unwrap();
        disk.arm(Fault::Off { at });
        drop(tree.transaction(|tx| ["a", "b", "c"].iter().try_for_each(|name| tx.write(name, "new"))));
        let died = disk.is_off();
        drop(tree);
        remove(dir.path());
        let tree: Tree = options().open(dir.path()).unwrap();
        assert!(tree.recovery().is_clean(), "cut at {at}: {}", tree.recovery());
        for name in ["a", "b", "c"] {
            let found = text(dir.path(), name);
            assert!(found == "new" || (died && found == "old"), "cut at {at}: {name} is {found:?}");
        }
        tree.transaction(|tx| tx.write("a", "on")).unwrap();
    }
}
