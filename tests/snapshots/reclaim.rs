//! The room that a snapshot takes comes back when it is removed, also where the process is killed in the middle of that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal::{Options, Sharing, SnapshotOptions, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

/// What a child of the test does: where, and the call of the disk before which it dies.
const CHILD: &str = "TREEWAL_TEST_RECLAIM";
const NAME: &str = "reclaim::what_a_killed_removal_leaves_goes_with_the_next_opening";

/// Blocks of 512 bytes of everything beneath a path, and how many entries that is.
fn room(path: &Path) -> (u64, usize) {
    let meta = fs::symlink_metadata(path).unwrap();
    let mut sum = (meta.blocks(), 1);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let (blocks, entries) = room(&entry.unwrap().path());
            sum = (sum.0 + blocks, sum.1 + entries);
        }
    }
    sum
}

fn with_snapshot() -> (tempfile::TempDir, (u64, usize)) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/deep")).unwrap();
    for n in 0..6 {
        fs::write(dir.path().join(format!("d/deep/{n}")), vec![b'x'; 50_000]).unwrap();
    }
    let tree = Tree::open(dir.path()).unwrap();
    let options = SnapshotOptions::new().sharing(Sharing::Copy);
    // The directory that snapshots stand in is made with the first, and stays.
    tree.snapshot_with(options.clone(), "before").unwrap();
    tree.remove_snapshot("before").unwrap();
    let before = room(&dir.path().join(".treewal/snapshots"));
    tree.snapshot_with(options, "one").unwrap();
    assert!(room(&dir.path().join(".treewal/snapshots")).0 > before.0 + 500, "copies take room");
    (dir, before)
}

#[test]
fn a_removal_gives_back_all_that_was_taken() {
    let (dir, before) = with_snapshot();
    let tree = Tree::open(dir.path()).unwrap();
    tree.remove_snapshot("one").unwrap();
    assert_eq!(room(&dir.path().join(".treewal/snapshots")), before);
}

#[test]
fn what_a_killed_removal_leaves_goes_with_the_next_opening() {
    if let Ok(told) = std::env::var(CHILD) {
        let (at, home) = told.split_once(' ').unwrap();
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = Options::new().open_on(disk.clone(), home).unwrap();
        disk.arm(Fault::Kill { at: at.parse().unwrap() });
        tree.remove_snapshot("one").unwrap();
        disk.arm(Fault::None);
        return;
    }
    let (mut whole, mut gone) = (0, 0);
    for at in 1.. {
        let (dir, before) = with_snapshot();
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, format!("{at} {}", dir.path().display()))
            .output()
            .unwrap();
        let killed = out.status.signal() == Some(9);
        assert!(killed || out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let tree = Tree::open(dir.path()).unwrap();
        let left = tree.snapshots().unwrap();
        match left.first() {
            Some(snapshot) => {
                assert_eq!(snapshot.verify().unwrap(), Vec::<std::path::PathBuf>::new());
                tree.remove_snapshot("one").unwrap();
                whole += 1;
            }
            None => gone += 1,
        }
        assert_eq!(room(&dir.path().join(".treewal/snapshots")), before, "killed before call {at}");
        if !killed {
            break;
        }
    }
    assert!(whole >= 1 && gone > 10, "{whole} times whole, {gone} times gone");
}
