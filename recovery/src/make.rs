//! Making a new entry in the stage, where nobody sees it: commit does it before the promise, recovery once more where
//! the power took it away.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_journal::record::{Change, Times};
use treewal_vfs::{Dir, Disk, Kind, Meta, Open, Time, write_all};

/// What a new entry looks like; what is `None` is as the system makes new entries.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes.
    pub xattrs: &'a [(OsString, Vec<u8>)],
    /// Whether the time of modification of a new file is set rather than asked for; see [`Disk::stamp`].
    pub stamped: bool,
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

/// The bits that a directory is made with: those that it shall have, and whatever its owner needs to fill it and to move
/// it into its place. The caller sets the others afterwards.
#[must_use]
pub fn open_bits(mode: u32) -> u32 {
    mode | 0o700
}

/// The bits with which recovery looks at an entry that its owner has closed, for as long as it looks.
#[must_use]
pub(crate) fn legible_bits(kind: Kind, mode: u32) -> u32 {
    if kind == Kind::Dir { open_bits(mode) } else { mode | 0o600 }
}

/// Makes an entry and describes it. Nothing is synced: the journal record, which holds all of it, is.
///
/// # Errors
/// Any error of the disk; a part of the entry may then be there, and goes with its stage.
pub fn make(disk: &dyn Disk, at: &Dir, name: &OsStr, filling: Filling<'_>, look: Look<'_>) -> io::Result<Meta> {
    match filling {
        Filling::Dir => {
            // As below: never more open than it shall be.
            disk.create_dir(at, name, look.mode.map_or(0o777, |mode| mode & 0o777))?;
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
            let meta = if look.stamped { disk.stamp(&file, disk.now())? } else { disk.stat_file(&file)? };
            finish(disk, at, name, meta, look)
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

/// What somebody asked for by name: here nothing is let pass that cannot be had.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Owner and group.
    pub owner: (Option<u32>, Option<u32>),
    /// Permission bits, once the owner is set, which clears some of them.
    pub mode: Option<u32>,
    /// Times of last access and last modification.
    pub times: (Option<Time>, Option<Time>),
}

/// Gives a finished entry of the stage what was asked for; gives the description to recognise it by, and the times that
/// were set beside those that were there.
///
/// # Errors
/// Any error of the disk.
pub fn ask(
    disk: &dyn Disk,
    at: &Dir,
    name: &OsStr,
    mut meta: Meta,
    asked: Asked,
) -> io::Result<(Meta, Option<Change<Times>>)> {
    let (uid, gid) = (asked.owner.0.unwrap_or(meta.uid), asked.owner.1.unwrap_or(meta.gid));
    if (uid, gid) != (meta.uid, meta.gid) {
        disk.set_owner(at, name, uid, gid)?;
        meta = disk.stat(at, name)?;
        if let Some(mode) = asked.mode.filter(|mode| meta.kind != Kind::Symlink && *mode != meta.mode) {
            disk.set_mode(at, name, mode)?;
            meta.mode = mode;
        }
    }
    let (accessed, modified) = asked.times;
    if accessed.is_none() && modified.is_none() {
        return Ok((meta, None));
    }
    let prior = Times { accessed: meta.accessed, modified: meta.modified };
    let to = Times { accessed: accessed.unwrap_or(prior.accessed), modified: modified.unwrap_or(prior.modified) };
    disk.set_times(at, name, to.accessed, to.modified)?;
    Ok((disk.stat(at, name)?, Some(Change { to, prior })))
}
