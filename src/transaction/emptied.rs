//! Directories that go because the transaction found them empty, or took all that was in them.

use std::ffi::OsString;

use treewal_vfs::{Identity, RelPath};

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
}
