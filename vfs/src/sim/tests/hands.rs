//! Errors, locks, space and handles: what a process meets before anything crashes.

use std::ffi::OsStr;
use std::io;

use super::tools::{Desk, rel};
use crate::{Disk, Kind, Lock, Open, Rename, errno};

fn code<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_name_is_one_component() {
    let desk = Desk::new();
    for bad in ["", ".", "..", "a/b", "/", "a\0"] {
        let error = desk.disk.create_dir(&desk.root, OsStr::new(bad), 0o755).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        let stat = desk.disk.stat(&desk.root, OsStr::new(bad));
        assert_eq!(code(stat), Some(errno::EINVAL).filter(|_| bad != "."), "{bad:?}");
    }
    let long = "x".repeat(256);
    assert_eq!(code(desk.disk.create_dir(&desk.root, OsStr::new(&long), 0o755)), Some(errno::ENAMETOOLONG));
}

#[test]
fn symlinks_are_followed_to_the_root_only() {
    let desk = Desk::with(&["d/", "d/e/", "a"]);
    desk.disk.symlink("d".as_ref(), &desk.root, "s".as_ref()).unwrap();
    desk.disk.symlink("ring".as_ref(), &desk.root, "ring".as_ref()).unwrap();
    let at = |path: &str| desk.disk.open_root(path.as_ref());
    assert_eq!(
        desk.disk.stat_dir(&at("/s/e").unwrap()).unwrap().ino,
        desk.disk.stat_dir(&desk.dir("d/e")).unwrap().ino
    );
    assert_eq!(
        desk.disk.stat_dir(&at("/s/../d/.").unwrap()).unwrap().ino,
        desk.disk.stat_dir(&desk.dir("d")).unwrap().ino
    );
    assert_eq!(code(at("/ring/x")), Some(errno::ELOOP));
    assert_eq!(code(at("/none")), Some(errno::ENOENT));
    assert_eq!(code(at("/a")), Some(errno::ENOTDIR));
    assert_eq!(code(desk.disk.open_dir(&desk.root, &rel("s"))), Some(errno::ELOOP));
    assert_eq!(code(desk.disk.open(&desk.root, "s".as_ref(), Open::Read)), Some(errno::ELOOP));
    assert_eq!(desk.disk.read_link(&desk.root, "s".as_ref()).unwrap(), "d");
}

#[test]
fn a_directory_that_was_removed_while_open_is_empty_and_takes_nothing() {
    let desk = Desk::with(&["d/", "a"]);
    let gone = desk.dir("d");
    desk.rmdir("d");
    assert!(desk.disk.list(&gone).unwrap().is_empty());
    assert_eq!(desk.disk.stat_dir(&gone).unwrap().links, 0);
    assert_eq!(code(desk.disk.create_dir(&gone, "x".as_ref(), 0o755)), Some(errno::ENOENT));
    let moved = desk.disk.rename(&desk.root, "a".as_ref(), &gone, "a".as_ref(), Rename::Replace);
    assert_eq!(code(moved), Some(errno::ENOENT));
}

#[test]
fn locks_are_those_of_the_open_and_end_with_its_last_clone() {
    let desk = Desk::with(&["a"]);
    let (one, two) = (desk.open("a", Open::Read), desk.open("a", Open::ReadWrite));
    let lock = |file: &crate::File, lock| desk.disk.try_lock(file, lock).unwrap();
    assert!(lock(&one, Lock::Shared) && lock(&two, Lock::Shared));
    assert!(!lock(&two, Lock::Exclusive));
    // As with flock, what could not be changed is lost.
    assert!(lock(&one, Lock::Exclusive));
    assert!(!lock(&two, Lock::Shared));
    let clone = one.clone();
    drop(one);
    assert!(!lock(&two, Lock::Shared));
    drop(clone);
    assert!(lock(&two, Lock::Exclusive));
    desk.disk.unlock(&two).unwrap();
    assert!(lock(&desk.open("a", Open::Read), Lock::Exclusive));
}

