//! Parts of `.treewal` in whose place something else stands: a file where a directory belongs, a fifo, a symlink. No crash
//! does that. It is moved to quarantine, as somebody may miss it, and the part is made anew.

use std::ffi::OsStr;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use treewal_vfs::{Dir, Disk, Kind, Lock, Open, RelPath};

use super::{DIR_NAME, DIRS, make_private};
use crate::quarantine::set_aside;
use crate::{Error, Result};

const QUARANTINE: &str = "quarantine";
const SNAPSHOTS: &str = "snapshots";
const FILES: [&str; 5] = ["tree", "tree.new", "lock", "queue", ".gitignore"];
const PAUSE: Duration = Duration::from_millis(5);
const TRIES: u32 = 400;

/// The parts in whose place something else stands. Reads only. None where treewal was never used, and where the directory is
/// not ours to mend.
///
/// # Errors
/// Any error of the disk.
pub fn wrong_parts(disk: &dyn Disk, root: &Dir) -> Result<Vec<&'static str>> {
    let Ok(dot) = disk.open_dir(root, &RelPath::root().join(DIR_NAME)) else { return Ok(Vec::new()) };
    if disk.stat_dir(&dot).map_err(Error::io("look at", DIR_NAME))?.uid != disk.user() {
        return Ok(Vec::new());
    }
    wrong_in(disk, &dot)
}

fn wrong_in(disk: &dyn Disk, dot: &Dir) -> Result<Vec<&'static str>> {
    let dirs = DIRS.into_iter().chain([SNAPSHOTS]).map(|name| (name, Kind::Dir));
    let parts = dirs.chain(FILES.into_iter().map(|name| (name, Kind::File)));
    let mut wrong = Vec::new();
    for (name, kind) in parts {
        match disk.stat(dot, OsStr::new(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => {
                if found.map_err(Error::io("look at", format!("{DIR_NAME}/{name}")))?.kind != kind {
                    wrong.push(name);
                }
            }
        }
    }
    Ok(wrong)
}

/// Moves what stands in the place of a part to quarantine, and tells, a line for each. Durable when it returns; a crash leaves
/// the rest to the next opening.
///
/// The lock of the tree may be such a part, so another one keeps two from mending at once: that of the directory itself.
///
/// # Errors
/// Any error of the disk.
pub fn mend(disk: &dyn Disk, root: &Dir) -> Result<Vec<String>> {
    let io = |verb| Error::io(verb, DIR_NAME);
    let dot = disk.open_dir(root, &RelPath::root().join(DIR_NAME)).map_err(io("open"))?;
    let lock = disk.open(root, OsStr::new(DIR_NAME), Open::Read).map_err(io("open"))?;
    let mut tries = 0;
    while !disk.try_lock(&lock, Lock::Exclusive).map_err(io("lock"))? {
        tries += 1;
        if tries == TRIES {
            return Err(io("lock")(io::ErrorKind::ResourceBusy.into()));
        }
        sleep(PAUSE);
    }
    let mended = mend_in(disk, &dot);
    disk.unlock(&lock).map_err(io("unlock"))?;
    mended
}

fn mend_in(disk: &dyn Disk, dot: &Dir) -> Result<Vec<String>> {
    let io = |verb| Error::io(verb, DIR_NAME);
    let mut told = Vec::new();
    let mut wrong = wrong_in(disk, dot)?;
    if wrong.contains(&QUARANTINE) {
        // Kept beside until there is a quarantine to keep it in.
        set_aside(disk, (dot, OsStr::new(QUARANTINE)), dot, "lost-quarantine").map_err(io("set aside"))?;
        wrong.retain(|name| *name != QUARANTINE);
    }
    make_private(disk, dot, QUARANTINE)?;
    let quarantine = disk.open_dir(dot, &RelPath::root().join(QUARANTINE)).map_err(io("open"))?;
    let beside = disk.list(dot).map_err(io("list"))?.into_iter().map(|entry| entry.name);
    let beside = beside.filter(|name| name.as_encoded_bytes().starts_with(b"lost-quarantine"));
    let parts = wrong.iter().map(|name| (OsStr::new(name).to_owned(), format!("lost-{name}")));
    for (name, kept) in parts.chain(beside.map(|name| (name, "lost-quarantine".to_owned()))) {
        match set_aside(disk, (dot, &name), &quarantine, &kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            kept => {
                let kept = kept.map_err(io("set aside"))?;
                told.push(format!(
                    "something else stood in the place of .treewal/{}; it is kept in .treewal/quarantine/{kept}",
                    kept.trim_start_matches("lost-")
                ));
            }
        }
    }
    disk.sync_dir(&quarantine).map_err(io("sync"))?;
    disk.sync_dir(dot).map_err(io("sync"))?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use treewal_vfs::sim::{Profile, SimDisk};
    use treewal_vfs::write_all;

    use super::*;

    #[test]
    fn what_stood_in_the_place_of_a_part_is_in_quarantine_before_anybody_is_told() {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        disk.create_dir(&root, OsStr::new(DIR_NAME), 0o700).unwrap();
        let dot = disk.open_dir(&root, &RelPath::new(DIR_NAME).unwrap()).unwrap();
        for part in ["stage", QUARANTINE] {
            let file = disk.open(&dot, OsStr::new(part), Open::CreateNew { mode: 0o600 }).unwrap();
            write_all(&disk, &file, part.as_bytes(), 0).unwrap();
        }
        disk.sync_all(&root).unwrap();
        assert_eq!(wrong_parts(&disk, &root).unwrap(), ["stage", QUARANTINE]);

        assert_eq!(mend(&disk, &root).unwrap().len(), 2);
        let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
        let kept: Vec<(String, Vec<u8>)> = left
            .dump()
            .into_iter()
            .filter(|(_, node)| node.kind == Kind::File)
            .map(|(path, node)| (path.to_string(), node.contents))
            .collect();
        let at = |part: &str| (format!("{DIR_NAME}/{QUARANTINE}/lost-{part}"), part.as_bytes().to_vec());
        assert_eq!(kept, [at(QUARANTINE), at("stage")]);
    }
}
