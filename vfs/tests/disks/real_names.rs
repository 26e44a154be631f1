//! Names on the real disk: the changes of them, the listing, and what is refused.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use treewal_vfs::{Disk, Kind, Meta, Open, RealDisk, RelPath, Rename, Time, errno};

use crate::scratch::{Scratch, is_root, os, rel};

fn raw<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

fn node(scratch: &Scratch, kind: Kind, mode: u32, rdev: u64) -> Meta {
    Meta { kind, mode, rdev, ..RealDisk.stat_dir(&scratch.root).unwrap() }
}

#[test]
fn every_verb_refuses_what_is_not_a_single_name() {
    let scratch = Scratch::new();
    scratch.file("good", b"x");
    fs::create_dir(scratch.path("sub")).unwrap();
    let (disk, at, good) = (RealDisk, &scratch.root, os("good"));
    let meta = node(&scratch, Kind::Fifo, 0o600, 0);
    for bad in ["", ".", "..", "sub/x", "sub/", "/good", "../good"].map(os) {
        // What describes an entry or sets its attributes takes the directory itself.
        let on_itself = [
            disk.stat(at, bad).map(drop),
            disk.xattrs(at, bad).map(drop),
            disk.set_mode(at, bad, 0o700),
            disk.set_owner(at, bad, disk.user(), meta.gid),
            disk.set_times(at, bad, Time::default(), Time::default()),
            disk.set_xattr(at, bad, os("user.k"), b"v"),
            disk.remove_xattr(at, bad, os("user.k")),
        ];
        for (verb, done) in on_itself.into_iter().enumerate() {
            let refused = done.as_ref().err().map(io::Error::kind);
            assert_eq!(refused, (bad != ".").then_some(ErrorKind::InvalidInput), "{bad:?}, verb {verb}: {done:?}");
        }
        let refused = [
            disk.open(at, bad, Open::Read).map(drop),
            disk.open(at, bad, Open::Create { mode: 0o600 }).map(drop),
            disk.read_link(at, bad).map(drop),
            disk.create_dir(at, bad, 0o700),
            disk.remove_dir(at, bad),
            disk.remove_file(at, bad),
            disk.symlink(good, at, bad),
            disk.hard_link(at, bad, at, os("new")),
            disk.hard_link(at, good, at, bad),
            disk.make_node(at, bad, &meta),
            disk.rename(at, bad, at, os("new"), Rename::Replace),
            disk.rename(at, good, at, bad, Rename::Replace),
            disk.open_dir(at, &RelPath::root().join(bad)).map(drop),
        ];
        for (verb, refused) in refused.into_iter().enumerate() {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}, verb {verb}");
        }
    }
    assert_eq!(scratch.names(), ["good", "sub"]);
}

#[test]
fn rename_replaces_keeps_or_exchanges() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("a", b"A");
    scratch.file("b", b"B");
    assert_eq!(raw(disk.rename(at, os("a"), at, os("b"), Rename::NoReplace)), Some(errno::EEXIST));
    assert_eq!((scratch.read("a"), scratch.read("b")), (b"A".to_vec(), b"B".to_vec()));
    disk.rename(at, os("a"), at, os("b"), Rename::Exchange).unwrap();
    assert_eq!((scratch.read("a"), scratch.read("b")), (b"B".to_vec(), b"A".to_vec()));
    assert_eq!(raw(disk.rename(at, os("a"), at, os("none"), Rename::Exchange)), Some(errno::ENOENT));
    disk.rename(at, os("a"), at, os("b"), Rename::Replace).unwrap();
    assert_eq!((scratch.names(), scratch.read("b")), (vec!["b".to_owned()], b"B".to_vec()));
    disk.rename(at, os("b"), at, os("c"), Rename::NoReplace).unwrap();
    assert_eq!(scratch.names(), ["c"]);
}

