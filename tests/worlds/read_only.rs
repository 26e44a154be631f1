//! Trees that cannot, or must not, be written to.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Error, Options, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb};

use crate::mount::{Mount, walk};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::from_millis(100))
}

/// Makes a tree, closed in order or left at work.
fn make(dir: &Path, at_work: bool) {
    fs::create_dir(dir).unwrap();
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), dir).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    tree.snapshot("s").unwrap();
    if at_work {
        tree.transaction(|tx| tx.write("a", "2")).unwrap();
        disk.arm(Fault::Off { at: 1 });
    }
}

/// What can be done with a tree that nobody may write to.
fn looked_at(dir: &Path, at_work: bool, name: &str) {
    assert_eq!(treewal::status(dir).unwrap().state, if at_work { "unfinished" } else { "clean" }, "{name}");
    assert!(treewal::verify(dir).unwrap().iter().all(|finding| !finding.damage), "{name}");
    assert_eq!(treewal::snapshots(dir).unwrap()[0].read("a").unwrap(), b"1", "{name}");
    match options().open_read_only(dir) {
        Ok(reader) => {
            assert!(!at_work, "{name}: what is not recovered is not whole");
            assert_eq!(reader.read_to_string("a").unwrap(), "1");
            // Others read beside it.
            assert_eq!(Tree::open_read_only(dir).unwrap().read_dir("").unwrap().len(), 1);
        }
        Err(Error::Store { path, reason }) => {
            assert!(at_work && path == Path::new(".treewal/journal") && reason.contains("not settled"), "{reason}");
        }
        Err(other) => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_read_only_mount_is_refused_to_write_by_name_and_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a_read_only_mount_is_refused_to_write_by_name_and_can_be_read";
    let Some(mount) = Mount::memory(dir.path(), "size=24m,mode=755", name) else { return };
    let trees = [dir.path().join("closed"), dir.path().join("at-work")];
    for (at_work, tree) in [false, true].into_iter().zip(&trees) {
        make(tree, at_work);
    }
    mount.again("remount,ro");
    let before = walk(dir.path());
    for (at_work, tree) in [false, true].into_iter().zip(&trees) {
        let error = Tree::open(tree).unwrap_err();
        assert_eq!((error.kind(), error.path()), (io::ErrorKind::ReadOnlyFilesystem, Some(Path::new(".treewal/lock"))));
        assert!(error.outcome() == treewal::Outcome::Unchanged && !error.is_retryable());
        looked_at(tree, at_work, "read-only mount");
    }
    assert_eq!(walk(dir.path()), before);
    mount.again("remount,rw");
    assert_eq!(Tree::open(&trees[1]).unwrap().read().unwrap().read("a").unwrap(), b"2", "and recovers where it can");
}

/// The mount becomes read-only under a handle that is open, as on an error of the disk.
#[test]
fn a_mount_that_becomes_read_only_under_an_open_handle() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a_mount_that_becomes_read_only_under_an_open_handle";
    let Some(mount) = Mount::memory(dir.path(), "size=24m,mode=755", name) else { return };
    let at = dir.path().join("tree");
    fs::create_dir(&at).unwrap();
    // Handles that are open to write keep a mount from becoming read-only; the disk says it instead.
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), &at).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    disk.arm(Fault::ErrorFrom { at: 1, errno: treewal_vfs::errno::EROFS });
    let error = tree.transaction(|tx| tx.write("a", "2")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{error:?}");
    drop(tree);
    mount.again("remount,ro");
    let text = fs::read(at.join("a")).unwrap();
    assert_eq!(text, b"1");
    mount.again("remount,rw");
    assert!(!Tree::open(&at).unwrap().recovery().found_damage());
}

/// As a user finds a tree who has not the right to write to it.
#[test]
fn a_tree_without_the_right_to_write_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let trees = [dir.path().join("closed"), dir.path().join("at-work")];
    for (at_work, tree) in [false, true].into_iter().zip(&trees) {
        make(tree, at_work);
        for verb in [Verb::Create, Verb::WriteAt] {
            let fault = Fault::ErrorFrom { at: 1, errno: treewal_vfs::errno::EACCES };
            let closed = Arc::new(FaultDisk::new(Arc::new(RealDisk), fault).only(verb));
            let error = options().open_on(closed.clone(), tree).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error:?}");
            let read = options().open_read_only_on(closed.clone(), tree);
            assert_eq!(read.is_ok(), !at_work, "{read:?}");
            drop(read);
            assert_eq!(closed.mutations(), 1, "to read is to write nothing");
        }
    }
}

#[test]
fn a_reader_without_a_handle_waits_for_nobody_but_who_writes_and_keeps_it_out() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("tree");
    make(&at, false);
    let tree = options().open(&at).unwrap();
    let reader = options().open_read_only(&at).unwrap();
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| tree.transaction(|tx| tx.write("a", "2"))).join().unwrap();
        assert!(matches!(refused, Err(Error::Locked { holder }) if holder.reads));
    });
    drop(reader);
    tree.transaction(|tx| tx.write("a", "2")).unwrap();
    assert!(matches!(options().open_read_only(&at), Err(Error::Store { .. })), "what no checkpoint covers");
    tree.checkpoint().unwrap();
    assert_eq!(options().open_read_only(&at).unwrap().read("a").unwrap(), b"2");
}
