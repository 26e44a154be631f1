//! What a transaction of ours does to the path.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use treewal_vfs::Disk;
use treewal_vfs::sim::SimDisk;

use crate::world::{Body, ROOT, open, put};

/// The path that it is all about.
pub(crate) const PATH: &str = "d/p";
/// Another one, that moves there or has the same inode.
pub(crate) const FROM: &str = "d/q";

/// More than a sector, less than two.
pub(crate) fn small(what: &str) -> Vec<u8> {
    format!("{what}, in small. ").repeat(60).into_bytes()[..700].to_vec()
}

/// Above `inline_max`: written to the stage, and synced there.
pub(crate) fn large(what: &str) -> Vec<u8> {
    format!("{what}, at large. ").repeat(300).into_bytes()[..4200].to_vec()
}

/// What stands at the path before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    Nothing,
    File,
    Dir,
    Symlink,
}

pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) old: Old,
    /// Settled before `commit` returns: what others do falls into the commit, or behind it.
    pub(crate) is_barrier: bool,
    /// The journal holds the contents: nothing that others do takes them away.
    pub(crate) is_held: bool,
    /// Nothing but attributes changes.
    pub(crate) is_attributes: bool,
    pub(crate) body: Body,
}

const fn change(name: &'static str, old: Old, body: Body) -> Change {
    Change { name, old, is_barrier: false, is_held: true, is_attributes: false, body }
}

const fn large_change(name: &'static str, old: Old, body: Body) -> Change {
    Change { is_held: false, ..change(name, old, body) }
}

const fn attributes(name: &'static str, old: Old, body: Body) -> Change {
    Change { is_attributes: true, is_held: false, ..change(name, old, body) }
}

const fn barrier(name: &'static str, old: Old, body: Body) -> Change {
    Change { is_barrier: true, is_held: false, ..change(name, old, body) }
}

pub(crate) const CHANGES: [Change; 18] = [
    change("a new small file", Old::Nothing, |tx| tx.write(PATH, small("ours"))),
    large_change("a new large file", Old::Nothing, |tx| tx.write(PATH, large("ours"))),
    change("a small file replaced", Old::File, |tx| tx.write(PATH, small("ours"))),
    large_change("a large file in the place of one", Old::File, |tx| tx.write(PATH, large("ours"))),
    change("a file removed", Old::File, |tx| tx.remove_file(PATH)),
    change("a new directory", Old::Nothing, |tx| {
        tx.create_dir(PATH)?;
        tx.write(format!("{PATH}/in"), small("ours"))
    }),
    change("a directory in the place of a file", Old::File, |tx| {
        tx.remove_file(PATH)?;
        tx.create_dir(PATH)?;
        tx.write(format!("{PATH}/in"), small("ours"))
    }),
    change("a file in the place of a directory", Old::Dir, |tx| {
        tx.remove_dir_all(PATH)?;
        tx.write(PATH, small("ours"))
    }),
    change("a directory removed with all that is in it", Old::Dir, |tx| tx.remove_dir_all(PATH)),
    change("a directory emptied and removed", Old::Dir, |tx| {
        tx.remove_file(format!("{PATH}/in"))?;
        tx.remove_dir(PATH)
    }),
    change("a new symlink", Old::Nothing, |tx| tx.symlink("ours", PATH)),
    change("a symlink replaced", Old::Symlink, |tx| {
        tx.remove_file(PATH)?;
        tx.symlink("ours", PATH)
    }),
    attributes("attributes of a file", Old::File, |tx| {
        tx.set_permissions(PATH, Permissions::from_mode(0o600))?;
        tx.set_xattr(PATH, "user.ours", b"ours")
    }),
    attributes("attributes of a directory", Old::Dir, |tx| tx.set_permissions(PATH, Permissions::from_mode(0o700))),
    barrier("a file moved", Old::Nothing, |tx| tx.rename(FROM, PATH)),
    barrier("a file moved over another", Old::File, |tx| tx.rename(FROM, PATH)),
    barrier("a directory moved", Old::Dir, |tx| tx.rename(PATH, "d/r")),
    barrier("another name", Old::Nothing, |tx| tx.hard_link(FROM, PATH)),
];

/// A tree that the change can be made in, all of it durable.
pub(crate) fn prepared(change: &Change) -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root(ROOT.as_ref()).unwrap();
    disk.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
    put(&disk, FROM, &small("moving")).unwrap();
    put(&disk, "other", b"").unwrap();
    match change.old {
        Old::Nothing => {}
        Old::File => put(&disk, PATH, &small("old")).unwrap(),
        Old::Dir => {
            let d = disk.open_dir(&root, &treewal_vfs::RelPath::new("d").unwrap()).unwrap();
            disk.create_dir(&d, OsStr::new("p"), 0o755).unwrap();
            put(&disk, "d/p/in", &small("old")).unwrap();
        }
        Old::Symlink => {
            let d = disk.open_dir(&root, &treewal_vfs::RelPath::new("d").unwrap()).unwrap();
            disk.symlink(OsStr::new("old"), &d, OsStr::new("p")).unwrap();
        }
    }
    drop(open(&disk));
    disk.sync_all(&root).unwrap();
    disk.remount()
}
