//! What was really done: a step that finds nothing to do it to, or is refused, is no test of anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::step::{Act, Crash, Deed, Manner};

#[derive(Debug, Default)]
pub(crate) struct Counts(RefCell<BTreeMap<String, u64>>);

impl Counts {
    pub(crate) fn add(&self, what: impl Into<String>) {
        *self.0.borrow_mut().entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> u64 {
        self.0.borrow().get(what).copied().unwrap_or(0)
    }

    /// Of all that can be done, what never was.
    pub(crate) fn never(&self) -> Vec<String> {
        all().into_iter().filter(|what| self.of(what) == 0).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().iter().try_for_each(|(what, count)| writeln!(out, "{count:8} {what}"))
    }
}

/// The kinds of acts.
const ACTS: [&str; 23] = [
    "commit Journal",
    "commit Tree",
    "commit Deferred",
    "mounted Journal",
    "mounted Tree",
    "mounted Deferred",
    "checkpoint",
    "checkpoint beside",
    "sync",
    "guard",
    "guard within",
    "guard Commit",
    "guard RollBack",
    "guard Drop",
    "guard met",
    "snapshot",
    "snapshot of a path",
    "restore",
    "restore of a path",
    "forget",
    "retry",
    "export",
    "purge",
];

/// What else is to be counted in a run of some length.
const OTHERS: [&str; 74] = [
    "by Begin",
    "by Closure",
    "by Retry",
    "by Batch",
    "by RolledBack",
    "begun and committed",
    "begun and refused",
    "killed within",
    "power lost within",
    "failed within",
    "killed at rest",
    "power lost at rest",
    "died with a guard",
    "opened",
    "opened to sync what is cheaper",
    "opened to sync entries",
    "opened to sync the file system",
    "opened with a level",
    "opened with a limit for contents",
    "opened with other segments",
    "opened with more checkpoints or less",
    "opened with checkpoints at once",
    "opened to refuse damage",
    "opened with a full quarantine",
    "closed",
    "read",
    "read only",
    "foreign in place",
    "foreign replaces",
    "foreign removes",
    "foreign makes a directory",
    "guarded in place",
    "guarded replaces",
    "guarded removes",
    "guarded makes a directory",
    "owed, kept",
    "owed, restored",
    "by Apply",
    "batch within",
    "power lost with deferred commits",
    "retry, told only",
    "snapshot compared",
    "guard asked for changes",
    "retry refused",
    "retry by force",
    "retry in part",
    "commit given up",
    "commit abandoned",
    "commit kept as it is",
    "guard given up",
    "guard abandoned",
    "guard kept as it is",
    "killed while given up",
    "power lost while given up",
    "failed while given up",
    "write if changed",
    "write if changed, interrupted",
    "merge",
    "merge, interrupted",
    "expect",
    "expect, interrupted",
    "publish from outside",
    "publish from outside, interrupted",
    "merge from outside",
    "merge from outside, interrupted",
    "what the dead were to publish is left",
    "waited for a guard",
    "refused beside a guard",
    "refused after a guard",
    "snapshot looked into",
    "two snapshots compared",
    "guard looked into",
    "expectation that does not hold",
    "begun and refused for what it relies on",
];

/// Every act, done and interrupted, and what else there is.
fn all() -> Vec<String> {
    let acts = ACTS.iter().flat_map(|act| [(*act).to_owned(), within(act)]);
    acts.chain(OTHERS.map(str::to_owned)).collect()
}

/// The word for an act that was interrupted.
pub(crate) fn within(act: &str) -> String {
    format!("{act}, interrupted")
}

pub(crate) fn act(act: &Act) -> String {
    let word = match act {
        Act::Commit(level, ..) => return format!("commit {level:?}"),
        Act::Mounted(level, ..) => return format!("mounted {level:?}"),
        Act::GuardEnd(_, end) => return format!("guard {end:?}"),
        Act::Checkpoint => "checkpoint",
        Act::Beside => "checkpoint beside",
        Act::Sync => "sync",
        Act::Guard(_) => "guard",
        Act::Met(..) => "guard met",
        Act::Within(_) => "guard within",
        Act::Snapshot(_, None) => "snapshot",
        Act::Snapshot(_, Some(_)) => "snapshot of a path",
        Act::Restore(_, None) => "restore",
        Act::Restore(_, Some(_)) => "restore of a path",
        Act::Forget(_) => "forget",
        Act::Retry(_, Manner::DryRun) => "retry, told only",
        Act::Retry(..) => "retry",
        Act::Export(_) => "export",
        Act::Purge(_) => "purge",
    };
    word.to_owned()
}

pub(crate) fn crash(crash: &Crash) -> &'static str {
    match crash {
        Crash::Kill => "killed",
        Crash::Power(..) => "power lost",
        Crash::Fault(_) => "failed",
    }
}

pub(crate) fn deed(deed: &Deed) -> &'static str {
    match deed {
        Deed::InPlace(..) => "in place",
        Deed::Replace(..) => "replaces",
        Deed::Remove(_) => "removes",
        Deed::MakeDir(_) => "makes a directory",
    }
}
