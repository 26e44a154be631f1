//! The backups as a restore finds them: where each one is by now, and whether it holds what was taken.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, File, Kind, Meta, Open, RelPath, Time};

use super::WORK;
use crate::judge::{is_backup, is_whole, may_be_copy};
use crate::ladder::{CONTENTS, backup_name};
use crate::manifest::{Backup, Entry, Mode};
use crate::walk::{Walk, open_parent, stat};
use crate::{Error, Result, contents};

/// What became of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackupState {
    /// It is there and whole, at this path of the snapshot's directory.
    Ready(RelPath),
    /// It is not there; what is, at this path, has its contents and is another inode.
    Copied(RelPath),
    /// It is the file itself, and somebody wrote to it.
    Written,
    /// It is not there, or not what was written.
    Lost,
}

/// The directory of a snapshot, for reading.
pub(super) struct Backups<'a> {
    disk: &'a dyn Disk,
    from: &'a Dir,
    /// Where backups are put; `None` where it is gone.
    home: Option<Dir>,
    /// Files in the work directory, by inode.
    ///
    /// A directory that takes the place of something else is made there, exchanged with it and then filled. A power
    /// loss may take the exchange back and keep what was put into the directory: then backups are found in it.
    astray: HashMap<(u64, Time), RelPath>,
}

impl<'a> Backups<'a> {
    pub(super) fn open(disk: &'a dyn Disk, from: &'a Dir) -> Result<Self> {
        let home = match disk.open_dir(from, &RelPath::root().join(CONTENTS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(Error::own("open", CONTENTS))?),
        };
        let mut astray = HashMap::new();
        let walk = Walk { disk, tree: from, skip: &|_| false, unlock: true };
        walk.run(&RelPath::root().join(WORK), &mut |step| {
            if step.meta.kind == Kind::File {
                astray.insert((step.meta.ino, step.meta.born), step.path.clone());
            }
            Ok(())
        })?;
        Ok(Self { disk, from, home, astray })
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
        if let BackupState::Ready(path) | BackupState::Copied(path) = self.state(entry, backup, false)? {
            let own = self.file(&path).map_err(failed)?;
            if contents::equal(self.disk, &live, &own, entry.meta.size).map_err(failed)? {
                return Ok(true);
            }
        }
        let Some(expected) = backup.checksum else { return Ok(false) };
        Ok(contents::checksum(self.disk, &live, entry.meta.size).map_err(failed)? == expected)
    }

    /// What became of a backup. Its checksum is looked at where it is `needed`, which costs reading it.
    pub(super) fn state(&self, entry: &Entry, backup: &Backup, needed: bool) -> Result<BackupState> {
        let home = RelPath::root().join(CONTENTS).join(backup_name(backup.number));
        let at_home = self.at_home(entry, backup)?;
        let found = match at_home.filter(|own| is_backup(backup, own)) {
            Some(own) => Some((home.clone(), own)),
            None => self.astray(backup)?,
        };
        let path = match (found, at_home) {
            (Some((path, own)), _) if is_whole(backup, &entry.meta, &own) => path,
            (Some(_), _) if backup.mode == Mode::HardLink => return Ok(BackupState::Written),
            // The inode is nowhere: then its contents must speak for it.
            (None, Some(own)) if may_be_copy(backup, &entry.meta, &own) => {
                return self.summed(entry, backup, &home, BackupState::Copied(home.clone()));
            }
            _ => return Ok(BackupState::Lost),
        };
        let ready = BackupState::Ready(path.clone());
        if needed { self.summed(entry, backup, &path, ready) } else { Ok(ready) }
    }

    /// The `state`, unless the checksum is another than that of then.
    fn summed(&self, entry: &Entry, backup: &Backup, path: &RelPath, state: BackupState) -> Result<BackupState> {
        let Some(expected) = backup.checksum else { return Ok(state) };
        match self.file(path).and_then(|own| contents::checksum(self.disk, &own, entry.meta.size)) {
            Ok(found) if found == expected => Ok(state),
            Err(error) if !cannot_read(&error) => Err(Error::io("read the backup of", &entry.path)(error)),
            _ => Ok(BackupState::Lost),
        }
    }

    fn astray(&self, backup: &Backup) -> Result<Option<(RelPath, Meta)>> {
        let Some(path) = self.astray.get(&(backup.ino, backup.born)) else { return Ok(None) };
        let Some((parent, _)) = path.split() else { return Ok(None) };
        let Some(dir) = open_parent(self.disk, self.from, &parent)? else { return Ok(None) };
        let own = stat(self.disk, &dir, path)?.filter(|own| is_backup(backup, own));
        Ok(own.map(|own| (path.clone(), own)))
    }

    fn file(&self, path: &RelPath) -> io::Result<File> {
        let (parent, name) = path.split().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.disk.open_dir(self.from, &parent)?;
        self.disk.open(&dir, name, Open::Read)
    }
}

/// The file is gone, became shorter or may not be read: then it is not what it was.
fn cannot_read(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}
