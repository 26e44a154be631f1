//! What a named snapshot is taken of, and how.

use std::path::{Path, PathBuf};

use treewal_snapshot::TakeOptions;
use treewal_vfs::RelPath;

use crate::Result;
use crate::taking::{Taking, parse};

/// What a named snapshot is taken of, and how.
///
/// By default the whole tree, shared with the live files where the file system can, else copied.
pub type SnapshotOptions = Taking<Naming>;

/// What only a named snapshot can be asked for; see [`SnapshotOptions`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Naming {
    paths: Vec<PathBuf>,
}

impl Taking<Naming> {
    /// Only this path, which need not exist, and others given in the same way.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.paths.push(path.as_ref().to_owned());
        self
    }

    /// The paths, the whole tree where none is given, and how they are taken.
    pub(super) fn asked(self) -> Result<(Vec<RelPath>, TakeOptions)> {
        let (take, Naming { paths }) = self.into_parts()?;
        let mut paths = parse(&paths)?;
        if paths.is_empty() {
            paths.push(RelPath::root());
        }
        Ok((paths, take))
    }
}
