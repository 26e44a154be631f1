//! The net difference between the tree and what a transaction wants of it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use treewal_journal::record::{Change, LookChange, Owner, Times, XattrChange};
use treewal_vfs::{Identity, Kind, Meta, RelPath};

use super::overlay::{NewBody, NewNode, NodeId, Origin, Overlay, Slot};
use super::{Content, Transaction};

/// One path that is not afterwards as it was before. Parents come before what is in them.
pub(crate) struct Difference {
    pub(crate) path: RelPath,
    /// Where the path lies in the tree as it is; `None` beneath a directory that is new.
    pub(crate) base: Option<RelPath>,
    /// What stands at `base`.
    pub(crate) prior: Option<Identity>,
    pub(crate) goal: Wanted,
    /// Attributes for an entry of the tree.
    pub(crate) look: Option<LookChange>,
    /// Whether that entry has more names, which the journal knows nothing of.
    pub(crate) shared: bool,
}

/// What shall stand there.
pub(crate) enum Wanted {
    Absent,
    /// As absent: a directory that goes because it is empty. What it held comes after it.
    Emptied,
    New(Fresh),
    Moved {
        from: RelPath,
        identity: Identity,
    },
    /// Another name of an entry that stands at `from` in the tree as it is.
    Linked {
        from: RelPath,
        identity: Identity,
    },
    /// Another name of the new entry at `of`, which comes before it.
    Twin {
        of: RelPath,
        inside: bool,
    },
    Kept,
}

/// A new entry, and whether it stands in a new directory: then it is staged inside it.
pub(crate) struct Fresh {
    pub(crate) node: NewNode,
    pub(crate) inside: bool,
    pub(crate) has_twins: bool,
}

/// One path that a transaction changes, for review.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathChange {
    /// Where.
    pub path: PathBuf,
    /// How.
    pub how: How,
}

/// How a path changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// Something new stands where nothing stood.
    Added,
    /// Something new takes the place of what stood there.
    Replaced,
    /// An entry of the tree comes to stand here.
    Moved {
        /// Where it stood.
        from: PathBuf,
    },
    /// It becomes another name of an entry of the tree.
    Linked {
        /// Where that one stood.
        original: PathBuf,
    },
    /// Nothing stands here any more.
    Removed,
    /// Permission bits change.
    Mode {
        /// To what.
        mode: u32,
    },
    /// Attributes other than the permission bits change: owner, times, extended attributes.
    Attributes,
}

/// A changed name, before anything is taken out of the overlay.
pub(super) struct Changed {
    pub(super) path: RelPath,
    pub(super) base: Option<RelPath>,
    pub(super) prior: Option<Identity>,
    pub(super) now: Option<NodeId>,
    pub(super) inside: bool,
    /// Whether what stands here now has a name that comes before this one.
    pub(super) second: bool,
    /// Whether a directory goes because it is empty.
    pub(super) emptied: bool,
}

fn change<T: PartialEq>(to: T, prior: T) -> Option<Change<T>> {
    (to != prior).then_some(Change { to, prior })
}

impl Transaction {
    /// What a commit would change, sorted by path; for a directory that is new, moved or removed also what is in it as
    /// far as this transaction made it.
    #[must_use]
    pub fn changes(&self) -> Vec<PathChange> {
        self.overlay.changed().into_iter().map(|changed| self.overlay.describe(&changed)).collect()
    }

    /// Takes the difference out of the overlay; contents go along, so that dropping the transaction no longer owns
    /// them.
    pub(super) fn difference(&mut self) -> Vec<Difference> {
        let mut changed = self.overlay.changed();
        self.overlay.take_apart(&mut changed);
        let mut first = HashMap::new();
        changed.into_iter().map(|changed| self.overlay.take(changed, &mut first)).collect()
    }
}

