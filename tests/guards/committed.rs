//! What a guard has committed is there after a loss of power, whatever kind of change it is.

use std::ffi::OsStr;

use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Dir, Disk, ITSELF, RelPath, Rename, Time};

use crate::crash::{open, put};
use crate::seen::{differences, look};

fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

/// When nobody that lives has done anything.
const LONG_AGO: Time = Time { secs: 1_000, nanos: 0 };

fn set_time(disk: &SimDisk, path: &str) {
    disk.set_times(&dir(disk, path), OsStr::new(ITSELF), LONG_AGO, LONG_AGO).unwrap();
}

/// Two guarded directories, one with files in it, of long ago.
fn base() -> SimDisk {
    let disk = SimDisk::new();
    let root = dir(&disk, "");
    for path in ["above", "above/full", "above/empty"] {
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

/// The times of directories are set back where names come and go: so nothing but the change itself tells of it.
#[test]
fn what_a_guard_has_committed_is_there_after_a_loss_of_power() {
    let mut states = 0;
    for (name, change) in CHANGES {
        for paths in [&["above/full", "above/empty"][..], &["above"]] {
            let disk = base();
            let tree = open(&disk).unwrap();
            let guard = tree.guard(paths).unwrap();
            change(&disk);
            guard.commit().unwrap();
            let seen = |disk: &SimDisk| {
                let mut seen = look(disk, "/");
                // Nobody has promised anything of what is not guarded.
                seen.retain(|path, _| paths.contains(&"above") || *path != RelPath::new("above").unwrap());
                seen
            };
            let wanted = seen(&disk);
            for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
                let all = disk.outcomes(profile);
                for outcome in all.named().into_iter().chain(all.single()) {
                    states += 1;
                    let left = disk.after(&outcome);
                    let at = format!("{name} under {paths:?}, {profile:?}: {}", disk.describe(&outcome));
                    let found = seen(&left);
                    assert!(found == wanted, "{at}:\n{}", differences(&found, &wanted));
                    let report = open(&left).unwrap().recovery().clone();
                    assert!(!report.found_damage(), "{at}: {report}");
                    let found = seen(&left);
                    assert!(found == wanted, "{at}, recovered:\n{}", differences(&found, &wanted));
                }
            }
        }
    }
    assert!(states > 100, "{states}");
}
