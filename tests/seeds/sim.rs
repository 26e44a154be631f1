//! A simulated disk: what is on it, and every crash of what is done to it.

use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Dir, Disk, Open, RelPath, write_all};

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(4 << 10).max_attempts(3).lock_wait(Duration::ZERO)
}

pub(crate) fn open(disk: &SimDisk) -> treewal::Result<Tree> {
    options().open_on(Arc::new(disk.clone()), "/")
}

/// A disk on which a tree has been opened, changed and closed, and all of it is durable.
pub(crate) fn prepared(fill: impl FnOnce(&SimDisk)) -> SimDisk {
    let disk = SimDisk::new();
    fill(&disk);
    drop(open(&disk).unwrap());
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk.remount()
}

pub(crate) fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

fn place(disk: &SimDisk, path: &str) -> (Dir, std::ffi::OsString) {
    let path = RelPath::new(path).unwrap();
    let (parent, name) = path.split().unwrap();
    (disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &parent).unwrap(), name.to_os_string())
}

pub(crate) fn mkdir(disk: &SimDisk, path: &str) {
    let (dir, name) = place(disk, path);
    disk.create_dir(&dir, &name, 0o755).unwrap();
}

/// What a program does in place: an old file is cut and written anew. On a disk that has gone off it does nothing.
pub(crate) fn put(disk: &SimDisk, path: &str, text: &str) {
    if disk.is_off() {
        return;
    }
    let (dir, name) = place(disk, path);
    let file = match disk.open(&dir, &name, Open::ReadWrite) {
        Err(_) => disk.open(&dir, &name, Open::CreateNew { mode: 0o644 }),
        file => file,
    };
    let written = file.and_then(|file| {
        disk.set_len(&file, 0)?;
        write_all(disk, &file, text.as_bytes(), 0)
    });
    assert!(written.is_ok() || disk.is_off(), "{path}: {written:?}");
}

pub(crate) fn holds(disk: &SimDisk, path: &str) -> Option<String> {
    let node = disk.dump().remove(&RelPath::new(path).unwrap())?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

/// The names in a directory.
pub(crate) fn names(disk: &SimDisk, path: &str) -> Vec<String> {
    let listed = disk.list(&dir(disk, path)).unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What lies in treewal's own directories and should not, once nobody has the tree open.
pub(crate) fn leftovers(disk: &SimDisk) -> Vec<String> {
    let found = ["stage", "guards", "quarantine"].map(|sub| names(disk, &format!(".treewal/{sub}")));
    found.into_iter().flatten().collect()
}

/// Does something and stops it before each of its calls; after that the process is gone, or the power. `judge` gets the disk,
/// and whether what was done had said that it is done. Gives how many crashes were judged.
pub(crate) fn every_crash(base: &SimDisk, act: impl Fn(&SimDisk) -> bool, judge: impl Fn(&SimDisk, bool)) -> u64 {
    let mut judged = 0;
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let said = act(&disk);
        if !disk.is_off() {
            assert!(said, "nothing disturbed it");
            break;
        }
        // With everything that was done, it is the process that was killed; with less, the power went.
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let named = [all.nothing(), all.everything(), all.names_without_contents()];
            for outcome in named.into_iter().chain(all.sample(cut, 3)) {
                judge(&disk.after(&outcome), said);
                judged += 1;
            }
        }
    }
    assert!(judged > 0, "it made no call");
    judged
}
