//! Making what was changed under a guard durable.

use std::collections::BTreeSet;

use treewal_snapshot::{Change, ChangeKind, Report};
use treewal_vfs::{Kind, Open};

use crate::engine::{Engine, Held};
use crate::{Error, Result};

/// So many changed paths are synced one by one at a commit; where there are more, the whole file system is.
const SYNCED_ALONE_MAX: usize = 16;
/// A guard of more entries does not look for what has changed before it syncs.
const COMPARED_MAX: u64 = 4096;

impl Engine {
    /// Makes what has changed since a guard was taken durable: few paths one by one, the whole file system where there are
    /// many.
    ///
    /// Crash argument: every name that came or went lies in a directory that is synced, with all directories above it, and
    /// every inode that was written to is. What is as it was needs nothing: taking the guard has synced it.
    pub(super) fn sync_guarded(&self, held: &Held, report: &Report) -> Result<()> {
        let few = (report.entries <= COMPARED_MAX).then(|| self.changed_by(held)).flatten();
        match few {
            Some(changes) if self.sync_alone(&changes).is_ok() => Ok(()),
            _ => self.disk().sync_all(self.root()).map_err(|source| Error::from_os("sync", ".".into(), source)),
        }
    }

    /// The changes, where they are few.
    fn changed_by(&self, held: &Held) -> Option<Vec<Change>> {
        let disk = &**self.disk();
        let manifest = self.manifest_of(held).ok()?;
        let changes = treewal_snapshot::compare(disk, self.root(), &manifest).ok()?;
        (changes.len() <= SYNCED_ALONE_MAX).then_some(changes)
    }

    fn sync_alone(&self, changes: &[Change]) -> std::io::Result<()> {
        let (disk, root) = (&**self.disk(), self.root());
        let mut dirs = BTreeSet::new();
        for change in changes {
            dirs.extend(change.path.ancestors());
            let Some((parent, name)) = change.path.split() else { continue };
            if change.kind == ChangeKind::Removed {
                continue;
            }
            let dir = disk.open_dir(root, &parent)?;
            match disk.stat(&dir, name)?.kind {
                Kind::Dir => drop(dirs.insert(change.path.clone())),
                Kind::File => disk.sync_file(&disk.open(&dir, name, Open::Read)?)?,
                // A link by itself cannot be synced where only its attributes changed.
                _ if change.kind == ChangeKind::Metadata => return Err(std::io::ErrorKind::Unsupported.into()),
                _ => {}
            }
        }
        for path in &dirs {
            match disk.open_dir(root, path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                dir => disk.sync_dir(&dir?)?,
            }
        }
        Ok(())
    }
}
