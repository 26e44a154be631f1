//! Undo: restoring the snapshot of a guarded transaction.

use std::collections::BTreeMap;
use std::io;

use treewal_journal::record::Guard;
use treewal_snapshot::{Check, Manifest, Restored};
use treewal_vfs::{Dir, Disk, RelPath};

use crate::history::Told;
use crate::home::{DIR_NAME, Home};
use crate::kept_first::{is_doubtful, keep_first};
use crate::{Error, Result, patterns};

/// How often a restore is made again because somebody goes on writing.
const RESTORES_MAX: u32 = 3;

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

/// A guard that is to be undone.
pub(crate) struct Guarded<'a> {
    /// Its number.
    pub(crate) txn: u64,
    /// What the journal says of it.
    pub(crate) told: &'a Told,
    /// The same of what it guards.
    pub(crate) guard: &'a Guard,
    /// The tree was copied since.
    pub(crate) copied: bool,
    /// The cases in quarantine that keep what stood in the way, by transaction: also where the undo fails after that.
    pub(crate) kept: &'a mut BTreeMap<u64, String>,
}

impl Guarded<'_> {
    fn keep_first(&mut self, home: &Home, from: &Dir, manifest: &Manifest) -> Result<()> {
        let kept = keep_first(home, self.txn, self.told, from, manifest)?;
        self.kept.extend(kept.map(|name| (self.txn, name)));
        Ok(())
    }
}

/// Restores what a guard protects, touching only what differs; gives the number of changes.
///
/// Where the snapshot may not belong to what stands there, all that would be lost is kept in quarantine first, durably.
///
/// May be cut short at any call and run again. Nothing is synced after that: the caller does it before it records the rollback.
///
/// # Errors
/// Any error of the disk or of the snapshot.
pub(crate) fn undo(home: &Home, mut guarded: Guarded<'_>) -> Result<u64> {
    let guard = guarded.guard;
    let from = snapshot_dir(home, &guard.snapshot)?;
    let (disk, tree) = (&*home.disk, &home.root);
    let manifest = patterns::with_matches(disk, tree, &from, Manifest::load(disk, &from)?)?;
    if !is_confined(&manifest) {
        return Err(Error::Store {
            path: format!(".treewal/guards/{}", guard.snapshot).into(),
            reason: "its manifest reaches into .treewal, so it is not one that treewal wrote".into(),
        });
    }
    // Where the mount is the one of then, the kernel saw every write; after a power loss it is another.
    let mut check = manifest.check(disk, tree);
    if is_doubtful(home, guarded.copied, &from, &manifest)? {
        // Of a copy, times and inodes tell nothing.
        check = Check::Contents;
        guarded.keep_first(home, &from, &manifest)?;
    }
    let mut changed = 0;
    if check == Check::Attributes {
        // The process was killed, and what it had started may go on writing. Where the guard was to be rolled back by
        // exchange, that cuts it off here, too. It is compared all the same: somebody may have written in between.
        match treewal_snapshot::exchange(disk, tree, &from, &manifest) {
            Err(treewal_snapshot::Error::NotExchangeable { .. }) => {}
            exchanged => changed += count(&exchanged?),
        }
    }
    Ok(changed + bring_back(disk, tree, &from, check, false)?)
}

/// Brings guarded paths to what they were, and looks whether they stay so; gives the number of changes.
///
/// A process that goes on writing may have put something back in the meantime: then it is done again, a few times. With
/// [`Check::Contents`] there is none, and one look is enough. Where `exchanges`, it is done by exchange where that can be, and
/// the second look is at the guarded paths alone, not at what is in them: nobody has any of that open. Nothing is synced.
///
/// # Errors
/// [`treewal_snapshot::Error::Changed`] names a path that does not come to rest; any error of the disk or of the snapshot.
pub fn bring_back(disk: &dyn Disk, tree: &Dir, from: &Dir, check: Check, exchanges: bool) -> Result<u64> {
    let (mut exchanges, mut tried, mut changed) = (exchanges, 0, 0);
    loop {
        tried += 1;
        let manifest = patterns::with_matches(disk, tree, from, Manifest::load(disk, from)?)?;
        let restored = match exchanges {
            true => treewal_snapshot::exchange(disk, tree, from, &manifest),
            false => treewal_snapshot::restore(disk, tree, from, &manifest, check),
        };
        match restored {
            // The directory that a path was in is gone, say: nothing was done.
            Err(treewal_snapshot::Error::NotExchangeable { .. }) => exchanges = false,
            Err(error) if tried <= RESTORES_MAX && is_restless(&error) => {}
            Err(error) => return Err(error.into()),
            Ok(done) => {
                changed += count(&done);
                if count(&done) == 0 || check == Check::Contents {
                    return Ok(changed);
                }
                if tried > RESTORES_MAX {
                    let path = restless(disk, tree, &manifest);
                    return Err(treewal_snapshot::Error::Changed { path }.into());
                }
            }
        }
    }
}

fn count(done: &Restored) -> u64 {
    done.restored + done.removed + done.metadata
}

/// A path that is not as it was, to be named.
fn restless(disk: &dyn Disk, tree: &Dir, manifest: &Manifest) -> RelPath {
    let mut changes = treewal_snapshot::changes(disk, tree, manifest);
    let first = changes.find_map(|change| match change {
        Ok(change) => Some(change.path).filter(|path| !path.is_root()),
        // What comes and goes while it is looked at is restless, too.
        Err(treewal_snapshot::Error::Changed { path }) => Some(path),
        Err(_) => None,
    });
    first.unwrap_or_default()
}

/// Whether an error of a restore may be the doing of somebody who writes meanwhile.
fn is_restless(error: &treewal_snapshot::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound};
    match error {
        treewal_snapshot::Error::Changed { .. } => true,
        treewal_snapshot::Error::Io { source, .. } => {
            matches!(source.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory | NotFound)
        }
        _ => false,
    }
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
