//! The backups as a restore finds them: whether each one is there, and holds what was taken.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, File, Meta, Open, RelPath, errno};

use crate::judge::{is_backup, is_whole, may_be_copy};
use crate::ladder::backup_place;
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
    from: &'a Dir,
    /// The directory that was last looked into, if it is there: most backups are in the same one as the one before.
    last: RefCell<Option<(RelPath, Option<Dir>)>>,
}

impl<'a> Backups<'a> {
    pub(super) fn new(disk: &'a dyn Disk, from: &'a Dir) -> Self {
        Self { disk, from, last: RefCell::new(None) }
    }

    /// The directory that a backup was put into; `None` where that is gone, or something else stands in its place.
    pub(super) fn home(&self, path: RelPath) -> io::Result<Option<Dir>> {
        let mut last = self.last.borrow_mut();
        if let Some((_, dir)) = last.as_ref().filter(|(open, _)| *open == path) {
            return Ok(dir.clone());
        }
        let dir = match self.disk.open_dir(self.from, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if matches!(error.raw_os_error(), Some(errno::ELOOP | errno::ENOTDIR)) => None,
            opened => Some(opened?),
        };
        *last = Some((path, dir.clone()));
        Ok(dir)
    }

    /// What stands where the backup was put: the backup or what it was exchanged with.
    pub(super) fn at_home(&self, entry: &Entry, backup: &Backup) -> Result<Option<Meta>> {
        let (home, name) = backup_place(backup.number);
        let failed = |error| Error::io("describe the backup of", &entry.path)(error);
        let Some(dir) = self.home(home).map_err(failed)? else { return Ok(None) };
        match self.disk.stat(&dir, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            meta => meta.map(Some).map_err(failed),
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

    /// The same by the checksum of then alone: where the file is its own backup, there is nothing to compare it with.
    pub(super) fn have_sum(&self, dir: &Dir, name: &OsStr, entry: &Entry, backup: &Backup) -> Result<bool> {
        let summed = self.disk.open(dir, name, Open::Read).and_then(|file| self.is_summed(&file, entry, backup));
        match summed {
            Err(error) if cannot_read(&error) => Ok(false),
            summed => summed.map_err(Error::io("read", &entry.path)),
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
        self.is_summed(&live, entry, backup).map_err(failed)
    }

    fn is_summed(&self, file: &File, entry: &Entry, backup: &Backup) -> io::Result<bool> {
        let Some(expected) = backup.checksum else { return Ok(false) };
        Ok(contents::checksum(self.disk, file, entry.meta.size)? == expected)
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
        let (home, own) = backup_place(backup.number);
        let home = self.home(home)?.ok_or(io::ErrorKind::NotFound)?;
        self.disk.hard_link(&home, &own, at, name)
    }

    pub(super) fn file(&self, backup: &Backup) -> io::Result<File> {
        let (home, name) = backup_place(backup.number);
        let home = self.home(home)?.ok_or(io::ErrorKind::NotFound)?;
        self.disk.open(&home, &name, Open::Read)
    }
}

/// The file is gone, became shorter or may not be read: then it is not what it was.
fn cannot_read(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}
