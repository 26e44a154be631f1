//! Changing: every operation edits the overlay, and fails where `std::fs` would.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use treewal_vfs::{Kind, RelPath, copy_contents};

use super::overlay::{Found, NewBody, NewNode, NodeId, Origin, Overlay, Slot, upto};
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

    /// Appends to a file, which is made where it does not exist.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn append(&mut self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
        let path = Self::path(path)?;
        let before = self.overlay.find(&self.base, "append to", &path)?;
        let verb = "append to";
        let contents = contents.as_ref();
        match &before {
            Some(Found::Node(id)) if matches!(self.overlay.node(*id).origin, Origin::New(_)) => {
                let node = self.new_file_over(verb, &path, true)?;
                let end = self.content_mut(node).len();
                let appended = self.write_content(node, &path, contents, end);
                self.rest(node);
                appended
            }
            Some(_) => {
                let source = self.base_of(before).ok_or(Error::Poisoned)?;
                self.fill(verb, &path, |tx, node| {
                    let end = tx.fill_from(node, &source, &path)?;
                    tx.write_content(node, &path, contents, end)
                })
            }
            None => self.fill(verb, &path, |tx, node| tx.write_content(node, &path, contents, 0)),
        }
    }

    /// Copies a file, contents and permission bits, over whatever file stands at `to`. Gives the number of bytes.
    ///
    /// # Errors
    /// As `std::fs::copy`; symlinks are not followed.
    pub fn copy(&mut self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64> {
        let (from, to) = (Self::path(from)?, Self::path(to)?);
        let found = self.overlay.find(&self.base, "copy", &from)?;
        let kind = found.as_ref().map(|found| self.overlay.kind_of(found));
        match kind {
            Some(Kind::File) => {}
            Some(Kind::Symlink) => return Err(Error::ThroughSymlink { path: from.to_path() }),
            Some(_) => return Err(Error::kinded("copy", &from, io::ErrorKind::InvalidInput)),
            None => return Err(Error::kinded("copy", &from, io::ErrorKind::NotFound)),
        }
        let mode = self.metadata(from.to_path())?.mode();
        let len = match self.base_of(found) {
            Some(base) => self.fill("copy to", &to, |tx, node| tx.fill_from(node, &base, &to))?,
            None => {
                let bytes = self.read(from.to_path())?;
                self.write(to.to_path(), &bytes)?;
                bytes.len() as u64
            }
        };
        if let Some(mode) = mode {
            self.set_mode(&to, mode)?;
        }
        Ok(len)
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
            self.overlay.slot(&self.base, verb, dir, name)?.now = Some(node);
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
    /// As `std::fs::remove_file`.
    pub fn remove_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        let (node, dir, name) = self.existing("remove", &path)?;
        if self.overlay.kind(node) == Kind::Dir {
            return Err(Error::kinded("remove", &path, io::ErrorKind::IsADirectory));
        }
        self.overlay.slot(&self.base, "remove", dir, &name)?.now = None;
        Ok(())
    }

    /// Removes an empty directory.
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
        self.overlay.slot(&self.base, "remove directory", dir, &name)?.now = None;
        Ok(())
    }

    /// Removes a directory with all that is in it. A symlink is removed itself, as by `std::fs`.
    ///
    /// # Errors
    /// As `std::fs::remove_dir_all`.
    pub fn remove_dir_all(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = Self::path(path)?;
        let (node, dir, name) = self.existing("remove directory", &path)?;
        if !matches!(self.overlay.kind(node), Kind::Dir | Kind::Symlink) {
            return Err(Error::kinded("remove directory", &path, io::ErrorKind::NotADirectory));
        }
        self.overlay.slot(&self.base, "remove directory", dir, &name)?.now = None;
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
        let node = self.overlay.slot(&self.base, verb, dir, name)?.now;
        node.ok_or_else(|| Error::kinded(verb, path, io::ErrorKind::NotFound))
    }

    fn create_new(&mut self, verb: &'static str, path: &RelPath, body: NewBody) -> Result<()> {
        if path.is_root() {
            return Err(Error::kinded(verb, path, io::ErrorKind::AlreadyExists));
        }
        let (parent, name) = split(verb, path)?;
        let dir = self.overlay.dir_node(&self.base, verb, &parent)?;
        if self.overlay.slot(&self.base, verb, dir, &name)?.now.is_some() {
            return Err(Error::kinded(verb, path, io::ErrorKind::AlreadyExists));
        }
        let node = self.overlay.add(Origin::New(NewNode { body, attributes: Attributes::default() }));
        self.overlay.slot(&self.base, verb, dir, &name)?.now = Some(node);
        Ok(())
    }

    /// The node of an empty new file at `path`, with the attributes of the file it replaces.
    pub(super) fn new_file(&mut self, verb: &'static str, path: &RelPath) -> Result<NodeId> {
        self.new_file_over(verb, path, false)
    }

    fn new_file_over(&mut self, verb: &'static str, path: &RelPath, keep: bool) -> Result<NodeId> {
        let (parent, name) = split(verb, path)?;
        let dir = self.overlay.dir_node(&self.base, verb, &parent)?;
        let &mut Slot { now, .. } = self.overlay.slot(&self.base, verb, dir, &name)?;
        let Some(node) = now else {
            let body = NewBody::File(Content::Memory(Vec::new()));
            let node = self.overlay.add(Origin::New(NewNode { body, attributes: Attributes::default() }));
            self.overlay.slot(&self.base, verb, dir, &name)?.now = Some(node);
            return Ok(node);
        };
        match self.overlay.kind(node) {
            Kind::File => {}
            Kind::Dir => return Err(Error::kinded(verb, path, io::ErrorKind::IsADirectory)),
            Kind::Symlink => return Err(Error::ThroughSymlink { path: path.to_path() }),
            _ => return Err(Error::kinded(verb, path, io::ErrorKind::InvalidInput)),
        }
        let attributes = match &self.overlay.node(node).origin {
            Origin::New(_) if keep => return Ok(node),
            // Times belong to the contents.
            Origin::New(new) => Attributes { accessed: None, modified: None, ..new.attributes.clone() },
            Origin::Disk { meta, .. } => {
                let touched = &self.overlay.node(node).touched;
                let look = touched.over(meta);
                Attributes {
                    mode: Some(look.mode),
                    owner: Some((meta.uid, meta.gid)),
                    given: touched.owner.map_or((None, None), |(uid, gid)| (Some(uid), Some(gid))),
                    xattrs: self.node_xattrs(verb, node)?,
                    ..Attributes::default()
                }
            }
        };
        let body = NewBody::File(Content::Memory(Vec::new()));
        let fresh = self.overlay.add(Origin::New(NewNode { body, attributes }));
        self.overlay.slot(&self.base, verb, dir, &name)?.now = Some(fresh);
        Ok(fresh)
    }

    /// Puts a new file at `path` and fills it. Where that fails, what was there before is there again: a caller who goes
    /// on after the error must not commit a part of a file.
    fn fill<T>(
        &mut self,
        verb: &'static str,
        path: &RelPath,
        fill: impl FnOnce(&mut Self, NodeId) -> Result<T>,
    ) -> Result<T> {
        let (dir, name) = self.parent(verb, path)?;
        let before = self.overlay.slot(&self.base, verb, dir, &name)?.now;
        let node = self.new_file(verb, path)?;
        let filled = fill(self, node);
        self.rest(node);
        if filled.is_err() {
            self.overlay.slot(&self.base, verb, dir, &name)?.now = before;
        }
        filled
    }

    fn base_of(&self, found: Option<Found>) -> Option<RelPath> {
        match found? {
            Found::Disk { base, .. } => Some(base),
            Found::Node(id) => self.overlay.base(id).cloned(),
        }
    }

    pub(super) fn content_mut(&mut self, node: NodeId) -> &mut Content {
        self.overlay.content_mut(node)
    }

    /// Fills a new, empty file with the contents of one on the disk; gives its length.
    fn fill_from(&mut self, node: NodeId, base: &RelPath, path: &RelPath) -> Result<u64> {
        let source = self.base.open("copy", base)?;
        let size = self.base.disk().stat_file(&source).map_err(Error::io("copy", base))?.size;
        if size > self.engine.options().inline_max {
            self.spill(node)?;
        }
        let Self { overlay, base: look, .. } = self;
        match overlay.content_mut(node) {
            Content::Memory(bytes) => {
                *bytes = treewal_vfs::read_all(look.disk(), &source, u64::MAX).map_err(Error::io("copy", base))?;
                Ok(bytes.len() as u64)
            }
            Content::Staged(staged) => {
                let file = staged.open().map_err(Error::io("copy to", path))?;
                copy_contents(look.disk(), &source, &file).map_err(Error::io("copy to", path))?;
                staged.len = look.disk().stat_file(&file).map_err(Error::io("copy to", path))?.size;
                Ok(staged.len)
            }
        }
    }

    fn spill(&mut self, node: NodeId) -> Result<()> {
        let stage = self.stage()?;
        self.content_mut(node).spill(&stage)
    }

    pub(super) fn write_content(&mut self, node: NodeId, path: &RelPath, buf: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if matches!(self.content_mut(node), Content::Memory(_)) && end > self.engine.options().inline_max {
            self.spill(node)?;
        }
        let Self { overlay, base, .. } = self;
        overlay.content_mut(node).write_at(base.disk(), buf, offset).map_err(Error::io("write", path))
    }

    /// Closes a file that is not written to for now, unless few are open: syncing a handle that was open all along tells
    /// of every failure to write back.
    pub(super) fn rest(&mut self, node: NodeId) {
        if self.kept_open.contains(&node) {
            return;
        }
        let few = self.kept_open.len() < crate::commit::SYNCS_MAX;
        if let Content::Staged(staged) = self.overlay.content_mut(node) {
            if few {
                self.kept_open.push(node);
            } else {
                staged.close();
            }
        }
    }

    pub(super) fn overlay_and_base(&mut self) -> (&mut Overlay, &super::Base) {
        (&mut self.overlay, &self.base)
    }
}
