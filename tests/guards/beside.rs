//! Transactions of other threads while a guard goes on.

use std::fs;
use std::time::Duration;

use crate::end;
use treewal::{Error, GuardOptions, Options, Others, SnapshotOptions, Tree};

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
        // What moves entries stands alone, and does so beside a guard as well.
        tree.transaction(|tx| tx.rename("free/0", "free/2")).unwrap();
        refused(tree.transaction(|tx| tx.rename("free/1", "guarded/1")));
        refused(tree.transaction(|tx| tx.rename("guarded/deep", "free/deep")));
        refused(tree.transaction(|tx| tx.hard_link("guarded/g", "guarded/h")));
        let stranger = Options::new().lock_wait(Duration::ZERO).open(dir.path());
        assert!(matches!(stranger, Err(Error::Locked { .. })));
        end(guard, commits).unwrap();
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
        let mover = scope.spawn(|| tree.transaction(|tx| tx.rename("guarded/deep", "freed")));
        let guarding = scope.spawn(|| {
            tree.guard_with(GuardOptions::new().others(Others::Wait), ["guarded/new"]).and_then(treewal::Guard::commit)
        });
        let taking = scope.spawn(|| tree.snapshot("all").map(drop));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished() && !mover.is_finished() && !guarding.is_finished() && !taking.is_finished());
        assert_eq!(fs::read_to_string(dir.path().join("guarded/g")).unwrap(), "old");
        guard.rollback().unwrap();
        writer.join().unwrap().unwrap();
        mover.join().unwrap().unwrap();
        guarding.join().unwrap().unwrap();
        taking.join().unwrap().unwrap();
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

#[test]
fn guards_that_share_nothing_end_as_they_please() {
    for (one_first, one_commits, two_commits) in
        [(true, true, false), (true, false, true), (false, true, false), (false, false, true), (false, false, false)]
    {
        let (dir, tree) = world();
        let write = |path: &str| fs::write(dir.path().join(path), "new").unwrap();
        fs::write(dir.path().join("free/f"), "old").unwrap();
        let one = tree.guard_with(GuardOptions::new().matching("index*"), ["guarded"]).unwrap();
        write("guarded/g");
        write("index");
        let two = tree.guard(["free/f", "free/absent"]).unwrap();
        write("free/f");
        write("free/absent");
        for paths in [["guarded/deep"], ["."], ["free"], ["index.db"]] {
            refused(tree.guard(paths).map(drop));
        }
        refused(tree.guard_with(GuardOptions::new().matching("*dex"), ["else"]).map(drop));
        let inner = one.guard(["guarded/g"]).unwrap();
        fs::write(dir.path().join("guarded/g"), "newer").unwrap();
        // The inner one ends with the one around it, and with no other.
        let first = if one_first {
            end(one, one_commits).unwrap();
            assert!(matches!(inner.commit(), Err(Error::Input(_))));
            (two, two_commits)
        } else {
            end(two, two_commits).unwrap();
            inner.rollback().unwrap();
            (one, one_commits)
        };
        tree.transaction(|tx| tx.write("beside", "x")).unwrap();
        tree.checkpoint().unwrap();
        end(first.0, first.1).unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap_or_default();
        let (new, old) = (|commits| if commits { "new" } else { "old" }, |commits| if commits { "new" } else { "" });
        let state = [read("guarded/g"), read("index"), read("free/f"), read("free/absent")];
        assert_eq!(state, [new(one_commits), old(one_commits), new(two_commits), old(two_commits)]);
        drop(tree);
        assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
        assert_eq!(read("guarded/g"), state[0]);
        assert_eq!(fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count(), 0);
    }
}

#[test]
fn a_snapshot_of_what_is_not_guarded_is_taken_restored_and_removed_beside_a_guard() {
    let (dir, tree) = world();
    fs::write(dir.path().join("free/f"), "old").unwrap();
    let guard = tree.guard(["guarded"]).unwrap();
    fs::write(dir.path().join("guarded/g"), "new").unwrap();
    refused(tree.snapshot("all").map(drop));
    refused(tree.snapshot_with(SnapshotOptions::new().path("guarded/deep"), "deep").map(drop));
    let free = tree.snapshot_with(SnapshotOptions::new().path("free"), "free").unwrap();
    let rest = tree.snapshot_with(SnapshotOptions::new().exclude("guarded"), "rest").unwrap();
    assert!(rest.read("guarded/g").is_err());
    assert_eq!(rest.read("free/f").unwrap(), b"old");
    tree.transaction(|tx| tx.write("free/f", "new").and_then(|()| tx.write("free/more", "more"))).unwrap();
    tree.restore(&free).unwrap();
    assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), b"old");
    tree.transaction(|tx| tx.write("free/f", "newer")).unwrap();
    tree.restore_paths(&rest, ["free"]).unwrap();
    assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), b"old");
    tree.transaction(|tx| tx.write("free/f", "newest")).unwrap();
    tree.restore(&rest).unwrap();
    assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), b"old");
    tree.remove_snapshot("free").unwrap();
    guard.rollback().unwrap();
    assert_eq!(fs::read(dir.path().join("guarded/g")).unwrap(), b"old");
    assert_eq!(tree.snapshots().unwrap().len(), 1);
}

#[test]
fn what_a_guard_leaves_out_is_free_for_others() {
    let (dir, tree) = world();
    let guard = tree.guard_with(GuardOptions::new().exclude("free"), ["."]).unwrap();
    tree.transaction(|tx| tx.write("free/f", "new")).unwrap();
    tree.transaction(|tx| tx.rename("free/f", "free/g")).unwrap();
    refused(tree.transaction(|tx| tx.write("else", "x")));
    refused(tree.transaction(|tx| tx.rename("free/g", "g")));
    refused(tree.transaction(|tx| tx.remove_dir_all("guarded")));
    let beside = tree.guard(["free/deep"]).unwrap();
    fs::write(dir.path().join("free/deep"), "new").unwrap();
    beside.commit().unwrap();
    // Nor is it for a guard inside, whose commit the outer one would have to make durable.
    assert!(matches!(guard.guard(["free"]), Err(Error::Input(_))));
    assert!(matches!(guard.guard(["."]), Err(Error::Input(_))));
    guard.guard_with(GuardOptions::new().exclude("free"), ["."]).unwrap().rollback().unwrap();
    guard.rollback().unwrap();
    assert_eq!(fs::read(dir.path().join("free/g")).unwrap(), b"new");
    assert_eq!(fs::read(dir.path().join("free/deep")).unwrap(), b"new");
}
