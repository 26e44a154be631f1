//! Making a new entry in the stage, where nobody sees it: commit does it before the promise, recovery once more where
//! the power took it away.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Meta, Open, write_all};

/// What a new entry looks like; what is `None` is as the system makes new entries.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes.
    pub xattrs: &'a [(OsString, Vec<u8>)],
}

/// What is in a new entry.
#[derive(Debug, Clone, Copy)]
pub enum Filling<'a> {
    /// An empty directory.
    Dir,
    /// A file with these bytes.
    File(&'a [u8]),
    /// A symlink to this target.
    Symlink(&'a OsStr),
}

/// Makes an entry and describes it. Nothing is synced: the journal record, which holds all of it, is.
///
/// # Errors
/// Any error of the disk; a part of the entry may then be there, and goes with its stage.
pub fn make(disk: &dyn Disk, at: &Dir, name: &OsStr, filling: Filling<'_>, look: Look<'_>) -> io::Result<Meta> {
    match filling {
        Filling::Dir => {
            disk.create_dir(at, name, 0o777)?;
            finish(disk, at, name, disk.stat(at, name)?, look)
        }
        Filling::Symlink(target) => {
            disk.symlink(target, at, name)?;
            finish(disk, at, name, disk.stat(at, name)?, look)
        }
        Filling::File(bytes) => {
            // With the wanted bits, less the umask, from the start: in most cases nothing is left to change, and a
            // private file is never more open than it shall be.
            let mode = look.mode.map_or(0o666, |mode| mode & 0o777);
            let file = disk.open(at, name, Open::CreateNew { mode })?;
            write_all(disk, &file, bytes, 0)?;
            finish(disk, at, name, disk.stat_file(&file)?, look)
        }
    }
}

/// Gives an entry of the stage the look it shall have, and describes it.
///
/// An owner that this process may not give away stays the process's own, as with any program that replaces a file.
///
/// # Errors
/// Any error of the disk.
pub fn finish(disk: &dyn Disk, at: &Dir, name: &OsStr, mut meta: Meta, look: Look<'_>) -> io::Result<Meta> {
    if let Some((uid, gid)) = look.owner {
        if (meta.uid, meta.gid) != (uid, gid) {
            match disk.set_owner(at, name, uid, gid) {
                Ok(()) => meta = disk.stat(at, name)?,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
    }
    for (key, value) in look.xattrs {
        match disk.set_xattr(at, name, key, value) {
            Err(error) if may_be_lost(key, &error) => {}
            other => other?,
        }
    }
    // After owner and ACL, which both change the bits.
    if let Some(mode) = look.mode {
        if meta.kind != Kind::Symlink && (meta.mode != mode || !look.xattrs.is_empty()) {
            disk.set_mode(at, name, mode)?;
            meta.mode = mode;
        }
    }
    Ok(meta)
}

/// Attributes that an ordinary process cannot set: security labels and what only root may write.
fn may_be_lost(key: &OsStr, error: &io::Error) -> bool {
    let key = key.as_encoded_bytes();
    error.kind() == io::ErrorKind::PermissionDenied && (key.starts_with(b"security.") || key.starts_with(b"trusted."))
}
