//! What must hold of one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use treewal::{Transaction, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, RelPath};

use crate::alphabet::options;
use crate::memory::{Memory, No};
use crate::ops::Op;
use crate::seen::{differences, leftovers, look};

/// What a disk holds.
pub(crate) fn memory(disk: &SimDisk) -> Memory {
    let root = disk.open_root("/".as_ref()).unwrap();
    let seen = look(disk, "/");
    let inode = |path: &RelPath| match path.split() {
        None => disk.stat_dir(&root).unwrap().ino,
        Some((above, name)) => disk.stat(&disk.open_dir(&root, &above).unwrap(), name).unwrap().ino,
    };
    let inodes: BTreeMap<RelPath, u64> = seen.keys().map(|path| (path.clone(), inode(path))).collect();
    Memory::of(&seen, &inodes)
}

fn open(disk: &SimDisk) -> Tree {
    options().open_on(Arc::new(disk.clone()), "/").unwrap()
}

fn stage(tree: &Tree, ops: &[Op]) -> Transaction {
    let mut tx = tree.begin();
    for op in ops {
        op.stage(&mut tx).unwrap_or_else(|error| panic!("{ops:?}: {op:?}: {error:?}"));
    }
    tx
}

fn same(disk: &SimDisk, wanted: &Memory, why: &dyn Fn() -> String) {
    let found = memory(disk);
    let (seen, told) = (found.seen(), wanted.seen());
    assert!(seen == told, "{}:\n{}", why(), differences(&seen, &told));
    assert!(found.groups() == wanted.groups(), "{}: names of one file: {:?}", why(), found.groups());
}

/// Each of these is refused after `ops` as `std::fs` would, and leaves the transaction as it was.
pub(crate) fn refuses(base: &SimDisk, ops: &[Op], refused: &[(&Op, No)]) {
    let tree = open(&base.remount());
    let mut tx = stage(&tree, ops);
    let before = tx.changes();
    for (op, no) in refused {
        let error = op.stage(&mut tx).err();
        let error = error.unwrap_or_else(|| panic!("{ops:?}, and then {op:?} should be refused: {no:?}"));
        if let No::Because(kind) = no {
            assert_eq!(error.kind(), *kind, "{ops:?}, and then {op:?}: {error:?}");
        }
        assert_eq!(tx.changes(), before, "{ops:?}: {op:?} failed and changed something");
    }
}

/// They commit, and the tree is `after`: as long as the power is there, and with as little on the disk as was promised.
pub(crate) fn commits(base: &SimDisk, ops: &[Op], after: &Memory) {
    let disk = base.remount();
    let tree = open(&disk);
    stage(&tree, ops).commit().unwrap_or_else(|error| panic!("{ops:?}: {error:?}"));
    same(&disk, after, &|| format!("{ops:?}"));
    let possible = disk.outcomes(Profile::Strict);
    for (what, outcome) in [("nothing", possible.nothing()), ("names alone", possible.names_without_contents())] {
        let lost = disk.after(&outcome);
        let tree = open(&lost);
        same(&lost, after, &|| format!("{ops:?}, and then {what} was on the disk\n{}", tree.recovery()));
    }
    drop(tree);
    assert_eq!(leftovers(&disk, "/"), Vec::<String>::new(), "{ops:?}: left in the stage");
}

/// The power goes before the call `at`: the tree is as before or `after`, and `after` where the commit was acknowledged. Gives
/// whether the call was made.
pub(crate) fn survives(base: &SimDisk, ops: &[Op], (before, after): (&Memory, &Memory), at: u64) -> bool {
    let disk = base.remount();
    let tree = open(&disk);
    let tx = stage(&tree, ops);
    disk.cut_at(Some(at));
    let committed = tx.commit();
    if committed.is_ok() {
        return false;
    }
    for profile in [Profile::Strict, Profile::Ordered] {
        let possible = disk.outcomes(profile);
        let drawn = possible.sample(at, 1);
        for outcome in [possible.nothing(), possible.everything()].into_iter().chain(drawn) {
            let lost = disk.after(&outcome);
            let tree = open(&lost);
            let found = memory(&lost);
            let is = |wanted: &Memory| found.seen() == wanted.seen() && found.groups() == wanted.groups();
            assert!(
                is(before) || is(after),
                "{ops:?}, cut at {at}, {profile:?}: neither\n{}\nnor\n{}\n{}",
                differences(&found.seen(), &before.seen()),
                differences(&found.seen(), &after.seen()),
                tree.recovery(),
            );
        }
    }
    true
}