#[test]
fn space_runs_out_after_a_short_write_and_comes_back() {
    let desk = Desk::with(&["a"]);
    let file = desk.open("b", Open::CreateNew { mode: 0o600 });
    desk.disk.set_space(2 * 4096 + 600);
    assert_eq!(desk.disk.write_at(&file, &[1; 10_000], 0).unwrap(), 8192);
    assert_eq!(code(desk.disk.write_at(&file, &[1; 10], 8192)), Some(errno::ENOSPC));
    assert_eq!(desk.disk.write_at(&file, &[2; 10], 8190).unwrap(), 2);
    assert_eq!(code(desk.disk.create_dir(&desk.root, "d".as_ref(), 0o755)), Some(errno::ENOSPC));
    // An inode still fits, but only one.
    desk.disk.symlink("a".as_ref(), &desk.root, "s".as_ref()).unwrap();
    assert_eq!(code(desk.disk.symlink("a".as_ref(), &desk.root, "t".as_ref())), Some(errno::ENOSPC));
    // A name or a hole takes nothing, and neither does a removal.
    desk.link("a", "c");
    desk.disk.set_len(&file, 1 << 30).unwrap();
    assert_eq!(desk.disk.space(&desk.root).unwrap(), 88);
    desk.rm("b");
    assert_eq!(desk.disk.space(&desk.root).unwrap(), 88);
    drop(file);
    assert_eq!(desk.disk.space(&desk.root).unwrap(), 88 + 2 * 4096 + 512);
}

#[test]
fn a_reflink_takes_the_space_of_a_copy() {
    let desk = Desk::new();
    let from = desk.write("a", &[1; 8192]);
    let to = desk.open("b", Open::CreateNew { mode: 0o600 });
    desk.disk.set_space(8191);
    assert_eq!(code(desk.disk.reflink(&from, &to)), Some(errno::ENOSPC));
    assert_eq!(desk.disk.stat_file(&to).unwrap().size, 0);
    desk.disk.set_space(8192);
    desk.disk.reflink(&from, &to).unwrap();
    assert_eq!(desk.disk.space(&desk.root).unwrap(), 0);
    assert_eq!(desk.disk.write_at(&from, &[2; 8192], 0).unwrap(), 8192);
    desk.disk.set_reflink(false);
    assert_eq!(code(desk.disk.reflink(&from, &to)), Some(errno::EOPNOTSUPP));
}

#[test]
fn a_read_only_disk_refuses_every_change_and_still_syncs() {
    let desk = Desk::with(&["a", "d/"]);
    let file = desk.write("a", b"new");
    desk.disk.set_read_only(true);
    let (root, disk, a) = (&desk.root, &desk.disk, OsStr::new("a"));
    let refused = [
        code(disk.create_dir(root, "x".as_ref(), 0o755)),
        code(disk.remove_file(root, a)),
        code(disk.remove_dir(root, "d".as_ref())),
        code(disk.rename(root, a, root, "b".as_ref(), Rename::NoReplace)),
        code(disk.hard_link(root, a, root, "b".as_ref())),
        code(disk.open(root, a, Open::ReadWrite)),
        code(disk.open(root, "b".as_ref(), Open::CreateNew { mode: 0o600 })),
        code(disk.write_at(&file, b"x", 0)),
        code(disk.set_len(&file, 0)),
        code(disk.set_mode(root, a, 0o600)),
        code(disk.set_xattr(root, a, "user.x".as_ref(), b"")),
    ];
    assert_eq!(refused, [Some(errno::EROFS); 11]);
    disk.sync_file(&file).unwrap();
    desk.leaves(&["a=new d/"], &["a=new d/"]);
}

#[test]
fn a_disk_without_exchange_says_so_and_does_nothing() {
    let desk = Desk::with(&["a", "d/"]);
    desk.disk.set_exchange(false);
    let (root, a, d) = (&desk.root, OsStr::new("a"), OsStr::new("d"));
    assert_eq!(code(desk.disk.rename(root, a, root, d, Rename::Exchange)), Some(errno::EINVAL));
    assert_eq!(desk.disk.stat(root, a).unwrap().kind, Kind::File);
}
