//! While an undo is owed: it is tried again, counted, never laid over later work, and given up into quarantine. And who holds
//! the tree is named.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal::{Error, Options, Retry, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Fault, FaultDisk, RelPath, Verb, errno};

use crate::child::dies_of;
use crate::sim::{holds, mkdir, open, options, prepared, put};
use crate::walk::work_dir;

/// A tree whose last process died under a guard on `d`.
fn killed() -> SimDisk {
    let disk = prepared(|disk| {
        mkdir(disk, "d");
        put(disk, "d/f", "before");
    });
    let tree = open(&disk).unwrap();
    let guard = tree.guard(["d"]).unwrap();
    put(&disk, "d/f", "half way");
    let killed = disk.kill();
    drop((guard, tree));
    killed
}

/// Opens it on a disk that lets nothing be restored.
fn open_failing(disk: &SimDisk) -> treewal::Result<Tree> {
    let fault = Fault::ErrorFrom { at: 1, errno: errno::ENODATA };
    options().open_on(Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename)), "/")
}

#[test]
fn ro11_tries_are_counted_before_they_are_made_and_end_in_quarantine() {
    let disk = killed();
    for attempt in 1..=3 {
        let tree = open_failing(&disk).unwrap();
        let pending: Vec<u32> = tree.recovery().pending().map(|told| told.attempt).collect();
        assert_eq!(pending, [attempt], "{}", tree.recovery());
    }
    let tree = open(&disk).unwrap();
    let told = &tree.recovery().transactions[0];
    assert_eq!((told.label, tree.recovery().pending().count()), ("undo-exhausted", 0));
    let case = format!(".treewal/quarantine/{}", told.quarantine.as_ref().unwrap());
    assert!(
        holds(&disk, &format!("{case}/report.txt")).unwrap().contains("\"d\""),
        "{}",
        holds(&disk, &format!("{case}/report.txt")).unwrap()
    );
    tree.transaction(|tx| tx.write("d/f", "the tree works on")).unwrap();
}

#[test]
fn ro11_a_try_that_kills_its_process_counts_as_well() {
    let disk = killed();
    let mut disk = disk;
    for _ in 1..=3 {
        // The first call of the restore itself is its last.
        let fault = Fault::Off { at: 1 };
        let dying = FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename);
        drop(options().open_on(Arc::new(dying), "/"));
        disk = disk.kill();
    }
    let tree = open(&disk).unwrap();
    assert_eq!(tree.recovery().transactions[0].label, "undo-exhausted", "{}", tree.recovery());
}

#[test]
fn w_o11_giving_up_keeps_what_was_there_before() {
    let disk = killed();
    (1..=3).for_each(|_| drop(open_failing(&disk).unwrap()));
    drop(open(&disk).unwrap());
    let quarantine = RelPath::new(".treewal/quarantine").unwrap();
    let kept = disk.dump().into_iter().any(|(path, node)| path.starts_with(&quarantine) && node.contents == b"before");
    assert!(kept, "the state before the guard is gone");
    assert_eq!(holds(&disk, "d/f").as_deref(), Some("half way"), "nothing is guessed");
}

#[test]
fn ro24_while_an_undo_is_owed_its_paths_are_refused_by_its_name() {
    let disk = killed();
    let tree = open_failing(&disk).unwrap();
    let owed = tree.recovery().pending().next().unwrap().txn;
    for path in ["d/f", "d/new", "d"] {
        let refused = tree.guard([path]).map(drop).unwrap_err();
        assert!(matches!(refused, Error::Pending { txn, .. } if txn == owed), "{path}: {refused}");
    }
    for path in ["d/f", "d/new"] {
        let refused = tree.transaction(|tx| tx.write(path, "B")).unwrap_err();
        assert!(matches!(refused, Error::Pending { txn, .. } if txn == owed), "{path}: {refused}");
        assert_eq!(refused.outcome(), treewal::Outcome::Unchanged);
    }
}

#[test]
fn w_o10_an_undo_is_never_laid_over_what_was_committed_later() {
    let disk = killed();
    let tree = open_failing(&disk).unwrap();
    assert!(tree.transaction(|tx| tx.write("d/f", "B")).is_err());
    drop(tree);
    // The disk works again: A is undone, and only then B may work.
    let tree = open(&disk).unwrap();
    assert_eq!(holds(&disk, "d/f").as_deref(), Some("before"));
    tree.transaction(|tx| tx.write("d/f", "B")).unwrap();
    drop(tree);
    for _ in 0..2 {
        let tree = open(&disk).unwrap();
        assert!(tree.recovery().is_clean(), "{}", tree.recovery());
        assert_eq!(holds(&disk, "d/f").as_deref(), Some("B"));
    }
    // Neither where A is given up and B works then.
    let disk = killed();
    (1..=3).for_each(|_| drop(open_failing(&disk).unwrap()));
    open(&disk).unwrap().transaction(|tx| tx.write("d/f", "B")).unwrap();
    drop(open(&disk).unwrap());
    assert_eq!(holds(&disk, "d/f").as_deref(), Some("B"));
}

