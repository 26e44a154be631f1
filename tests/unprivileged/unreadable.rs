//! Entries that this user may not read, beneath what a guard or a snapshot takes, or that came there since.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use treewal::{Error, GuardOptions, Options, Sharing, SnapshotOptions, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

use crate::closed::{close, fresh, mode, reveal};
use crate::tree;

/// A directory `own` with a file in it and another beneath; `own/f` holds `first`.
fn world(name: &str) -> Option<std::path::PathBuf> {
    let dir = fresh(&tree()?, name);
    fs::create_dir(dir.join("own/sub")).unwrap();
    for path in ["own/f", "own/sub/g"] {
        fs::write(dir.join(path), "first").unwrap();
    }
    symlink("nowhere", dir.join("own/link")).unwrap();
    Some(dir)
}

fn own_files(dir: &Path) -> usize {
    let count = |sub: &str| fs::read_dir(dir.join(".treewal").join(sub)).unwrap().count();
    count("guards") + count("stage")
}

/// What cannot be kept is named, and nothing is left of the attempt.
#[test]
fn taking_names_what_cannot_be_read() {
    let Some(dir) = world("taking") else { return };
    let tree = Tree::open(&dir).unwrap();
    for (path, open) in [("own/f", 0o644), ("own/sub", 0o755)] {
        close(&dir.join(path), 0);
        let refused = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
            let said = format!("{error}: {:?}", std::error::Error::source(&error));
            assert!(said.contains(path), "{said}");
        };
        for sharing in [Sharing::Auto, Sharing::Copy] {
            refused(tree.guard_with(GuardOptions::new().sharing(sharing), ["own"]).map(drop).unwrap_err());
            refused(tree.snapshot_with(SnapshotOptions::new().sharing(sharing), "s").map(drop).unwrap_err());
        }
        assert_eq!(own_files(&dir), 0, "{path}");
        close(&dir.join(path), open);
    }
    assert!(tree.snapshots().unwrap().is_empty());
    // Of a file, a hard link needs no more than that it is one's own.
    close(&dir.join("own/f"), 0);
    let guard = tree.guard_with(GuardOptions::new().sharing(Sharing::HardLink), ["own"]).unwrap();
    fs::remove_file(dir.join("own/f")).unwrap();
    guard.rollback().unwrap();
    assert_eq!((mode(&dir.join("own/f")), reveal(&dir, "own/f").as_str()), (0, "first"));
}

/// Closes what was taken, replaces it by something closed, and puts closed things beside it.
fn work(dir: &Path) {
    close(&dir.join("own/f"), 0o644);
    fs::write(dir.join("own/f"), "second, and longer").unwrap();
    close(&dir.join("own/f"), 0);
    fs::write(dir.join("own/sub/g"), "other").unwrap();
    fs::create_dir_all(dir.join("own/new/deep")).unwrap();
    for path in ["own/new/h", "own/new/deep/i", "own/j"] {
        fs::write(dir.join(path), "new").unwrap();
        close(&dir.join(path), 0);
    }
    for path in ["own/new/deep", "own/new", "own/sub"] {
        close(&dir.join(path), 0);
    }
}

fn is_as_before(dir: &Path, why: &str) {
    let mut names: Vec<_> = fs::read_dir(dir.join("own")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["f", "link", "sub"], "{why}");
    assert_eq!([mode(&dir.join("own/f")), mode(&dir.join("own/sub"))], [0o644, 0o755], "{why}");
    for path in ["own/f", "own/sub/g"] {
        assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), "first", "{why}: {path}");
    }
}

#[test]
fn a_rollback_goes_through_what_was_closed() {
    for sharing in [Sharing::Auto, Sharing::Copy] {
        let Some(dir) = world(&format!("{sharing:?}")) else { return };
        let tree = Tree::open(&dir).unwrap();
        let guard = tree.guard_with(GuardOptions::new().sharing(sharing), ["own"]).unwrap();
        work(&dir);
        guard.rollback().unwrap();
        is_as_before(&dir, &format!("{sharing:?}"));
        drop(tree);
        // The same by who comes after a process that died.
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = Options::new().open_on(Arc::clone(&disk) as _, &dir).unwrap();
        let guard = tree.guard_with(GuardOptions::new().sharing(sharing), ["own"]).unwrap();
        work(&dir);
        disk.arm(Fault::Off { at: 1 });
        drop((guard, tree));
        let tree = Tree::open(&dir).unwrap();
        assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
        is_as_before(&dir, &format!("{sharing:?}, after a crash"));
        assert_eq!(own_files(&dir), 0);
    }
}

/// A restore compares the trees first, and so looks into every directory. Of files it needs no more than their names.
#[test]
fn a_restore_names_the_directory_that_it_may_not_look_into() {
    let Some(dir) = world("restored") else { return };
    let tree = Tree::open(&dir).unwrap();
    let snapshot = tree.snapshot("s").unwrap();
    let restores: [&dyn Fn() -> treewal::Result<()>; 2] = [&|| tree.restore(&snapshot).map(drop), &|| {
        tree.restore_paths(&snapshot, ["own/f", "own/sub", "own/new", "own/j"]).map(drop)
    }];
    for restore in restores {
        work(&dir);
        for closed in ["own/new", "own/new/deep", "own/sub"] {
            let error = restore().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
            let (said, cause) = (error.to_string(), std::error::Error::source(&error).map(ToString::to_string));
            assert!(format!("{said} {cause:?}").contains(closed), "{said}: {cause:?}");
            assert_eq!((mode(&dir.join("own/f")), reveal(&dir, "own/j").as_str()), (0, "new"), "nothing has changed");
            close(&dir.join(closed), 0o700);
        }
        restore().unwrap();
        is_as_before(&dir, "restored");
    }
}