#[test]
fn rename_works_across_directories_and_kinds() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    disk.create_dir(at, os("sub"), 0o755).unwrap();
    disk.create_dir(at, os("full"), 0o755).unwrap();
    let (sub, full) = (disk.open_dir(at, &rel("sub")).unwrap(), disk.open_dir(at, &rel("full")).unwrap());
    scratch.file("a", b"A");
    disk.create_dir(&full, os("inner"), 0o755).unwrap();
    disk.rename(at, os("a"), &sub, os("moved"), Rename::Replace).unwrap();
    assert_eq!(scratch.read("sub/moved"), b"A");
    // A directory and a file change places.
    disk.rename(&full, os("inner"), &sub, os("moved"), Rename::Exchange).unwrap();
    assert_eq!(disk.stat(&sub, os("moved")).unwrap().kind, Kind::Dir);
    assert_eq!(scratch.read("full/inner"), b"A");
    assert_eq!(raw(disk.rename(at, os("sub"), at, os("full"), Rename::Replace)), Some(errno::ENOTEMPTY));
    assert_eq!(raw(disk.rename(at, os("sub"), &sub, os("x"), Rename::Replace)), Some(errno::EINVAL));
}

#[test]
fn directories_and_files_are_removed_by_their_own_verbs() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    disk.create_dir(at, os("d"), 0o700).unwrap();
    scratch.file("f", b"");
    assert_eq!(raw(disk.create_dir(at, os("d"), 0o700)), Some(errno::EEXIST));
    assert_eq!(raw(disk.remove_file(at, os("d"))), Some(errno::EISDIR));
    assert_eq!(raw(disk.remove_dir(at, os("f"))), Some(errno::ENOTDIR));
    fs::write(scratch.path("d/inner"), b"").unwrap();
    assert_eq!(raw(disk.remove_dir(at, os("d"))), Some(errno::ENOTEMPTY));
    fs::remove_file(scratch.path("d/inner")).unwrap();
    disk.remove_dir(at, os("d")).unwrap();
    disk.remove_file(at, os("f")).unwrap();
    assert_eq!(raw(disk.remove_file(at, os("f"))), Some(errno::ENOENT));
    assert!(scratch.names().is_empty());
}

#[test]
fn symlinks_are_themselves() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    outside.file("secret", b"secret");
    let (disk, at) = (RealDisk, &scratch.root);
    disk.symlink(outside.path("secret").as_os_str(), at, os("link")).unwrap();
    for how in [Open::Read, Open::ReadWrite, Open::Create { mode: 0o600 }] {
        assert_eq!(raw(disk.open(at, os("link"), how)), Some(errno::ELOOP), "{how:?}");
    }
    assert_eq!(raw(disk.open(at, os("link"), Open::CreateNew { mode: 0o600 })), Some(errno::EEXIST));
    assert_eq!(disk.stat(at, os("link")).unwrap().kind, Kind::Symlink);
    assert_eq!(disk.read_link(at, os("link")).unwrap(), outside.path("secret").as_os_str());
    disk.hard_link(at, os("link"), at, os("second")).unwrap();
    let second = disk.stat(at, os("second")).unwrap();
    assert_eq!((second.kind, second.links), (Kind::Symlink, 2));
    disk.remove_file(at, os("link")).unwrap();
    assert_eq!(outside.read("secret"), b"secret");
    // The root alone may be reached through one: its caller chose it.
    symlink(outside.path(""), scratch.path("root")).unwrap();
    assert!(disk.open_root(&scratch.path("root")).is_ok());
}

#[test]
fn hard_links_share_the_inode() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("a", b"A");
    disk.hard_link(at, os("a"), at, os("b")).unwrap();
    let (a, b) = (disk.stat(at, os("a")).unwrap(), disk.stat(at, os("b")).unwrap());
    assert_eq!((a.ino, a.links), (b.ino, 2));
    assert_eq!(raw(disk.hard_link(at, os("a"), at, os("b"))), Some(errno::EEXIST));
}

