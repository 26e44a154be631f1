//! A tree as a value, to compare and to print.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::file_log::Change;
use super::image::{Body, Id, Image, Inode, ROOT};
use super::state::State;
use crate::{Kind, RelPath, Time};

/// One entry of a dumped tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What a file holds, holes as zeros; empty for everything else.
    pub contents: Vec<u8>,
    /// Where a symlink points.
    pub target: Option<OsString>,
    /// The first path, in their order, of the same inode; `None` where there is only one.
    pub first_link: Option<RelPath>,
    /// Last change of the contents.
    pub modified: Time,
    /// Extended attributes.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Image {
    /// All paths, but for `without` and those below it.
    pub(super) fn dump(&self, without: Option<&RelPath>) -> BTreeMap<RelPath, Node> {
        let mut paths = Vec::new();
        let mut open = vec![(RelPath::root(), ROOT)];
        while let Some((path, id)) = open.pop() {
            if Some(&path) == without {
                continue;
            }
            if let Some(Body::Dir(entries)) = self.find(id).map(|inode| &inode.body) {
                open.extend(entries.by_name.iter().map(|(name, child)| (path.join(name), *child)));
            }
            paths.push((path, id));
        }
        paths.sort_unstable();
        let mut first: BTreeMap<Id, (RelPath, usize)> = BTreeMap::new();
        for (path, id) in &paths {
            first.entry(*id).or_insert_with(|| (path.clone(), 0)).1 += 1;
        }
        let mut out = BTreeMap::new();
        for (path, id) in paths {
            let Some(inode) = self.find(id) else { continue };
            let node = Node {
                kind: inode.kind,
                mode: inode.mode,
                uid: inode.uid,
                gid: inode.gid,
                contents: if let Body::File(content) = &inode.body { content.to_vec() } else { Vec::new() },
                target: if let Body::Symlink(target) = &inode.body { Some(target.clone()) } else { None },
                first_link: first.get(&id).filter(|(_, count)| *count > 1).map(|(first, _)| first.clone()),
                modified: inode.modified,
                xattrs: inode.xattrs.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect(),
            };
            out.insert(path, node);
        }
        out
    }

    fn digest(&self, into: &mut DefaultHasher) {
        for (id, inode) in &self.inodes {
            inode.digest(*id, into);
        }
    }
}

impl Inode {
    fn digest(&self, id: Id, into: &mut DefaultHasher) {
        (id, self.ino, self.kind, self.mode, self.uid, self.gid, self.rdev, self.names).hash(into);
        (self.born, self.accessed, self.modified, self.changed, &self.xattrs).hash(into);
        match &self.body {
            Body::File(content) => content.hash(into),
            Body::Dir(entries) => entries.by_name.hash(into),
            Body::Symlink(target) => target.hash(into),
            Body::Node => {}
        }
    }
}

impl State {
    /// A hash of everything that decides what a crash may leave and what a process may see. The clock, the number of
    /// the boot and the handles are not in it.
    pub(super) fn digest(&self) -> u64 {
        let mut into = DefaultHasher::new();
        self.seen.digest(&mut into);
        // After a crash or a remount both are one.
        for (id, inode) in &self.durable.inodes {
            match self.seen.inodes.get(id) {
                Some(seen) if Arc::ptr_eq(seen, inode) => id.hash(&mut into),
                _ => inode.digest(*id, &mut into),
            }
        }
        for (seq, change) in &self.names.pending {
            (seq, &change.edits, &change.deps, change.dropped).hash(&mut into);
        }
        for (id, log) in &self.metas {
            for change in &log.0 {
                (id, change.seq, &change.field, change.dropped).hash(&mut into);
            }
        }
        for (id, log) in &self.files {
            for change in &log.0 {
                (id, change.certain, change.dropped).hash(&mut into);
                match &change.change {
                    Change::Data { offset, bytes } => (offset, bytes).hash(&mut into),
                    Change::Len(len) => len.hash(&mut into),
                }
            }
        }
        into.finish()
    }
}
