//! Undo: restoring the snapshot of a guarded transaction.

use std::io;

use treewal_journal::record::Guard;
use treewal_snapshot::Manifest;
use treewal_vfs::{Dir, RelPath};

use crate::home::{DIR_NAME, Home};
use crate::{Error, Result, patterns};

/// The directory of a guard's snapshot.
///
/// # Errors
/// `NotFound` where it is gone; [`Error::Store`] where the name is not one of ours.
pub fn snapshot_dir(home: &Home, name: &str) -> Result<Dir> {
    let path = RelPath::new(name).ok().filter(|path| path.depth() == 1).ok_or_else(|| Error::Store {
        path: ".treewal/journal".into(),
        reason: format!("a record names {name:?} as a snapshot"),
    })?;
    home.disk.open_dir(&home.guards, &path).map_err(Error::io("open", format!(".treewal/guards/{name}")))
}

/// Restores what a guard protects, touching only what differs; gives the number of changes.
///
/// May be cut short at any call and run again. Nothing is synced: the caller does that before it records the rollback.
///
/// # Errors
/// Any error of the disk or of the snapshot.
pub fn undo(home: &Home, guard: &Guard) -> Result<u64> {
    let from = snapshot_dir(home, &guard.snapshot)?;
    let manifest = patterns::with_matches(&*home.disk, &home.root, &from, Manifest::load(&*home.disk, &from)?)?;
    if !is_confined(&manifest) {
        return Err(Error::Store {
            path: format!(".treewal/guards/{}", guard.snapshot).into(),
            reason: "its manifest reaches into .treewal, so it is not one that treewal wrote".into(),
        });
    }
    // Where the mount is the one of then, the kernel saw every write; after a power loss it is another.
    let check = manifest.check(&*home.disk, &home.root);
    let restored = treewal_snapshot::restore(&*home.disk, &home.root, &from, &manifest, check)?;
    Ok(restored.restored + restored.removed + restored.metadata)
}

/// Whether a manifest keeps off treewal's own directory, as every one does that a guard wrote.
#[must_use]
pub fn is_confined(manifest: &Manifest) -> bool {
    let own = RelPath::root().join(DIR_NAME);
    manifest.excluded().contains(&own) && manifest.guarded().iter().all(|guarded| !guarded.path.starts_with(&own))
}

/// Whether trying again cannot help: the snapshot is gone or damaged, or somebody wrote into it.
#[must_use]
pub fn is_permanent(error: &Error) -> bool {
    use treewal_snapshot::Error as Snapshot;
    match error {
        Error::Snapshot(error) => matches!(
            error,
            Snapshot::Incomplete { .. }
                | Snapshot::Damaged { .. }
                | Snapshot::Version { .. }
                | Snapshot::InPlace { .. }
                | Snapshot::Lost { .. }
        ),
        Error::Io { verb: "open", source, .. } => source.kind() == io::ErrorKind::NotFound,
        Error::Store { .. } => true,
        _ => false,
    }
}
