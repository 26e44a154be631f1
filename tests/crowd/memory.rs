//! The tree as it should be, in memory: names, what they name, and which names are one file.
//!
//! Where treewal differs from `std::fs` by design, this does as treewal says it does: a file is replaced, not written in place,
//! so its other names keep the old contents; symlinks are not followed. `agree.rs` holds it against `std::fs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use treewal_vfs::{Kind, RelPath};

use crate::seen::{Entry, Seen};

/// Why an operation does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    Because(ErrorKind),
    /// It must fail; `std::fs` would have gone through a symlink, or waited for a fifo.
    Refused,
}

impl From<ErrorKind> for No {
    fn from(kind: ErrorKind) -> Self {
        Self::Because(kind)
    }
}

/// Sets of names that are one file each.
pub(crate) type Groups = BTreeSet<BTreeSet<RelPath>>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) names: BTreeMap<RelPath, u64>,
    pub(crate) nodes: BTreeMap<u64, Entry>,
    pub(crate) next: u64,
    /// Whose new entries are.
    pub(crate) user: (u32, u32),
    /// New files of the transaction under way whose permission bits nobody has set: they have none to hand on.
    pub(crate) unset: BTreeSet<u64>,
    /// A file that is mounted: it is written in place.
    pub(crate) mounted: Option<RelPath>,
}

pub(crate) fn rel(path: &Path) -> RelPath {
    RelPath::new(path).unwrap()
}

impl Memory {
    /// What was seen, and by which number each path is the same file as another.
    pub(crate) fn of(seen: &Seen, inodes: &BTreeMap<RelPath, u64>) -> Self {
        let mut memory = Self::default();
        for (path, entry) in seen {
            let id = inodes.get(path).copied().unwrap_or(0);
            memory.names.insert(path.clone(), id);
            memory.nodes.insert(id, entry.clone());
            memory.next = memory.next.max(id + 1);
        }
        memory
    }

    pub(crate) fn seen(&self) -> Seen {
        self.names.iter().map(|(path, id)| (path.clone(), self.nodes[id].clone())).collect()
    }

    /// Directories are never one.
    pub(crate) fn groups(&self) -> Groups {
        let mut by_id: BTreeMap<u64, BTreeSet<RelPath>> = BTreeMap::new();
        for (path, id) in &self.names {
            by_id.entry(*id).or_default().insert(path.clone());
        }
        by_id.into_values().filter(|names| names.len() > 1).collect()
    }

    pub(crate) fn at(&self, path: &RelPath) -> Option<&Entry> {
        Some(&self.nodes[self.names.get(path)?])
    }

    pub(crate) fn is(&self, path: &RelPath, kind: Kind) -> bool {
        self.at(path).is_some_and(|entry| entry.kind == kind)
    }

    pub(crate) fn links(&self, path: &RelPath) -> usize {
        self.names.get(path).map_or(0, |id| self.names.values().filter(|other| *other == id).count())
    }

    /// Puts an entry of its own at a path.
    pub(crate) fn put(&mut self, path: &RelPath, entry: Entry) {
        self.next += 1;
        self.names.insert(path.clone(), self.next);
        self.nodes.insert(self.next, entry);
    }

    pub(crate) fn new_entry(&self, kind: Kind, mode: u32) -> Entry {
        Entry { kind, mode, contents: Vec::new(), target: None, owner: self.user, xattrs: Vec::new(), set: None }
    }

    pub(crate) fn is_dir(&self, path: &RelPath) -> bool {
        self.is(path, Kind::Dir)
    }

    pub(crate) fn is_file(&self, path: &RelPath) -> bool {
        self.is(path, Kind::File)
    }

    pub(crate) fn beneath(&self, path: &RelPath) -> Vec<RelPath> {
        self.names.keys().filter(|name| name.starts_with(path)).cloned().collect()
    }

    pub(crate) fn cut(&mut self, path: &RelPath) -> Vec<(RelPath, u64)> {
        let names = self.beneath(path);
        let taken = names.iter().map(|name| (name.strip_prefix(path).unwrap(), self.names.remove(name).unwrap()));
        taken.collect()
    }

    pub(crate) fn paste(&mut self, path: &RelPath, what: Vec<(RelPath, u64)>) {
        self.names.extend(what.into_iter().map(|(tail, id)| (path.join_path(&tail), id)));
    }
}
