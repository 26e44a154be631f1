//! Changing: every operation edits the overlay, and fails where `std::fs` would.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use treewal_vfs::{Kind, RelPath};

use super::overlay::{Found, NewBody, NewNode, NodeId, Origin, Overlay, upto};
use super::{Attributes, Content, StagedFile, Transaction, split};
use crate::{Error, Result};

impl Transaction {
    /// Writes a whole file: a new one, or new contents for an existing one, which keeps mode, owner and attributes.
    ///
    /// # Errors
    /// As `std::fs::write`: the parent must exist, a directory is in the way. A symlink is not written through.
    pub fn write(&mut self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
        let contents = contents.as_ref();
        let path = Self::path(path)?;
        self.fill("write", &path, |tx, node| {
            if contents.len() as u64 <= tx.engine.options().inline_max {
                *tx.content_mut(node) = Content::Memory(contents.to_vec());
                return Ok(());
            }
            tx.spill(node)?;
            tx.write_content(node, &path, contents, 0)
        })
    }

    /// Opens a file for writing, empty at first: a new one, or new contents for an existing one.
    ///
    /// Contents beyond the inline limit go to the stage as they come, so memory stays constant. What was written counts,
    /// flushed or not, once the handle is dropped.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn create(&mut self, path: impl AsRef<Path>) -> Result<StagedFile<'_>> {
        let path = Self::path(path)?;
        let node = self.new_file("create", &path)?;
        Ok(StagedFile::new(self, node, path))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As `std::fs::create_dir`.
    pub fn create_dir(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        self.create_new("create directory", &path, NewBody::Dir)
    }

    /// Makes a directory and whatever directories above it are missing.
    ///
    /// # Errors
    /// As `std::fs::create_dir_all`.
    pub fn create_dir_all(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        let verb = "create directory";
        // One way down: paths can have thousands of levels, and to walk each of them from the top takes the square.
        let mut at = Found::Node(Overlay::ROOT);
        for (depth, name) in path.components().enumerate() {
            let Some(found) = self.overlay.child(&self.base, verb, &at, name)? else {
                return self.create_below(verb, &path, depth);
            };
            match self.overlay.kind_of(&found) {
                Kind::Dir => at = found,
                Kind::Symlink => return Err(Error::ThroughSymlink { path: upto(&path, depth + 1).to_path() }),
                _ if depth + 1 == path.depth() => {
                    return Err(Error::kinded(verb, &path, io::ErrorKind::AlreadyExists));
                }
                _ => return Err(Error::kinded(verb, &upto(&path, depth + 1), io::ErrorKind::NotADirectory)),
            }
        }
        Ok(())
    }

    /// Makes the directories of `path` below its first `depth` components, which are there; the others are not.
    fn create_below(&mut self, verb: &'static str, path: &RelPath, depth: usize) -> Result<()> {
        let mut dir = self.overlay.dir_node(&self.base, verb, &upto(path, depth))?;
        for name in path.components().skip(depth) {
            let node = self.overlay.add(Origin::New(NewNode { body: NewBody::Dir, attributes: Attributes::default() }));
            self.overlay.put(&self.base, verb, (dir, name), Some(node))?;
            dir = node;
        }
        Ok(())
    }

    /// Makes a symlink at `link` that points to `target`, which need not exist and may be any path.
    ///
    /// # Errors
    /// As `std::os::unix::fs::symlink`.
    pub fn symlink(&mut self, target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let link = Self::path(link)?;
        let target = target.as_ref().as_os_str();
        if target.is_empty() {
            return Err(Error::kinded("link to", &link, io::ErrorKind::InvalidInput));
        }
        self.create_new("make symlink", &link, NewBody::Symlink(target.to_os_string()))
    }

