//! Restores beside guards.
//!
//! A restore goes on beside a guard where it changes nothing that is guarded, nor anything above or beneath, as any transaction
//! does. Two things more make it right: what the guard has changed so far must not be part of the snapshot, since its end may
//! bring something else back than what the restore has just found to be in order; and no guard begins or ends between the look
//! and the commit, which the end of the log tells.

use std::sync::Arc;

use treewal_snapshot::Change;
use treewal_vfs::RelPath;

use crate::engine::{Engine, Held, Scope};
use crate::{Error, Result};

impl Engine {
    /// The first guard that is in the way of a restore, with a path of its own; `found` is what the restore would change in
    /// its `scope`, or why that cannot be told.
    pub(super) fn in_the_way<'a>(
        &self,
        guards: &'a [Arc<Held>],
        scope: &Scope,
        found: &Result<Vec<Change>>,
    ) -> Option<(&'a Arc<Held>, RelPath)> {
        guards.iter().find_map(|guard| {
            let path = match found {
                Ok(changes) => changes.iter().find_map(|change| guard.touched_by(&change.path)),
                // What is just being worked on comes and goes while it is looked at.
                Err(error) => restless(error).and_then(|path| guard.touched_by(&path)),
            };
            Some((guard, path.cloned().or_else(|| self.at_work_in(guard, scope))?))
        })
    }

    /// The guarded path in this scope under which something is not as it was when the guard was taken.
    fn at_work_in(&self, guard: &Held, scope: &Scope) -> Option<RelPath> {
        match self.changes_under(guard) {
            Ok(changes) => {
                let mut in_scope = changes.iter().filter(|change| scope.has(&change.path));
                in_scope.find_map(|change| guard.touched_by(&change.path)).cloned()
            }
            // Either it has just ended, or somebody works there.
            Err(_) => Some(guard.first()),
        }
    }
}

/// The path that could not be looked at.
fn restless(error: &Error) -> Option<RelPath> {
    use treewal_snapshot::Error as From;
    match error {
        Error::Snapshot(From::Changed { path } | From::Io { path, .. }) => Some(path.clone()),
        other => RelPath::new(other.path()?).ok(),
    }
}
