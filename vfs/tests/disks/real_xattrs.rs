//! Extended attributes on the real disk, of every kind of entry.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

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

/// Values have no way but by `/proc`. An entry that is there must not pass for gone where there is none.
#[test]
fn without_proc_an_entry_that_has_attributes_is_not_taken_for_gone() {
    const DIR: &str = "TREEWAL_WITHOUT_PROC";
    let name = "without_proc_an_entry_that_has_attributes_is_not_taken_for_gone";
    if let Some(dir) = std::env::var_os(DIR) {
        let root = RealDisk.open_root(Path::new(&dir)).unwrap();
        let error = RealDisk.xattrs(&root, os("f")).unwrap_err();
        assert_eq!(error.to_string(), "\"/proc\" is not mounted");
        return;
    }
    let isolated = |script: &str| {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(program).arg(format!("real_xattrs::{name}"));
        command
    };
    let without = "umount -l /proc";
    if !isolated(without).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {name}: nothing can be unmounted here");
        return;
    }
    let scratch = Scratch::new();
    scratch.file("f", b"");
    RealDisk.set_xattr(&scratch.root, os("f"), os("user.a"), b"x").unwrap();
    let script = format!("{without} && exec \"$0\" --exact \"$1\" --nocapture");
    let output = isolated(&script).env(DIR, scratch.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}
