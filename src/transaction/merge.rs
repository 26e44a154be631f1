//! Merging: a directory of the tree gets the contents of another one and stays the same directory. Only what differs is
//! changed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Kind, RelPath, Time, copy_contents, read_all};

use super::attributes::Touched;
use super::overlay::{Attributes, NewBody, NewNode, NodeId, Origin, Overlay};
use super::source::{Bytes, Looks, Reader, Source};
use super::{Content, Expectation, Transaction, is_own};
use crate::{Error, Result};

const VERB: &str = "publish";

/// A merge under way.
pub(super) struct Merge {
    keep_unmanaged: bool,
    /// Directories whose entries are yet to be merged.
    open: Vec<Pair>,
    undo: Vec<Undo>,
    /// What is as it shall be. It must still be so at the commit.
    same: Vec<Expectation>,
}

/// Two directories that shall be alike.
struct Pair {
    from: Source,
    node: NodeId,
    path: RelPath,
    modified: Option<Time>,
}

/// What stood in the overlay before a change: a merge that fails half way leaves nothing in it.
enum Undo {
    Name { dir: NodeId, name: OsString, now: Option<NodeId>, modified: Option<Time> },
    Touched { node: NodeId, touched: Touched },
    Attributes { node: NodeId, attributes: Attributes },
}

/// Where an entry goes: the directory, the name there, and the path that both are.
type Spot<'a> = (NodeId, &'a OsStr, &'a RelPath);

impl Merge {
    pub(super) fn new(keep_unmanaged: bool) -> Self {
        Self { keep_unmanaged, open: Vec::new(), undo: Vec::new(), same: Vec::new() }
    }
}

impl Transaction {
    /// Makes the entry `name` of `from` what stands at `dest`, or all of it that differs. On an error, the transaction is as
    /// it was.
    pub(super) fn merge(&mut self, mut merge: Merge, (from, name): (&Source, &OsStr), dest: &RelPath) -> Result<()> {
        let merged = self.merge_top(&mut merge, (from, name), dest).and_then(|()| {
            while let Some(pair) = merge.open.pop() {
                self.merge_dir(&mut merge, &pair)?;
            }
            Ok(())
        });
        match merged {
            Ok(()) => self.expectations.append(&mut merge.same),
            Err(_) => merge.undo.into_iter().rev().for_each(|undo| self.take_back(undo)),
        }
        merged
    }

    fn merge_top(&mut self, merge: &mut Merge, (from, name): (&Source, &OsStr), dest: &RelPath) -> Result<()> {
        let reader = from.open(self.base.disk())?;
        let look = reader.look(self, name)?;
        if dest.is_root() {
            self.may_replace(dest, look.kind, Some(Overlay::ROOT))?;
            let (node, path) = (self.overlay.root_node(&self.base, VERB)?, dest.clone());
            self.dress(merge, node, &look, dest)?;
            merge.open.push(Pair { from: from.join(name), node, path, modified: look.modified });
            return Ok(());
        }
        let (dir, to_name) = self.parent(VERB, dest)?;
        let target = self.overlay.slot(&self.base, VERB, dir, &to_name)?;
        self.may_replace(dest, look.kind, target)?;
        match target {
            // A file by itself keeps mode, owner and attributes of the one it replaces, as when it is published.
            Some(node) if look.kind == Kind::File && self.overlay.kind(node) == Kind::File => {
                let bytes = reader.bytes(self, name)?;
                if self.is_same_file(node, dest, (look.len, &bytes))? {
                    return self.note_same(merge, node);
                }
                self.fill(VERB, dest, |tx, node| tx.fill_with(node, &bytes, dest))
            }
            _ => self.merge_entry(merge, (from, &reader), name, &look, (dir, &to_name, dest)),
        }
    }

    fn merge_dir(&mut self, merge: &mut Merge, pair: &Pair) -> Result<()> {
        let reader = pair.from.open(self.base.disk())?;
        let names = reader.list(self)?;
        let undo = merge.undo.len();
        for name in &names {
            let path = pair.path.join(name);
            let look = reader.look(self, name)?;
            self.merge_entry(merge, (&pair.from, &reader), name, &look, (pair.node, name, &path))?;
        }
        if !merge.keep_unmanaged {
            let managed: BTreeSet<&OsString> = names.iter().collect();
            for name in self.overlay.names(&self.base, VERB, pair.node)? {
                let path = pair.path.join(&name);
                if !managed.contains(&name) && !is_own(&path) {
                    self.merge_put(merge, (pair.node, &name, &path), None)?;
                }
            }
        }
        // Where a name has changed, so has the directory, and with it its time.
        let changed = merge.undo[undo..].iter().any(|undo| matches!(undo, Undo::Name { dir, .. } if *dir == pair.node));
        if changed {
            *self.overlay.modified_mut(pair.node) = pair.modified;
        }
        Ok(())
    }

