//! What others do to the path once the commit is over.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Kind, Open, RelPath, Rename, remove_tree, write_all};

use super::changes::small;
use crate::world::ROOT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Nobody,
    /// Write into what stands there: a file, or a directory.
    InPlace,
    /// Longer than what was there, without cutting it first.
    InPlaceLonger,
    /// Write another file and rename it over.
    RenameOver,
    Remove,
    /// Remove it, and make something anew under the name.
    RemoveAndCreate,
    /// A directory, with a file in it, in the place of anything but a directory.
    Directory,
    /// A file in the place of a directory.
    File,
    Symlink,
    /// Other bits, and an attribute of their own.
    Attributes,
    /// The old contents in a new file, renamed over.
    BackByRename,
    /// The old contents, written in place.
    BackInPlace,
    /// The very contents that were committed, in a file of theirs that nobody else may read.
    Same,
    /// The directory above goes elsewhere.
    MoveParent,
    /// A file in the place of the directory above.
    FileAsParent,
}

pub(crate) const ACTS: [Act; 15] = [
    Act::Nobody,
    Act::InPlace,
    Act::InPlaceLonger,
    Act::RenameOver,
    Act::Remove,
    Act::RemoveAndCreate,
    Act::Directory,
    Act::File,
    Act::Symlink,
    Act::Attributes,
    Act::BackByRename,
    Act::BackInPlace,
    Act::Same,
    Act::MoveParent,
    Act::FileAsParent,
];

/// The bits that others set: some that no entry of ours ever had.
pub(crate) const THEIR_BITS: u32 = 0o775;

fn invalid<T>() -> io::Result<T> {
    Err(io::ErrorKind::InvalidInput.into())
}

fn create(disk: &SimDisk, dir: &Dir, name: &str, contents: &[u8], mode: u32) -> io::Result<()> {
    let file = disk.open(dir, OsStr::new(name), Open::CreateNew { mode })?;
    write_all(disk, &file, contents, 0)
}

fn rename_over(disk: &SimDisk, dir: &Dir, contents: &[u8], mode: u32) -> io::Result<()> {
    create(disk, dir, "draft", contents, mode)?;
    disk.rename(dir, OsStr::new("draft"), dir, OsStr::new("p"), Rename::Replace)
}

fn in_place(disk: &SimDisk, dir: &Dir, name: &OsStr, contents: &[u8], cut: bool) -> io::Result<()> {
    let file = disk.open(dir, name, Open::ReadWrite)?;
    if cut {
        disk.set_len(&file, 0)?;
    }
    write_all(disk, &file, contents, 0)
}

impl Act {
    /// Does it; an error where it makes no sense here.
    pub(crate) fn on(self, disk: &SimDisk) -> io::Result<()> {
        let (p, theirs) = (OsStr::new("p"), small("theirs"));
        let root = disk.open_root(ROOT.as_ref())?;
        let dir = disk.open_dir(&root, &RelPath::new("d").unwrap())?;
        let there = disk.stat(&dir, p);
        let kind = there.as_ref().map(|meta| meta.kind).ok();
        match self {
            Self::Nobody => Ok(()),
            Self::InPlace if kind == Some(Kind::Dir) => {
                let inner = disk.open_dir(&dir, &RelPath::new("p").unwrap())?;
                create(disk, &inner, "theirs", &theirs, 0o644)?;
                in_place(disk, &inner, OsStr::new("in"), &small("theirs as well"), true)
            }
            Self::InPlace => in_place(disk, &dir, p, &theirs, true),
            Self::InPlaceLonger => in_place(disk, &dir, p, &theirs.repeat(2)[..1100], false),
            Self::RenameOver if kind != Some(Kind::Dir) => rename_over(disk, &dir, &theirs, 0o644),
            Self::Remove => there.and_then(|_| remove_tree(disk, &dir, p).map(drop)),
            Self::RemoveAndCreate => {
                there?;
                remove_tree(disk, &dir, p)?;
                create(disk, &dir, "p", &theirs, 0o644)
            }
            Self::Directory if kind != Some(Kind::Dir) => {
                if kind.is_some() {
                    disk.remove_file(&dir, p)?;
                }
                disk.create_dir(&dir, p, THEIR_BITS)?;
                let inner = disk.open_dir(&dir, &RelPath::new("p").unwrap())?;
                create(disk, &inner, "in", &theirs, 0o600)
            }
            Self::File if kind == Some(Kind::Dir) => {
                disk.rename(&dir, p, &dir, OsStr::new("aside"), Rename::NoReplace)?;
                create(disk, &dir, "p", &theirs, 0o600)
            }
            Self::Symlink => {
                if kind.is_some() {
                    remove_tree(disk, &dir, p)?;
                }
                disk.symlink(OsStr::new("theirs"), &dir, p)
            }
            Self::Attributes if kind != Some(Kind::Symlink) => {
                disk.set_mode(&dir, p, THEIR_BITS)?;
                disk.set_xattr(&dir, p, OsStr::new("user.theirs"), b"theirs")?;
                disk.set_xattr(&dir, p, OsStr::new("user.ours"), b"theirs")
            }
            Self::BackByRename if kind != Some(Kind::Dir) => rename_over(disk, &dir, &small("old"), 0o644),
            Self::BackInPlace => in_place(disk, &dir, p, &small("old"), true),
            Self::Same if kind == Some(Kind::File) => {
                let file = disk.open(&dir, p, Open::Read)?;
                let contents = treewal_vfs::read_all(disk, &file, 1 << 20)?;
                rename_over(disk, &dir, &contents, 0o600)
            }
            Self::MoveParent => disk.rename(&root, OsStr::new("d"), &root, OsStr::new("elsewhere"), Rename::NoReplace),
            Self::FileAsParent => {
                disk.rename(&root, OsStr::new("d"), &root, OsStr::new("elsewhere"), Rename::NoReplace)?;
                create(disk, &root, "d", &theirs, 0o600)
            }
            _ => invalid(),
        }
    }
}
