//! The overlay: what a transaction has changed, as a tree of nodes over the tree on the disk.
//!
//! A node is either an entry that exists on the disk, known by where it stood when the transaction first touched it
//! (its *base*), or a new one. Renaming moves a node, so whatever lies beneath an existing directory is still found
//! through the directory's base, and only names that changed have an entry of their own. The net difference against
//! the disk falls out of a walk over the nodes (see `diff.rs`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Identity, Kind, Meta, RelPath, Time};

use super::attributes::Touched;
use super::base::Base;
use super::content::Content;
use crate::{Error, Result};

/// Which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

/// An entry of the tree as the transaction sees it.
pub(crate) struct Node {
    pub(crate) origin: Origin,
    /// What changed in this directory: names that are not here are as on the disk.
    pub(crate) children: BTreeMap<OsString, Slot>,
    /// Attributes that the transaction set on an entry of the disk.
    pub(crate) touched: Touched,
    /// Whether the transaction gave it another name.
    pub(crate) linked: bool,
}

/// Where a node comes from.
pub(crate) enum Origin {
    /// It stands on the disk at `base`.
    Disk { base: RelPath, meta: Meta },
    /// The transaction made it.
    New(NewNode),
}

/// An entry that the transaction made.
pub(crate) struct NewNode {
    pub(crate) body: NewBody,
    pub(crate) attributes: Attributes,
}

pub(crate) enum NewBody {
    Dir,
    File(Content),
    Symlink(OsString),
}

/// What a new entry shall look like; what is `None` is as the system makes new entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u32>,
    /// That of the file it replaces, as far as this process may give it.
    pub(crate) owner: Option<(u32, u32)>,
    /// What the transaction asked for, user and group: it fails where it cannot have it.
    pub(crate) given: (Option<u32>, Option<u32>),
    pub(crate) accessed: Option<Time>,
    pub(crate) modified: Option<Time>,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// One changed name of a directory.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    /// What stood there on the disk when the transaction first touched the name.
    pub(crate) prior: Option<Identity>,
    /// What stands there now; `None`: nothing.
    pub(crate) now: Option<NodeId>,
}

/// All nodes of a transaction.
pub(crate) struct Overlay {
    nodes: Vec<Node>,
    /// Directories that were removed, or replaced, as empty ones.
    pub(super) emptied: Vec<NodeId>,
    /// Whether what is known of the tree itself is what it was when the transaction first changed it; else it is what it
    /// was when it was opened.
    root_seen: bool,
}

/// What a path leads to.
pub(crate) enum Found {
    /// A node of the overlay.
    Node(NodeId),
    /// An entry that only the disk knows.
    Disk { base: RelPath, meta: Meta },
}

impl NewNode {
    pub(crate) fn kind(&self) -> Kind {
        match self.body {
            NewBody::Dir => Kind::Dir,
            NewBody::File(_) => Kind::File,
            NewBody::Symlink(_) => Kind::Symlink,
        }
    }
}

impl Overlay {
    pub(crate) const ROOT: NodeId = NodeId(0);

    pub(crate) fn new(root: Meta) -> Self {
        let origin = Origin::Disk { base: RelPath::root(), meta: root };
        let root = Node { origin, children: BTreeMap::new(), touched: Touched::default(), linked: false };
        Self { nodes: vec![root], emptied: Vec::new(), root_seen: false }
    }

    /// The node of the tree itself, as it is now: its attributes are to be set.
    pub(super) fn root_node(&mut self, disk: &Base, verb: &'static str) -> Result<NodeId> {
        if !self.root_seen {
            if let Some(now) = disk.stat_again(verb, &RelPath::root())? {
                self.node_mut(Self::ROOT).origin = Origin::Disk { base: RelPath::root(), meta: now };
            }
            self.root_seen = true;
        }
        Ok(Self::ROOT)
    }