    fn merge_entry(
        &mut self,
        merge: &mut Merge,
        (from, reader): (&Source, &Reader),
        name: &OsStr,
        look: &Looks,
        spot: Spot<'_>,
    ) -> Result<()> {
        let (dir, to_name, path) = spot;
        if is_own(path) {
            return Err(Error::Reserved { path: path.to_path() });
        }
        let root = self.engine.root_meta();
        if look.inode == Some((root.dev, root.ino)) {
            return Err(Error::from_os(VERB, reader.shown(name), io::ErrorKind::InvalidInput.into()));
        }
        let there = self.overlay.slot(&self.base, VERB, dir, to_name)?;
        let alike = there.filter(|node| self.overlay.kind(*node) == look.kind);
        let body = match look.kind {
            Kind::Dir => {
                let node = match alike {
                    Some(node) => node,
                    None => self.merge_put(merge, spot, Some((NewBody::Dir, look)))?,
                };
                if alike.is_some() {
                    self.dress(merge, node, look, path)?;
                }
                merge.open.push(Pair { from: from.join(name), node, path: path.clone(), modified: look.modified });
                return Ok(());
            }
            Kind::File => {
                let bytes = reader.bytes(self, name)?;
                if let Some(node) = alike {
                    if self.is_same_file(node, path, (look.len, &bytes))? {
                        self.note_same(merge, node)?;
                        return self.dress(merge, node, look, path);
                    }
                }
                let node = self.merge_put(merge, spot, Some((NewBody::File(Content::Memory(Vec::new())), look)))?;
                let filled = self.fill_with(node, &bytes, path);
                self.rest(node);
                return filled;
            }
            Kind::Symlink => {
                let target = reader.link(self, name)?;
                if let Some(node) = alike {
                    if self.read_link(path.to_path())?.as_os_str() == target {
                        self.note_same(merge, node)?;
                        return self.dress(merge, node, look, path);
                    }
                }
                NewBody::Symlink(target)
            }
            _ => {
                let same = alike.filter(|node| self.is_same_device(*node, look));
                let unsupported = || Error::from_os(VERB, reader.shown(name), io::ErrorKind::Unsupported.into());
                return self.dress(merge, same.ok_or_else(unsupported)?, look, path);
            }
        };
        self.merge_put(merge, spot, Some((body, look))).map(drop)
    }

    /// Puts a new entry, or nothing, under a name; gives the node of the entry, or else of the directory.
    fn merge_put(&mut self, merge: &mut Merge, spot: Spot<'_>, new: Option<(NewBody, &Looks)>) -> Result<NodeId> {
        let (dir, name, _) = spot;
        let now = self.overlay.slot(&self.base, VERB, dir, name)?;
        let modified = *self.overlay.modified_mut(dir);
        merge.undo.push(Undo::Name { dir, name: name.to_os_string(), now, modified });
        let node = new.map(|(body, look)| {
            let attributes = Attributes {
                mode: look.mode,
                owner: look.owner,
                modified: look.modified,
                xattrs: look.xattrs.clone(),
                ..Attributes::default()
            };
            self.overlay.add(Origin::New(NewNode { body, attributes }))
        });
        self.overlay.put(&self.base, VERB, (dir, name), node)?;
        Ok(node.unwrap_or(dir))
    }

