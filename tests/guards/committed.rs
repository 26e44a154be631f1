//! What a guard has committed is there after a loss of power, whatever kind of change it is.

use std::ffi::OsStr;

use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Dir, Disk, ITSELF, Kind, Meta, RelPath, Rename, Time};

use crate::crash::{open, put};
use crate::seen::{Seen, differences, look};

fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

/// When nobody that lives has done anything.
pub(crate) const LONG_AGO: Time = Time { secs: 1_000, nanos: 0 };

fn set_time(disk: &SimDisk, path: &str) {
    disk.set_times(&dir(disk, path), OsStr::new(ITSELF), LONG_AGO, LONG_AGO).unwrap();
}

/// Two guarded directories, one with files in it, of long ago.
pub(crate) fn base() -> SimDisk {
    let disk = SimDisk::new();
    let root = dir(&disk, "");
    for path in ["above", "above/full", "above/full/deep", "above/empty", "elsewhere"] {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap();
        disk.create_dir(&disk.open_dir(&root, &parent).unwrap(), name, 0o755).unwrap();
    }
    for file in ["x", "y"] {
        put(&disk, &format!("above/full/{file}"), &format!("old {file}"));
    }
    disk.symlink(OsStr::new("x"), &dir(&disk, "above/full"), OsStr::new("link")).unwrap();
    for path in ["above/full", "above/empty", "above"] {
        set_time(&disk, path);
    }
    drop(open(&disk).unwrap());
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// Puts another directory into the place of one, which nobody can tell from it.
fn replace(disk: &SimDisk, path: &str) {
    let path = RelPath::new(path).unwrap();
    let (parent, name) = path.split().unwrap();
    let (above, new) = (dir(disk, &parent.to_string()), OsStr::new("new"));
    disk.create_dir(&above, new, 0o755).unwrap();
    let (from, to) = (dir(disk, &path.to_string()), dir(disk, &parent.join(new).to_string()));
    for entry in disk.list(&from).unwrap() {
        disk.rename(&from, &entry.name, &to, &entry.name, Rename::NoReplace).unwrap();
    }
    disk.remove_dir(&above, name).unwrap();
    disk.rename(&above, new, &above, name, Rename::NoReplace).unwrap();
    set_time(disk, &path.to_string());
    set_time(disk, "above");
}

type Change = fn(&SimDisk);

const CHANGES: &[(&str, Change)] = &[
    ("contents", |disk| put(disk, "above/full/x", "new x")),
    ("bits of a directory", |disk| disk.set_mode(&dir(disk, "above"), OsStr::new("empty"), 0o700).unwrap()),
    ("the time of a directory", |disk| {
        let older = Time { secs: 500, nanos: 0 };
        disk.set_times(&dir(disk, "above"), OsStr::new("empty"), older, older).unwrap();
    }),
    ("an attribute of a directory", |disk| {
        disk.set_xattr(&dir(disk, "above/full"), OsStr::new(ITSELF), OsStr::new("user.k"), b"v").unwrap();
    }),
    ("a new directory", |disk| disk.create_dir(&dir(disk, "above/full"), OsStr::new("made"), 0o711).unwrap()),
    ("a new directory with a file", |disk| {
        disk.create_dir(&dir(disk, "above/empty"), OsStr::new("made"), 0o711).unwrap();
        put(disk, "above/empty/made/z", "z");
    }),
    ("a directory with files replaced", |disk| replace(disk, "above/full")),
    ("an empty directory replaced", |disk| replace(disk, "above/empty")),
    ("the directory above replaced", |disk| replace(disk, "above")),
    ("a symlink replaced", |disk| {
        let at = dir(disk, "above/full");
        disk.remove_file(&at, OsStr::new("link")).unwrap();
        disk.symlink(OsStr::new("x"), &at, OsStr::new("link")).unwrap();
        set_time(disk, "above/full");
    }),
    ("a new symlink with a time", |disk| {
        let at = dir(disk, "above/full");
        disk.symlink(OsStr::new("x"), &at, OsStr::new("another")).unwrap();
        disk.set_times(&at, OsStr::new("another"), LONG_AGO, LONG_AGO).unwrap();
    }),
    ("a symlink to something else, with an owner", |disk| {
        let at = dir(disk, "above/full");
        disk.remove_file(&at, OsStr::new("link")).unwrap();
        disk.symlink(OsStr::new("y"), &at, OsStr::new("link")).unwrap();
        disk.set_owner(&at, OsStr::new("link"), 7, 7).unwrap();
    }),
    ("a new fifo with other bits", |disk| {
        let at = dir(disk, "above/full");
        let like = Meta { kind: Kind::Fifo, ..disk.stat(&at, OsStr::new("x")).unwrap() };
        disk.make_node(&at, OsStr::new("fifo"), &like).unwrap();
        disk.set_mode(&at, OsStr::new("fifo"), 0o600).unwrap();
    }),
    ("a directory out and back", |disk| {
        let (above, to) = (dir(disk, "above"), dir(disk, "elsewhere"));
        for (from, to) in [(&above, &to), (&to, &above)] {
            disk.rename(from, OsStr::new("full"), to, OsStr::new("full"), Rename::NoReplace).unwrap();
        }
        set_time(disk, "above");
    }),
    ("a file renamed", |disk| {
        let (from, to) = (dir(disk, "above/full"), dir(disk, "above/empty"));
        disk.rename(&from, OsStr::new("x"), &to, OsStr::new("moved"), Rename::NoReplace).unwrap();
        set_time(disk, "above/full");
        set_time(disk, "above/empty");
    }),
    ("a file removed", |disk| {
        disk.remove_file(&dir(disk, "above/full"), OsStr::new("y")).unwrap();
        set_time(disk, "above/full");
    }),
];

/// What is guarded there. Nobody has promised anything of the rest.
fn seen(disk: &SimDisk, paths: &[&str]) -> Seen {
    let mut seen = look(disk, "/");
    let guarded = |path: &RelPath| paths.iter().any(|at| path.starts_with(&RelPath::new(at).unwrap()));
    seen.retain(|path, _| guarded(path));
    seen
}

/// Commits a guard after a change, and lets the power go. Gives the number of states.
pub(crate) fn survives(at: &str, disk: &SimDisk, paths: &[&str], change: impl FnOnce(&SimDisk)) -> u64 {
    let tree = open(disk).unwrap();
    let guard = tree.guard(paths).unwrap();
    change(disk);
    guard.commit().unwrap();
    let (wanted, mut states) = (seen(disk, paths), 0);
    for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
        let all = disk.outcomes(profile);
        for outcome in all.named().into_iter().chain(all.single()) {
            states += 1;
            let left = disk.after(&outcome);
            let at = format!("{at} under {paths:?}, {profile:?}: {}", disk.describe(&outcome));
            let found = seen(&left, paths);
            assert!(found == wanted, "{at}:\n{}", differences(&found, &wanted));
            let report = open(&left).unwrap().recovery().clone();
            assert!(!report.found_damage(), "{at}: {report}");
            let found = seen(&left, paths);
            assert!(found == wanted, "{at}, recovered:\n{}", differences(&found, &wanted));
        }
    }
    states
}

