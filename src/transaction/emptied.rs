//! Directories that go because the transaction found them empty, or took all that was in them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use treewal_vfs::{Identity, RelPath};

use super::diff::Changed;
use super::overlay::{NodeId, Overlay};

/// Such a directory. What somebody else puts there before it goes was never meant to go with it.
pub(crate) struct Emptied {
    /// Where it stands on the disk.
    pub(crate) path: RelPath,
    /// What stood there, all of which goes or moves; sorted by name.
    pub(crate) held: Vec<(OsString, Identity)>,
}

impl Overlay {
    /// Notes that a directory goes because it is empty.
    pub(super) fn note_emptied(&mut self, dir: NodeId) {
        self.emptied.push(dir);
    }

    /// The directories of the disk among those that go because they are empty.
    pub(super) fn emptied(&self) -> Vec<Emptied> {
        let of = |dir: &NodeId| {
            let path = self.base(*dir)?.clone();
            let children = self.node(*dir).children.iter();
            let held = children.filter_map(|(name, slot)| Some((name.clone(), slot.prior?))).collect();
            Some(Emptied { path, held })
        };
        self.emptied.iter().filter_map(of).collect()
    }

    /// Adds what was in the directories that go: recovery must know it from what others put there.
    pub(super) fn take_apart(&self, changed: &mut Vec<Changed>) {
        let emptied: BTreeMap<&RelPath, NodeId> =
            self.emptied.iter().filter_map(|dir| Some((self.base(*dir)?, *dir))).collect();
        if emptied.is_empty() {
            return;
        }
        let mut next = 0;
        while let Some(dir) = changed.get_mut(next) {
            next += 1;
            let node = dir.base.as_ref().and_then(|base| emptied.get(base));
            let (Some(node), None, Some(base)) = (node, dir.now, dir.base.clone()) else { continue };
            dir.emptied = true;
            let path = dir.path.clone();
            for (name, slot) in self.node(*node).children.iter().filter(|(_, slot)| slot.prior.is_some()) {
                changed.push(Changed {
                    path: path.join(name),
                    base: Some(base.join(name)),
                    prior: slot.prior,
                    now: None,
                    inside: false,
                    second: false,
                    emptied: false,
                });
            }
        }
        changed.sort_by(|a, b| a.path.cmp(&b.path));
    }
}
