//! Making durable what commits have changed in the tree: entry by entry, or the whole file system at once.

use std::collections::BTreeSet;
use std::io;

use treewal_journal::Lsn;
use treewal_recovery::plan::{Ground, Place};
use treewal_vfs::{File, Kind, Open, RelPath};

use super::{Core, Touched};
use crate::{CheckpointSync, Error, Result};

/// So many entries are synced one by one whatever else is to be written: to sync a file system waits for its journal at
/// least, which is worth a few.
const ENTRIES_ALWAYS: usize = 4;
/// In the time that one entry takes, a file system writes so many bytes of what others have left.
const BYTES_PER_ENTRY: u64 = 4 << 20;
/// More are never synced one by one, unless that is asked for.
const ENTRIES_MAX: usize = 1024;

/// Whether to sync `entries` one by one costs less than to sync a file system that has `unwritten` bytes to write.
fn is_cheaper(entries: usize, unwritten: Option<u64>) -> bool {
    entries <= ENTRIES_ALWAYS || entries as u64 * BYTES_PER_ENTRY <= unwritten.unwrap_or(0)
}

impl Core {
    /// What is to be synced by a checkpoint up to `upto`, where that may be done entry by entry.
    pub(super) fn entries_to_sync(&self, touched: &Touched, upto: Lsn) -> Option<BTreeSet<RelPath>> {
        let most = match self.options.checkpoint_sync {
            CheckpointSync::Auto => ENTRIES_MAX,
            CheckpointSync::Entries => usize::MAX,
            CheckpointSync::FileSystem => return None,
        };
        touched.paths(upto, most)
    }

    fn syncs_each(&self, entries: usize) -> bool {
        self.options.checkpoint_sync == CheckpointSync::Entries || is_cheaper(entries, self.home.disk.unwritten())
    }

    /// Makes the tree durable, as far as commits have changed it: `paths` with the directories above them, or everything
    /// there is on the file system, where that is not known or cannot be done one by one.
    ///
    /// Others may commit meanwhile, and an entry that is synced here may be the one that they have just put there. Then it
    /// is their record that brings the path to where it belongs: it was handed to the kernel before their renames, and is
    /// durable with the record of the checkpoint, which is written after this.
    ///
    /// It proves nothing where another sync has failed before, or meanwhile, of this handle or another.
    pub(super) fn sync_tree(&self, paths: Option<&BTreeSet<RelPath>>) -> Result<()> {
        self.sync_paths(paths)?;
        if self.home.is_doubted() { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn sync_paths(&self, paths: Option<&BTreeSet<RelPath>>) -> Result<()> {
        if let Some(paths) = paths.filter(|paths| self.syncs_each(paths.len())) {
            if self.sync_each(paths)? {
                return Ok(());
            }
        }
        self.home.disk.sync_all(&self.home.root).map_err(|source| Error::from_os("sync", ".".into(), source))
    }

    /// Syncs entries one by one: files first, whose sync writes what the directories wait for as well. `false` where that
    /// cannot be done: a symlink has no handle to sync it by, and a file may be closed to this process.
    ///
    /// What is not there any more is synced with the directory above it. A sync that fails is an error, and never followed
    /// by another: the kernel may have dropped what it could not write.
    fn sync_each(&self, paths: &BTreeSet<RelPath>) -> Result<bool> {
        let mut ground = Ground::new(&*self.home.disk, self.home.root.clone());
        let mut dirs = Vec::new();
        for path in paths {
            if path.is_root() {
                dirs.push(path);
                continue;
            }
            match ground.stat(&Place::tree(path.clone())).map(|found| found.map(|meta| meta.kind)) {
                Ok(None) => {}
                Ok(Some(Kind::Dir)) => dirs.push(path),
                Ok(Some(Kind::File)) => match self.open_entry(&mut ground, path) {
                    Ok(file) => self.home.disk.sync_file(&file).map_err(Error::io("sync", path))?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => return Ok(false),
                },
                Ok(Some(_)) | Err(_) => return Ok(false),
            }
        }
        for path in dirs.into_iter().rev() {
            match ground.dir(&Place::tree(path.clone())) {
                Ok(dir) => self.home.disk.sync_dir(&dir).map_err(Error::io("sync", path))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn open_entry(&self, ground: &mut Ground<'_>, path: &RelPath) -> io::Result<File> {
        let place = Place::tree(path.clone());
        let (dir, name) = ground.split(&place)?;
        self.home.disk.open(&dir, name, Open::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_entries_are_synced_one_by_one_and_many_where_others_have_left_much() {
        for (entries, unwritten, cheaper) in [
            (0, None, true),
            (4, Some(0), true),
            (5, None, false),
            (5, Some(19 << 20), false),
            (5, Some(20 << 20), true),
            (1024, Some(4095 << 20), false),
            (1024, Some(4096 << 20), true),
        ] {
            assert_eq!(is_cheaper(entries, unwritten), cheaper, "{entries} entries, {unwritten:?} bytes");
        }
    }
}