/// The times of directories are set back where names come and go: so nothing but the change itself tells of it.
#[test]
fn what_a_guard_has_committed_is_there_after_a_loss_of_power() {
    let mut states = 0;
    for (name, change) in CHANGES {
        for paths in [&["above/full", "above/empty"][..], &["above"]] {
            states += survives(name, &base(), paths, change);
        }
    }
    // Nothing was there, nor a directory above it.
    states += survives("built elsewhere", &base(), &["fresh/deep/file"], |disk| {
        let root = dir(disk, "");
        disk.create_dir(&root, OsStr::new("new"), 0o755).unwrap();
        disk.create_dir(&dir(disk, "new"), OsStr::new("deep"), 0o755).unwrap();
        put(disk, "new/deep/file", "built");
        disk.rename(&root, OsStr::new("new"), &root, OsStr::new("fresh"), Rename::NoReplace).unwrap();
    });
    assert!(states > 100, "{states}");
}

#[test]
fn attributes_of_the_tree_itself_are_there_after_a_loss_of_power() {
    survives("the tree", &base(), &[""], |disk| {
        disk.set_xattr(&dir(disk, ""), OsStr::new(ITSELF), OsStr::new("user.k"), b"v").unwrap();
    });
}

/// Of what is guarded, nothing has changed: only the directory that the one above it is in.
#[test]
fn what_is_guarded_is_there_after_a_directory_high_above_was_replaced() {
    survives("high above", &base(), &["above/full/deep", "elsewhere"], |disk| {
        replace(disk, "above");
    });
}

/// Some file systems have times of whole seconds.
#[test]
fn what_changed_before_and_under_a_guard_within_one_tick_of_the_clock_is_there_after_a_loss_of_power() {
    let disk = base();
    disk.set_tick_us(1_000_000_000);
    let above = dir(&disk, "above");
    disk.create_dir(&above, OsStr::new("made"), 0o755).unwrap();
    survives("one tick", &disk, &["above"], |disk| {
        disk.set_xattr(&above, OsStr::new("made"), OsStr::new("user.k"), b"v").unwrap();
    });
}
