//! What the model of a tree needs beyond that of a transaction: to be put back in part.

use std::collections::{BTreeMap, BTreeSet};

use treewal_vfs::{Kind, RelPath};

use crate::memory::Memory;

impl Memory {
    /// The covered paths as they were before, the others as they are.
    pub(crate) fn overlaid(&self, before: &Self, covers: impl Fn(&RelPath) -> bool) -> Self {
        let mut after = self.clone();
        let then = || before.names.iter().filter(|(path, _)| covers(path));
        // What is untouched stays the file that it is.
        let same =
            |path: &RelPath, id: &u64| self.names.get(path) == Some(id) && self.nodes.get(id) == before.nodes.get(id);
        let mut ids: BTreeMap<u64, u64> =
            then().filter(|(path, id)| same(path, id)).map(|(_, id)| (*id, *id)).collect();
        after.names.retain(|path, _| !covers(path));
        for (path, id) in then() {
            let id = *ids.entry(*id).or_insert_with(|| {
                after.next += 1;
                after.nodes.insert(after.next, before.nodes[id].clone());
                after.next
            });
            after.names.insert(path.clone(), id);
        }
        after
    }

    /// As `overlaid`, and what stands above is made where it is gone.
    pub(crate) fn restored(&self, before: &Self, covers: impl Fn(&RelPath) -> bool) -> Self {
        let mut after = self.overlaid(before, &covers);
        for path in before.names.keys().filter(|path| covers(path)) {
            for above in std::iter::successors(path.parent(), RelPath::parent) {
                if after.at(&above).is_none() {
                    after.put(&above, before.at(&above).unwrap().clone());
                }
            }
        }
        after
    }

    /// Attributes belong to all names of a file: whether one that comes back brings them back for names that do not.
    pub(crate) fn brings_back_for_others(&self, before: &Self, reaches: impl Fn(&RelPath) -> bool) -> bool {
        let half = |names: &BTreeSet<RelPath>| names.iter().any(&reaches) && !names.iter().all(&reaches);
        let set_since = |path: &RelPath| self.at(path) != before.at(path);
        self.groups().iter().any(|names| half(names) && names.iter().any(|path| reaches(path) && set_since(path)))
    }

    /// Whether everything above a path is a directory, as far as it is there.
    pub(crate) fn leads_to(&self, path: &RelPath) -> bool {
        let above = std::iter::successors(path.parent(), RelPath::parent);
        above.into_iter().all(|dir| self.at(&dir).is_none_or(|found| found.kind == Kind::Dir))
    }
}
