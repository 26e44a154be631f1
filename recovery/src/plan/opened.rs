//! Directories that are closed to this process although they are its user's own: a transaction closed them, or somebody
//! did since. They are opened for as long as the work in them lasts, and get their bits back behind it.
//!
//! What a crash leaves of that is a directory that its owner, and nobody else, can read, write and enter. Where the bits are
//! those of a transaction, the next recovery knows them and sets them again.

use std::io;

use treewal_vfs::{Dir, Disk, ITSELF, Kind, Meta, RelPath, Time};

use super::{Area, Ground, Place};
use crate::make::open_bits;

/// Each is an open handle. Beyond this they get their bits back between two pieces of work, and those that are needed are
/// opened again ..
const OPENED_MAX: usize = 64;
/// .. and beyond this also in the middle of one.
const OPENED_AT_ALL_MAX: usize = 512;

/// The directories that were opened, and the bits that each shall have in the end.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    disk: &'a dyn Disk,
    dirs: Vec<(Dir, (u64, Time), u32)>,
}

impl<'a> Opened<'a> {
    pub(super) fn none(disk: &'a dyn Disk) -> Self {
        Self { disk, dirs: Vec::new() }
    }

    /// The bits that a directory had, or got since, behind those that it is held open with.
    pub(super) fn mode(&mut self, meta: &Meta) -> Option<&mut u32> {
        let inode = (meta.ino, meta.born);
        self.dirs.iter_mut().find(|(_, held, _)| meta.kind == Kind::Dir && *held == inode).map(|(_, _, mode)| mode)
    }

    fn is_closed(&self, meta: &Meta) -> bool {
        meta.kind == Kind::Dir && meta.uid == self.disk.user() && open_bits(meta.mode) != meta.mode
    }

    /// Gives all of them their bits back, by their handles: they may stand elsewhere by now.
    fn close(&mut self) -> io::Result<()> {
        // Those beneath come later, and are closed first.
        let closed = std::mem::take(&mut self.dirs).into_iter().rev();
        closed.map(|(dir, _, mode)| self.disk.set_mode(&dir, ITSELF.as_ref(), mode)).fold(Ok(()), io::Result::and)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a directory that was opened for recovery could not be closed again");
        }
    }
}

impl Ground<'_> {
    /// From here on, directories of this user that are closed to it are opened. For recovery: a commit changes no bits but
    /// those that it was told to.
    ///
    /// Root is kept out of nothing, and opens nothing.
    pub(crate) fn open_closed(&mut self) {
        self.opens = self.disk().user() != 0;
    }

    /// Opens the directories on the way to a place that are closed, the one at the place itself among them. Says whether
    /// there was one. What keeps it from that is no error: whoever needs the directory meets it again.
    pub(super) fn open_way(&mut self, place: &Place) -> bool {
        let root = match &place.area {
            Area::Tree => Some(self.tree.clone()),
            Area::Stage(name) => self.stages.get(name).cloned(),
        };
        let Some(mut here) = root.filter(|_| self.opens) else { return false };
        if self.opened.dirs.len() >= OPENED_AT_ALL_MAX && self.close_opened().is_err() {
            return false;
        }
        let disk = self.disk();
        let mut any = false;
        if let Ok(meta) = disk.stat_dir(&here) {
            if self.opened.is_closed(&meta) && disk.set_mode(&here, ITSELF.as_ref(), open_bits(meta.mode)).is_ok() {
                self.opened.dirs.push((here.clone(), (meta.ino, meta.born), meta.mode));
                any = true;
            }
        }
        for name in place.path.components() {
            let Ok(meta) = disk.stat(&here, name) else { break };
            let closed = self.opened.is_closed(&meta) && disk.set_mode(&here, name, open_bits(meta.mode)).is_ok();
            match disk.open_dir(&here, &RelPath::root().join(name)) {
                Ok(dir) => {
                    if closed {
                        self.opened.dirs.push((dir.clone(), (meta.ino, meta.born), meta.mode));
                        any = true;
                    }
                    here = dir;
                }
                Err(_) if closed => {
                    // Without a handle it would stay open.
                    let back = disk.set_mode(&here, name, meta.mode);
                    tracing::debug!(?place, is_back = back.is_ok(), "a directory stays closed");
                    break;
                }
                Err(_) => break,
            }
        }
        any
    }

    /// Sets the bits of an entry; of a directory that is held open, once nothing is done in it any more. Says which.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn close_later(&mut self, place: &Place, mode: u32) -> io::Result<bool> {
        let (dir, name) = self.split(place)?;
        let meta = self.disk().stat(&dir, name)?;
        Ok(self.opened.mode(&meta).map(|later| *later = mode).is_some())
    }

    /// Gives the directories that were opened their bits back where they are many: between two pieces of work, none of which
    /// has a handle of another.
    ///
    /// # Errors
    /// As [`close_opened`](Self::close_opened).
    pub(crate) fn close_if_many(&mut self) -> io::Result<()> {
        if self.opened.dirs.len() < OPENED_MAX { Ok(()) } else { self.close_opened() }
    }

    /// Gives the directories that were opened their bits back.
    ///
    /// # Errors
    /// Any error of the disk; those that could be closed are.
    pub(crate) fn close_opened(&mut self) -> io::Result<()> {
        self.forget();
        self.opened.close()
    }
}
