//! Recovery seen from outside: tries are counted and end in quarantine, processes hand the tree over, and what others
//! had not synced does not take a commit with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Error, Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RelPath, Rename, Verb, errno, write_all};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).max_attempts(3).lock_wait(Duration::ZERO)
}

fn open(disk: &SimDisk) -> Tree {
    options().open_on(Arc::new(disk.clone()), "/").unwrap()
}

fn put(disk: &SimDisk, name: &str, contents: &str) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, OsStr::new(name), Open::Create { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

fn holds(disk: &SimDisk, path: &str) -> Option<String> {
    let node = disk.dump().remove(&RelPath::new(path).unwrap())?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

fn sync(disk: &SimDisk) {
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
}

#[test]
fn a_guard_that_cannot_be_undone_is_retried_counted_and_kept_in_quarantine() {
    let disk = SimDisk::new();
    put(&disk, "precious", "before");
    let tree = open(&disk);
    let guard = tree.guard(["precious"]).unwrap();
    put(&disk, "precious", "halfwy");
    std::mem::forget((guard, tree));
    let disk = disk.kill();

    for attempt in 1..=3 {
        // The disk refuses every rename: nothing can be put back.
        let fault = Fault::ErrorFrom { at: 1, errno: errno::ENODATA };
        let broken = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename));
        let tree = options().open_on(broken, "/").unwrap();
        let pending: Vec<u32> = tree.recovery().pending().map(|transaction| transaction.attempt).collect();
        assert_eq!(pending, [attempt], "{}", tree.recovery());
        assert!(matches!(tree.transaction(|tx| tx.write("precious", "x")), Err(Error::Pending { .. })));
        assert!(matches!(tree.guard(["precious"]), Err(Error::Pending { .. })));
    }
    let tree = open(&disk);
    let report = tree.recovery();
    assert!(report.found_damage() && report.pending().count() == 0, "{report}");
    let name = report.transactions[0].quarantine.clone().unwrap();
    assert!(holds(&disk, &format!(".treewal/quarantine/{name}/report.txt")).unwrap().contains("precious"));
    let kept = disk.dump().into_iter().any(|(path, node)| {
        path.starts_with(&RelPath::new(".treewal/quarantine").unwrap()) && node.contents == b"before"
    });
    assert!(kept, "the state before the guard is kept");
    assert_eq!(holds(&disk, "precious").unwrap(), "halfwy", "nothing is guessed");
    tree.transaction(|tx| tx.write("other", "the tree works on")).unwrap();
    drop(tree);
    assert!(open(&disk).recovery().is_clean());
}

#[test]
fn a_try_that_succeeds_ends_the_counting() {
    let disk = SimDisk::new();
    put(&disk, "precious", "before");
    let tree = open(&disk);
    let guard = tree.guard(["precious"]).unwrap();
    put(&disk, "precious", "halfwy");
    std::mem::forget((guard, tree));
    let disk = disk.kill();
    let fault = Fault::ErrorFrom { at: 1, errno: errno::EIO };
    let broken = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename));
    assert_eq!(options().open_on(broken, "/").unwrap().recovery().pending().count(), 1);
    let tree = open(&disk);
    assert_eq!(tree.recovery().transactions[0].attempt, 2);
    assert_eq!(holds(&disk, "precious").unwrap(), "before");
    tree.transaction(|tx| tx.write("precious", "after")).unwrap();
}

#[test]
fn processes_hand_the_tree_over_and_every_commit_survives() {
    let disk = SimDisk::new();
    put(&disk, "a", "0");
    sync(&disk);
    let other_disk = disk.another_process();
    let (tree, other) = (open(&disk), open(&other_disk));
    for round in 0..3 {
        tree.transaction(|tx| tx.write("a", format!("a{round}"))).unwrap();
        other.transaction(|tx| tx.write(format!("b{round}"), "b")).unwrap();
        tree.transaction(|tx| tx.write(format!("c{round}"), "c")).unwrap();
        // What one has committed is there for the other to be undone under a guard.
        let guard = other.guard(["a"]).unwrap();
        put(&other_disk, "a", "xx");
        guard.rollback().unwrap();
    }
    for profile in [Profile::Strict, Profile::Ordered] {
        let all = disk.outcomes(profile);
        for outcome in
            [all.nothing(), all.everything(), all.names_without_contents()].into_iter().chain(all.sample(7, 50))
        {
            let lost = disk.after(&outcome);
            let tree = open(&lost);
            assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
            assert_eq!(holds(&lost, "a").unwrap(), "a2");
            for round in 0..3 {
                assert!(holds(&lost, &format!("b{round}")).is_some() && holds(&lost, &format!("c{round}")).is_some());
            }
        }
    }
}

