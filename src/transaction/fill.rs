//! Filling new files: from what stands at their path, from another file, from a closure.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use treewal_vfs::{File, Kind, RelPath, copy_contents};

use super::overlay::{Found, NewBody, NewNode, NodeId, Origin};
use super::{Attributes, Content, StagedFile, Transaction};
use crate::{Error, Result};

impl Transaction {
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
                if self.overlay.node(*id).linked && self.overlay.kind(*id) == Kind::File {
                    // Its other names keep what they have.
                    let source = *id;
                    return self.fill(verb, &path, |tx, node| {
                        let end = tx.fill_from_new(node, source, &path)?;
                        tx.write_content(node, &path, contents, end)
                    });
                }
                let node = self.new_file_over(verb, &path, true)?;
                let end = self.content_mut(node).len();
                let appended = self.write_content(node, &path, contents, end);
                self.rest(node);
                if appended.is_ok() {
                    *self.overlay.modified_mut(node) = None;
                }
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

    /// As [`write`](Self::write), unless the file has these very contents: then it stays, with inode and times, and must
    /// still have them at the commit. Says whether it is written.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// let written = tree.transaction(|tx| tx.write_if_changed("index.html", "<h1>hello</h1>"))?;
    /// # let _ = written; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write). That the file has changed since it was compared is a conflict at the commit.
    pub fn write_if_changed(&mut self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<bool> {
        let path = Self::path(path)?;
        let contents = contents.as_ref();
        if self.keeps(&path, |tx, node, path| tx.holds(node, path, contents))? {
            return Ok(false);
        }
        self.write(path.to_path(), contents)?;
        Ok(true)
    }

    /// Whether the file at a path is the same as what was to be written there. It must still be so at the commit.
    pub(crate) fn keeps(
        &mut self,
        path: &RelPath,
        is_same: impl FnOnce(&Self, NodeId, &RelPath) -> Result<bool>,
    ) -> Result<bool> {
        let (dir, name) = self.parent("write", path)?;
        let now = self.overlay.slot(&self.base, "write", dir, &name)?;
        match now.filter(|node| self.overlay.kind(*node) == Kind::File) {
            Some(node) if is_same(self, node, path)? => {
                self.expectations.extend(self.expected_as_is(node));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether a file has these contents.
    fn holds(&self, node: NodeId, path: &RelPath, contents: &[u8]) -> Result<bool> {
        if self.node_metadata(node).len() != contents.len() as u64 {
            return Ok(false);
        }
        let there = self.node_bytes(node, path)?;
        there.is(self.base.disk(), contents).map_err(Error::io("compare", path))
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
                let (source, _, _) = self.existing("copy", &from)?;
                self.fill("copy to", &to, |tx, node| tx.fill_from_new(node, source, &to))?
            }
        };
        if let Some(mode) = mode {
            self.set_mode(&to, mode)?;
        }
        Ok(len)
    }

    /// Changes a part of a file: `body` gets it open, with all that is in it.
    ///
    /// The file is replaced like any other at the commit, but what is not written to is not copied where the file system
    /// shares extents (btrfs, xfs): then the cost is that of the part. Elsewhere a file above the inline limit is copied
    /// into the stage, holes as holes.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// use std::io::{Seek, SeekFrom, Write};
    /// tree.transaction(|tx| {
    ///     tx.update("disk.img", |file| {
    ///         file.seek(SeekFrom::Start(512))?;
    ///         file.write_all(b"one sector")
    ///     })
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` where there is no file; the error of `body`. The file is then as it was.
    pub fn update<T>(
        &mut self,
        path: impl AsRef<Path>,
        body: impl FnOnce(&mut StagedFile<'_>) -> io::Result<T>,
    ) -> Result<T> {
        let path = Self::path(path)?;
        let verb = "update";
        let (source, _, _) = self.existing(verb, &path)?;
        self.fill(verb, &path, |tx, node| {
            match tx.overlay.base(source).cloned() {
                Some(base) => tx.fill_from(node, &base, &path)?,
                None => tx.fill_from_new(node, source, &path)?,
            };
            let done = body(&mut StagedFile::new(tx, node, path.clone()));
            // An error of the stage comes back as it was, not wrapped in one of its own kind.
            done.map_err(|error| error.downcast().unwrap_or_else(|error| Error::io(verb, &path)(error)))
        })
    }

    // --- the parts ------------------------------------------------------------------------------------------------

    /// The node of an empty new file at `path`, with the attributes of the file it replaces.
    pub(super) fn new_file(&mut self, verb: &'static str, path: &RelPath) -> Result<NodeId> {
        self.new_file_over(verb, path, false)
    }

    fn new_file_over(&mut self, verb: &'static str, path: &RelPath, keep: bool) -> Result<NodeId> {
        let (dir, name) = self.parent(verb, path)?;
        self.new_file_at(verb, path, (dir, &name), keep)
    }

    fn new_file_at(
        &mut self,
        verb: &'static str,
        path: &RelPath,
        (dir, name): (NodeId, &OsStr),
        keep: bool,
    ) -> Result<NodeId> {
        let Some(node) = self.overlay.slot(&self.base, verb, dir, name)? else {
            let body = NewBody::File(Content::Memory(Vec::new()));
            let node = self.overlay.add(Origin::New(NewNode { body, attributes: Attributes::default() }));
            self.overlay.put(&self.base, verb, (dir, name), Some(node))?;
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
        self.overlay.put(&self.base, verb, (dir, name), Some(fresh))?;
        Ok(fresh)
    }

    /// Puts a new file at `path` and fills it. Where that fails, what was there before is there again: a caller who goes
    /// on after the error must not commit a part of a file.
    pub(super) fn fill<T>(
        &mut self,
        verb: &'static str,
        path: &RelPath,
        fill: impl FnOnce(&mut Self, NodeId) -> Result<T>,
    ) -> Result<T> {
        let (dir, name) = self.parent(verb, path)?;
        let before = self.overlay.slot(&self.base, verb, dir, &name)?;
        let modified = *self.overlay.modified_mut(dir);
        let node = self.new_file_at(verb, path, (dir, &name), false)?;
        let filled = fill(self, node);
        self.rest(node);
        if filled.is_err() {
            self.overlay.put(&self.base, verb, (dir, &name), before)?;
            *self.overlay.modified_mut(dir) = modified;
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
        self.fill_from_file(node, &source, path)
    }

    /// The same with the contents of a file that is open.
    pub(super) fn fill_from_file(&mut self, node: NodeId, source: &File, path: &RelPath) -> Result<u64> {
        let size = self.base.disk().stat_file(source).map_err(Error::io("copy to", path))?.size;
        if size > self.engine.options().inline_max {
            self.spill(node)?;
        }
        let Self { overlay, base: look, .. } = self;
        match overlay.content_mut(node) {
            Content::Memory(bytes) => {
                *bytes = treewal_vfs::read_all(look.disk(), source, u64::MAX).map_err(Error::io("copy to", path))?;
                Ok(bytes.len() as u64)
            }
            Content::Staged(staged) => {
                let file = staged.open().map_err(Error::io("copy to", path))?;
                copy_contents(look.disk(), source, &file).map_err(Error::io("copy to", path))?;
                staged.len = look.disk().stat_file(&file).map_err(Error::io("copy to", path))?.size;
                Ok(staged.len)
            }
        }
    }

    /// Fills a new, empty file with the contents of another new one; gives its length.
    pub(super) fn fill_from_new(&mut self, node: NodeId, source: NodeId, path: &RelPath) -> Result<u64> {
        let io = |source| Error::io("copy to", path)(source);
        let file = match self.content_mut(source) {
            Content::Memory(bytes) => {
                let bytes = bytes.clone();
                let len = bytes.len() as u64;
                *self.content_mut(node) = Content::Memory(bytes);
                return Ok(len);
            }
            Content::Staged(staged) => staged.reopen().map_err(io)?,
        };
        self.spill(node)?;
        let Self { overlay, base, .. } = self;
        if let Content::Staged(staged) = overlay.content_mut(node) {
            copy_contents(base.disk(), &file, &staged.open().map_err(io)?).map_err(io)?;
            staged.len = base.disk().stat_file(&file).map_err(io)?.size;
        }
        Ok(self.content_mut(node).len())
    }

    pub(super) fn spill(&mut self, node: NodeId) -> Result<()> {
        let stage = self.stage()?;
        self.content_mut(node).spill(&stage)
    }

    pub(super) fn write_content(&mut self, node: NodeId, path: &RelPath, buf: &[u8], offset: u64) -> Result<()> {
        self.make_room(node, offset.saturating_add(buf.len() as u64))?;
        let Self { overlay, base, .. } = self;
        overlay.content_mut(node).write_at(base.disk(), buf, offset).map_err(Error::io("write", path))
    }

    /// What is longer than a record may be goes to the stage.
    pub(super) fn make_room(&mut self, node: NodeId, len: u64) -> Result<()> {
        if matches!(self.content_mut(node), Content::Memory(_)) && len > self.engine.options().inline_max {
            self.spill(node)?;
        }
        Ok(())
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
}
