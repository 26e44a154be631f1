//! Extended attributes on the real disk, of every kind of entry.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use treewal_vfs::{Disk, Kind, Meta, RealDisk, errno};

use crate::scratch::{Scratch, is_root, os};

/// Those that a security module may have put there are not ours to judge.
fn plain(scratch: &Scratch, name: &str) -> Vec<(OsString, Vec<u8>)> {
    let mut all = RealDisk.xattrs(&scratch.root, os(name)).unwrap();
    all.retain(|(key, _)| !key.to_str().unwrap().starts_with("security."));
    all
}

#[test]
fn files_and_directories_have_them_sorted() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("f", b"");
    fs::create_dir(scratch.path("d")).unwrap();
    for name in ["f", "d"] {
        assert_eq!(plain(&scratch, name), []);
        disk.set_xattr(at, os(name), os("user.b"), b"\0two\xff").unwrap();
        disk.set_xattr(at, os(name), os("user.a"), b"").unwrap();
        disk.set_xattr(at, os(name), os("user.b"), b"\0three\xff").unwrap();
        let expected = [("user.a".into(), Vec::new()), ("user.b".into(), b"\0three\xff".to_vec())];
        assert_eq!(plain(&scratch, name), expected);
        disk.remove_xattr(at, os(name), os("user.a")).unwrap();
        assert_eq!(plain(&scratch, name), expected[1..]);
        let gone = disk.remove_xattr(at, os(name), os("user.a")).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(errno::ENODATA));
    }
    assert_eq!(disk.xattrs(at, os("none")).unwrap_err().raw_os_error(), Some(errno::ENOENT));
    let none = disk.set_xattr(at, os("none"), os("user.a"), b"").unwrap_err();
    assert_eq!(none.raw_os_error(), Some(errno::ENOENT));
}

#[test]
fn symlinks_and_fifos_have_their_own() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("target", b"");
    symlink("target", scratch.path("link")).unwrap();
    let fifo = Meta { kind: Kind::Fifo, mode: 0o600, ..disk.stat_dir(at).unwrap() };
    disk.make_node(at, os("fifo"), &fifo).unwrap();
    for name in ["link", "fifo"] {
        // The kernel keeps user attributes to files and directories.
        let refused = disk.set_xattr(at, os(name), os("user.a"), b"x").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(errno::EPERM));
        assert_eq!(plain(&scratch, name), []);
        if is_root() {
            disk.set_xattr(at, os(name), os("trusted.a"), b"own").unwrap();
            assert_eq!(plain(&scratch, name), [("trusted.a".into(), b"own".to_vec())]);
        }
    }
    assert_eq!(plain(&scratch, "target"), []);
}

#[test]
fn large_values_come_whole() {
    // The usual file systems keep values within a block; the one in memory takes the kernel's limit.
    if !is_root() || !Path::new("/dev/shm").is_dir() {
        return;
    }
    let scratch = Scratch::beneath(Path::new("/dev/shm"));
    scratch.file("f", b"");
    let value = vec![7; 64 << 10];
    RealDisk.set_xattr(&scratch.root, os("f"), os("trusted.large"), &value).unwrap();
    for n in 0..200 {
        let key = format!("trusted.one of many attributes {n:03}");
        RealDisk.set_xattr(&scratch.root, os("f"), os(&key), b"v").unwrap();
    }
    let all = plain(&scratch, "f");
    assert_eq!((all.len(), &all[0]), (201, &("trusted.large".into(), value)));
}

#[test]
fn a_file_system_without_them_has_none() {
    let process = RealDisk.open_root(Path::new("/proc/self")).unwrap();
    let all = RealDisk.xattrs(&process, os("status")).unwrap();
    assert!(all.iter().all(|(key, _)| key.to_str().unwrap().starts_with("security.")), "{all:?}");
}
