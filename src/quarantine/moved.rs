//! Directories that somebody has moved to where a guard was: what is in them is later work, though nothing about it is younger.

use std::collections::{BTreeMap, BTreeSet};

use treewal_snapshot::{Change, Manifest};
use treewal_vfs::{Disk, Identity, Kind, RelPath, Time};

use crate::transaction::Base;
use crate::{Error, Result};

/// Of the directories at and above these changes, those that somebody else has put in the place of what the guard saw after
/// `since`: a rename gives a directory a new time of change, and what was guarded has another inode. A directory that is the
/// one that was guarded is changed by whatever happens in it, which has a line of its own.
///
/// # Errors
/// Any error of the disk.
pub(super) fn moved_since(
    disk: &dyn Disk,
    base: &Base,
    manifest: &Manifest,
    changes: &[Change],
    since: Option<Time>,
) -> Result<BTreeSet<RelPath>> {
    let mut looked = BTreeSet::new();
    let mut late: BTreeMap<RelPath, Identity> = BTreeMap::new();
    for path in changes.iter().flat_map(|change| at_and_above(&change.path)).filter(|path| manifest.covers(path)) {
        if looked.insert(path.clone()) {
            let live = super::guarded::look(base, &path)?.filter(|live| live.kind == Kind::Dir);
            if let Some(live) = live.filter(|live| since.is_none_or(|since| live.changed > since)) {
                late.insert(path, live.identity());
            }
        }
    }
    if !late.is_empty() {
        for entry in manifest.entries(disk) {
            let entry = entry.map_err(Error::Snapshot)?;
            if late.get(&entry.path).is_some_and(|live| live.same_inode(&entry.meta.identity())) {
                late.remove(&entry.path);
            }
        }
    }
    Ok(late.into_keys().collect())
}

/// A path and all directories above it.
pub(super) fn at_and_above(path: &RelPath) -> impl Iterator<Item = RelPath> + '_ {
    path.ancestors().chain(std::iter::once(path.clone()))
}
