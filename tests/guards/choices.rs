//! How a guard keeps what it protects, and how it brings it back: what was asked for is done, and told.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use treewal::{
    Error, GuardOptions, Options, Outcome, Progress, Sharing, SnapshotMode, SnapshotOptions, Transaction, Tree,
};
use treewal_vfs::{RealDisk, RecordingDisk};

use crate::walk::walk;

const FILES: usize = 30;

fn furnished() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/deep")).unwrap();
    fs::create_dir(dir.path().join("managed")).unwrap();
    for n in 0..FILES {
        fs::write(dir.path().join(format!("d/deep/{n}")), vec![b'o'; 100 * n]).unwrap();
    }
    fs::hard_link(dir.path().join("d/deep/3"), dir.path().join("d/three")).unwrap();
    fs::write(dir.path().join("managed/m"), "old").unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

/// Everything that a program may do, to files that it has open and to others.
fn vandalise(dir: &Path) {
    fs::write(dir.join("d/deep/5"), "in place").unwrap();
    fs::remove_file(dir.join("d/deep/6")).unwrap();
    fs::rename(dir.join("d/deep/7"), dir.join("d/seven")).unwrap();
    fs::create_dir(dir.join("d/new")).unwrap();
    fs::write(dir.join("d/new/n"), "new").unwrap();
    fs::set_permissions(dir.join("d/deep"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// Whether this file system has reflinks.
fn reflinks(tree: &Tree) -> bool {
    let guard = tree.guard_with(GuardOptions::new().sharing(Sharing::Reflink), ["managed"]);
    guard.is_ok()
}

#[test]
fn the_way_that_each_file_is_kept_is_the_one_that_was_asked_for_and_is_told() {
    let (_dir, tree) = furnished();
    let shared = if reflinks(&tree) { SnapshotMode::Reflink } else { SnapshotMode::Copy };
    let managed = if reflinks(&tree) { SnapshotMode::Reflink } else { SnapshotMode::HardLink };
    for (options, in_d, in_managed) in [
        (GuardOptions::new(), shared, shared),
        (GuardOptions::new().managed("managed"), shared, managed),
        (GuardOptions::new().sharing(Sharing::Copy).managed("managed"), SnapshotMode::Copy, SnapshotMode::Copy),
        (GuardOptions::new().sharing(Sharing::HardLink), SnapshotMode::HardLink, SnapshotMode::HardLink),
    ] {
        let guard = tree.guard_with(options.clone(), ["d", "managed"]).unwrap();
        let kept = guard.kept().unwrap();
        let of = |path: &str| kept.iter().find(|entry| entry.path == Path::new(path)).unwrap();
        assert_eq!((of("d/deep/9").mode, of("d/deep/9").bytes), (in_d, 900), "{options:?}");
        assert_eq!((of("d/three").mode, of("managed/m").mode), (in_d, in_managed), "{options:?}");
        assert_eq!(of("d/deep").mode, SnapshotMode::None);
        // A second name has no contents of its own; the sum has each file once.
        let report = guard.snapshot();
        for (mode, sum) in [
            (SnapshotMode::Reflink, report.reflinked),
            (SnapshotMode::HardLink, report.hard_linked),
            (SnapshotMode::Copy, report.copied),
        ] {
            let files = [(in_d, FILES as u64), (in_managed, 1)];
            let wanted: u64 = files.iter().filter(|(way, _)| *way == mode).map(|(_, count)| count).sum();
            assert_eq!(sum, wanted, "{options:?}: {report:?}");
        }
        assert_eq!(kept.len() as u64, report.entries);
        guard.rollback().unwrap();
    }
    assert_eq!(tree.guard_with(GuardOptions::new().managed("../x"), ["d"]).unwrap_err().outcome(), Outcome::Unchanged);
}

#[test]
fn with_checksums_a_new_mode_is_told_from_a_write() {
    for digest in [true, false] {
        let (dir, tree) = furnished();
        let file = dir.path().join("managed/m");
        let options = GuardOptions::new().sharing(Sharing::HardLink).digest(digest);
        let guard = tree.guard_with(options, ["managed"]).unwrap();
        // Bytes and size stay, and the time is set back: only the time of the last change tells.
        let then = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "new").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        let rolled_back = guard.rollback();
        if digest {
            let error = format!("{:?}", rolled_back.unwrap_err());
            assert!(error.contains("InPlace") && error.contains("managed/m"), "{error}");
        }
        drop(tree);
        let (dir, tree) = furnished();
        let file = dir.path().join("managed/m");
        let options = GuardOptions::new().sharing(Sharing::HardLink).digest(digest);
        let guard = tree.guard_with(options, ["managed"]).unwrap();
        let mode = fs::metadata(&file).unwrap().mode();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        // Without them it may have been a write, and is named; either way the mode is back.
        assert_eq!(guard.rollback().is_ok(), digest);
        assert_eq!(fs::metadata(&file).unwrap().mode(), mode);
    }
}

/// A limit: see `docs/guarantees.md`. The backup is the file itself, and its time of change moves with each of its names.
#[test]
fn without_checksums_another_name_that_is_renamed_or_replaced_passes_for_a_write() {
    type Change = fn(&mut Transaction) -> treewal::Result<()>;
    let changes: [Change; 2] = [|tx| tx.rename("d/other", "d/moved"), |tx| tx.write("d/other", "new")];
    for (change, digest) in changes.into_iter().flat_map(|change| [(change, true), (change, false)]) {
        let (dir, tree) = furnished();
        fs::hard_link(dir.path().join("managed/m"), dir.path().join("d/other")).unwrap();
        let options = GuardOptions::new().sharing(Sharing::HardLink).digest(digest);
        let guard = tree.guard_with(options, ["managed"]).unwrap();
        tree.transaction(change).unwrap();
        fs::write(dir.path().join("managed/new"), "new").unwrap();
        match guard.rollback() {
            Ok(()) => assert!(digest),
            Err(error) => {
                assert!(!digest && error.outcome() == Outcome::Undecided, "{error:?}");
                let told = format!("{error:?}");
                assert!(told.contains("InPlace") && told.contains("managed/m"), "{told}");
            }
        }
        drop(tree);
        // Either way it is there as it was, and all else is brought back.
        let tree = Tree::open(dir.path()).unwrap();
        assert_eq!(tree.recovery().pending().count(), 0);
        assert_eq!(tree.quarantine().unwrap().is_empty(), digest);
        assert_eq!(fs::read_to_string(dir.path().join("managed/m")).unwrap(), "old");
        assert!(!dir.path().join("managed/new").exists());
    }
}

#[test]
fn one_exchange_brings_a_directory_back_whoever_has_files_of_it_open() {
    let (dir, tree) = furnished();
    let before = walk(dir.path());
    let inode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().ino();
    let was = inode("d");
    let options = GuardOptions::new().exchange(true).matching("index.db*");
    let guard = tree.guard_with(options, ["d", "absent/one"]).unwrap();
    let mut open = fs::File::options().append(true).open(dir.path().join("d/deep/9")).unwrap();
    vandalise(dir.path());
    fs::create_dir(dir.path().join("absent")).unwrap();
    fs::write(dir.path().join("absent/one"), "new").unwrap();
    fs::write(dir.path().join("index.db-wal"), "new").unwrap();
    assert_eq!(guard.changes().unwrap().iter().filter(|change| change.path.to_string() == "d/deep/5").count(), 1);
    guard.rollback().unwrap();
    // Who goes on writes into what was displaced.
    std::io::Write::write_all(&mut open, b"too late").unwrap();
    assert_ne!(inode("d"), was);
    assert!(walk(dir.path()) == before);
    assert_eq!(fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count(), 0);
    // And what is committed stays.
    let guard = tree.guard_with(GuardOptions::new().exchange(true), ["d"]).unwrap();
    vandalise(dir.path());
    let now = walk(dir.path());
    guard.commit().unwrap();
    drop(tree);
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    assert!(walk(dir.path()) == now);
}

#[test]
fn what_an_exchange_does_to_the_tree_does_not_grow_with_the_files() {
    let cost = |files: usize| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        (0..files).for_each(|n| fs::write(dir.path().join(format!("d/{n}")), "old").unwrap());
        let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        let tree = Options::new().open_on(disk.clone(), dir.path()).unwrap();
        let guard = tree.guard_with(GuardOptions::new().exchange(true), ["d"]).unwrap();
        (0..files).for_each(|n| fs::write(dir.path().join(format!("d/{n}")), "new").unwrap());
        disk.take();
        guard.rollback().unwrap();
        assert_eq!(fs::read(dir.path().join("d/0")).unwrap(), b"old");
        let calls = disk.take();
        // Up to the sync that makes it durable; then what was displaced is removed, and nobody waits for the tree.
        calls.iter().position(|call| call.verb == treewal_vfs::Verb::SyncAll).unwrap()
    };
    assert_eq!(cost(10), cost(300));
}

#[test]
fn an_exchange_that_cannot_be_is_refused_before_anything_is_guarded() {
    let (dir, tree) = furnished();
    for (options, path) in [(GuardOptions::new(), "."), (GuardOptions::new().exclude("d/deep"), "d")] {
        match tree.guard_with(options.exchange(true), [path]) {
            Err(error @ Error::Snapshot(_)) => assert_eq!(error.outcome(), Outcome::Unchanged),
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count(), 0);
    // Where the directory that it was in is gone, the rollback compares instead.
    let before = walk(dir.path());
    let guard = tree.guard_with(GuardOptions::new().exchange(true), ["d/deep", "d/three"]).unwrap();
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    guard.rollback().unwrap();
    let contents = |walk: crate::walk::Walk| walk.into_iter().map(|(path, seen)| (path, seen.contents));
    assert!(contents(walk(dir.path())).eq(contents(before)));
}

#[test]
fn it_tells_how_far_it_is_with_as_many_threads_as_were_asked_for() {
    let (_dir, tree) = furnished();
    let progress = Progress::new();
    let one = NonZeroUsize::MIN;
    let options = GuardOptions::new().sharing(Sharing::Copy).threads(one).progress(&progress);
    let guard = tree.guard_with(options, ["d"]).unwrap();
    assert_eq!(
        (progress.entries(), progress.bytes_copied()),
        (guard.snapshot().entries, guard.snapshot().bytes_copied)
    );
    assert!(progress.is_syncing() && progress.bytes_copied() > 0);
    guard.rollback().unwrap();
    let options = SnapshotOptions::new().threads(one).progress(&progress);
    let snapshot = tree.snapshot_with(options, "one").unwrap();
    // The tree itself is counted.
    assert_eq!(progress.entries(), snapshot.summary().unwrap().entries);
}