    /// Whether what is known of a node is as old as the tree's handle.
    pub(super) fn is_stale(&self, id: NodeId) -> bool {
        id == Self::ROOT && !self.root_seen
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    pub(crate) fn add(&mut self, origin: Origin) -> NodeId {
        self.nodes.push(Node { origin, children: BTreeMap::new(), touched: Touched::default(), linked: false });
        NodeId(self.nodes.len() - 1)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(NodeId)
    }

    pub(crate) fn kind(&self, id: NodeId) -> Kind {
        match &self.node(id).origin {
            Origin::Disk { meta, .. } => meta.kind,
            Origin::New(new) => new.kind(),
        }
    }

    /// Where a node stands on the disk, if it does.
    pub(crate) fn base(&self, id: NodeId) -> Option<&RelPath> {
        match &self.node(id).origin {
            Origin::Disk { base, .. } => Some(base),
            Origin::New(_) => None,
        }
    }

    /// What `path` leads to; `None` where nothing stands. Every component but the last must be a directory.
    pub(crate) fn find(&self, disk: &Base, verb: &'static str, path: &RelPath) -> Result<Option<Found>> {
        let mut at = Found::Node(Self::ROOT);
        for (depth, name) in path.components().enumerate() {
            match self.kind_of(&at) {
                Kind::Dir => {}
                Kind::Symlink => return Err(Error::ThroughSymlink { path: upto(path, depth).to_path() }),
                _ => return Err(Error::kinded(verb, path, io::ErrorKind::NotADirectory)),
            }
            match self.child(disk, verb, &at, name)? {
                Some(child) => at = child,
                // Only the last name may be free; a missing directory on the way is "not found" in any case.
                None if depth + 1 == path.depth() => return Ok(None),
                None => return Err(Error::kinded(verb, path, io::ErrorKind::NotFound)),
            }
        }
        Ok(Some(at))
    }

    pub(crate) fn kind_of(&self, found: &Found) -> Kind {
        match found {
            Found::Node(id) => self.kind(*id),
            Found::Disk { meta, .. } => meta.kind,
        }
    }

    /// One name of a directory.
    pub(crate) fn child(&self, disk: &Base, verb: &'static str, dir: &Found, name: &OsStr) -> Result<Option<Found>> {
        let base = match dir {
            Found::Node(id) => {
                if let Some(slot) = self.node(*id).children.get(name) {
                    return Ok(slot.now.map(Found::Node));
                }
                match self.base(*id) {
                    Some(base) => base,
                    None => return Ok(None),
                }
            }
            Found::Disk { base, .. } => base,
        };
        let base = base.join(name);
        Ok(disk.stat(verb, &base)?.map(|meta| Found::Disk { base, meta }))
    }

    /// The node of the directory at `path`, made part of the overlay, so that names in it can change.
    pub(crate) fn dir_node(&mut self, disk: &Base, verb: &'static str, path: &RelPath) -> Result<NodeId> {
        let mut at = Self::ROOT;
        for (depth, name) in path.components().enumerate() {
            let next = self.slot(disk, verb, at, name)?;
            let next = next.ok_or_else(|| Error::kinded(verb, path, io::ErrorKind::NotFound))?;
            match self.kind(next) {
                Kind::Dir => at = next,
                Kind::Symlink => return Err(Error::ThroughSymlink { path: upto(path, depth + 1).to_path() }),
                _ => return Err(Error::kinded(verb, path, io::ErrorKind::NotADirectory)),
            }
        }
        Ok(at)
    }

    /// What stands under a name of a directory node. The name gets a slot that can change; what stands there on the disk
    /// becomes a node.
    pub(crate) fn slot(
        &mut self,
        disk: &Base,
        verb: &'static str,
        dir: NodeId,
        name: &OsStr,
    ) -> Result<Option<NodeId>> {
        if let Some(slot) = self.node(dir).children.get(name) {
            return Ok(slot.now);
        }
        let mut fresh = Slot { prior: None, now: None };
        if let Some(base) = self.base(dir).map(|base| base.join(name)) {
            if let Some(meta) = disk.stat_again(verb, &base)? {
                fresh.prior = Some(meta.identity());
                fresh.now = Some(self.add(Origin::Disk { base, meta }));
            }
        }
        self.node_mut(dir).children.insert(name.to_os_string(), fresh);
        Ok(fresh.now)
    }

    /// Puts an entry, or nothing, under a name of a directory, whose time of modification is then that of the commit.
    pub(crate) fn put(
        &mut self,
        disk: &Base,
        verb: &'static str,
        (dir, name): (NodeId, &OsStr),
        now: Option<NodeId>,
    ) -> Result<()> {
        self.slot(disk, verb, dir, name)?;
        if let Some(slot) = self.node_mut(dir).children.get_mut(name) {
            slot.now = now;
        }
        *self.modified_mut(dir) = None;
        Ok(())
    }

    /// The time of modification that was set.
    pub(crate) fn modified_mut(&mut self, id: NodeId) -> &mut Option<Time> {
        let node = self.node_mut(id);
        match &mut node.origin {
            Origin::New(new) => &mut new.attributes.modified,
            Origin::Disk { .. } => &mut node.touched.modified,
        }
    }

    /// Whether the transaction has changed a name in the directory, or beneath it.
    pub(crate) fn is_touched(&self, dir: NodeId) -> bool {
        !self.node(dir).children.is_empty()
    }

    /// The names in a directory.
    pub(crate) fn names(&self, disk: &Base, verb: &'static str, dir: NodeId) -> Result<Vec<OsString>> {
        let children = &self.node(dir).children;
        let mut names: Vec<OsString> =
            children.iter().filter(|(_, slot)| slot.now.is_some()).map(|(name, _)| name.clone()).collect();
        if let Some(base) = self.base(dir) {
            let there = disk.list(verb, base)?.into_iter().map(|entry| entry.name);
            names.extend(there.filter(|name| !children.contains_key(name)));
        }
        Ok(names)
    }

    /// Whether the directory holds nothing.
    pub(crate) fn is_empty(&self, disk: &Base, verb: &'static str, dir: NodeId) -> Result<bool> {
        let node = self.node(dir);
        if node.children.values().any(|slot| slot.now.is_some()) {
            return Ok(false);
        }
        match self.base(dir) {
            None => Ok(true),
            Some(base) => Ok(disk
                .list(verb, base)?
                .iter()
                .all(|entry| node.children.get(&entry.name).is_some_and(|slot| slot.now.is_none()))),
        }
    }

    /// The contents of a new file.
    pub(crate) fn content_mut(&mut self, id: NodeId) -> &mut Content {
        match &mut self.node_mut(id).origin {
            Origin::New(NewNode { body: NewBody::File(content), .. }) => content,
            _ => unreachable!("only nodes of new files are asked for their contents"),
        }
    }

    /// The slots of the stage that contents stand in.
    pub(crate) fn staged_slots(&self) -> impl Iterator<Item = u64> + '_ {
        self.nodes.iter().filter_map(|node| match &node.origin {
            Origin::New(NewNode { body: NewBody::File(Content::Staged(staged)), .. }) => Some(staged.slot),
            _ => None,
        })
    }

    /// How many names have changed, at most.
    pub(crate) fn changed_names(&self) -> usize {
        self.nodes.iter().map(|node| node.children.len()).sum()
    }
}

/// The first `depth` components of a path.
pub(super) fn upto(path: &RelPath, depth: usize) -> RelPath {
    path.ancestors().nth(depth).unwrap_or_else(|| path.clone())
}
