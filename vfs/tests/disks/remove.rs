//! Removing trees: deep, wide, locked, half gone, raced.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use treewal_vfs::{Disk, Fault, FaultDisk, Kind, Meta, RealDisk, RecordingDisk, Verb, errno, remove_tree};

use crate::scratch::{Scratch, is_root, os, rel, unmount};

#[test]
fn removes_every_kind_and_counts() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    outside.file("kept", b"kept");
    fs::create_dir_all(scratch.path("tree/a/b")).unwrap();
    fs::create_dir(scratch.path("tree/empty")).unwrap();
    fs::write(scratch.path("tree/a/b/file"), b"x").unwrap();
    symlink(outside.path(""), scratch.path("tree/a/out")).unwrap();
    symlink("nowhere", scratch.path("tree/broken")).unwrap();
    let tree = RealDisk.open_dir(&scratch.root, &rel("tree")).unwrap();
    let fifo = Meta { kind: Kind::Fifo, mode: 0o600, ..RealDisk.stat_dir(&tree).unwrap() };
    RealDisk.make_node(&tree, os("fifo"), &fifo).unwrap();
    scratch.file("beside", b"");
    assert_eq!(remove_tree(&RealDisk, &scratch.root, os("tree")).unwrap(), 8);
    assert_eq!(scratch.names(), ["beside"]);
    assert_eq!(outside.read("kept"), b"kept");
    assert_eq!(remove_tree(&RealDisk, &scratch.root, os("tree")).unwrap(), 0);
    assert_eq!(remove_tree(&RealDisk, &scratch.root, os("beside")).unwrap(), 1);
}

#[test]
fn a_symlink_at_the_top_goes_itself() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    outside.file("kept", b"kept");
    symlink(outside.path(""), scratch.path("link")).unwrap();
    assert_eq!(remove_tree(&RealDisk, &scratch.root, os("link")).unwrap(), 1);
    assert_eq!((outside.names(), scratch.exists("link")), (vec!["kept".to_owned()], false));
    assert!(remove_tree(&RealDisk, &scratch.root, os("..")).is_err());
}

/// A chain of directories with a file and an empty directory in each.
fn build_deep(scratch: &Scratch, levels: u32) {
    let mut dir = scratch.root.clone();
    for _ in 0..levels {
        // Long enough that no path reaches the bottom.
        let name = os("a directory of the chain");
        RealDisk.create_dir(&dir, name, 0o755).unwrap();
        dir = RealDisk.open_dir(&dir, &rel("a directory of the chain")).unwrap();
        RealDisk.create_dir(&dir, os("beside"), 0o755).unwrap();
        RealDisk.symlink(os("/"), &dir, os("link")).unwrap();
    }
}

#[test]
fn three_thousand_levels_take_few_handles() {
    let scratch = Scratch::new();
    build_deep(&scratch, 3000);
    let disk = RecordingDisk::new(Arc::new(RealDisk));
    let (done, watched) = (AtomicBool::new(false), Path::new("/proc/self/fd"));
    let open = || fs::read_dir(watched).unwrap().count();
    thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(open());
            }
            most
        });
        let removed = remove_tree(&disk, &scratch.root, os("a directory of the chain")).unwrap();
        done.store(true, Ordering::Relaxed);
        assert_eq!(removed, 9000);
        assert!(most.join().unwrap() < 500, "other tests have handles too, but not thousands");
    });
    assert!(scratch.names().is_empty());
    // The way back up opens each level once more, not the whole path for each.
    assert!(disk.count(Verb::OpenDir) < 11_000, "{} opens", disk.count(Verb::OpenDir));
}

fn build_small(scratch: &Scratch) {
    fs::create_dir_all(scratch.path("tree/a/b")).unwrap();
    fs::create_dir_all(scratch.path("tree/c")).unwrap();
    for name in ["tree/1", "tree/a/2", "tree/a/b/3", "tree/c/4"] {
        fs::write(scratch.path(name), b"").unwrap();
    }
}

