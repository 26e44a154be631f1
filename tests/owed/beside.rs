//! RO24: while something is owed, whoever touches its paths is refused with its name; other paths go on; and it is never
//! done over work that was committed later.

use std::sync::Arc;

use treewal::{Error, GuardOptions, Options, Snapshot, SnapshotOptions, Tree};
use treewal_vfs::sim::SimDisk;

use crate::seen::{differences, leftovers, look};
use crate::world::*;

#[track_caller]
fn refuses<T: std::fmt::Debug>(tree: &Tree, what: &str, done: treewal::Result<T>) {
    let owed = tree.recovery().pending().next().unwrap().txn;
    match done {
        Err(Error::Pending { path, txn }) => {
            assert_eq!(txn, owed, "{what}");
            assert!(path.starts_with("d") || path.as_os_str() == ".", "{what}: {path:?}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn commits_beside(tree: &Tree, n: u32) {
    tree.transaction(|tx| tx.write("e/ex", format!("e {n}"))).unwrap();
    tree.transaction(|tx| tx.write("d/other", format!("d {n}"))).unwrap();
    // Moves stand alone between two checkpoints.
    tree.transaction(|tx| tx.rename("f/fx", "f/moved")).unwrap();
    tree.transaction(|tx| tx.rename("f/moved", "f/fx")).unwrap();
    tree.checkpoint().unwrap();
    let guard = tree.guard(["e/ey"]).unwrap();
    guard.commit().unwrap();
    drop(tree.guard_with(GuardOptions::new().matching("e/*.db"), ["a"]).unwrap());
}

/// What is owed is done as if nobody had committed since, and nothing that was committed since is touched.
#[track_caller]
fn ends_well(disk: &SimDisk, n: u32, at: &str) {
    let tree = open(disk);
    assert_eq!(tree.recovery().pending().count(), 0, "{at}: {}", tree.recovery());
    assert!(!tree.recovery().found_damage(), "{at}: {}", tree.recovery());
    drop(tree);
    let wanted = {
        let disk = base();
        let tree = open(&disk);
        tree.transaction(owed).unwrap();
        tree.transaction(|tx| tx.write("e/ex", format!("e {n}"))).unwrap();
        tree.transaction(|tx| tx.write("d/other", format!("d {n}"))).unwrap();
        drop(tree);
        look(&disk, "/")
    };
    let found = look(disk, "/");
    assert!(found == wanted, "{at}:\n{}", differences(&found, &wanted));
    assert_eq!(leftovers(disk, "/"), Vec::<String>::new(), "{at}");
    assert!(open(disk).recovery().is_clean(), "{at}");
}

#[test]
fn ro24_an_owed_redo_is_refused_by_name_and_other_paths_go_on() {
    let disk = promised(&base(), owed);
    let before = look(&disk, "/");
    let (tree, _) = stubborn(&disk, OWED);
    assert_eq!(tree.recovery().pending().count(), 1, "{}", tree.recovery());
    let line = tree.recovery().pending().next().unwrap();
    assert_eq!((line.label, line.attempt), ("redo-owed", 1));
    for at in ["d/dx", "d/made", "d/large", "d/dy", "d/made/beneath"] {
        // `made` is a name that nothing stands at yet.
        let write = tree.transaction(|tx| {
            tx.create_dir_all(std::path::Path::new(at).parent().unwrap())?;
            tx.write(at, "theirs")
        });
        refuses(&tree, at, write);
        refuses(&tree, at, tree.guard([at]).map(drop));
        refuses(&tree, at, tree.snapshot_with(SnapshotOptions::new().path(at), "s").map(drop));
    }
    // Above, too: to move or to remove a directory is to change all that is in it.
    refuses(&tree, "remove d", tree.transaction(|tx| tx.remove_dir_all("d")));
    refuses(&tree, "move d", tree.transaction(|tx| tx.rename("d", "elsewhere")));
    refuses(&tree, "move dx", tree.transaction(|tx| tx.rename("d/dx", "e/dx")));
    refuses(&tree, "link dx", tree.transaction(|tx| tx.hard_link("d/dx", "e/link")));
    refuses(&tree, "guard d", tree.guard(["d"]).map(drop));
    refuses(&tree, "guard all", tree.guard(["."]).map(drop));
    refuses(&tree, "match", tree.guard_with(GuardOptions::new().matching("d/mad*"), ["a"]).map(drop));
    refuses(&tree, "expect", {
        let mut tx = tree.begin();
        tx.expect("d/dx", treewal::Expect::Unchanged).unwrap();
        tx.write("a", "new").and_then(|()| tx.commit()).map(drop)
    });
    refuses(&tree, "snapshot", tree.snapshot("all").map(drop));
    assert_eq!(look(&disk, "/"), before, "whoever was refused has changed nothing");
    commits_beside(&tree, 1);
    drop(tree);
    ends_well(&disk, 1, "at the next opening");
}

#[test]
fn ro24_a_restore_meets_what_is_owed_and_goes_on_beside_it() {
    let disk = base();
    let tree = open(&disk);
    tree.snapshot("before").unwrap();
    tree.transaction(|tx| tx.write("e/ex", "later")).unwrap();
    drop(tree);
    sync(&disk);
    let disk = promised(&disk, owed);
    let (tree, _) = stubborn(&disk, OWED);
    let snapshot: Snapshot = tree.find_snapshot("before").unwrap();
    refuses(&tree, "restore", tree.restore(&snapshot));
    refuses(&tree, "restore d", tree.restore_paths(&snapshot, ["d"]));
    tree.restore_paths(&snapshot, ["e"]).unwrap();
    assert_eq!(at(&disk, "e/ex").unwrap(), "old ex");
}

#[test]
fn ro24_an_owed_undo_is_refused_by_name_and_other_paths_go_on() {
    let base = base();
    let disk = guarded(&base, &["d", "absent"], &["d/dx", "d/new", "absent"]);
    let (tree, _) = stubborn(&disk, &["dx", "new", "absent"]);
    let line = tree.recovery().pending().next().unwrap();
    assert_eq!((line.label, line.attempt), ("undo-owed", 1));
    for at in ["d/any", "d", "absent", "absent/beneath"] {
        match tree.guard([at]) {
            Err(Error::Pending { .. }) => {}
            other => panic!("{at}: {other:?}"),
        }
    }
    tree.transaction(|tx| tx.write("e/ex", "later")).unwrap();
    tree.checkpoint().unwrap();
    drop(tree);
    let tree = open(&disk);
    assert_eq!((tree.recovery().transactions[0].label, tree.recovery().transactions[0].attempt), ("undo", 2));
    drop(tree);
    let mut wanted = look(&base, "/");
    wanted.get_mut(&path("e/ex")).unwrap().contents = b"later".to_vec();
    assert_eq!(differences(&look(&disk, "/"), &wanted), "");
    assert_eq!(leftovers(&disk, "/"), Vec::<String>::new());
}

/// One that cannot be finished keeps no other from its end, though all were promised before the crash.
#[test]
fn ro24_what_can_be_finished_is_finished_beside_what_cannot() {
    let disk = base().remount();
    let tree = open(&disk);
    for n in 0..20 {
        tree.transaction(|tx| tx.write(format!("e/{n}"), "done")).unwrap();
    }
    tree.transaction(owed).unwrap();
    tree.transaction(|tx| tx.write("d/dx", "newer dx")).unwrap();
    for n in 20..40 {
        tree.transaction(|tx| tx.write(format!("f/{n}"), "done")).unwrap();
    }
    std::mem::forget(tree);
    // The power goes, and all renames with it.
    let lost = disk.after(&disk.outcomes(treewal_vfs::sim::Profile::Strict).nothing()).remount();
    let (tree, _) = stubborn(&lost, OWED);
    let pending: Vec<u64> = tree.recovery().pending().map(|line| line.txn).collect();
    assert_eq!(pending.len(), 2, "{}", tree.recovery());
    for n in 0..20 {
        assert_eq!(at(&lost, &format!("e/{n}")).as_deref(), Some("done"));
        assert_eq!(at(&lost, &format!("f/{}", n + 20)).as_deref(), Some("done"));
    }
    tree.transaction(|tx| tx.write("e/0", "again")).unwrap();
    drop(tree);
    drop(open(&lost));
    assert_eq!(at(&lost, "d/dx").as_deref(), Some("newer dx"));
    assert_eq!(at(&lost, "e/0").as_deref(), Some("again"));
    assert_eq!(leftovers(&lost, "/"), Vec::<String>::new());
}

/// However much is committed beside it, and with however many checkpoints: the journal stays as long as it was, and what is
/// owed is in it.
#[test]
fn ro24_the_journal_stays_bounded_and_forgets_nothing_that_is_owed() {
    let disk = promised(&base(), owed);
    let (tree, _) = stubborn(&disk, OWED);
    let mut most = 0;
    for n in 0..600u32 {
        tree.transaction(|tx| tx.write("e/ex", vec![b'0' + u8::try_from(n % 10).unwrap(); 2000])).unwrap();
        most = most.max(names(&disk, "journal").len());
    }
    assert!(most <= 4, "{most} segments of 64 KiB for what is owed once or twice, and a checkpoint's worth of commits");
    tree.transaction(|tx| tx.write("e/ex", "e 7")).unwrap();
    tree.transaction(|tx| tx.write("d/other", "d 7")).unwrap();
    std::mem::forget(tree);
    ends_well(&disk.kill(), 7, "after 600 commits");
}

/// The power goes at every call of what is done beside it, checkpoints by the commits' own thread among that.
#[test]
fn ro24_a_power_loss_after_later_commits_leaves_both() {
    power_goes(Tree::checkpoint);
}

/// The same with checkpoints that are made beside commits, by a thread of the handle.
#[test]
fn ro24_a_power_loss_after_checkpoints_beside_commits_leaves_both() {
    power_goes(|tree| tree.checkpoint_beside().map(drop));
}

fn power_goes(checkpoint: fn(&Tree) -> treewal::Result<()>) {
    let start = promised(&base(), owed);
    let mut states = 0;
    for cut in 1.. {
        let disk = start.remount();
        let (tree, _) = stubborn(&disk, OWED);
        tree.transaction(|tx| tx.write("e/ex", "e 1")).unwrap();
        tree.transaction(|tx| tx.write("d/other", "d 1")).unwrap();
        disk.cut_at(Some(cut));
        let told = (|| -> treewal::Result<()> {
            checkpoint(&tree)?;
            tree.transaction(|tx| tx.write("e/ex", "e 1"))?;
            checkpoint(&tree)?;
            tree.transaction(|tx| tx.rename("f/fx", "f/moved"))?;
            tree.transaction(|tx| tx.rename("f/moved", "f/fx"))
        })();
        drop(tree);
        let is_over = !disk.is_off();
        assert!(told.is_ok() || !is_over, "{told:?}");
        for (lost, said) in losses(&disk, cut, 4) {
            states += 1;
            let tree = open(&lost);
            if at(&lost, "f/moved").is_some() {
                // Between the two moves, which is as good.
                tree.transaction(|tx| tx.rename("f/moved", "f/fx")).unwrap();
            }
            drop(tree);
            ends_well(&lost, 1, &format!("cut {cut}: {said}"));
        }
        if is_over {
            assert!(cut > 20, "{cut}");
            break;
        }
    }
    println!("later commits, then power loss: {states} states judged");
    assert!(states > 200, "{states}");
}

/// Two processes: each learns of it from the journal, and turns use up no tries.
#[test]
fn ro24_two_processes_know_of_it_and_their_turns_are_no_tries() {
    let disk = promised(&base(), owed);
    let (tree, own_fault) = stubborn(&disk, OWED);
    let neighbour = disk.another_process();
    // It tries as well, since it opens.
    let (other, fault) = stubborn(&neighbour, OWED);
    assert_eq!(other.recovery().pending().next().unwrap().attempt, 2);
    for n in 0..6 {
        for handle in [&tree, &other] {
            refuses(handle, "d/dx", handle.transaction(|tx| tx.write("d/dx", "theirs")));
            handle.transaction(|tx| tx.write("e/ex", format!("e {n}"))).unwrap();
            handle.transaction(|tx| tx.write("d/other", format!("d {n}"))).unwrap();
        }
    }
    // A third one opens the tree when the fault is gone; the others learn that nothing is owed any more.
    fault.give_in();
    own_fault.give_in();
    let third = open(&disk.another_process());
    assert_eq!(third.recovery().transactions[0].attempt, 3, "{}", third.recovery());
    assert_eq!(third.recovery().pending().count(), 0);
    for handle in [&tree, &other] {
        handle.transaction(|tx| tx.write("d/dx", "new dx")).unwrap();
        handle.checkpoint().unwrap();
    }
    drop((tree, other, third));
    ends_well(&disk.remount(), 5, "two processes");
}

/// The neighbour dies at work: who takes over finishes what that one left, and leaves what has failed before to an opening.
#[test]
fn ro24_who_takes_over_from_a_killed_neighbour_knows_of_it() {
    let disk = promised(&base(), owed);
    let (tree, fault) = stubborn(&disk, OWED);
    let neighbour = disk.another_process();
    let other = open_on(Arc::new(neighbour.clone()));
    // That opening has done it. The next one is owed again, by the neighbour.
    assert_eq!(other.recovery().pending().count(), 0);
    let guard = other.guard(["f"]).unwrap();
    put(&neighbour, "f/fx", "in place");
    std::mem::forget((guard, other));
    drop(neighbour.kill());
    fault.give_in();
    tree.transaction(|tx| tx.write("e/ex", "e 3")).unwrap();
    tree.transaction(|tx| tx.write("d/other", "d 3")).unwrap();
    tree.transaction(|tx| tx.write("d/dx", "new dx")).unwrap();
    assert_eq!(at(&disk, "f/fx").unwrap(), "old fx");
    drop(tree);
    ends_well(&disk.remount(), 3, "taken over");
}

/// A guard inside another: where the outer one is undone, the inner one never is after it.
#[test]
fn ro24_an_inner_guard_is_not_undone_after_the_one_around_it() {
    let base = base();
    let disk = base.remount();
    let tree = open(&disk);
    let outer = tree.guard(["d"]).unwrap();
    put(&disk, "d/dx", "outer");
    let inner = outer.guard(["d/dx"]).unwrap();
    put(&disk, "d/dx", "inner");
    std::mem::forget((inner, outer, tree));
    let disk = disk.kill();
    // The snapshot of the inner guard cannot be used for now: its backups stand in `work` under their numbers.
    for verb in [treewal_vfs::Verb::Open, treewal_vfs::Verb::Rename, treewal_vfs::Verb::Stat] {
        for at in 1..60 {
            let disk = disk.remount();
            let fault = treewal_vfs::Fault::Error { at, errno: treewal_vfs::errno::ENODATA };
            let faulty = treewal_vfs::FaultDisk::new(Arc::new(disk.clone()), fault).only(verb);
            if let Ok(tree) = Options::open_on(&options(), Arc::new(faulty), "/") {
                drop(tree);
            }
            let tree = open(&disk);
            assert_eq!(tree.recovery().pending().count(), 0, "{verb:?} {at}: {}", tree.recovery());
            drop(tree);
            assert_eq!(differences(&look(&disk, "/"), &look(&base, "/")), "", "{verb:?} {at}");
        }
    }
}
