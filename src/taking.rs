//! How guards and named snapshots are taken: what both can be asked for stands here, once.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use treewal_recovery::home;
use treewal_snapshot::{Progress, Sharing, TakeOptions};
use treewal_vfs::RelPath;

use crate::Result;

/// How a guard or a named snapshot is taken, with what only one of them can be asked for:
/// [`GuardOptions`](crate::GuardOptions) and [`SnapshotOptions`](crate::SnapshotOptions).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Taking<Own> {
    /// How the snapshot shares bytes with the live files.
    pub sharing: Sharing,
    digest: bool,
    threads: Option<NonZeroUsize>,
    progress: Progress,
    managed: Vec<PathBuf>,
    excludes: Vec<PathBuf>,
    own: Own,
}

impl<Own: Default> Taking<Own> {
    /// The defaults: [`Sharing::Auto`], nothing left out; a guard refuses others that meet it, a snapshot is one of the whole
    /// tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<Own> Taking<Own> {
    /// How the snapshot shares bytes with the live files. [`Sharing::HardLink`] costs no bytes anywhere, and is for writers that
    /// replace files, and never write in place: a file that is written in place is lost to the snapshot, which notices. It is
    /// named in an error at the rollback or the restore, and not restored. A named snapshot of that kind has no
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

    /// Records a checksum of every file, which costs reading it. Then of a file that is kept by hard link a new mode, or a change of
    /// another of its names, is told from a write, and a damaged backup is found before it takes the place of anything;
    /// [`Snapshot::verify`](crate::Snapshot::verify) looks at every byte. Copies have one in any case.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// How many threads may take the snapshot, eight at most. By default as many as the machine runs at once, or one where
    /// there is little to do.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Tells how far the snapshot is, to be asked from another thread.
    #[must_use]
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    /// Leaves a path out, with all beneath it: it is not restored.
    #[must_use]
    pub fn exclude(mut self, path: impl AsRef<Path>) -> Self {
        self.excludes.push(path.as_ref().to_owned());
        self
    }

    /// The same for the snapshot manager, and what only one of the two can be asked for. treewal's own directory is left out
    /// in any case.
    pub(crate) fn into_parts(self) -> Result<(TakeOptions, Own)> {
        let Self { sharing, digest, threads, progress, managed, excludes, own } = self;
        let mut exclude = parse(&excludes)?;
        exclude.push(RelPath::root().join(home::DIR_NAME));
        let managed = parse(&managed)?;
        Ok((TakeOptions { sharing, exclude, managed, digest, exchange: false, threads, progress }, own))
    }
}

impl<Own> Deref for Taking<Own> {
    type Target = Own;

    fn deref(&self) -> &Own {
        &self.own
    }
}

impl<Own> DerefMut for Taking<Own> {
    fn deref_mut(&mut self) -> &mut Own {
        &mut self.own
    }
}

/// Paths as a caller has them.
pub(crate) fn parse(paths: &[PathBuf]) -> Result<Vec<RelPath>> {
    paths.iter().map(|path| crate::path::parse(path)).collect()
}
