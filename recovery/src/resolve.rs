//! Deciding by hand about a transaction that is owed: what each choice would do, and which others it is about.

use std::collections::BTreeSet;

use serde::Serialize;
use treewal_vfs::RelPath;

use crate::decide::{Resolution, Verdict, decide};
use crate::history::{History, Told, Work};
use crate::home::Home;
use crate::reach::Reach;
use crate::redo::{Part, survey_back};
use crate::sound::part;
use crate::undo::{is_permanent, snapshot_dir};
use crate::{Error, Result, patterns};

/// What a choice would do to the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Outlook {
    /// Which choice.
    pub resolution: Resolution,
    /// The transactions that are decided about together: each that is owed and touches the paths of another one.
    pub transactions: Vec<u64>,
    /// Paths of the tree that would change.
    pub changes: Vec<String>,
    /// Why it cannot be done, path by path; empty where it can.
    pub hindrances: Vec<String>,
    /// What becomes of what the transactions hold.
    pub material: &'static str,
}

/// Whether something is owed to a transaction.
fn is_owed(told: &Told) -> bool {
    !matches!(decide(told.facts(u32::MAX)).1, Verdict::Forget | Verdict::Discard)
}

/// What a choice about a transaction would do; `None` where nothing is owed to it. Reads only.
///
/// # Errors
/// Any error of the disk.
pub fn outlook(home: &Home, history: &History, txn: u64, resolution: Resolution) -> Result<Option<Outlook>> {
    let together = together_with(home, history, txn);
    if together.is_empty() {
        return Ok(None);
    }
    let told = || together.iter().filter_map(|txn| Some((*txn, history.transactions.get(txn)?)));
    let guarded = told().any(|(_, told)| matches!(told.work, Work::Guarded(_)));
    let (mut changes, mut hindrances) = (Vec::new(), Vec::new());
    let material = match (resolution, guarded) {
        (Resolution::Keep, true) => "the snapshot is removed; other contents go to quarantine",
        (Resolution::Restore, true) => "the snapshot is used up, and removed",
        (Resolution::Restore, false) => "what it was to put into the tree goes to quarantine",
        (Resolution::Keep | Resolution::Abandon, _) => "all of it goes to quarantine",
    };
    if resolution == Resolution::Restore {
        let parts: Vec<Part<'_>> = told().filter_map(|(txn, told)| part(txn, told)).collect();
        if !parts.is_empty() {
            let back = survey_back(home, &parts)?;
            changes.extend(back.changes.iter().map(ToString::to_string));
            hindrances.extend(back.hindrances);
        }
        for (_, told) in told() {
            let Work::Guarded(guard) = &told.work else { continue };
            match differences(home, &guard.snapshot) {
                Ok(paths) => changes.extend(paths.iter().map(ToString::to_string)),
                Err(error) if is_permanent(&error) => hindrances.push(crate::tries::chain(&error)),
                Err(error) => return Err(error),
            }
        }
    }
    changes.sort();
    changes.dedup();
    Ok(Some(Outlook { resolution, transactions: together.into_iter().collect(), changes, hindrances, material }))
}

/// What is different from the snapshot of a guard.
fn differences(home: &Home, snapshot: &str) -> Result<Vec<RelPath>> {
    let from = snapshot_dir(home, snapshot)?;
    let manifest = treewal_snapshot::Manifest::load(&*home.disk, &from)?;
    let manifest = patterns::with_matches(&*home.disk, &home.root, &from, manifest)?;
    let changes = treewal_snapshot::compare(&*home.disk, &home.root, &manifest).map_err(Error::Snapshot)?;
    Ok(changes.into_iter().map(|change| change.path).collect())
}

/// A transaction with all that are owed as well and touch its paths, directly or through others: they are decided about
/// together, as each builds on the one before it.
#[must_use]
pub fn together_with(home: &Home, history: &History, txn: u64) -> BTreeSet<u64> {
    let mut rest: Vec<(u64, Reach)> = history
        .transactions
        .iter()
        .filter(|(_, told)| is_owed(told))
        .map(|(txn, told)| (*txn, Reach::of(home, told)))
        .collect();
    let mut found = BTreeSet::new();
    let Some(first) = rest.iter().position(|(other, _)| *other == txn) else { return found };
    let mut fresh = vec![rest.swap_remove(first)];
    while let Some((txn, reach)) = fresh.pop() {
        found.insert(txn);
        let (met, others) = rest.into_iter().partition(|(_, other)| other.meets(&reach));
        rest = others;
        fresh.extend::<Vec<_>>(met);
    }
    found
}
