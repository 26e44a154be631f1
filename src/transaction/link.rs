//! Hard links: one entry with several names.

use std::io;
use std::path::Path;

use treewal_vfs::Kind;

use super::Transaction;
use crate::{Error, Result};

impl Transaction {
    /// Gives a file another name; a symlink gets one itself.
    ///
    /// Both are names of one entry, within the transaction and after it. Writing to a name later puts a new file there, as
    /// always with treewal, and the other name keeps the old contents; attributes are common to both.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// tree.transaction(|tx| tx.hard_link("releases/1.2.tar", "releases/latest.tar"))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As `std::fs::hard_link`. What depends on the file system is known at the commit only: how many names a file may
    /// have, and whether files of others may be linked to.
    pub fn hard_link(&mut self, original: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let (original, link) = (Self::path(original)?, Self::path(link)?);
        let verb = "link to";
        let (node, _, _) = self.existing(verb, &original)?;
        if link.is_root() {
            return Err(Error::kinded(verb, &link, io::ErrorKind::AlreadyExists));
        }
        let (dir, name) = self.parent(verb, &link)?;
        if self.overlay.slot(&self.base, verb, dir, &name)?.is_some() {
            return Err(Error::kinded(verb, &link, io::ErrorKind::AlreadyExists));
        }
        if self.overlay.kind(node) == Kind::Dir {
            return Err(Error::kinded(verb, &original, io::ErrorKind::PermissionDenied));
        }
        self.overlay.node_mut(node).linked = true;
        self.overlay.put(&self.base, verb, (dir, &name), Some(node))?;
        Ok(())
    }
}
