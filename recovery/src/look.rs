//! The look of an entry: mode, owner, times and extended attributes. A commit sets them, its undoing sets them back,
//! and recovery sets what a power loss took; each touches only what differs, so each may be repeated.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use treewal_journal::record::{LookChange, Owner, Times};
use treewal_vfs::{Dir, Disk, Kind};

use crate::make::legible_bits;

/// Attributes that an entry shall have; what is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits; a symlink has none.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<Owner>,
    /// Times of last access and last modification.
    pub times: Option<Times>,
    /// Extended attributes by name; `None` where there shall be none.
    pub xattrs: Vec<(OsString, Option<Vec<u8>>)>,
}

/// Does `work` with an entry. Where it is a file that its owner, who we are, has closed to himself, it is opened for that
/// moment; afterwards it has the bits `mode`, or those that it had.
///
/// A crash in between leaves a file that its owner may read and write; see [`legible_bits`].
///
/// # Errors
/// Those of `work`, and any error of the disk.
pub(crate) fn legible<T>(
    disk: &dyn Disk,
    at: &Dir,
    name: &OsStr,
    mode: Option<u32>,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let error = match work() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        done => return done,
    };
    let meta = disk.stat(at, name)?;
    let opened = legible_bits(meta.kind, meta.mode);
    if meta.kind != Kind::File || meta.uid != disk.user() || opened == meta.mode {
        return Err(error);
    }
    disk.set_mode(at, name, opened)?;
    let done = work();
    let closed = disk.set_mode(at, name, mode.unwrap_or(meta.mode));
    done.and_then(|done| closed.map(|()| done))
}

impl Attributes {
    /// What a change leads to.
    #[must_use]
    pub fn after(change: &LookChange) -> Self {
        let xattrs = change.xattrs.iter().map(|xattr| (OsString::from_vec(xattr.name.clone()), xattr.to.clone()));
        Self {
            mode: change.mode.map(|mode| mode.to),
            owner: change.owner.map(|owner| owner.to),
            times: change.times.map(|times| times.to),
            xattrs: xattrs.collect(),
        }
    }

    /// What a change started from.
    #[must_use]
    pub fn before(change: &LookChange) -> Self {
        let xattrs = change.xattrs.iter().map(|xattr| (OsString::from_vec(xattr.name.clone()), xattr.prior.clone()));
        Self {
            mode: change.mode.map(|mode| mode.prior),
            owner: change.owner.map(|owner| owner.prior),
            times: change.times.map(|times| times.prior),
            xattrs: xattrs.collect(),
        }
    }

    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets what differs. Nothing is synced; a crash leaves any of it.
    ///
    /// Owner, extended attributes, mode, times, in this order: a change of owner clears the set-id bits, and an ACL
    /// changes the bits of the group.
    ///
    /// # Errors
    /// Any error of the disk; what was set before it stays set.
    pub fn set(&self, disk: &dyn Disk, at: &Dir, name: &OsStr) -> io::Result<()> {
        let meta = disk.stat(at, name)?;
        if let Some(owner) = self.owner.filter(|owner| (owner.uid, owner.gid) != (meta.uid, meta.gid)) {
            disk.set_owner(at, name, owner.uid, owner.gid)?;
        }
        self.set_xattrs(disk, at, name)?;
        if let Some(mode) = self.mode.filter(|_| meta.kind != Kind::Symlink) {
            if disk.stat(at, name)?.mode != mode {
                disk.set_mode(at, name, mode)?;
            }
        }
        match self.times {
            Some(times) if (times.accessed, times.modified) != (meta.accessed, meta.modified) => {
                disk.set_times(at, name, times.accessed, times.modified)
            }
            _ => Ok(()),
        }
    }

    fn set_xattrs(&self, disk: &dyn Disk, at: &Dir, name: &OsStr) -> io::Result<()> {
        if self.xattrs.is_empty() {
            return Ok(());
        }
        let there = disk.xattrs(at, name)?;
        for (key, value) in &self.xattrs {
            let found = there.iter().find(|(other, _)| other == key).map(|(_, found)| found);
            match value {
                Some(value) if found != Some(value) => disk.set_xattr(at, name, key, value)?,
                None if found.is_some() => disk.remove_xattr(at, name, key)?,
                _ => {}
            }
        }
        Ok(())
    }
}
