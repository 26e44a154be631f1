//! A snapshot as it is kept: the contents of then are read, and nothing is taken out of it.

use std::ffi::OsStr;

use treewal_vfs::{Dir, Disk, File, Kind, Meta, RelPath};

use super::backups::{BackupState, Backups};
use crate::manifest::{Backup, Entry, Manifest};
use crate::{Error, Result};

/// The contents that a snapshot keeps. Reads only.
pub struct Stored<'a> {
    manifest: &'a Manifest,
    backups: Backups<'a>,
}

impl<'a> Stored<'a> {
    /// The snapshot in `from`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: &'a dyn Disk, from: &Dir, manifest: &'a Manifest) -> Result<Self> {
        Ok(Self { manifest, backups: Backups::open(disk, from)? })
    }

    /// The contents that a file had, open for reading. The backup is looked at first, and read to its end where it has a
    /// checksum: what is opened holds what was taken.
    ///
    /// # Errors
    /// [`Error::Lost`] and [`Error::InPlace`] where the backup does not hold it any more; what the disk says. An entry
    /// that is no file has no contents: [`Error::Incomplete`].
    pub fn contents(&self, entry: &Entry) -> Result<File> {
        let (first, backup) =
            self.kept(entry).ok_or(Error::Incomplete { what: "it keeps no contents of this entry" })?;
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
    /// sizes tell.
    ///
    /// # Errors
    /// What the disk says.
    pub fn is_same(&self, dir: &Dir, name: &OsStr, live: &Meta, entry: &Entry) -> Result<bool> {
        let Some((first, backup)) = self.kept(entry) else { return Ok(false) };
        let alike = live.kind == Kind::File && live.size == first.meta.size;
        Ok(alike && self.backups.are_contents_of(dir, name, first, backup)?)
    }

    /// Looks after every backup, checksums among it; gives the paths of those that do not hold what was taken.
    ///
    /// # Errors
    /// What the disk says.
    pub fn unusable(&self) -> Result<Vec<RelPath>> {
        let mut unusable = Vec::new();
        for entry in self.manifest.entries() {
            let Some(backup) = &entry.backup else { continue };
            if matches!(self.backups.state(entry, backup, true)?, BackupState::Written | BackupState::Lost) {
                unusable.push(entry.path.clone());
            }
        }
        Ok(unusable)
    }

    /// The first name of a file, which is what its backup was taken of, and the backup.
    fn kept<'e>(&'e self, entry: &'e Entry) -> Option<(&'e Entry, &'e Backup)> {
        let first = match entry.same_as {
            Some(place) => self.manifest.entries().get(place)?,
            None => entry,
        };
        Some((first, first.backup.as_ref()?))
    }
}