    /// Gives an entry that stays the mode, the owner as far as permitted, and the extended attributes of another. Its times
    /// belong to its contents, and stay with them.
    fn dress(&mut self, merge: &mut Merge, node: NodeId, look: &Looks, path: &RelPath) -> Result<()> {
        let meta = self.node_metadata(node);
        let privileged = self.base.disk().user() == 0;
        let owner = look.owner.filter(|owner| privileged && meta.uid().zip(meta.gid()) != Some(*owner));
        let mode =
            look.mode.filter(|mode| look.kind != Kind::Symlink && (meta.mode() != Some(*mode) || owner.is_some()));
        let xattrs = self.differing_xattrs(node, look, privileged)?;
        if owner.is_none() && mode.is_none() && xattrs.is_empty() {
            return Ok(());
        }
        self.may_change(VERB, path, node)?;
        let of = self.overlay.node(node);
        merge.undo.push(match &of.origin {
            Origin::New(new) => Undo::Attributes { node, attributes: new.attributes.clone() },
            Origin::Disk { .. } => Undo::Touched { node, touched: of.touched.clone() },
        });
        if let Some((uid, gid)) = owner {
            self.give(path, node, Some(uid), Some(gid))?;
        }
        for (name, value) in &xattrs {
            self.note_xattr(VERB, node, name, value.as_deref())?;
        }
        if let Some(mode) = mode {
            self.put_mode(node, mode);
        }
        Ok(())
    }

    /// The extended attributes that one has to set, or to remove, to have those of the other; without those that this
    /// process may not set.
    fn differing_xattrs(
        &self,
        node: NodeId,
        look: &Looks,
        privileged: bool,
    ) -> Result<Vec<(OsString, Option<Vec<u8>>)>> {
        let there = self.node_xattrs(VERB, node)?;
        let set = look.xattrs.iter().filter(|xattr| !there.contains(xattr));
        let set = set.map(|(name, value)| (name.clone(), Some(value.clone())));
        let gone = there.iter().filter(|(name, _)| !look.xattrs.iter().any(|(other, _)| other == name));
        let all = set.chain(gone.map(|(name, _)| (name.clone(), None)));
        let permitted = |name: &OsStr| {
            let name = name.as_encoded_bytes();
            privileged || !(name.starts_with(b"security.") || name.starts_with(b"trusted."))
        };
        Ok(all.filter(|(name, _)| permitted(name)).collect())
    }

    pub(crate) fn is_same_file(&self, node: NodeId, path: &RelPath, (len, bytes): (u64, &Bytes)) -> Result<bool> {
        if self.node_metadata(node).len() != len {
            return Ok(false);
        }
        let there = self.node_bytes(node, path)?;
        there.same(self.base.disk(), bytes).map_err(Error::io("compare", path))
    }

    fn is_same_device(&self, node: NodeId, look: &Looks) -> bool {
        match &self.overlay.node(node).origin {
            Origin::Disk { meta, .. } => look.inode.is_none() || meta.rdev == look.rdev,
            Origin::New(_) => false,
        }
    }

    /// Notes that an entry of the disk is what it shall be.
    fn note_same(&self, merge: &mut Merge, node: NodeId) -> Result<()> {
        merge.same.extend(self.expected_as_is(node));
        Ok(())
    }

    /// That an entry of the disk is at the commit what it is now; nothing for one that the transaction made.
    pub(super) fn expected_as_is(&self, node: NodeId) -> Option<Expectation> {
        match &self.overlay.node(node).origin {
            Origin::Disk { base, meta } => Some(Expectation { path: base.clone(), identity: Some(meta.identity()) }),
            Origin::New(_) => None,
        }
    }

    /// Fills a new, empty file.
    pub(super) fn fill_with(&mut self, node: NodeId, bytes: &Bytes, path: &RelPath) -> Result<()> {
        let io = |error| Error::io("copy to", path)(error);
        let from = match bytes {
            Bytes::Memory(bytes) => return self.write_content(node, path, bytes, 0),
            Bytes::File(from) => from,
        };
        if self.base.disk().stat_file(from).map_err(io)?.size <= self.engine.options().inline_max {
            let bytes = read_all(self.base.disk(), from, u64::MAX).map_err(io)?;
            return self.write_content(node, path, &bytes, 0);
        }
        self.spill(node)?;
        let Self { overlay, base, .. } = self;
        if let Content::Staged(staged) = overlay.content_mut(node) {
            let file = staged.open().map_err(io)?;
            copy_contents(base.disk(), from, &file).map_err(io)?;
            staged.len = base.disk().stat_file(&file).map_err(io)?.size;
        }
        Ok(())
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Name { dir, name, now, modified } => {
                if let Some(slot) = self.overlay.node_mut(dir).children.get_mut(&name) {
                    slot.now = now;
                }
                *self.overlay.modified_mut(dir) = modified;
            }
            Undo::Touched { node, touched } => self.overlay.node_mut(node).touched = touched,
            Undo::Attributes { node, attributes } => {
                if let Origin::New(new) = &mut self.overlay.node_mut(node).origin {
                    new.attributes = attributes;
                }
            }
        }
    }
}
