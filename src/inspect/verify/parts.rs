//! The parts of `.treewal`: whether they are there, what they are, and whose.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use treewal_recovery::LAST_RECOVERY_FILES;
use treewal_recovery::home::DIR_NAME;
use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath};

use super::{Findings, io};
use crate::Result;

/// What must be there once a tree was opened.
const DIRS: [&str; 4] = ["journal", "stage", "guards", "quarantine"];
/// What may be there besides.
const FILES: [&str; 4] = ["tree", ".gitignore", "lock", "queue"];
const SNAPSHOTS: &str = "snapshots";
/// What a crash leaves of the making of `tree`.
const DRAFT: &str = "tree.new";

const ASIDE: &str = "open the tree: it is moved to quarantine, and made anew";

/// Checks the parts; says whether the rest can be looked at.
pub(super) fn check(disk: &dyn Disk, root: &Dir, findings: &mut Findings) -> Result<bool> {
    let own = match disk.stat(root, OsStr::new(DIR_NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        own => own.map_err(io(""))?,
    };
    // What is no directory is refused by name when it is opened.
    if own.kind != Kind::Dir {
        return Ok(true);
    }
    if own.mode & 0o077 != 0 {
        let what = format!(".treewal can be entered by others (mode {:04o})", own.mode);
        findings.add("open-to-others", "", what, "open the tree: it is closed to them");
    }
    let dot = disk.open_dir(root, &RelPath::root().join(DIR_NAME)).map_err(io(""))?;
    let mut missing = 0;
    let mut usable = true;
    for name in DIRS {
        match disk.stat(&dot, OsStr::new(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => missing += 1,
            meta => usable &= part(&own, name, &meta.map_err(io(name))?, Kind::Dir, findings),
        }
    }
    if missing > 0 {
        let what = format!("{missing} of the directories of .treewal are missing");
        let advice = "open the tree: they are made; what was in them is not known";
        // A first opening makes them one by one, and the identity after them.
        let begun = disk.stat(&dot, OsStr::new("tree")).is_ok();
        if begun {
            findings.damage("part-missing", "", what, advice);
        } else {
            findings.add("part-missing", "", what, advice);
        }
        usable = false;
    }
    let mut files_are_files = true;
    for name in FILES {
        match disk.stat(&dot, OsStr::new(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            meta => files_are_files &= part(&own, name, &meta.map_err(io(name))?, Kind::File, findings),
        }
    }
    usable &= files_are_files;
    for entry in disk.list(&dot).map_err(io(""))? {
        let name = entry.name.to_string_lossy();
        let is_known = [&DIRS[..], &FILES, &LAST_RECOVERY_FILES, &[SNAPSHOTS, DRAFT]].concat().contains(&&*name);
        if !is_known {
            let what = format!("{name:?} is nothing that treewal keeps there");
            findings.add("stray", &*name, what, "harmless: look whose it is, and move it away");
        }
    }
    if usable {
        contents(disk, &dot, &own, findings)?;
    }
    Ok(usable)
}

/// Checks what a part is, and whose; says whether it is what it should be.
fn part(own: &Meta, name: &str, meta: &Meta, kind: Kind, findings: &mut Findings) -> bool {
    if meta.kind != kind {
        let what = format!("something else stands in the place of {name:?}: {:?}", meta.kind);
        findings.damage("wrong-kind", name, what, ASIDE);
        return false;
    }
    owner(own, Path::new(name), meta, findings);
    true
}

/// Checks whose something is, and who may read it.
fn owner(own: &Meta, path: &Path, meta: &Meta, findings: &mut Findings) {
    if meta.uid != own.uid {
        let what = format!("{path:?} belongs to user {}, and .treewal to user {}", meta.uid, own.uid);
        findings.add("foreign-owner", path, what, "give it to the owner of .treewal (chown)");
    }
    if meta.kind == Kind::File && meta.mode & 0o077 != 0 {
        let what = format!("{path:?} may be read or written by others (mode {:04o})", meta.mode);
        findings.add(
            "open-to-others",
            path,
            what,
            "close it to them (chmod go=), though .treewal itself keeps them out",
        );
    }
}

/// The same of the files that treewal writes itself, and of whole snapshots and stages. What is in these is as in the tree.
fn contents(disk: &dyn Disk, dot: &Dir, own: &Meta, findings: &mut Findings) -> Result<()> {
    for part in ["journal", "guards", "stage", SNAPSHOTS] {
        let dir = match disk.open_dir(dot, &RelPath::root().join(part)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            dir => dir.map_err(io(part))?,
        };
        for entry in disk.list(&dir).map_err(io(part))? {
            let path = Path::new(part).join(&entry.name);
            match disk.stat(&dir, &entry.name) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                meta => owner(own, &path, &meta.map_err(io(&path))?, findings),
            }
        }
    }
    Ok(())
}