    /// Removes a file, or a symlink itself.
    ///
    /// # Errors
    /// As `std::fs::remove_file`; with a slash behind its name, a file is no directory.
    pub fn remove_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let names_dir = names_dir(path.as_ref());
        let path = Self::path(path)?;
        let (node, dir, name) = self.existing("remove", &path)?;
        if self.overlay.kind(node) == Kind::Dir {
            return Err(Error::kinded("remove", &path, io::ErrorKind::IsADirectory));
        }
        if names_dir {
            return Err(Error::kinded("remove", &path, io::ErrorKind::NotADirectory));
        }
        self.overlay.put(&self.base, "remove", (dir, &name), None)?;
        Ok(())
    }

    /// Removes an empty directory. Where somebody else has put something there by the time of the commit, that is a conflict.
    ///
    /// # Errors
    /// As `std::fs::remove_dir`.
    pub fn remove_dir(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        let (node, dir, name) = self.existing("remove directory", &path)?;
        if self.overlay.kind(node) != Kind::Dir {
            return Err(Error::kinded("remove directory", &path, io::ErrorKind::NotADirectory));
        }
        if !self.overlay.is_empty(&self.base, "remove directory", node)? {
            return Err(Error::kinded("remove directory", &path, io::ErrorKind::DirectoryNotEmpty));
        }
        self.overlay.put(&self.base, "remove directory", (dir, &name), None)?;
        self.overlay.note_emptied(node);
        Ok(())
    }

    /// Removes a directory with all that is in it, at the time of the commit. A symlink is removed itself, as by `std::fs`.
    ///
    /// # Errors
    /// As `std::fs::remove_dir_all`.
    pub fn remove_dir_all(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        let (node, dir, name) = self.existing("remove directory", &path)?;
        if !matches!(self.overlay.kind(node), Kind::Dir | Kind::Symlink) {
            return Err(Error::kinded("remove directory", &path, io::ErrorKind::NotADirectory));
        }
        self.overlay.put(&self.base, "remove directory", (dir, &name), None)?;
        Ok(())
    }

    // --- the parts ------------------------------------------------------------------------------------------------

    /// An existing entry: its node, its directory's node and its name there.
    pub(super) fn existing(&mut self, verb: &'static str, path: &RelPath) -> Result<(NodeId, NodeId, OsString)> {
        let (dir, name) = self.parent(verb, path)?;
        let node = self.named(verb, (dir, &name), path)?;
        Ok((node, dir, name))
    }

    /// The directory of a path, and the name there.
    pub(super) fn parent(&mut self, verb: &'static str, path: &RelPath) -> Result<(NodeId, OsString)> {
        let (parent, name) = split(verb, path)?;
        Ok((self.overlay.dir_node(&self.base, verb, &parent)?, name))
    }

    /// What stands under a name of a directory.
    pub(super) fn named(
        &mut self,
        verb: &'static str,
        (dir, name): (NodeId, &OsStr),
        path: &RelPath,
    ) -> Result<NodeId> {
        let node = self.overlay.slot(&self.base, verb, dir, name)?;
        node.ok_or_else(|| Error::kinded(verb, path, io::ErrorKind::NotFound))
    }

    fn create_new(&mut self, verb: &'static str, path: &RelPath, body: NewBody) -> Result<()> {
        if path.is_root() {
            return Err(Error::kinded(verb, path, io::ErrorKind::AlreadyExists));
        }
        let (parent, name) = split(verb, path)?;
        let dir = self.overlay.dir_node(&self.base, verb, &parent)?;
        if self.overlay.slot(&self.base, verb, dir, &name)?.is_some() {
            return Err(Error::kinded(verb, path, io::ErrorKind::AlreadyExists));
        }
        let node = self.overlay.add(Origin::New(NewNode { body, attributes: Attributes::default() }));
        self.overlay.put(&self.base, verb, (dir, &name), Some(node))?;
        Ok(())
    }

    pub(super) fn overlay_and_base(&mut self) -> (&mut Overlay, &super::Base) {
        (&mut self.overlay, &self.base)
    }
}

/// Whether a path can only be that of a directory, as it ends with a slash, or with one and a dot.
fn names_dir(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.")
}
