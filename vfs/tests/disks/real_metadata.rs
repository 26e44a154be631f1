//! Mode, owner, times and identity on the real disk.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use treewal_vfs::{Disk, Kind, Meta, Open, RealDisk, Rename, Time, errno, write_all};

use crate::scratch::{Scratch, is_root, os, rel};

fn mode(scratch: &Scratch, name: &str) -> u32 {
    fs::symlink_metadata(scratch.path(name)).unwrap().mode() & 0o7777
}

#[test]
fn a_description_agrees_with_the_standard_library() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[1; 5000]);
    let (meta, oracle) = (RealDisk.stat_file(&file).unwrap(), fs::metadata(scratch.path("f")).unwrap());
    assert_eq!((meta.kind, meta.mode, meta.size), (Kind::File, oracle.mode() & 0o7777, 5000));
    assert_eq!((meta.uid, meta.gid, meta.links), (oracle.uid(), oracle.gid(), oracle.nlink()));
    assert_eq!((meta.ino, meta.dev, meta.rdev), (oracle.ino(), oracle.dev(), oracle.rdev()));
    assert_eq!(meta.allocated, oracle.blocks() * 512);
    let times = [meta.accessed, meta.modified, meta.changed].map(|time| (time.secs, i64::from(time.nanos)));
    let oracles = [oracle.atime(), oracle.mtime(), oracle.ctime()];
    let nanos = [oracle.atime_nsec(), oracle.mtime_nsec(), oracle.ctime_nsec()];
    assert_eq!(times, std::array::from_fn(|n| (oracles[n], nanos[n])));
    let born = oracle.created().map(|at| at.duration_since(std::time::UNIX_EPOCH).unwrap());
    let told = Time {
        secs: born.as_ref().map_or(0, |born| i64::try_from(born.as_secs()).unwrap()),
        nanos: born.map_or(0, |born| born.subsec_nanos()),
    };
    assert_eq!(meta.born, told);
    let by_name = RealDisk.stat(&scratch.root, os("f")).unwrap();
    assert_eq!(by_name, meta);
    let root = RealDisk.stat_dir(&scratch.root).unwrap();
    assert_eq!((root.kind, root.ino), (Kind::Dir, fs::metadata(scratch.path("")).unwrap().ino()));
}

#[test]
fn an_identity_outlives_a_rename_and_ends_with_the_inode() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("a", b"same");
    let before = disk.stat(at, os("a")).unwrap().identity();
    disk.rename(at, os("a"), at, os("b"), Rename::NoReplace).unwrap();
    assert_eq!(disk.stat(at, os("b")).unwrap().identity(), before);
    scratch.file("a", b"same");
    assert!(!disk.stat(at, os("a")).unwrap().identity().same_inode(&before));
}

#[test]
fn modes_reach_every_kind_but_symlinks() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("f", b"");
    disk.create_dir(at, os("d"), 0o755).unwrap();
    symlink("f", scratch.path("link")).unwrap();
    // Not even readable by its owner: no open of the contents is needed.
    for wanted in [0o4711, 0o000, 0o600] {
        disk.set_mode(at, os("f"), wanted).unwrap();
        assert_eq!(mode(&scratch, "f"), wanted);
    }
    disk.set_mode(at, os("d"), 0o1777).unwrap();
    assert_eq!(mode(&scratch, "d"), 0o1777);
    assert_eq!(disk.set_mode(at, os("link"), 0o777).unwrap_err().raw_os_error(), Some(errno::EOPNOTSUPP));
    assert_eq!(mode(&scratch, "f"), 0o600);
    assert_eq!(disk.set_mode(at, os("f"), 0o10_000).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.set_mode(at, os("none"), 0o600).unwrap_err().raw_os_error(), Some(errno::ENOENT));
}

#[test]
fn a_mode_never_lands_on_what_a_planted_symlink_points_to() {
    let scratch = Scratch::new();
    let victim = Scratch::new();
    victim.file("victim", b"");
    fs::set_permissions(victim.path("victim"), Permissions::from_mode(0o644)).unwrap();
    scratch.file("f", b"");
    symlink(victim.path("victim"), scratch.path("planted")).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                RealDisk.rename(&scratch.root, os("f"), &scratch.root, os("planted"), Rename::Exchange).unwrap();
            }
        });
        let mut met = [0, 0];
        for _ in 0..5000 {
            match RealDisk.set_mode(&scratch.root, os("f"), 0o600) {
                Ok(()) => met[0] += 1,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(errno::EOPNOTSUPP));
                    met[1] += 1;
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(mode(&victim, "victim"), 0o644, "of {met:?} calls one followed the symlink");
    });
}

