//! Bringing the paths of a guard back, also where somebody goes on writing to them.

use std::path::PathBuf;
use std::sync::Arc;

use treewal_journal::record::Record;
use treewal_snapshot::{Check, Manifest};

use crate::engine::{Engine, Held};
use crate::{Error, Result};

/// How often a restore is made again because somebody goes on writing.
const RESTORES_MAX: u32 = 3;

impl Engine {
    /// Brings the paths of a guard to what they were, and looks whether they stay so.
    ///
    /// A process that goes on writing may have put something back in the meantime: then it is done again. Nothing is
    /// synced.
    ///
    /// By exchange the second look is at the guarded paths alone, and not at what is in them: nobody has any of that open.
    fn bring_back(&self, held: &Held) -> Result<()> {
        let (disk, root) = (&**self.disk(), self.root());
        let mut exchanges = held.exchange;
        let mut tried = 0;
        loop {
            tried += 1;
            let manifest = self.manifest_of(held)?;
            let restored = match exchanges {
                true => treewal_snapshot::exchange(disk, root, &held.from, &manifest),
                false => treewal_snapshot::restore(disk, root, &held.from, &manifest, Check::Attributes),
            };
            match restored {
                // The directory that a path was in is gone, say: nothing was done.
                Err(treewal_snapshot::Error::NotExchangeable { .. }) => exchanges = false,
                Ok(done) if done.restored + done.removed + done.metadata == 0 => return Ok(()),
                Ok(_) if tried <= RESTORES_MAX => {}
                Ok(_) => {
                    let detail = "it is written to while it is restored: whoever does that must end first".to_owned();
                    return Err(Error::Conflict { path: self.restless(&manifest), detail });
                }
                Err(error) if tried <= RESTORES_MAX && is_restless(&error) => {}
                Err(error) => return Err(Error::Snapshot(error)),
            }
        }
    }

    /// A path that is not as it was, to be named.
    fn restless(&self, manifest: &Manifest) -> PathBuf {
        let mut changes = treewal_snapshot::changes(&**self.disk(), self.root(), manifest);
        let first = changes.find_map(|change| match change {
            Ok(change) => Some(change.path).filter(|path| !path.is_root()),
            // What comes and goes while it is looked at is restless, too.
            Err(treewal_snapshot::Error::Changed { path }) => Some(path),
            Err(_) => None,
        });
        first.map_or_else(|| ".".into(), |path| path.to_path())
    }

    /// Rolls guards back, the innermost first, and gives what the journal is to say of them.
    pub(super) fn bring_all_back(&self, guards: &[Arc<Held>]) -> Result<Vec<Record>> {
        let back = guards.iter().rev().map(|held| {
            self.bring_back(held)?;
            Ok(Record::Rollback { txn: held.txn() })
        });
        back.collect()
    }
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
