//! The snapshot of a guard, restored by a transaction.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use treewal_recovery::patterns;
use treewal_snapshot::{Change, ChangeKind, Manifest};
use treewal_vfs::{Dir, Kind, Meta, RelPath, Time};

use super::case::Case;
use super::moved::{at_and_above, moved_since};
use super::retry::{Retried, Retry, SINCE};
use crate::engine::Engine;
use crate::transaction::Base;
use crate::{Error, Result, Snapshot};

/// Restores all that a guard protected. What was changed after the guard was given up is a conflict: it is somebody's later
/// work.
pub(super) fn restore(
    engine: &Arc<Engine>,
    (case, from, manifest): (&Case<'_>, Dir, &Manifest),
    how: Retry,
    done: &mut Retried,
) -> Result<()> {
    let home = engine.home();
    let with =
        patterns::with_matches(&*home.disk, &home.root, &from, manifest.clone()).map_err(Error::from_recovery)?;
    let since = case.report.as_ref().map(|report| Time::from(report.quarantined));
    let snapshot = Snapshot::of_guard(home, &super::shown(&case.name), from);
    let mut plan = |changes: &[Change]| {
        (done.steps, done.conflicts) = (Vec::new(), Vec::new());
        let base = Base::new(home.disk.clone(), home.root.clone());
        for path in in_the_way(&base, changes)? {
            done.conflict(path.to_path(), "it is no directory, and what was guarded was beneath it");
        }
        let moved = moved_since(&*home.disk, &base, manifest, changes, since)?;
        for change in changes {
            // A directory that is older than the guard is changed by whatever happens in it, which has a line of its own.
            let stays = change.kind == ChangeKind::Metadata;
            let live = look(&base, &change.path)?.filter(|live| !(stays && live.kind == Kind::Dir));
            let is_late = live.is_some_and(|live| since.is_none_or(|since| live.changed > since));
            let is_late = is_late || at_and_above(&change.path).any(|path| moved.contains(&path));
            if is_late && !how.force {
                done.conflict(change.path.to_path(), SINCE);
            }
            let goes = change.kind == ChangeKind::Added;
            done.step(&change.path, if goes { "remove" } else { "restore" });
        }
        Ok(done.conflicts.is_empty() && !how.dry_run)
    };
    let receipt = engine.restore_where(&snapshot, &with, None, &mut plan)?;
    done.receipt = receipt;
    Ok(())
}

/// What stands above a path that would be changed, is not changed itself, and is no directory: nothing comes back beneath it.
fn in_the_way(base: &Base, changes: &[Change]) -> Result<Vec<RelPath>> {
    let changed: BTreeSet<&RelPath> = changes.iter().map(|change| &change.path).collect();
    let above: BTreeSet<RelPath> = changes.iter().flat_map(|change| change.path.ancestors()).collect();
    let mut in_the_way = Vec::new();
    for path in above.into_iter().filter(|path| !path.is_root() && !changed.contains(path)) {
        if look(base, &path)?.is_some_and(|live| live.kind != Kind::Dir) {
            in_the_way.push(path);
        }
    }
    Ok(in_the_way)
}

/// What stands at a path; nothing where something that is no directory is above it.
pub(super) fn look(base: &Base, path: &RelPath) -> Result<Option<Meta>> {
    match base.stat("look at", path) {
        Err(Error::ThroughSymlink { .. }) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        live => live,
    }
}
