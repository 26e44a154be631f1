//! A tree of inodes: one stands for what every process sees, another for what is certain to survive a power loss.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use rustix::io::Errno;

use super::content::Content;
use crate::{Kind, Time};

/// Names an inode within a simulated disk. Never used twice, unlike the inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) u64);

pub(super) const ROOT: Id = Id(0);

/// The name of an entry, shared by the two layers and the changes between them.
pub(super) type Name = Arc<OsStr>;

pub(super) type Xattrs = Arc<BTreeMap<OsString, Arc<[u8]>>>;

#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) ino: u64,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u64,
    pub(super) born: Time,
    pub(super) accessed: Time,
    pub(super) modified: Time,
    pub(super) changed: Time,
    /// The change that set the times last: one that is applied late must not set them back.
    pub(super) timed_by: u64,
    pub(super) xattrs: Xattrs,
    /// How many entries name it.
    pub(super) names: u64,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    File(Arc<Content>),
    Dir(Entries),
    Symlink(OsString),
    Node,
}

#[derive(Debug, Clone)]
pub(super) struct Entries {
    pub(super) by_name: BTreeMap<Name, Id>,
    pub(super) parent: Id,
    pub(super) subdirs: u64,
}

impl Inode {
    pub(super) fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    pub(super) fn entries(&self) -> Result<&Entries, Errno> {
        match &self.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn links(&self) -> u64 {
        match &self.body {
            Body::Dir(entries) if self.names > 0 => 2 + entries.subdirs,
            _ => self.names,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.len(),
            Body::Dir(_) => 4096,
            Body::Symlink(target) => target.len() as u64,
            Body::Node => 0,
        }
    }

    pub(super) fn allocated(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.allocated(),
            Body::Dir(_) => 4096,
            Body::Symlink(_) | Body::Node => 0,
        }
    }
}

/// One entry of one directory changes from `old` to `new`; `None` is: not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Edit {
    pub(super) dir: Id,
    pub(super) name: Name,
    pub(super) old: Option<Id>,
    pub(super) new: Option<Id>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pub(super) inodes: BTreeMap<Id, Arc<Inode>>,
}

impl Image {
    pub(super) fn find(&self, id: Id) -> Option<&Inode> {
        self.inodes.get(&id).map(Arc::as_ref)
    }

    /// An inode that must exist.
    pub(super) fn inode(&self, id: Id) -> Result<&Inode, Errno> {
        self.find(id).ok_or(Errno::IO)
    }

    pub(super) fn inode_mut(&mut self, id: Id) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&id).map(Arc::make_mut).ok_or(Errno::IO)
    }

    pub(super) fn lookup(&self, dir: Id, name: &OsStr) -> Result<Option<Id>, Errno> {
        Ok(self.inode(dir)?.entries()?.by_name.get(name).copied())
    }

    pub(super) fn is_dir(&self, id: Id) -> bool {
        self.find(id).is_some_and(Inode::is_dir)
    }

    pub(super) fn parent(&self, dir: Id) -> Option<Id> {
        self.find(dir)?.entries().ok().map(|entries| entries.parent)
    }

    /// `dir`, its parent and so on up to the root.
    pub(super) fn ancestors(&self, dir: Id) -> Vec<Id> {
        let mut chain = vec![dir];
        let mut last = dir;
        while let Some(up) = self.parent(last).filter(|up| *up != last) {
            chain.push(up);
            last = up;
        }
        chain
    }

    /// Applies one change of names, all its edits together.
    pub(super) fn apply(&mut self, seq: u64, at: Time, edits: &[Edit]) {
        for edit in edits {
            if let Some(old) = edit.old {
                self.count(edit.dir, old, false, at);
            }
            if let Ok(dir) = self.inode_mut(edit.dir) {
                if let Body::Dir(entries) = &mut dir.body {
                    match edit.new {
                        Some(new) => entries.by_name.insert(edit.name.clone(), new),
                        None => entries.by_name.remove(&edit.name),
                    };
                }
                dir.changed = dir.changed.max(at);
                if seq > dir.timed_by {
                    dir.modified = at;
                    dir.timed_by = seq;
                }
            }
            if let Some(new) = edit.new {
                self.count(edit.dir, new, true, at);
            }
        }
    }

    fn count(&mut self, dir: Id, id: Id, more: bool, at: Time) {
        let step = |n: u64| if more { n + 1 } else { n.saturating_sub(1) };
        let Ok(inode) = self.inode_mut(id) else { return };
        inode.names = step(inode.names);
        inode.changed = inode.changed.max(at);
        if let Body::Dir(entries) = &mut inode.body {
            if more {
                entries.parent = dir;
            }
            if let Ok(Inode { body: Body::Dir(parent), .. }) = self.inode_mut(dir) {
                parent.subdirs = step(parent.subdirs);
            }
        }
    }
}
