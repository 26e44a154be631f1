//! Making what was changed under a guard durable.

use std::collections::BTreeSet;
use std::io;

use treewal_snapshot::{Change, ChangeKind, Report};
use treewal_vfs::{Dir, File, Kind, Open};

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
    /// every inode that was written to is. The directories above the guarded paths are looked at as well: one of them may have
    /// another name, or be another. What is as it was needs nothing: taking the guard has synced it. That is said of
    /// what nobody has touched, and not of what only looks the same: a directory may have been made anew.
    pub(super) fn sync_guarded(&self, held: &Held, report: &Report) -> Result<()> {
        let few = (report.entries <= COMPARED_MAX).then(|| self.changed_by(held)).flatten();
        let mut synced = few.map_or(Ok(false), |changes| self.sync_alone(&changes));
        if let Ok(false) = synced {
            synced = self.disk().sync_all(self.root()).map(|()| true);
        }
        synced.map(drop).map_err(|source| Error::from_os("sync", ".".into(), source))
    }

    /// The changes, where they are few.
    fn changed_by(&self, held: &Held) -> Option<Vec<Change>> {
        let manifest = self.manifest_of(held).ok()?;
        let touched = treewal_snapshot::touched(&**self.disk(), self.root(), &manifest);
        // One more tells that there are many.
        let touched = touched.take(SYNCED_ALONE_MAX + 1).collect::<treewal_snapshot::Result<Vec<_>>>().ok()?;
        (touched.len() <= SYNCED_ALONE_MAX).then_some(touched)
    }

    /// Syncs each change, and says whether that could be done: not everything can be opened.
    ///
    /// # Errors
    /// Those of a sync. No other sync makes up for one that failed: the kernel may have given the bytes up.
    fn sync_alone(&self, changes: &[Change]) -> io::Result<bool> {
        let Ok((files, dirs)) = self.open_changed(changes) else { return Ok(false) };
        files.iter().try_for_each(|file| self.disk().sync_file(file))?;
        dirs.iter().try_for_each(|dir| self.disk().sync_dir(dir))?;
        Ok(true)
    }

    /// The files that were changed, and the directories that names came to or went from, with all above them.
    fn open_changed(&self, changes: &[Change]) -> io::Result<(Vec<File>, Vec<Dir>)> {
        let (disk, root) = (&**self.disk(), self.root());
        let (mut files, mut paths) = (Vec::new(), BTreeSet::new());
        for change in changes {
            paths.extend(change.path.ancestors());
            let Some((parent, name)) = change.path.split() else {
                paths.insert(change.path.clone());
                continue;
            };
            if change.kind == ChangeKind::Removed {
                continue;
            }
            let dir = disk.open_dir(root, &parent)?;
            match disk.stat(&dir, name)?.kind {
                Kind::Dir => drop(paths.insert(change.path.clone())),
                Kind::File => files.push(disk.open(&dir, name, Open::Read)?),
                // A link by itself cannot be synced, and its attributes may be younger than its name.
                _ => return Err(io::ErrorKind::Unsupported.into()),
            }
        }
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let dirs = paths.iter().map(|path| disk.open_dir(root, path)).filter(|dir| !dir.as_ref().is_err_and(gone));
        Ok((files, dirs.collect::<io::Result<_>>()?))
    }
}