#[test]
fn ro13_whoever_comes_next_undoes_it_first_whatever_it_came_for() {
    type Next = (&'static str, fn(&Tree) -> treewal::Result<()>);
    let nexts: [Next; 4] = [
        ("a transaction", |tree| tree.transaction(|tx| tx.write("d/f", "next"))),
        ("a guard", |tree| tree.guard(["d"])?.rollback()),
        ("a snapshot", |tree| tree.snapshot("now").map(drop)),
        ("a checkpoint", Tree::checkpoint),
    ];
    for (name, next) in nexts {
        let at = work_dir();
        let dir = at.path();
        fs::create_dir(dir.join("d")).unwrap();
        for path in ["d/same", "d/changed", "d/f"] {
            fs::write(dir.join(path), "old").unwrap();
        }
        fs::create_dir(dir.join("d/deep")).unwrap();
        // This handle was there before the other process came, and died.
        let tree = Tree::open(dir).unwrap();
        dies_of("w_o17", dir);
        assert_eq!(fs::read(dir.join("d/changed")).unwrap(), b"new");
        next(&tree).unwrap();
        assert_eq!(fs::read(dir.join("d/changed")).unwrap(), b"old", "{name} met what was unfinished");
        let wrote = name == "a transaction";
        assert_eq!(fs::read(dir.join("d/f")).unwrap(), if wrote { &b"next"[..] } else { b"old" }, "{name}");
        drop(tree);
        assert!(Tree::open(dir).unwrap().recovery().is_clean());
        assert_eq!(fs::read(dir.join("d/f")).unwrap(), if wrote { &b"next"[..] } else { b"old" }, "{name}");
    }
}

#[test]
fn ro21_one_writer_or_many_readers_and_who_it_is_is_told_in_time() {
    let dir = work_dir();
    let wait = Duration::from_millis(50);
    let open = || Options::new().lock_wait(wait).open(dir.path()).unwrap();
    let (first, second) = (open(), open());
    // Whoever waits, waits as long as it was told to, and is told for whom.
    let refused_in_time = |refused: &(dyn Fn() -> treewal::Result<()> + Sync)| {
        let begun = Instant::now();
        let refused = std::thread::scope(|scope| scope.spawn(refused).join().unwrap());
        let Err(Error::Locked { holder }) = refused else { panic!("{refused:?}") };
        assert_eq!(holder.pid, Some(std::process::id()));
        assert!(begun.elapsed() >= wait, "{:?}", begun.elapsed());
    };
    let guard = first.guard(["f"]).unwrap();
    refused_in_time(&|| second.guard(["g"]).map(drop));
    refused_in_time(&|| second.transaction(|tx| tx.write("g", "x")));
    refused_in_time(&|| second.read().map(drop));
    // A thread that would wait for itself is told so at once.
    let itself = second.guard(["g"]).map(drop);
    assert!(matches!(&itself, Err(Error::Locked { holder }) if holder.this_thread), "{itself:?}");
    // Within the guard: another one, and others beside it.
    guard.guard(["f"]).unwrap().commit().unwrap();
    first.transaction(|tx| tx.write("h", "beside")).unwrap();
    guard.commit().unwrap();
    second.transaction(|tx| tx.write("g", "x")).unwrap();
    // Readers do not wait for each other, in one thread and in several; a writer waits for all of them.
    let readers = [first.read().unwrap(), second.read().unwrap(), second.read_within(Duration::ZERO).unwrap()];
    let read = std::thread::scope(|scope| scope.spawn(|| first.read()?.read_to_string("g")).join().unwrap());
    assert_eq!(read.unwrap(), "x");
    refused_in_time(&|| first.transaction(|tx| tx.write("g", "y")));
    drop(readers);
    first.transaction(|tx| tx.write("g", "y")).unwrap();
    assert!(dir.path().join(".treewal/lock").exists(), "the lock file stays");
}

#[test]
fn ro11_what_was_given_up_can_be_brought_back_later() {
    let disk = killed();
    (1..=3).for_each(|_| drop(open_failing(&disk).unwrap()));
    let tree = open(&disk).unwrap();
    let id = tree.recovery().transactions[0].quarantine.clone().unwrap();
    let retried = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(retried.conflicts.is_empty() && retried.purged, "{retried:?}");
    assert_eq!(holds(&disk, "d/f").as_deref(), Some("before"));
    drop(tree);
    assert!(open(&disk).unwrap().recovery().is_clean());
}