#[test]
fn a_killed_neighbour_is_recovered_before_anything_else_happens() {
    let disk = SimDisk::new();
    put(&disk, "a", "0");
    sync(&disk);
    let neighbour = disk.another_process();
    let tree = open(&disk);
    let theirs = open(&neighbour);
    let guard = theirs.guard(["a"]).unwrap();
    put(&neighbour, "a", "1");
    assert!(matches!(tree.transaction(|tx| tx.write("b", "b")), Err(Error::Locked { .. })));
    std::mem::forget((guard, theirs));
    drop(neighbour.kill());
    // The guard of the dead neighbour is undone first: this commit builds on what was before it.
    tree.transaction(|tx| {
        let before = tx.read_to_string("a")?;
        tx.write("b", before)
    })
    .unwrap_or_else(|error| assert!(error.is_retryable(), "{error}"));
    tree.transaction(|tx| {
        let before = tx.read_to_string("a")?;
        tx.write("b", before)
    })
    .unwrap();
    assert_eq!((holds(&disk, "a").unwrap(), holds(&disk, "b").unwrap()), ("0".into(), "0".into()));
}

#[test]
fn what_others_had_not_synced_does_not_take_a_commit_with_it() {
    let disk = SimDisk::new();
    drop(open(&disk));
    sync(&disk);
    let tree = open(&disk);
    // Made by somebody who never syncs: a power loss may take the file, and the directory.
    put(&disk, "f", "theirs");
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
    disk.create_dir(&root, OsStr::new("e"), 0o755).unwrap();
    tree.transaction(|tx| {
        tx.write("f", "ours")?;
        tx.write("d/g", "ours")?;
        tx.create_dir_all("e/n/m")?;
        tx.write("e/n/m/h", "ours")
    })
    .unwrap();
    for profile in [Profile::Strict, Profile::Ordered] {
        let all = disk.outcomes(profile);
        for outcome in
            [all.nothing(), all.everything(), all.names_without_contents()].into_iter().chain(all.sample(3, 200))
        {
            let lost = disk.after(&outcome);
            let tree = open(&lost);
            let at = disk.describe(&outcome);
            assert!(
                !tree.recovery().found_damage() && tree.recovery().pending().count() == 0,
                "{}\n{at}",
                tree.recovery()
            );
            for path in ["f", "d/g", "e/n/m/h"] {
                assert_eq!(holds(&lost, path).as_deref(), Some("ours"), "{path}\n{at}");
            }
        }
    }
}

/// The times of entries stand still between two ticks, and the clock does not: what somebody writes right after the commit has
/// a time from before it.
#[test]
fn what_somebody_wrote_within_the_tick_of_the_commit_stays() {
    let disk = SimDisk::new();
    disk.set_tick_us(10_000);
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("f", "ours")).unwrap();
    disk.remove_file(&disk.open_root("/".as_ref()).unwrap(), OsStr::new("f")).unwrap();
    put(&disk, "f", "theirs");
    let killed = disk.kill();
    let tree = open(&killed);
    assert_eq!(holds(&killed, "f").as_deref(), Some("theirs"), "{}", tree.recovery());
    assert_eq!(tree.recovery().transactions.iter().map(|done| done.superseded.len()).sum::<usize>(), 1);
}

#[test]
fn what_somebody_changed_after_the_commit_stays_and_ours_is_kept_in_quarantine() {
    let disk = SimDisk::new();
    for name in ["replaced", "written", "removed", "made"] {
        if name != "made" {
            put(&disk, name, "old, and rather long");
        }
    }
    sync(&disk);
    let tree = open(&disk);
    tree.transaction(|tx| {
        tx.write("replaced", "ours 1")?;
        tx.write("written", "ours 2")?;
        tx.remove_file("removed")?;
        tx.write("made", "ours 3")
    })
    .unwrap();
    let all = disk.outcomes(Profile::Strict);
    for outcome in
        [all.nothing(), all.everything(), all.names_without_contents()].into_iter().chain(all.sample(11, 100))
    {
        let lost = disk.after(&outcome);
        // Before the tree is opened again, somebody works on it: replaces one file, writes into others.
        let root = lost.open_root("/".as_ref()).unwrap();
        let _gone = lost.remove_file(&root, OsStr::new("replaced"));
        for name in ["replaced", "written", "removed", "made"] {
            put(&lost, name, "theirs, later");
        }
        let tree = open(&lost);
        let report = tree.recovery().clone();
        drop(tree);
        for name in ["replaced", "written", "removed", "made"] {
            assert!(
                holds(&lost, name).unwrap().starts_with("theirs, later"),
                "{name}: {report}\n{}",
                disk.describe(&outcome)
            );
        }
        let case = format!(".treewal/quarantine/{}", report.transactions[0].quarantine.as_ref().unwrap());
        let case = RelPath::new(case).unwrap();
        for ours in ["ours 1", "ours 2", "ours 3"] {
            let kept =
                lost.dump().into_iter().any(|(path, node)| path.starts_with(&case) && node.contents == ours.as_bytes());
            assert!(kept, "{ours} is not kept: {report}");
        }
        assert!(open(&lost).recovery().is_clean());
    }
}