#[test]
fn times_may_lie_before_1970_and_belong_to_the_symlink() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("f", b"");
    symlink("f", scratch.path("link")).unwrap();
    let (old, later) = (Time { secs: -86_400, nanos: 999_999_999 }, Time { secs: 1_000_000_000, nanos: 1 });
    disk.set_times(at, os("f"), later, old).unwrap();
    disk.set_times(at, os("link"), old, later).unwrap();
    let (file, link) = (disk.stat(at, os("f")).unwrap(), disk.stat(at, os("link")).unwrap());
    assert_eq!((file.accessed, file.modified), (later, old));
    assert_eq!((link.accessed, link.modified), (old, later));
    // The kernel reads this value as "now".
    let now = Time { secs: 0, nanos: 0x3fff_ffff };
    assert_eq!(disk.set_times(at, os("f"), now, now).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_stamp_says_of_the_file_what_a_look_at_it_would() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    let file = disk.open(at, os("f"), Open::CreateNew { mode: 0o640 }).unwrap();
    write_all(&disk, &file, b"twelve bytes", 0).unwrap();
    let before = disk.stat_file(&file).unwrap();
    let now = Time { secs: 1_000_000_000, nanos: 987_654_321 };
    let stamped = disk.stamp(&file, now).unwrap();
    let after = disk.stat(at, os("f")).unwrap();
    assert_eq!((stamped.modified, after.modified, after.accessed), (now, now, before.accessed));
    assert_eq!(Meta { changed: after.changed, ..stamped }, after);
    let odd = Time { secs: 0, nanos: 1_000_000_000 };
    assert_eq!(disk.stamp(&file, odd).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn owners_belong_to_the_entry_itself() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    scratch.file("f", b"");
    symlink("f", scratch.path("link")).unwrap();
    assert_eq!(disk.set_owner(at, os("f"), u32::MAX, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    if !is_root() {
        assert_eq!(disk.set_owner(at, os("f"), 0, 0).unwrap_err().raw_os_error(), Some(errno::EPERM));
        return;
    }
    disk.set_owner(at, os("link"), 12, 34).unwrap();
    let (file, link) = (disk.stat(at, os("f")).unwrap(), disk.stat(at, os("link")).unwrap());
    assert_eq!(((file.uid, file.gid), (link.uid, link.gid)), ((0, 0), (12, 34)));
    disk.set_mode(at, os("f"), 0o4755).unwrap();
    disk.set_owner(at, os("f"), 12, 34).unwrap();
    let file = disk.stat(at, os("f")).unwrap();
    assert_eq!((file.uid, file.gid, file.mode), (12, 34, 0o755), "a new owner does not inherit a set-id bit");
}

#[test]
fn made_things_have_their_mode_less_the_umask() {
    let scratch = Scratch::new();
    let (disk, at) = (RealDisk, &scratch.root);
    disk.open(at, os("private"), Open::CreateNew { mode: 0o600 }).unwrap();
    disk.open(at, os("lock"), Open::Create { mode: 0o600 }).unwrap();
    disk.create_dir(at, os("dir"), 0o700).unwrap();
    assert_eq!((mode(&scratch, "private"), mode(&scratch, "lock"), mode(&scratch, "dir")), (0o600, 0o600, 0o700));
    // An existing file keeps its mode and its contents.
    fs::write(scratch.path("lock"), b"holder").unwrap();
    disk.open(at, os("lock"), Open::Create { mode: 0o644 }).unwrap();
    assert_eq!((mode(&scratch, "lock"), scratch.read("lock")), (0o600, b"holder".to_vec()));
    let again = disk.open(at, os("lock"), Open::CreateNew { mode: 0o600 }).unwrap_err();
    assert_eq!(again.raw_os_error(), Some(errno::EEXIST));
    let refused = disk.open_root(&scratch.path("lock")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::ENOTDIR));
    assert_eq!(disk.open_dir(at, &rel("lock")).unwrap_err().raw_os_error(), Some(errno::ENOTDIR));
}
