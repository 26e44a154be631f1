//! Changes of mode, owner, times and extended attributes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::image::Id;
use super::meta_log::Field;
use super::names::permissions;
use super::state::State;
use crate::{Kind, Meta, Time};

/// Linux's limit on a value (`XATTR_SIZE_MAX`).
const XATTR_BYTES_MAX: usize = 64 << 10;
/// Linux's limit on a key (`XATTR_NAME_MAX`).
const XATTR_KEY_BYTES_MAX: usize = 255;

impl State {
    pub(super) fn meta(&self, id: Id) -> Result<Meta, Errno> {
        let inode = self.seen.inode(id)?;
        Ok(Meta {
            kind: inode.kind,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size(),
            allocated: inode.allocated(),
            links: inode.links(),
            ino: inode.ino,
            dev: self.mount,
            rdev: inode.rdev,
            born: inode.born,
            accessed: inode.accessed,
            modified: inode.modified,
            changed: inode.changed,
            // There is one file system, and nothing is mounted in it.
            mounted: false,
        })
    }

    pub(super) fn set_mode(&mut self, id: Id, mode: u32) -> Result<(), Errno> {
        let mode = permissions(mode)?;
        if self.seen.inode(id)?.kind == Kind::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        self.writable()?;
        self.change_field(id, Field::Mode(mode), false)
    }

    /// A file loses its set-id bits to a new owner, as in Linux.
    pub(super) fn set_owner(&mut self, id: Id, uid: u32, gid: u32) -> Result<(), Errno> {
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Errno::INVAL);
        }
        self.writable()?;
        let inode = self.seen.inode(id)?;
        let mode = inode.mode;
        let lost = match (inode.is_dir(), mode & 0o010) {
            (true, _) => 0,
            (false, 0) => 0o4000,
            (false, _) => 0o6000,
        };
        self.change_field(id, Field::Owner(uid, gid), false)?;
        if mode & lost == 0 { Ok(()) } else { self.change_field(id, Field::Mode(mode & !lost), false) }
    }

    pub(super) fn set_times(&mut self, id: Id, accessed: Time, modified: Time) -> Result<(), Errno> {
        if accessed.nanos >= 1_000_000_000 || modified.nanos >= 1_000_000_000 {
            return Err(Errno::INVAL);
        }
        self.writable()?;
        self.change_field(id, Field::Times(accessed, modified), false)
    }

    pub(super) fn xattrs(&self, id: Id) -> Result<Vec<(OsString, Vec<u8>)>, Errno> {
        let xattrs = &self.seen.inode(id)?.xattrs;
        Ok(xattrs.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect())
    }

    pub(super) fn set_xattr(&mut self, id: Id, key: &OsStr, value: &[u8]) -> Result<(), Errno> {
        self.takes_xattr(id, key)?;
        self.change_field(id, Field::Xattr(key.to_os_string(), Some(value.into())), false)
    }

    pub(super) fn remove_xattr(&mut self, id: Id, key: &OsStr) -> Result<(), Errno> {
        self.takes_xattr(id, key)?;
        if !self.seen.inode(id)?.xattrs.contains_key(key) {
            return Err(Errno::NODATA);
        }
        self.change_field(id, Field::Xattr(key.to_os_string(), None), false)
    }

    fn takes_xattr(&self, id: Id, key: &OsStr) -> Result<(), Errno> {
        self.writable()?;
        let bytes = key.as_bytes();
        let starts = |with: &str| bytes.starts_with(with.as_bytes()) && bytes.len() > with.len();
        let acl = [&b"system.posix_acl_access"[..], b"system.posix_acl_default"].contains(&bytes);
        let kind = self.seen.inode(id)?.kind;
        match () {
            () if starts("user.") && !matches!(kind, Kind::File | Kind::Dir) => Err(Errno::PERM),
            () if starts("user.") || starts("trusted.") || starts("security.") => Ok(()),
            () if acl && kind != Kind::Symlink => Ok(()),
            () => Err(Errno::OPNOTSUPP),
        }
    }
}

/// What the kernel checks before it looks for the entry.
pub(super) fn xattr_fits(key: &OsStr, value: &[u8]) -> Result<(), Errno> {
    match key.len() {
        _ if key.as_bytes().contains(&0) => Err(Errno::INVAL),
        0 => Err(Errno::RANGE),
        len if len > XATTR_KEY_BYTES_MAX => Err(Errno::RANGE),
        _ if value.len() > XATTR_BYTES_MAX => Err(Errno::TOOBIG),
        _ => Ok(()),
    }
}
