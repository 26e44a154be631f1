//! How a guard is taken.

use std::path::{Path, PathBuf};

use treewal_snapshot::TakeOptions;
use treewal_vfs::RelPath;

use crate::Result;
use crate::engine::{Others, Scope};
use crate::taking::{Taking, parse};

/// How a guard is taken.
pub type GuardOptions = Taking<Guarding>;

/// What only a guard can be asked for; see [`GuardOptions`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Guarding {
    /// What becomes of others of this handle that meet it.
    pub others: Others,
    exchange: bool,
    patterns: Vec<PathBuf>,
}

impl Taking<Guarding> {
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

    /// What becomes of others of this handle that meet the guarded paths: commits, guards, snapshots and restores.
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
        let (take, Guarding { others, exchange, patterns }) = options.into_parts()?;
        let (paths, patterns) = (parse(paths)?, parse(&patterns)?);
        Ok(Self { paths, patterns, take: TakeOptions { exchange, ..take }, others })
    }
}
