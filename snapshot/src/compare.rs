//! What changed under the guarded paths since the snapshot, told by attributes alone.

use std::collections::BTreeMap;

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath};

use crate::judge::{Verdict, has_attributes, is_settled, judge};
use crate::manifest::{Entry, Manifest, Role};
use crate::walk::{Walk, open_parent, split};
use crate::{Error, Result};

/// How an entry differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is newer than the snapshot.
    Added,
    /// Its contents, or the target of a symlink, are others, or may be: it is another inode, or was written to.
    Modified,
    /// Mode, owner, times or extended attributes are others, or may be.
    Metadata,
    /// It is gone.
    Removed,
    /// It is of another kind.
    TypeChanged,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RelPath,
    /// What.
    pub kind: ChangeKind,
}

/// Every difference under the guarded paths, sorted by path. Reads no contents: inode, size and times decide, so the
/// cost is a look at every entry. A difference may be reported where there is none that anybody could see; one that
/// there is goes unreported only if the times of a file lie (see [`Check`](crate::Check)).
///
/// # Errors
/// [`Error::Changed`] where entries come and go meanwhile; what the disk says.
pub fn compare(disk: &dyn Disk, tree: &Dir, manifest: &Manifest) -> Result<Vec<Change>> {
    let skip = |path: &RelPath| manifest.is_excluded(path);
    let walk = Walk { disk, tree, skip: &skip, unlock: false };
    let mut changes = BTreeMap::new();
    let mut seen = vec![false; manifest.entries().len()];
    for guarded in manifest.guarded() {
        walk.run(&guarded.path, &mut |step| {
            let place = manifest.place(step.path);
            let kind = match place.and_then(|place| manifest.entries().get(place)) {
                None => Some(ChangeKind::Added),
                Some(entry) => difference(disk, tree, manifest, entry, &step.meta)?,
            };
            if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
                *seen = true;
            }
            if let Some(kind) = kind {
                changes.insert(step.path.clone(), kind);
            }
            Ok(())
        })?;
    }
    for (entry, seen) in manifest.entries().iter().zip(seen) {
        if !seen && entry.role == Role::Guarded {
            changes.insert(entry.path.clone(), ChangeKind::Removed);
        }
    }
    Ok(changes.into_iter().map(|(path, kind)| Change { path, kind }).collect())
}

fn difference(
    disk: &dyn Disk,
    tree: &Dir,
    manifest: &Manifest,
    entry: &Entry,
    live: &Meta,
) -> Result<Option<ChangeKind>> {
    let doubtful = manifest.is_doubtful(entry);
    if live.kind != entry.meta.kind {
        return Ok(Some(ChangeKind::TypeChanged));
    }
    let same_contents = match entry.meta.kind {
        Kind::Dir => true,
        Kind::File => match judge(entry, manifest.backup_of(entry), live) {
            Verdict::Same | Verdict::Touched => !doubtful,
            Verdict::Backup => true,
            Verdict::Written | Verdict::BackupWritten | Verdict::Alike | Verdict::Other => false,
        },
        Kind::Symlink => is_settled(entry, live) || target_is(disk, tree, entry)?,
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => live.rdev == entry.meta.rdev,
    };
    let same_attributes = is_settled(entry, live)
        || !verdict_is_open(manifest, entry, live) && { has_attributes(entry, live) && xattrs_are(disk, tree, entry)? };
    Ok(match (same_contents, same_attributes) {
        (false, _) => Some(ChangeKind::Modified),
        (true, false) => Some(ChangeKind::Metadata),
        (true, true) => None,
    })
}

/// Whether a file may have been written to by somebody who set its modification time back.
fn verdict_is_open(manifest: &Manifest, entry: &Entry, live: &Meta) -> bool {
    entry.meta.kind == Kind::File && judge(entry, manifest.backup_of(entry), live) == Verdict::Touched
}

fn xattrs_are(disk: &dyn Disk, tree: &Dir, entry: &Entry) -> Result<bool> {
    let (parent, name) = split(&entry.path);
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(false) };
    Ok(disk.xattrs(&dir, name).map_err(Error::io("read attributes of", &entry.path))? == entry.xattrs)
}

fn target_is(disk: &dyn Disk, tree: &Dir, entry: &Entry) -> Result<bool> {
    let Some((parent, name)) = entry.path.split() else { return Ok(false) };
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(false) };
    let target = disk.read_link(&dir, name).map_err(Error::io("read", &entry.path))?;
    Ok(entry.target.as_ref() == Some(&target))
}
