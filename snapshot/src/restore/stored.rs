//! A snapshot as it is kept: the contents of then are read, and nothing is taken out of it.

use std::ffi::OsStr;

use treewal_vfs::{Dir, Disk, File, Kind, Meta, RelPath};

use super::backups::{BackupState, Backups};
use super::extract::Extract;
use crate::judge::{is_backup, is_whole};
use crate::manifest::{Backup, Entry, Manifest};
use crate::{Error, Result};

/// A snapshot with all its entries in memory, and the contents that it keeps.
pub struct Stored<'a> {
    entries: Extract,
    backups: Backups<'a>,
}

impl<'a> Stored<'a> {
    /// The snapshot in `from`, whose manifest this is.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Incomplete`] where the manifest is; what the disk says.
    pub fn open(disk: &'a dyn Disk, from: &'a Dir, manifest: &Manifest) -> Result<Self> {
        let entries: Vec<Entry> = manifest.entries(disk).collect::<Result<_>>()?;
        let entries = Extract::new(entries.into_iter().enumerate().collect(), manifest.taken());
        let entries = entries.map_err(|path| Extract::wrong_link(&path))?;
        Ok(Self { entries, backups: Backups::new(disk, from) })
    }

    /// The entries, a directory before what is in it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.entries.entries()
    }

    /// The entry that was at `path`.
    #[must_use]
    pub fn entry(&self, path: &RelPath) -> Option<&Entry> {
        self.entries().get(self.entries.place(path)?)
    }

    /// The entry that has the contents of a file: its first name.
    #[must_use]
    pub fn first<'e>(&'e self, entry: &'e Entry) -> &'e Entry {
        entry.same_as.and_then(|place| self.entries().get(place)).unwrap_or(entry)
    }

    /// Gives the backup of a file another name. Nothing is synced. For a backup that is a file of its own: who writes
    /// through the name writes into the snapshot.
    ///
    /// # Errors
    /// What the disk says; as [`contents`](Self::contents) for an entry that is no file.
    pub fn link(&self, entry: &Entry, at: &Dir, name: &OsStr) -> Result<()> {
        let (_, backup) = self.kept(entry)?;
        self.backups.link(backup, at, name).map_err(Error::io("show", &entry.path))
    }

    /// The contents that a file had, open for reading. The backup is looked at first, and read to its end where it has a
    /// checksum: what is opened holds what was taken.
    ///
    /// # Errors
    /// [`Error::Lost`] and [`Error::InPlace`] where the backup does not hold it any more; what the disk says. An entry
    /// that is no file has no contents: [`Error::Incomplete`].
    pub fn contents(&self, entry: &Entry) -> Result<File> {
        let (first, backup) = self.kept(entry)?;
        let paths = vec![entry.path.clone()];
        match self.backups.state(first, backup, true)? {
            BackupState::Ready | BackupState::Copied => {
                self.backups.file(backup).map_err(Error::io("open the backup of", &entry.path))
            }
            BackupState::Written => Err(Error::InPlace { paths }),
            BackupState::Lost => Err(Error::Lost { paths, in_place: Vec::new() }),
        }
    }

    /// Whether the file `name` in `dir`, which is `live`, has the contents that `entry` had. Reads both, unless the
    /// sizes tell; of one that is its own backup, by hard link, the checksum.
    ///
    /// # Errors
    /// What the disk says.
    pub fn is_same(&self, dir: &Dir, name: &OsStr, live: &Meta, entry: &Entry) -> Result<bool> {
        let Ok((first, backup)) = self.kept(entry) else { return Ok(false) };
        let alike = live.kind == Kind::File && live.size == first.meta.size;
        if alike && is_backup(backup, live) {
            // It is its own backup, so there is nothing to compare it with: the checksum tells, or else the times.
            return match backup.checksum {
                Some(_) => self.backups.have_sum(dir, name, first, backup),
                None => Ok(is_whole(backup, &first.meta, live)),
            };
        }
        Ok(alike && self.backups.are_contents_of(dir, name, first, backup)?)
    }

    /// Looks after every backup, checksums among it; gives the paths of those that do not hold what was taken.
    ///
    /// # Errors
    /// What the disk says.
    pub fn unusable(&self) -> Result<Vec<RelPath>> {
        let mut unusable = Vec::new();
        for entry in self.entries() {
            let Some(backup) = &entry.backup else { continue };
            if matches!(self.backups.state(entry, backup, true)?, BackupState::Written | BackupState::Lost) {
                unusable.push(entry.path.clone());
            }
        }
        Ok(unusable)
    }

    /// The first name of a file, which is what its backup was taken of, and the backup.
    fn kept<'e>(&'e self, entry: &'e Entry) -> Result<(&'e Entry, &'e Backup)> {
        let first = self.first(entry);
        let backup = first.backup.as_ref();
        backup.map(|backup| (first, backup)).ok_or(Error::Incomplete { what: "it keeps no contents of this entry" })
    }
}