#[test]
fn names_need_not_be_text() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    let (odd, other) = (OsStr::from_bytes(b"\xff\xfe\n"), OsStr::from_bytes(b"\x80"));
    disk.open(at, odd, Open::CreateNew { mode: 0o600 }).unwrap();
    disk.rename(at, odd, at, other, Rename::NoReplace).unwrap();
    disk.symlink(odd, at, os("link")).unwrap();
    assert_eq!(disk.read_link(at, os("link")).unwrap(), odd);
    let listed: BTreeSet<_> = disk.list(at).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, BTreeSet::from([other.to_os_string(), "link".into()]));
    disk.create_dir(at, odd, 0o700).unwrap();
    let path = RelPath::from_bytes(odd.as_bytes()).unwrap();
    assert!(disk.list(&disk.open_dir(at, &path).unwrap()).unwrap().is_empty());
}

#[test]
fn a_listing_is_whole_however_many_ask_at_a_time() {
    let scratch = Scratch::new();
    // More than one buffer of entries.
    let names: BTreeSet<String> = (0..2000).map(|n| format!("an entry with a fairly long name {n}")).collect();
    for name in &names {
        fs::write(scratch.path(name), b"").unwrap();
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            let (root, names) = (scratch.root.clone(), &names);
            scope.spawn(move || {
                for _ in 0..10 {
                    let entries = RealDisk.list(&root).unwrap();
                    assert_eq!(entries.len(), names.len());
                    assert!(entries.iter().all(|entry| names.contains(entry.name.to_str().unwrap())));
                }
            });
        }
    });
}

#[test]
fn a_listing_knows_kinds_and_inodes() {
    let scratch = Scratch::new();
    scratch.file("file", b"");
    fs::create_dir(scratch.path("dir")).unwrap();
    symlink("nowhere", scratch.path("link")).unwrap();
    RealDisk.make_node(&scratch.root, os("fifo"), &node(&scratch, Kind::Fifo, 0o600, 0)).unwrap();
    let entries = RealDisk.list(&scratch.root).unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let meta = RealDisk.stat(&scratch.root, &entry.name).unwrap();
        assert!(entry.kind.is_none_or(|kind| kind == meta.kind), "{entry:?}");
        assert_eq!(entry.ino, fs::symlink_metadata(scratch.path(&entry.name)).unwrap().ino());
    }
}

#[test]
fn opening_a_fifo_does_not_wait() {
    let scratch = Scratch::new();
    RealDisk.make_node(&scratch.root, os("fifo"), &node(&scratch, Kind::Fifo, 0o600, 0)).unwrap();
    let (done, opened) = mpsc::channel();
    let root = scratch.root.clone();
    thread::spawn(move || {
        let ways = [Open::Read, Open::ReadWrite, Open::Create { mode: 0o600 }];
        done.send(ways.map(|how| RealDisk.open(&root, os("fifo"), how))).unwrap();
    });
    for file in opened.recv_timeout(Duration::from_secs(20)).expect("an open waited for the other end") {
        assert_eq!(RealDisk.stat_file(&file.unwrap()).unwrap().kind, Kind::Fifo);
    }
}

#[test]
fn nodes_are_made_as_described() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    disk.make_node(at, os("socket"), &node(&scratch, Kind::Socket, 0o600, 7)).unwrap();
    assert!(fs::symlink_metadata(scratch.path("socket")).unwrap().file_type().is_socket());
    for kind in [Kind::File, Kind::Dir, Kind::Symlink] {
        let refused = disk.make_node(at, os("no"), &node(&scratch, kind, 0o600, 0)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    let null = fs::metadata("/dev/null").unwrap().rdev();
    match disk.make_node(at, os("null"), &node(&scratch, Kind::CharDevice, 0o600, null)) {
        Ok(()) => {
            let made = disk.stat(at, os("null")).unwrap();
            assert_eq!((made.kind, made.rdev, made.mode), (Kind::CharDevice, null, 0o600));
        }
        refused => assert_eq!((raw(refused), is_root()), (Some(errno::EPERM), false)),
    }
}
