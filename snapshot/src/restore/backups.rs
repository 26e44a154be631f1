//! The backups as a restore finds them: whether each one is there, and holds what was taken.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, File, Meta, Open, RelPath};

use crate::judge::{is_backup, is_whole, may_be_copy};
use crate::ladder::{CONTENTS, backup_name};
use crate::manifest::{Backup, Entry, Mode};
use crate::{Error, Result, contents};

/// What became of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackupState {
    /// It is there and whole.
    Ready,
    /// It is not there; what is has its contents and is another inode.
    Copied,
    /// It is the file itself, and somebody wrote to it.
    Written,
    /// It is not there, or not what was written.
    Lost,
}

/// The backups of a snapshot, for reading.
pub(super) struct Backups<'a> {
    disk: &'a dyn Disk,
    /// Where they are put; `None` where that is gone.
    home: Option<Dir>,
}

impl<'a> Backups<'a> {
    pub(super) fn open(disk: &'a dyn Disk, from: &Dir) -> Result<Self> {
        let home = match disk.open_dir(from, &RelPath::root().join(CONTENTS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(Error::own("open", CONTENTS))?),
        };
        Ok(Self { disk, home })
    }

    /// What stands where the backup was put: the backup or what it was exchanged with.
    pub(super) fn at_home(&self, entry: &Entry, backup: &Backup) -> Result<Option<Meta>> {
        let Some(dir) = &self.home else { return Ok(None) };
        match self.disk.stat(dir, &backup_name(backup.number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            meta => meta.map(Some).map_err(Error::io("describe the backup of", &entry.path)),
        }
    }

    /// Whether the file `name` in `dir`, which has the size of then, has the contents of then: those of its backup or,
    /// where the backup is gone or damaged, the checksum of then. Not so where the file cannot be read.
    pub(super) fn are_contents_of(&self, dir: &Dir, name: &OsStr, entry: &Entry, backup: &Backup) -> Result<bool> {
        let answer = self.compare(dir, name, entry, backup);
        match answer {
            Err(Error::Io { source, .. }) if cannot_read(&source) => Ok(false),
            answer => answer,
        }
    }

    fn compare(&self, dir: &Dir, name: &OsStr, entry: &Entry, backup: &Backup) -> Result<bool> {
        let failed = |error| Error::io("compare", &entry.path)(error);
        let live = self.disk.open(dir, name, Open::Read).map_err(failed)?;
        if let BackupState::Ready | BackupState::Copied = self.state(entry, backup, false)? {
            let own = self.file(backup).map_err(failed)?;
            if contents::equal(self.disk, &live, &own, entry.meta.size).map_err(failed)? {
                return Ok(true);
            }
        }
        let Some(expected) = backup.checksum else { return Ok(false) };
        Ok(contents::checksum(self.disk, &live, entry.meta.size).map_err(failed)? == expected)
    }

    /// What became of a backup. Its checksum is looked at where it is `needed`, which costs reading it.
    pub(super) fn state(&self, entry: &Entry, backup: &Backup, needed: bool) -> Result<BackupState> {
        let Some(own) = self.at_home(entry, backup)? else { return Ok(BackupState::Lost) };
        let (state, needed) = match is_backup(backup, &own) {
            true if is_whole(backup, &entry.meta, &own) => (BackupState::Ready, needed),
            true if backup.mode == Mode::HardLink => return Ok(BackupState::Written),
            // Another inode: then its contents must speak for it.
            false if may_be_copy(backup, &entry.meta, &own) => (BackupState::Copied, true),
            _ => return Ok(BackupState::Lost),
        };
        let Some(expected) = backup.checksum.filter(|_| needed) else { return Ok(state) };
        match self.file(backup).and_then(|own| contents::checksum(self.disk, &own, entry.meta.size)) {
            Ok(found) if found == expected => Ok(state),
            Err(error) if !cannot_read(&error) => Err(Error::io("read the backup of", &entry.path)(error)),
            _ => Ok(BackupState::Lost),
        }
    }

    /// Gives a backup another name.
    pub(super) fn link(&self, backup: &Backup, at: &Dir, name: &OsStr) -> io::Result<()> {
        let home = self.home.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.disk.hard_link(home, &backup_name(backup.number), at, name)
    }

    pub(super) fn file(&self, backup: &Backup) -> io::Result<File> {
        let home = self.home.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.disk.open(home, &backup_name(backup.number), Open::Read)
    }
}

/// The file is gone, became shorter or may not be read: then it is not what it was.
fn cannot_read(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}