#[test]
fn what_was_cut_short_anywhere_is_finished_by_another_call() {
    for at in 1.. {
        let scratch = Scratch::new();
        build_small(&scratch);
        let disk = FaultDisk::new(Arc::new(RealDisk), Fault::Error { at, errno: errno::EIO });
        let cut = remove_tree(&disk, &scratch.root, os("tree"));
        if disk.mutations() < at {
            assert_eq!((cut.unwrap(), at), (8, 9));
            break;
        }
        assert_eq!(cut.unwrap_err().raw_os_error(), Some(errno::EIO));
        assert_eq!(remove_tree(&RealDisk, &scratch.root, os("tree")).unwrap(), 9 - at);
        assert!(!scratch.exists("tree"));
    }
}

#[test]
fn somebody_who_removes_the_same_tree_is_no_error() {
    for _ in 0..20 {
        let scratch = Scratch::new();
        for n in 0..50 {
            fs::create_dir_all(scratch.path(format!("tree/{n}/inner"))).unwrap();
            fs::write(scratch.path(format!("tree/{n}/file")), b"").unwrap();
        }
        let removed: u64 = thread::scope(|scope| {
            let remove = || remove_tree(&RealDisk, &scratch.root, os("tree")).unwrap();
            let workers = [scope.spawn(remove), scope.spawn(remove), scope.spawn(remove)];
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!((removed, scratch.exists("tree")), (151, false));
    }
}

#[test]
fn somebody_who_fills_a_directory_is_met_again() {
    let scratch = Scratch::new();
    build_small(&scratch);
    // The first removals of a directory find it filled, as if somebody had been quicker.
    let full = Fault::Error { at: 1, errno: errno::ENOTEMPTY };
    let disk = FaultDisk::new(Arc::new(RealDisk), full).only(Verb::RemoveDir);
    assert_eq!(remove_tree(&disk, &scratch.root, os("tree")).unwrap(), 8);
    build_small(&scratch);
    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::ErrorFrom { at: 1, errno: errno::ENOTEMPTY });
    let stubborn = remove_tree(&disk.only(Verb::RemoveDir), &scratch.root, os("tree")).unwrap_err();
    assert_eq!(stubborn.raw_os_error(), Some(errno::ENOTEMPTY), "and not for ever");
}

#[test]
fn a_mount_is_not_entered() {
    let scratch = Scratch::new();
    build_small(&scratch);
    let mount = scratch.path("tree/a/b");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mount).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: mounting is not permitted");
        return;
    }
    fs::write(mount.join("kept"), b"").unwrap();
    let refused = remove_tree(&RealDisk, &scratch.root, os("tree"));
    let kept = mount.join("kept").exists();
    unmount(&mount);
    assert_eq!((refused.unwrap_err().raw_os_error(), kept), (Some(errno::EXDEV), true));
    remove_tree(&RealDisk, &scratch.root, os("tree")).unwrap();
}

const LOCKED_IN: &str = "TREEWAL_TEST_LOCKED_IN";
const NOBODY: u32 = 65_534;

/// The part of the next test that runs as a user whom a mode can stop.
#[test]
fn child_that_unlocks() {
    let Some(home) = std::env::var_os(LOCKED_IN) else { return };
    let root = RealDisk.open_root(Path::new(&home)).unwrap();
    assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0);
    fs::create_dir_all(Path::new(&home).join("tree/a/b/c")).unwrap();
    for (path, mode) in [("tree/a/b/c", 0o000), ("tree/a/b", 0o500), ("tree/a", 0o400), ("tree", 0o000)] {
        fs::set_permissions(Path::new(&home).join(path), Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(remove_tree(&RealDisk, &root, os("tree")).unwrap(), 4);
}

#[test]
fn directories_that_stop_their_owner_are_unlocked() {
    let scratch = Scratch::new();
    let program = scratch.path("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(&program);
    child.args(["--exact", "remove::child_that_unlocks"]).env(LOCKED_IN, scratch.path(""));
    if is_root() {
        RealDisk.set_mode(&scratch.root, os("program"), 0o755).unwrap();
        std::os::unix::fs::chown(scratch.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
        child.uid(NOBODY).gid(NOBODY);
    }
    let done = child.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(!scratch.exists("tree"));
}
