//! Guards on names that come and go, and on all but some.

use std::ffi::OsStr;
use std::fs;
use std::sync::Arc;

use treewal::{Error, GuardOptions, Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Open, RelPath};

use crate::seen::{leftovers, look};

const NONE: [&str; 0] = [];

#[test]
fn a_pattern_guards_what_is_there_and_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir(at("data")).unwrap();
    for path in ["data/index.db", "data/index.db-wal", "data/other.db", "index.db"] {
        fs::write(at(path), "old").unwrap();
    }
    let tree = Tree::open(dir.path()).unwrap();
    let guard = tree.guard_with(GuardOptions::new().matching("data/index.db*"), NONE).unwrap();
    for path in ["data/index.db", "data/index.db-shm", "data/other.db", "data/new", "index.db"] {
        fs::write(at(path), "new").unwrap();
    }
    fs::remove_file(at("data/index.db-wal")).unwrap();
    fs::create_dir(at("data/index.db-dir")).unwrap();
    let mut changed: Vec<String> = guard.changes().unwrap().iter().map(|change| change.path.to_string()).collect();
    changed.sort();
    assert_eq!(changed, ["data/index.db", "data/index.db-dir", "data/index.db-shm", "data/index.db-wal"]);
    // What a transaction would make there would go with the rollback.
    for path in ["data/index.db", "data/index.db-new", "data/index.db-dir/x"] {
        assert!(matches!(tree.transaction(|tx| tx.write(path, "x")), Err(Error::Locked { .. })), "{path}");
    }
    tree.transaction(|tx| tx.write("data/other", "x")).unwrap();
    guard.rollback().unwrap();
    let mut names: Vec<_> = fs::read_dir(at("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["index.db", "index.db-wal", "new", "other", "other.db"]);
    let read = |path: &str| fs::read_to_string(at(path)).unwrap();
    assert_eq!([read("data/index.db"), read("data/index.db-wal")], ["old", "old"]);
    assert_eq!([read("data/other.db"), read("index.db")], ["new", "new"]);
    // A star in a path that is no pattern is a character.
    fs::write(at("a*"), "old").unwrap();
    let guard = tree.guard(["a*"]).unwrap();
    fs::write(at("a*"), "new").unwrap();
    fs::write(at("ab"), "new").unwrap();
    guard.rollback().unwrap();
    assert_eq!([read("a*"), read("ab")], ["old", "new"]);
}

#[test]
fn recovery_knows_the_pattern() {
    let disk = SimDisk::new();
    let options = Options::new().segment_bytes(64 << 10);
    let tree = options.open_on(Arc::new(disk.clone()), "/").unwrap();
    tree.transaction(|tx| tx.write("index.db", "old")).unwrap();
    let before = look(&disk, "/");
    let guard = tree.guard_with(GuardOptions::new().matching("index.db*").matching(".tree*"), NONE).unwrap();
    let root = disk.open_root("/".as_ref()).unwrap();
    for name in ["index.db-wal", "index.db-journal"] {
        disk.open(&root, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
    }
    let crashed = disk.kill();
    drop((guard, tree));
    let tree = options.open_on(Arc::new(crashed.clone()), "/").unwrap();
    assert_eq!(tree.recovery().transactions[0].label, "undo");
    drop(tree);
    assert_eq!(look(&crashed, "/"), before);
    assert_eq!(leftovers(&crashed, "/"), Vec::<String>::new());
    assert!(crashed.dump().contains_key(&RelPath::new(".treewal/tree").unwrap()));
}

/// The pattern is durable before anything may change, like the snapshot.
#[test]
fn recovery_knows_the_pattern_after_a_loss_of_power() {
    let disk = SimDisk::new();
    let options = Options::new().segment_bytes(64 << 10);
    let tree = options.open_on(Arc::new(disk.clone()), "/").unwrap();
    tree.transaction(|tx| tx.write("index.db", "old")).unwrap();
    tree.checkpoint().unwrap();
    let before = look(&disk, "/");
    let guard = tree.guard_with(GuardOptions::new().matching("index.db*"), NONE).unwrap();
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.open(&root, OsStr::new("index.db-wal"), Open::CreateNew { mode: 0o644 }).unwrap();
    for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
        let all = disk.outcomes(profile);
        for outcome in all.named().into_iter().chain(all.single()) {
            let lost = disk.after(&outcome);
            let tree = options.open_on(Arc::new(lost.clone()), "/").unwrap();
            assert!(!tree.recovery().found_damage(), "{profile:?}: {}", tree.recovery());
            drop(tree);
            assert_eq!(look(&lost, "/"), before, "{profile:?}: {}", disk.describe(&outcome));
        }
    }
    std::mem::forget((guard, tree));
}

#[test]
fn all_but_what_is_left_out_is_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("target/deep")).unwrap();
    fs::write(at("a"), "old").unwrap();
    fs::write(at("target/deep/x"), "old").unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let guard = tree.guard_with(GuardOptions::new().exclude("target"), ["."]).unwrap();
    fs::write(at("a"), "new").unwrap();
    fs::write(at("target/deep/x"), "new").unwrap();
    fs::write(at("target/more"), "new").unwrap();
    guard.rollback().unwrap();
    assert_eq!(fs::read(at("a")).unwrap(), b"old");
    assert_eq!(fs::read(at("target/deep/x")).unwrap(), b"new");
    assert!(at("target/more").exists());
    assert!(tree.guard_with(GuardOptions::new().exclude(".treewal"), ["."]).is_err());
}

#[test]
fn a_guard_inside_another_may_have_its_patterns() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let outer = tree.guard_with(GuardOptions::new().matching("x*"), ["d"]).unwrap();
    for (pattern, may) in [("x*", true), ("d/x*", true), ("xx*", false), ("e/x*", false)] {
        let inner = outer.guard_with(GuardOptions::new().matching(pattern), NONE);
        assert_eq!(inner.is_ok(), may, "{pattern}");
    }
    fs::write(dir.path().join("xyz"), "new").unwrap();
    outer.rollback().unwrap();
    assert!(!dir.path().join("xyz").exists());
}
