//! Bringing an entry of quarantine into the tree, as a transaction like any other: all of it or nothing, redone after a
//! crash. The entry goes when the transaction is durable, and not before.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use treewal_vfs::RelPath;

use super::case::Case;
use super::{find, guarded, staged};
use crate::engine::Engine;
use crate::{Error, Receipt, Result, Transaction};

/// How an entry of quarantine is brought into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Retry {
    pub(super) dry_run: bool,
    pub(super) force: bool,
}

impl Retry {
    /// All of it, where nothing has changed since it was put there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only says what would be done.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Also over what has been changed since. Paths that cannot be brought back at all are left out, and the entry stays; the
    /// snapshot of a guard is brought back as a whole, or not.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }
}

/// What a retry did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Retried {
    /// The transaction; `None` for a dry run, and where there are conflicts.
    pub receipt: Option<Receipt>,
    /// What is changed, by path. Empty where all is in place already.
    pub steps: Vec<RetryStep>,
    /// Why it was not done, or, with [`Retry::force`], what was left out.
    pub conflicts: Vec<RetryConflict>,
    /// Whether the entry is gone from quarantine.
    pub purged: bool,
}

/// A change of a retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetryStep {
    /// Where.
    pub path: PathBuf,
    /// `write`, `make`, `link` or `remove`; for the snapshot of a guard `restore`, or `remove` for what came since.
    pub what: &'static str,
}

/// A path that cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetryConflict {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl Retried {
    pub(super) fn step(&mut self, path: &RelPath, what: &'static str) {
        self.steps.push(RetryStep { path: path.to_path(), what });
    }

    pub(super) fn conflict(&mut self, path: impl Into<PathBuf>, why: impl Into<String>) {
        self.conflicts.push(RetryConflict { path: path.into(), why: why.into() });
    }
}

/// What was looked at has changed while it was looked at.
pub(super) const SINCE: &str = "it was changed since it went to quarantine";

impl Engine {
    /// Brings an entry of quarantine into the tree.
    pub(crate) fn retry_quarantine(self: &Arc<Self>, id: &str, how: Retry) -> Result<Retried> {
        let case = find(self.home(), id)?;
        let mut done = Retried::default();
        if let Some((from, manifest)) = case.snapshot()? {
            guarded::restore(self, (&case, from, &manifest), how, &mut done)?;
        } else {
            self.retry_staged(&case, how, &mut done)?;
        }
        if done.receipt.is_some() && done.conflicts.is_empty() {
            self.purge_quarantine(id)?;
            done.purged = true;
        }
        Ok(done)
    }

    fn retry_staged(self: &Arc<Self>, case: &Case<'_>, how: Retry, done: &mut Retried) -> Result<()> {
        let Some(report) = case.report.as_ref().filter(|report| !report.items.is_empty()) else {
            let what = "nothing tells where it belongs: export it, take what you need, and purge it";
            return Err(Error::Input(format!("{:?} cannot be brought back: {what}", case.name)));
        };
        let mut tx = Transaction::new(Arc::clone(self));
        tx.set_durability(self.options().durability.or_journal());
        staged::stage(case, &report.items, &mut tx, how, done)?;
        if how.dry_run || !(done.conflicts.is_empty() || how.force) {
            return Ok(());
        }
        done.receipt = Some(tx.commit()?);
        Ok(())
    }
}
