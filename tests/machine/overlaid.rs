//! What the model of a tree needs beyond that of a transaction: to be put back in part.

use std::collections::BTreeMap;

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

    /// Whether everything above a path is a directory, as far as it is there.
    pub(crate) fn leads_to(&self, path: &RelPath) -> bool {
        let above = std::iter::successors(path.parent(), RelPath::parent);
        above.into_iter().all(|dir| self.at(&dir).is_none_or(|found| found.kind == Kind::Dir))
    }
}
