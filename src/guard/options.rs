//! How a guard is taken.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use treewal_recovery::home;
use treewal_snapshot::{Progress, Sharing, TakeOptions};
use treewal_vfs::RelPath;

use crate::Result;
use crate::engine::{Others, Scope};

/// How a guard is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GuardOptions {
    /// How the snapshot shares bytes with the live files.
    pub sharing: Sharing,
    /// What becomes of others of this handle that meet it.
    pub others: Others,
    digest: bool,
    exchange: bool,
    threads: Option<NonZeroUsize>,
    progress: Progress,
    managed: Vec<PathBuf>,
    patterns: Vec<PathBuf>,
    excludes: Vec<PathBuf>,
}

impl GuardOptions {
    /// The defaults: [`Sharing::Auto`], [`Others::Refuse`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the snapshot shares bytes with the live files. [`Sharing::HardLink`] is for writers that replace files, and never
    /// write in place: a file that is written in place is named in an error at the rollback, and not restored.
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

    /// Records a checksum of every file, which costs reading it. Then of a file that is kept by hard link a new mode is told
    /// from a write, and a damaged backup is found before it takes the place of anything. Copies have one in any case.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// Rolls each guarded path back by one exchange with a copy of it that is made ready when the guard is taken: at once for
    /// whoever reads it, and in a time that does not grow with the number of files. The snapshot costs a second name for
    /// each file, and nothing is kept by hard link.
    ///
    /// Every file and directory is another inode afterwards, the guarded path itself among them: who has one of them open,
    /// or works in one, is left with what was displaced. That also cuts off a program that goes on writing, which the
    /// rollback by comparison cannot do. What was displaced is removed when the exchange is durable. After
    /// a kill, recovery begins with the same exchange; after a loss of power it compares.
    ///
    /// Not for the whole tree, and not where something in a guarded path is excluded: such a guard is refused
    /// ([`Error::Snapshot`](crate::Error::Snapshot)).
    #[must_use]
    pub fn exchange(mut self, exchange: bool) -> Self {
        self.exchange = exchange;
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

    /// What becomes of others of this handle that meet the guarded paths: commits, guards and snapshots.
    #[must_use]
    pub fn others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }

    /// Guards every name that a pattern describes as well, also those that do not exist yet: in its last component, `*` is
    /// any run of characters. For files that come and go together, as a database and what it puts beside it:
    /// `matching("index.db*")`.
    #[must_use]
    pub fn matching(mut self, pattern: impl AsRef<Path>) -> Self {
        self.patterns.push(pattern.as_ref().to_owned());
        self
    }

    /// Leaves a path out, with all beneath it: it is not restored.
    #[must_use]
    pub fn exclude(mut self, path: impl AsRef<Path>) -> Self {
        self.excludes.push(path.as_ref().to_owned());
        self
    }
}

/// What a guard is asked to be about.
pub(super) struct Asked {
    pub(super) paths: Vec<RelPath>,
    pub(super) patterns: Vec<RelPath>,
    pub(super) take: TakeOptions,
    pub(super) others: Others,
}

impl Asked {
    /// What it is about.
    pub(super) fn scope(&self) -> Scope {
        Scope::new(&self.paths, &self.patterns, &self.take.exclude)
    }

    pub(super) fn of(paths: &[PathBuf], options: GuardOptions) -> Result<Self> {
        let GuardOptions { sharing, others, digest, exchange, threads, progress, managed, patterns, excludes } =
            options;
        let parse = |list: &[PathBuf]| list.iter().map(|path| crate::path::parse(path)).collect::<Result<Vec<_>>>();
        let mut exclude = parse(&excludes)?;
        exclude.push(RelPath::root().join(home::DIR_NAME));
        let managed = parse(&managed)?;
        Ok(Self {
            paths: parse(paths)?,
            patterns: parse(&patterns)?,
            take: TakeOptions { sharing, exclude, managed, digest, exchange, threads, progress },
            others,
        })
    }
}
