//! Where an entry can stand: somewhere in the tree, or in the stage of a handle.

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
