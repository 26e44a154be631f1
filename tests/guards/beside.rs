//! Transactions of other threads while a guard goes on.

use std::fs;
use std::time::Duration;

use crate::end;
use treewal::{Error, GuardOptions, Options, Others, Tree};

fn world() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    for path in ["guarded/deep", "free"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    fs::write(dir.path().join("guarded/g"), "old").unwrap();
    let tree = Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO).open(dir.path()).unwrap();
    (dir, tree)
}

fn refused(result: treewal::Result<()>) {
    match result {
        Err(Error::Locked { holder }) => assert!(holder.this_process),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn what_does_not_meet_the_guard_goes_on_and_what_does_is_refused() {
    for commits in [true, false] {
        let (dir, tree) = world();
        let guard = tree.guard(["guarded", "absent/one"]).unwrap();
        fs::write(dir.path().join("guarded/g"), "new").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let tree = tree.clone();
                scope.spawn(move || {
                    for n in 0..20 {
                        tree.transaction(|tx| tx.write(format!("free/{thread}"), format!("{n}"))).unwrap();
                    }
                });
            }
        });
        refused(tree.transaction(|tx| tx.write("guarded/g", "x")));
        refused(tree.transaction(|tx| tx.write("guarded/deep/x", "x")));
        refused(tree.transaction(|tx| tx.create_dir("absent")));
        refused(tree.transaction(|tx| tx.remove_dir_all("guarded")));
        // What moves entries stands alone.
        refused(tree.transaction(|tx| tx.rename("free/0", "free/2")));
        refused(tree.guard(["free"]).map(drop));
        let stranger = Options::new().lock_wait(Duration::ZERO).open(dir.path());
        assert!(matches!(stranger, Err(Error::Locked { .. })));
        end(guard, commits).unwrap();
        tree.transaction(|tx| tx.rename("free/0", "free/2")).unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        let state = [read("guarded/g"), read("free/1"), read("free/2")];
        assert_eq!(state, [if commits { "new" } else { "old" }, "19", "19"]);
        drop(tree);
        assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
        assert_eq!([read("guarded/g"), read("free/1"), read("free/2")], state);
    }
}

#[test]
fn who_meets_a_guard_may_be_told_to_wait_for_its_end() {
    let (dir, tree) = world();
    let guard = tree.guard_with(GuardOptions::new().others(Others::Wait), ["guarded"]).unwrap();
    fs::write(dir.path().join("guarded/new"), "x").unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| tree.transaction(|tx| tx.write("guarded/g", "written")));
        let mover = scope.spawn(|| tree.transaction(|tx| tx.rename("free", "freed")));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished() && !mover.is_finished());
        assert_eq!(fs::read_to_string(dir.path().join("guarded/g")).unwrap(), "old");
        guard.rollback().unwrap();
        writer.join().unwrap().unwrap();
        mover.join().unwrap().unwrap();
    });
    assert_eq!(fs::read_to_string(dir.path().join("guarded/g")).unwrap(), "written");
    assert!(dir.path().join("freed").exists() && !dir.path().join("guarded/new").exists());
}

#[test]
fn the_journal_stays_bounded_while_a_guard_goes_on() {
    let (dir, tree) = world();
    let guard = tree.guard(["guarded"]).unwrap();
    for n in 0..200u32 {
        tree.transaction(|tx| tx.write("free/f", (n % 10).to_string().repeat(9000))).unwrap();
    }
    let segments = fs::read_dir(dir.path().join(".treewal/journal")).unwrap().count();
    assert!(segments <= 5, "{segments} segments of 64 KiB for 1.8 MB");
    let slots = |path: std::path::PathBuf| fs::read_dir(path).unwrap().count();
    let stages = fs::read_dir(dir.path().join(".treewal/stage")).unwrap().map(|entry| entry.unwrap().path());
    let displaced: usize = stages.filter(|path| path.is_dir()).map(slots).sum();
    assert!(displaced < 40, "{displaced}");
    fs::write(dir.path().join("guarded/g"), "new").unwrap();
    guard.rollback().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("guarded/g")).unwrap(), "old");
    assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), vec![b'9'; 9000]);
}
