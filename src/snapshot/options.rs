//! What a named snapshot is taken of, and how.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use treewal_snapshot::{Progress, Sharing, TakeOptions};
use treewal_vfs::RelPath;

use super::scope;
use crate::Result;

/// What a named snapshot is taken of, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SnapshotOptions {
    sharing: Sharing,
    digest: bool,
    threads: Option<NonZeroUsize>,
    progress: Progress,
    managed: Vec<PathBuf>,
    paths: Vec<PathBuf>,
    excludes: Vec<PathBuf>,
}

impl SnapshotOptions {
    /// The whole tree, shared with the live files where the file system can, else copied.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the snapshot shares bytes with the live files. [`Sharing::HardLink`] costs no bytes anywhere, and is for
    /// trees that nobody writes to in place: a file that is is lost to the snapshot, which notices. Such a snapshot has no
    /// [`files`](crate::Snapshot::files).
    #[must_use]
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Beneath this path files are only ever replaced, by treewal's own transactions for one, and never written to in
    /// place. There [`Sharing::Auto`] takes a hard link where it can have no reflink, and copies no bytes.
    #[must_use]
    pub fn managed(mut self, path: impl AsRef<Path>) -> Self {
        self.managed.push(path.as_ref().to_owned());
        self
    }

    /// Records a checksum of every file, which costs reading it: then [`Snapshot::verify`](crate::Snapshot::verify) looks
    /// at every byte, and of a file that is kept by hard link a new mode is told from a write. Copies have one in any case.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// How many threads may work on it, eight at most. By default as many as the machine runs at once, or one where there is
    /// little to do.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Tells how far it is, to be asked from another thread.
    #[must_use]
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    /// Only this path, which need not exist, and others given in the same way.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.paths.push(path.as_ref().to_owned());
        self
    }

    /// Leaves a path out, with all beneath it; a restore leaves it alone.
    #[must_use]
    pub fn exclude(mut self, path: impl AsRef<Path>) -> Self {
        self.excludes.push(path.as_ref().to_owned());
        self
    }

    /// The paths, and how they are taken.
    pub(super) fn asked(&self) -> Result<(Vec<RelPath>, TakeOptions)> {
        let (paths, exclude) = scope::paths(&self.paths, &self.excludes)?;
        let managed = self.managed.iter().map(|path| crate::path::parse(path)).collect::<Result<_>>()?;
        let Self { sharing, digest, threads, .. } = *self;
        let progress = self.progress.clone();
        Ok((paths, TakeOptions { sharing, exclude, managed, digest, threads, progress, exchange: false }))
    }
}
