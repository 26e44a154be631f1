//! Renaming and exchanging: nodes of the overlay change places.

use std::io;
use std::path::Path;

use treewal_vfs::Kind;

use super::Transaction;
use super::overlay::{NodeId, Origin};
use crate::{Error, Result};

impl Transaction {
    /// Renames a file or directory; what stands at `to` is replaced, a directory only if it is empty.
    ///
    /// # Errors
    /// As `std::fs::rename`.
    pub fn rename(&mut self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (Self::path(from)?, Self::path(to)?);
        let verb = "rename";
        // In the order of the system: the directories first, then what moves, then what is in its way.
        let (from_dir, from_name) = self.parent(verb, &from)?;
        let (to_dir, to_name) = self.parent(verb, &to)?;
        let moving = self.named(verb, (from_dir, &from_name), &from)?;
        if to.starts_with(&from) && to != from {
            return Err(Error::kinded(verb, &to, io::ErrorKind::InvalidInput));
        }
        if from.starts_with(&to) && to != from {
            return Err(Error::kinded(verb, &to, io::ErrorKind::DirectoryNotEmpty));
        }
        let target = self.overlay.slot(&self.base, verb, to_dir, &to_name)?;
        if let Some(target) = target {
            if self.same_file(target, moving) {
                return Ok(());
            }
            match (self.overlay.kind(moving), self.overlay.kind(target)) {
                (Kind::Dir, Kind::Dir) if self.overlay.is_empty(&self.base, verb, target)? => {
                    self.overlay.note_emptied(target);
                }
                (Kind::Dir, Kind::Dir) => return Err(Error::kinded(verb, &to, io::ErrorKind::DirectoryNotEmpty)),
                (Kind::Dir, _) => return Err(Error::kinded(verb, &to, io::ErrorKind::NotADirectory)),
                (_, Kind::Dir) => return Err(Error::kinded(verb, &to, io::ErrorKind::IsADirectory)),
                _ => {}
            }
        }
        self.overlay.put(&self.base, verb, (from_dir, &from_name), None)?;
        self.overlay.put(&self.base, verb, (to_dir, &to_name), Some(moving))?;
        Ok(())
    }

    /// Exchanges two entries of any kind.
    ///
    /// # Errors
    /// `NotFound` where one of them is missing; `InvalidInput` where one lies beneath the other.
    pub fn exchange(&mut self, a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<()> {
        let (a, b) = (Self::path(a)?, Self::path(b)?);
        let verb = "exchange";
        let (dir_a, name_a) = self.parent(verb, &a)?;
        let (dir_b, name_b) = self.parent(verb, &b)?;
        let node_a = self.named(verb, (dir_a, &name_a), &a)?;
        let node_b = self.named(verb, (dir_b, &name_b), &b)?;
        if a != b && (a.starts_with(&b) || b.starts_with(&a)) {
            return Err(Error::kinded(verb, &b, io::ErrorKind::InvalidInput));
        }
        self.overlay.put(&self.base, verb, (dir_a, &name_a), Some(node_b))?;
        self.overlay.put(&self.base, verb, (dir_b, &name_b), Some(node_a))?;
        Ok(())
    }

    fn same_file(&self, a: NodeId, b: NodeId) -> bool {
        // Two names of one inode, or a name onto itself: rename does nothing, says POSIX.
        if a == b {
            return true;
        }
        match (&self.overlay.node(a).origin, &self.overlay.node(b).origin) {
            (Origin::Disk { meta: a, .. }, Origin::Disk { meta: b, .. }) => {
                a.kind != Kind::Dir && a.identity().same_inode(&b.identity())
            }
            _ => false,
        }
    }
}
