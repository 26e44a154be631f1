//! What the journal tells of a guard that was left open: that recovery has ended it; and what is not believed of its snapshot.

use std::ops::ControlFlow;

use treewal_journal::{Reader, Record};
use treewal_snapshot::TakeOptions;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, RelPath, remove_tree};

use crate::crash::{open, put};
use crate::seen::look;

fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

/// A guard on `a`, which was written to in place, left by a process that was killed; and its number.
fn left_open() -> (SimDisk, u64) {
    let disk = SimDisk::new();
    put(&disk, "a", "old");
    let tree = open(&disk).unwrap();
    let guard = tree.guard(["a"]).unwrap();
    let txn = guard.id();
    put(&disk, "a", "new");
    std::mem::forget((guard, tree));
    (disk.kill(), txn)
}

fn records(disk: &SimDisk) -> Vec<Record> {
    let mut records = Vec::new();
    Reader::scan(disk, &dir(disk, ".treewal/journal"), None, &mut |frame| {
        records.push(Record::decode(frame.kind, frame.payload).unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    records
}

/// For people who read the log: that it was rolled back, and not only that it was settled.
#[test]
fn a_guard_that_recovery_has_undone_was_rolled_back() {
    let (disk, txn) = left_open();
    drop(open(&disk).unwrap());
    let ends = |record: &&Record| matches!(record, Record::Rollback { .. } | Record::Commit { .. });
    assert_eq!(records(&disk).iter().filter(ends).collect::<Vec<_>>(), [&Record::Rollback { txn }]);
}

/// Somebody put the snapshot of other paths into the place of a guard's: nothing of treewal's own comes back from it.
#[test]
fn a_snapshot_that_reaches_into_treewals_own_directory_is_given_up() {
    let (disk, txn) = left_open();
    let guards = dir(&disk, ".treewal/guards");
    let name = disk.list(&guards).unwrap().pop().unwrap().name;
    let snapshot = disk.open_dir(&guards, &RelPath::root().join(&name)).unwrap();
    for entry in disk.list(&snapshot).unwrap() {
        remove_tree(&disk, &snapshot, &entry.name).unwrap();
    }
    put(&disk, ".treewal/own", "old");
    let paths = [RelPath::new(".treewal/own").unwrap()];
    treewal_snapshot::take(&disk, &dir(&disk, ""), &paths, &snapshot, &TakeOptions::default()).unwrap();
    put(&disk, ".treewal/own", "new");
    let tree = open(&disk).unwrap();
    let line = tree.recovery().transactions.iter().find(|line| line.txn == txn).unwrap();
    assert_eq!(line.label, "undo-impossible", "{}", tree.recovery());
    assert!(line.quarantine.is_some());
    assert_eq!(look(&disk, "/")[&RelPath::new("a").unwrap()].contents, b"new");
    assert_eq!(disk.dump()[&RelPath::new(".treewal/own").unwrap()].contents, b"new");
}