impl Overlay {
    /// Every name that is not afterwards as it was before, parents first. Walks with an explicit stack: a tree may be
    /// as deep as a path is long.
    fn changed(&self) -> Vec<Changed> {
        let mut out = Vec::new();
        let mut named = BTreeSet::new();
        let mut stack = vec![(Self::ROOT, RelPath::root())];
        if let (Some(_), Origin::Disk { meta, .. }) = (self.look_change(Self::ROOT), &self.node(Self::ROOT).origin) {
            let (path, base, prior) = (RelPath::root(), Some(RelPath::root()), Some(meta.identity()));
            let now = Some(Self::ROOT);
            out.push(Changed { path, base, prior, now, inside: false, second: false, emptied: false });
        }
        while let Some((dir, path)) = stack.pop() {
            let inside = matches!(self.node(dir).origin, Origin::New(_));
            let base = self.base(dir);
            for (name, slot) in &self.node(dir).children {
                let path = path.join(name);
                let base = base.map(|base| base.join(name));
                if let Some(node) = slot.now.filter(|node| self.is_touched(*node)) {
                    stack.push((node, path.clone()));
                }
                if self.differs(base.as_ref(), slot) {
                    out.push(Changed {
                        path,
                        base,
                        prior: slot.prior,
                        now: slot.now,
                        inside,
                        second: false,
                        emptied: false,
                    });
                } else if let Some(node) = slot.now.filter(|node| self.node(*node).linked) {
                    named.insert(node);
                }
            }
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
        // Of several names, the one that it had comes first, and then the first that is new.
        let at_home = |changed: &Changed| changed.now.is_some_and(|node| self.base(node) == changed.base.as_ref());
        named.extend(out.iter().filter(|changed| at_home(changed)).filter_map(|changed| changed.now));
        for changed in &mut out {
            let node = changed.now.filter(|node| self.node(*node).linked);
            changed.second = !at_home(changed) && node.is_some_and(|node| !named.insert(node));
        }
        out
    }

    fn differs(&self, base: Option<&RelPath>, slot: &Slot) -> bool {
        match slot.now.map(|id| (id, &self.node(id).origin)) {
            None => slot.prior.is_some(),
            Some((_, Origin::New(_))) => true,
            Some((id, Origin::Disk { base: stood, .. })) => Some(stood) != base || self.look_change(id).is_some(),
        }
    }

    /// What of the attributes of an entry of the disk is not afterwards as it was before.
    fn look_change(&self, id: NodeId) -> Option<LookChange> {
        let node = self.node(id);
        let Origin::Disk { meta, .. } = &node.origin else { return None };
        let now = node.touched.over(meta);
        let times = |meta: &Meta| Times { accessed: meta.accessed, modified: meta.modified };
        let owner = |meta: &Meta| Owner { uid: meta.uid, gid: meta.gid };
        let xattrs = node.touched.xattrs.iter().filter(|(_, touched)| touched.to != touched.prior);
        let xattrs = xattrs.map(|(name, touched)| XattrChange {
            name: name.as_bytes().to_vec(),
            to: touched.to.clone(),
            prior: touched.prior.clone(),
        });
        let change = LookChange {
            mode: change(now.mode, meta.mode),
            owner: change(owner(&now), owner(meta)),
            times: match self.moves_time(id) {
                true => Some(Change { to: times(&now), prior: times(meta) }),
                false => change(times(&now), times(meta)),
            },
            xattrs: xattrs.collect(),
        };
        (change != LookChange::default()).then_some(change)
    }

    /// Whether a time that was set for a directory must be set at the commit although it is the one that it has: the commit
    /// changes names in it, and with them its time.
    fn moves_time(&self, dir: NodeId) -> bool {
        let node = self.node(dir);
        let Origin::Disk { base, .. } = &node.origin else { return false };
        let stays = |(name, slot): (&OsString, &Slot)| match slot.now.map(|id| &self.node(id).origin) {
            None => slot.prior.is_none(),
            Some(Origin::Disk { base: stood, .. }) => *stood == base.join(name),
            Some(Origin::New(_)) => false,
        };
        node.touched.modified.is_some() && !node.children.iter().all(stays)
    }

    /// Whether attributes were set on the same file by another name that it has on the disk. Of two records for one file,
    /// recovery could not tell which was the last.
    pub(super) fn is_set_by_another_name(&self, id: NodeId) -> bool {
        let Origin::Disk { meta, .. } = &self.node(id).origin else { return false };
        // One name: nothing to look for. The others are looked for among all that the transaction has met.
        meta.kind != Kind::Dir
            && meta.links > 1
            && self.ids().filter(|other| *other != id).any(|other| match &self.node(other).origin {
                Origin::Disk { meta: found, .. } => {
                    found.identity().same_inode(&meta.identity()) && self.look_change(other).is_some()
                }
                Origin::New(_) => false,
            })
    }

    fn describe(&self, changed: &Changed) -> PathChange {
        let how = match changed.now.map(|id| (id, &self.node(id).origin)) {
            None => How::Removed,
            Some((_, Origin::New(_))) if changed.prior.is_none() => How::Added,
            Some((_, Origin::New(_))) => How::Replaced,
            Some((id, Origin::Disk { base, .. })) if Some(base) == changed.base.as_ref() => {
                match self.look_change(id) {
                    Some(LookChange { mode: Some(mode), owner: None, times: None, xattrs }) if xattrs.is_empty() => {
                        How::Mode { mode: mode.to }
                    }
                    _ => How::Attributes,
                }
            }
            Some((_, Origin::Disk { base, .. })) if changed.second => How::Linked { original: base.to_path() },
            Some((_, Origin::Disk { base, .. })) if super::is_own(base) => match changed.prior {
                None => How::Added,
                Some(_) => How::Replaced,
            },
            Some((_, Origin::Disk { base, .. })) => How::Moved { from: base.to_path() },
        };
        PathChange { path: changed.path.to_path(), how }
    }

    fn take(&mut self, changed: Changed, first: &mut HashMap<NodeId, RelPath>) -> Difference {
        let Changed { path, base, prior, now, inside, second, emptied } = changed;
        let has_twins = now.is_some_and(|id| self.node(id).linked);
        // The attributes are those of all its names.
        let look = now.filter(|_| !second).and_then(|id| self.look_change(id));
        let links = now.map_or(0, |id| match &self.node(id).origin {
            Origin::Disk { meta, .. } if meta.kind != Kind::Dir => meta.links,
            _ => 0,
        });
        let shared = look.is_some() && links > 1;
        if let Some(id) = now.filter(|_| has_twins) {
            if let (Some(of), Origin::New(_)) = (first.get(&id), &self.node(id).origin) {
                return Difference {
                    path,
                    base,
                    prior,
                    goal: Wanted::Twin { of: of.clone(), inside },
                    look,
                    shared: false,
                };
            }
            first.insert(id, path.clone());
        }
        let goal = match now.map(|id| &mut self.node_mut(id).origin) {
            None if emptied => Wanted::Emptied,
            None => Wanted::Absent,
            Some(Origin::Disk { base: stood, .. }) if Some(&*stood) == base.as_ref() => Wanted::Kept,
            Some(Origin::Disk { base: stood, meta }) if second => {
                Wanted::Linked { from: stood.clone(), identity: meta.identity() }
            }
            Some(Origin::Disk { base: stood, meta }) => {
                Wanted::Moved { from: stood.clone(), identity: meta.identity() }
            }
            Some(Origin::New(new)) => {
                let body = match &mut new.body {
                    NewBody::Dir => NewBody::Dir,
                    NewBody::File(content) => NewBody::File(mem::replace(content, Content::Memory(Vec::new()))),
                    NewBody::Symlink(target) => NewBody::Symlink(mem::take(target)),
                };
                Wanted::New(Fresh {
                    node: NewNode { body, attributes: mem::take(&mut new.attributes) },
                    inside,
                    has_twins,
                })
            }
        };
        Difference { path, base, prior, goal, look, shared }
    }
}
