//! Changes of names, with the checks of the kernel in the kernel's order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::io::Errno;

use super::image::{Body, Edit, Entries, Id};
use super::state::State;
use crate::{ITSELF, Kind, Meta, NAME_BYTES_MAX, PATH_BYTES_MAX, Rename};

/// Lets a single component through.
pub(super) fn single(name: &OsStr) -> Result<(), Errno> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') || bytes.contains(&0) {
        return Err(Errno::INVAL);
    }
    if bytes.len() > NAME_BYTES_MAX { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}

/// Lets permission bits through.
pub(super) fn permissions(mode: u32) -> Result<u32, Errno> {
    if mode > 0o7777 { Err(Errno::INVAL) } else { Ok(mode) }
}

impl State {
    pub(super) fn find(&self, dir: Id, name: &OsStr) -> Result<Option<Id>, Errno> {
        single(name)?;
        self.seen.lookup(dir, name)
    }

    /// An entry, or the directory itself: for what describes an entry or changes its inode.
    pub(super) fn existing_or_itself(&self, dir: Id, name: &OsStr) -> Result<Id, Errno> {
        if name == ITSELF { Ok(dir) } else { self.existing(dir, name) }
    }

    pub(super) fn existing(&self, dir: Id, name: &OsStr) -> Result<Id, Errno> {
        self.find(dir, name)?.ok_or(Errno::NOENT)
    }

    /// Whether `name` may be made in `dir`.
    fn vacant(&self, dir: Id, name: &OsStr) -> Result<(), Errno> {
        if self.find(dir, name)?.is_some() {
            return Err(Errno::EXIST);
        }
        self.writable()?;
        self.alive(dir)
    }

    /// A directory that was removed while it is open takes no new names.
    fn alive(&self, dir: Id) -> Result<(), Errno> {
        if self.seen.inode(dir)?.names == 0 { Err(Errno::NOENT) } else { Ok(()) }
    }

    pub(super) fn create(
        &mut self,
        dir: Id,
        name: &OsStr,
        kind: Kind,
        mode: u32,
        rdev: u64,
        body: Body,
    ) -> Result<Id, Errno> {
        let mode = permissions(mode)?;
        self.vacant(dir, name)?;
        let (id, needs) = self.make(dir, kind, mode, rdev, body)?;
        self.change_names(&[Edit { dir, name: name.into(), old: None, new: Some(id) }], needs);
        Ok(id)
    }

    pub(super) fn create_file(&mut self, dir: Id, name: &OsStr, mode: u32) -> Result<Id, Errno> {
        self.create(dir, name, Kind::File, mode, 0, Body::File(Arc::default()))
    }

    /// As in Linux, the set-id bits cannot be given at birth.
    pub(super) fn create_dir(&mut self, dir: Id, name: &OsStr, mode: u32) -> Result<(), Errno> {
        let entries = Entries { by_name: BTreeMap::new(), parent: dir, subdirs: 0 };
        self.create(dir, name, Kind::Dir, permissions(mode)? & 0o1777, 0, Body::Dir(entries)).map(drop)
    }

    pub(super) fn create_symlink(&mut self, target: &OsStr, dir: Id, name: &OsStr) -> Result<(), Errno> {
        single(name)?;
        if target.as_bytes().contains(&0) {
            return Err(Errno::INVAL);
        }
        match target.len() {
            0 => Err(Errno::NOENT),
            len if len > PATH_BYTES_MAX => Err(Errno::NAMETOOLONG),
            _ => self.create(dir, name, Kind::Symlink, 0o777, 0, Body::Symlink(target.to_os_string())).map(drop),
        }
    }

    pub(super) fn create_node(&mut self, dir: Id, name: &OsStr, meta: &Meta) -> Result<(), Errno> {
        let rdev = match meta.kind {
            Kind::Fifo | Kind::Socket => 0,
            Kind::CharDevice | Kind::BlockDevice => meta.rdev,
            Kind::File | Kind::Dir | Kind::Symlink => return Err(Errno::INVAL),
        };
        self.create(dir, name, meta.kind, meta.mode, rdev, Body::Node).map(drop)
    }

    pub(super) fn hard_link(&mut self, from: Id, name: &OsStr, to: Id, to_name: &OsStr) -> Result<(), Errno> {
        single(to_name)?;
        let id = self.existing(from, name)?;
        self.vacant(to, to_name)?;
        if self.seen.is_dir(id) {
            return Err(Errno::PERM);
        }
        self.change_names(&[Edit { dir: to, name: to_name.into(), old: None, new: Some(id) }], None);
        Ok(())
    }

    pub(super) fn remove(&mut self, dir: Id, name: &OsStr, wants_dir: bool) -> Result<(), Errno> {
        let id = self.existing(dir, name)?;
        self.writable()?;
        match (self.seen.is_dir(id), wants_dir) {
            (false, true) => return Err(Errno::NOTDIR),
            (true, false) => return Err(Errno::ISDIR),
            (true, true) => self.empty(id)?,
            (false, false) => {}
        }
        self.change_names(&[Edit { dir, name: name.into(), old: Some(id), new: None }], None);
        Ok(())
    }

    fn empty(&self, dir: Id) -> Result<(), Errno> {
        if self.seen.inode(dir)?.entries()?.by_name.is_empty() { Ok(()) } else { Err(Errno::NOTEMPTY) }
    }

    pub(super) fn rename(&mut self, from: Id, name: &OsStr, to: Id, to_name: &OsStr, how: Rename) -> Result<(), Errno> {
        single(to_name)?;
        single(name)?;
        self.writable()?;
        let moved = self.existing(from, name)?;
        let target = self.find(to, to_name)?;
        match (how, target) {
            (Rename::NoReplace, Some(_)) => return Err(Errno::EXIST),
            (Rename::Exchange, None) => return Err(Errno::NOENT),
            _ => {}
        }
        self.not_into_itself(from, moved, to, target, how)?;
        if target == Some(moved) {
            return Ok(());
        }
        match target {
            None => self.alive(to)?,
            Some(target) if how == Rename::Replace => self.replaceable(moved, target)?,
            Some(_) if !self.settings.exchange => return Err(Errno::INVAL),
            Some(_) => {}
        }
        let back = target.filter(|_| how == Rename::Exchange);
        let edits = [
            Edit { dir: from, name: name.into(), old: Some(moved), new: back },
            Edit { dir: to, name: to_name.into(), old: target, new: Some(moved) },
        ];
        self.change_names(&edits, None);
        Ok(())
    }

    fn not_into_itself(&self, from: Id, moved: Id, to: Id, target: Option<Id>, how: Rename) -> Result<(), Errno> {
        if from == to {
            return Ok(());
        }
        if self.seen.ancestors(to).contains(&moved) {
            return Err(Errno::INVAL);
        }
        if target.is_some_and(|target| self.seen.ancestors(from).contains(&target)) {
            return Err(if how == Rename::Exchange { Errno::INVAL } else { Errno::NOTEMPTY });
        }
        Ok(())
    }

    fn replaceable(&self, moved: Id, target: Id) -> Result<(), Errno> {
        match (self.seen.is_dir(moved), self.seen.is_dir(target)) {
            (true, false) => Err(Errno::NOTDIR),
            (false, true) => Err(Errno::ISDIR),
            (true, true) => self.empty(target),
            (false, false) => Ok(()),
        }
    }
}