#[test]
fn an_entry_on_its_way_is_never_lost_whoever_takes_its_place() {
    let base = SimDisk::new();
    let root = base.open_root("/".as_ref()).unwrap();
    base.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
    let dir = base.open_dir(&root, &RelPath::new("d").unwrap()).unwrap();
    let file = base.open(&dir, OsStr::new("x"), Open::CreateNew { mode: 0o644 }).unwrap();
    write_all(&base, &file, b"precious", 0).unwrap();
    drop(open(&base));
    sync(&base);
    let mut met_in_quarantine = 0;
    for cut in 1.. {
        let disk = base.remount();
        let tree = open(&disk);
        disk.cut_at(Some(cut));
        // The child passes through the stage on its way over its own directory.
        let done = tree.transaction(|tx| {
            tx.rename("d/x", "tmp")?;
            tx.remove_dir_all("d")?;
            tx.rename("tmp", "d")
        });
        if done.is_ok() && !disk.is_off() {
            break;
        }
        let lost = disk.after(&disk.outcomes(Profile::Ordered).everything());
        // Somebody moves what is at `d` away and puts a file of their own there.
        let root = lost.open_root("/".as_ref()).unwrap();
        lost.rename(&root, OsStr::new("d"), &root, OsStr::new("away"), Rename::NoReplace).unwrap();
        put(&lost, "d", "theirs");
        drop(open(&lost));
        let own = RelPath::new(".treewal/quarantine").unwrap();
        let stands: Vec<RelPath> =
            lost.dump().into_iter().filter(|(_, node)| node.contents == b"precious").map(|(path, _)| path).collect();
        assert_eq!(stands.len(), 1, "cut {cut}: {stands:?}");
        met_in_quarantine += usize::from(stands[0].starts_with(&own));
        assert_eq!(holds(&lost, "d").as_deref(), Some("theirs"), "cut {cut}");
    }
    assert!(met_in_quarantine > 0, "no cut met the entry on its way");
}

#[test]
fn extended_attributes_come_back_with_the_contents() {
    let disk = SimDisk::new();
    put(&disk, "f", "old");
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.set_xattr(&root, OsStr::new("f"), OsStr::new("user.key"), b"value").unwrap();
    drop(open(&disk));
    sync(&disk);
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("f", "new")).unwrap();
    let all = disk.outcomes(Profile::Strict);
    for outcome in [all.nothing(), all.everything(), all.names_without_contents()].into_iter().chain(all.sample(5, 300))
    {
        let lost = disk.after(&outcome);
        drop(open(&lost));
        let node = lost.dump().remove(&RelPath::new("f").unwrap()).unwrap();
        assert_eq!(node.contents, b"new");
        assert_eq!(
            node.xattrs.get(OsStr::new("user.key")).map(Vec::as_slice),
            Some(&b"value"[..]),
            "{}",
            disk.describe(&outcome)
        );
    }
}

#[test]
fn the_first_opening_of_a_tree_may_be_cut_anywhere() {
    let base = SimDisk::new();
    put(&base, "a", "old");
    sync(&base);
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let opened = options().open_on(Arc::new(disk.clone()), "/");
        let acknowledged = opened.is_ok_and(|tree| tree.transaction(|tx| tx.write("a", "new")).is_ok());
        if !disk.is_off() {
            assert!(cut > 20, "cut at {cut} calls only");
            break;
        }
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            for outcome in
                [all.nothing(), all.everything(), all.contents_without_names()].into_iter().chain(all.sample(cut, 40))
            {
                let lost = disk.after(&outcome);
                let tree = open(&lost);
                let found = holds(&lost, "a").unwrap();
                assert!(
                    found == "new" || (!acknowledged && found == "old"),
                    "cut {cut}: {found:?}\n{}",
                    disk.describe(&outcome)
                );
                tree.transaction(|tx| tx.write("a", "again")).unwrap();
            }
        }
    }
}

#[test]
fn leftovers_that_cannot_be_removed_do_not_keep_the_tree_shut() {
    let disk = SimDisk::new();
    put(&disk, "a", "old");
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("a", "new")).unwrap();
    std::mem::forget(tree);
    let disk = disk.kill();
    for verb in [Verb::RemoveFile, Verb::RemoveDir] {
        let fault = Fault::ErrorFrom { at: 1, errno: errno::EACCES };
        let stubborn = Arc::new(FaultDisk::new(Arc::new(disk.remount()), fault).only(verb));
        let tree = options().open_on(stubborn, "/").unwrap();
        tree.transaction(|tx| tx.write("b", "goes on")).unwrap();
    }
    drop(open(&disk));
    let stage = RelPath::new(".treewal/stage").unwrap();
    assert!(disk.dump().keys().all(|path| *path == stage || !path.starts_with(&stage)), "a later opening removes them");
}

#[test]
fn a_lock_that_could_not_be_signed_is_given_back() {
    for verb in [Verb::ReadAt, Verb::StatFile, Verb::WriteAt] {
        let disk = SimDisk::new();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None).only(verb));
        let tree = options().open_on(faulty.clone(), "/").unwrap();
        // Somebody else had the lock since, so it has to be signed again.
        drop(open(&disk));
        faulty.arm(Fault::Error { at: 1, errno: errno::EIO });
        assert!(tree.checkpoint().is_err(), "{verb:?}");
        open(&disk).transaction(|tx| tx.write("a", "others go on")).unwrap();
    }
}
