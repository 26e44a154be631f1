//! Guards as the engine knows them: what they hold of the tree, and what becomes of those who meet them.

use std::sync::Arc;

use parking_lot::MutexGuard;
use treewal_journal::record::{Guard as GuardRecord, PathBytes, Record};
use treewal_recovery::patterns::matches;
use treewal_vfs::{Dir, RelPath};

use super::{Claim, Core, State};
use crate::{Error, Result};

/// What becomes of a commit of another thread of the same handle that meets a guard. Others go on beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Others {
    /// It fails with [`Error::Locked`].
    #[default]
    Refuse,
    /// It waits until the guard has ended. Never for a thread that is to end the guard itself.
    Wait,
}

/// Whether a path is one that a pattern describes, or lies above or beneath one.
fn touches(pattern: &RelPath, path: &RelPath) -> bool {
    let Some((parent, name)) = pattern.split() else { return false };
    match path.components().nth(parent.depth()) {
        Some(component) => path.starts_with(&parent) && matches(name, component),
        None => parent.starts_with(path),
    }
}

/// What a guard is about.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) paths: Vec<RelPath>,
    pub(crate) patterns: Vec<RelPath>,
    pub(crate) others: Others,
    /// Whether it is rolled back by exchange.
    pub(crate) exchange: bool,
}

/// A guard that holds the tree.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) from: Dir,
    record: GuardRecord,
    claim: Claim,
    patterns: Vec<RelPath>,
    others: Others,
    /// Whether it is rolled back by exchange.
    pub(crate) exchange: bool,
}

impl Held {
    pub(crate) fn new(txn: u64, name: String, from: Dir, about: About) -> Self {
        let About { paths, patterns, others, exchange } = about;
        let record = record(txn, &name, &paths);
        Self { name, from, record, claim: claim(paths), patterns, others, exchange }
    }

    pub(crate) fn txn(&self) -> u64 {
        self.record.txn
    }

    /// Whether a commit touches what is guarded, or what would be if it were there.
    pub(super) fn meets(&self, claim: &Claim) -> bool {
        self.claim.meets(claim) || self.patterns.iter().any(|pattern| claim.any(|path| touches(pattern, path)))
    }

    /// Whether everything that another guard is about is guarded by this one.
    pub(crate) fn covers(&self, paths: &[RelPath], patterns: &[RelPath]) -> bool {
        let parents = patterns.iter().filter(|pattern| !self.patterns.contains(pattern)).filter_map(RelPath::parent);
        self.claim.covers(&claim(paths.to_vec())) && self.claim.covers(&claim(parents.collect()))
    }

    /// What the journal says of it while it goes on.
    pub(super) fn record(&self) -> Record {
        Record::Guard(self.record.clone())
    }
}

/// The paths of a guard as a claim.
fn claim(mut paths: Vec<RelPath>) -> Claim {
    paths.sort();
    Claim::new(paths, Vec::new())
}

pub(crate) fn record(txn: u64, name: &str, paths: &[RelPath]) -> GuardRecord {
    GuardRecord { txn, snapshot: name.to_owned(), paths: paths.iter().map(PathBytes::from).collect() }
}

impl Core {
    /// Waits for the end of a guard that is in the way, or says that it is.
    pub(super) fn wait_for_guard(&self, state: &mut MutexGuard<'_, State>, guard: &Arc<Held>) -> Result<()> {
        if guard.others == Others::Refuse {
            let holder = crate::Holder { this_process: true, ..crate::Holder::default() };
            return Err(Error::Locked { holder });
        }
        self.changed.wait(state);
        Ok(())
    }
}
