//! Where an entry can stand: somewhere in the tree, or in the stage of a handle.

use std::ffi::OsStr;
use std::fmt;

use treewal_vfs::RelPath;

/// A part of the file system that entries move between. Both parts lie on one mount, so every move is one rename.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The tree itself.
    Tree,
    /// The directory of this name below `stage`.
    Stage(String),
}

/// A path in an area.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which part.
    pub area: Area,
    /// The path in it.
    pub path: RelPath,
}

impl Place {
    /// A place in the tree.
    #[must_use]
    pub fn tree(path: RelPath) -> Self {
        Self { area: Area::Tree, path }
    }

    /// A slot of a stage, or something beneath one.
    #[must_use]
    pub fn slot(stage: &str, slot: u64, inner: &RelPath) -> Self {
        let path = RelPath::root().join(slot.to_string()).join_path(inner);
        Self { area: Area::Stage(stage.to_owned()), path }
    }

    /// The place of a path: one that lies in a stage is a place of that stage.
    #[must_use]
    pub fn of(path: &RelPath) -> Self {
        let mut parts = path.components();
        let own = [crate::home::DIR_NAME, "stage"].iter().all(|own| parts.next().is_some_and(|part| part == *own));
        match (own, parts.next().and_then(|stage| stage.to_str())) {
            (true, Some(stage)) if parts.clone().next().is_some() => {
                let rest = parts.fold(RelPath::root(), |rest, part| rest.join(part));
                Self { area: Area::Stage(stage.to_owned()), path: rest }
            }
            _ => Self::tree(path.clone()),
        }
    }

    /// Whether this place is `other` or lies beneath it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.area == other.area && self.path.starts_with(&other.path)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.area {
            Area::Tree => write!(f, "{}", self.path),
            Area::Stage(name) => write!(f, "<{name}>/{}", self.path),
        }
    }
}
/// Slots of what transactions take out of the tree have this bit, and no other slot has.
const REMOVED: u64 = 1 << 63;
const INDEX_BITS: u32 = 22;

/// The slot of the `index`th entry that a transaction takes out of the tree without putting another there. No record names
/// it: the number itself says whose it is, so that recovery can tell what somebody else has lost there. `None` where the
/// numbers do not suffice: then any slot will do, and nobody is told.
#[must_use]
pub fn removed_slot(txn: u64, index: u64) -> Option<u64> {
    let fits = txn < REMOVED >> INDEX_BITS && index < 1 << INDEX_BITS;
    fits.then_some(REMOVED | txn << INDEX_BITS | index)
}

/// Which transaction took what is in a slot of this name out of the tree, and which of its removals that was.
#[must_use]
pub fn removed_by(name: &OsStr) -> Option<(u64, u64)> {
    let slot: u64 = name.to_str()?.parse().ok()?;
    (slot & REMOVED != 0).then_some(((slot ^ REMOVED) >> INDEX_BITS, slot & ((1 << INDEX_BITS) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_says_which_removal_it_is() {
        for (txn, index) in [(1, 0), (77, 3), ((1 << 41) - 1, (1 << 22) - 1)] {
            let slot = removed_slot(txn, index).unwrap().to_string();
            assert_eq!(removed_by(OsStr::new(&slot)), Some((txn, index)));
        }
        assert_eq!((removed_slot(1 << 41, 0), removed_slot(1, 1 << 22)), (None, None));
        for other in ["1", "r0", "in-7", "aside-0", ""] {
            assert_eq!(removed_by(OsStr::new(other)), None, "{other}");
        }
    }
}
