//! Exchanging two names on a file system that cannot (`RENAME_EXCHANGE` is refused): a few plain renames, with what is
//! displaced kept aside in a stage meanwhile.
//!
//! Let the new entry stand at *from*, the old one at *to*. Where neither is a directory, and the file system knows hard
//! links, *to* is never missing:
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | another name for the old one, aside | the old one at *to* |
//! | the new one is renamed over *to* | the new one at *to*, the old one aside |
//! | the old one is renamed from aside to *from* | done |
//!
//! Where both stand in the tree, the new one gets a second name as well, and that one is renamed over *to*: then *from* is
//! not missing either. A directory has no second name, and some file systems have none for files:
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | the old one is renamed aside | **nothing at *to***; the old one aside |
//! | the new one is renamed to *to* | the new one at *to*, the old one aside |
//! | the old one is renamed from aside to *from* | done |
//!
//! No record says how far it came. Recovery works out afresh what is missing. It finds entries in the stage by their inodes,
//! and takes a second name of an entry for what it is: something known that stands where another entry belongs. So each of
//! these states is like any other to it, and names left aside go with the stage.

use std::io;

use treewal_vfs::{Kind, Meta, RelPath, Rename, errno, random};

use super::ground::Ground;
use super::{Area, Place, shown};
use crate::{Error, Result};

impl Ground<'_> {
    /// Exchanges two places, in one step where the file system can.
    pub(super) fn exchange(&mut self, from: &Place, to: &Place) -> Result<()> {
        match self.rename_on_disk(from, to, Rename::Exchange) {
            Err(error) if is_refused(&error) => {
                // The one that may be in a stage is the new one, also where a step is taken back.
                let (from, to) = if from.area == Area::Tree { (to, from) } else { (from, to) };
                self.exchange_plainly(from, to).map_err(Error::io("rename", shown(to)))
            }
            exchanged => {
                let at = if to.area == Area::Tree { to } else { from };
                exchanged.map_err(Error::io("rename", shown(at)))
            }
        }
    }

    fn exchange_plainly(&mut self, from: &Place, to: &Place) -> io::Result<()> {
        let (Some(new), Some(old)) = (self.stat(from)?, self.stat(to)?) else {
            return Err(io::Error::from_raw_os_error(errno::ENOENT));
        };
        let is_dir = |meta: &Meta| meta.kind == Kind::Dir;
        if !is_dir(&new) && new.identity().same_inode(&old.identity()) {
            return Ok(());
        }
        if !is_dir(&new) && !is_dir(&old) {
            let aside = self.aside(from)?;
            match self.link(to, &aside) {
                Ok(()) => return self.replace(from, to, &aside),
                Err(error) if has_no_links(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.make_room(from, to)
    }

    /// The old entry at `to` has another name aside: the new one takes its place.
    fn replace(&mut self, from: &Place, to: &Place, aside: &Place) -> io::Result<()> {
        let replaced = match from.area {
            Area::Stage(_) => self.rename_on_disk(from, to, Rename::Replace),
            Area::Tree => self.aside(from).and_then(|second| {
                self.link(from, &second)?;
                self.rename_on_disk(&second, to, Rename::Replace).inspect_err(|_| self.unlink(&second))
            }),
        };
        if let Err(error) = replaced {
            self.unlink(aside);
            return Err(error);
        }
        self.last_step(aside, from, Rename::Replace)
    }

    /// The old entry goes aside, and the new one comes.
    fn make_room(&mut self, from: &Place, to: &Place) -> io::Result<()> {
        let aside = self.aside(from)?;
        self.rename_on_disk(to, &aside, Rename::NoReplace)?;
        if let Err(error) = self.rename_on_disk(from, to, Rename::NoReplace) {
            self.last_step(&aside, to, Rename::NoReplace)?;
            return Err(error);
        }
        self.last_step(&aside, from, Rename::NoReplace)
    }

    /// A step that must not fail: what has happened before it would have to be taken back in the same way.
    fn last_step(&mut self, from: &Place, to: &Place, how: Rename) -> io::Result<()> {
        let done = self.rename_on_disk(from, to, how);
        self.half_done |= done.is_err();
        done
    }

    /// A free name in a stage: that of the place, where it is in one.
    fn aside(&self, near: &Place) -> io::Result<Place> {
        let area = match &near.area {
            Area::Stage(_) => near.area.clone(),
            Area::Tree => self.any_stage().ok_or(io::ErrorKind::Unsupported)?,
        };
        Ok(Place { area, path: RelPath::root().join(format!("aside-{:016x}", random())) })
    }

    fn link(&mut self, from: &Place, to: &Place) -> io::Result<()> {
        let (from_dir, from_name) = self.split(from)?;
        let (to_dir, to_name) = self.split(to)?;
        self.disk().hard_link(&from_dir, from_name, &to_dir, to_name)
    }

    /// Takes a second name away. What stays of it goes with the stage.
    fn unlink(&mut self, place: &Place) {
        let removed = self.split(place).and_then(|(dir, name)| self.disk().remove_file(&dir, name));
        if let Err(error) = removed {
            tracing::debug!(%error, "a name that was kept aside could not be removed");
        }
    }
}

/// Whether the file system cannot exchange; that two entries cannot change places looks the same, and fails again.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EINVAL | errno::EOPNOTSUPP | errno::ENOSYS))
}

/// Whether an entry cannot get a second name: the file system has none, the entry has too many, or it is somebody else's.
fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(errno::EPERM | errno::EMLINK | errno::EOPNOTSUPP | errno::ENOSYS | errno::EINVAL | errno::EACCES)
    )
}
