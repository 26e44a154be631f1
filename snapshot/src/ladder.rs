//! Keeping the contents of one file: by reflink, by hard link or by copy.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Disk, File, Kind, Meta, Open, RelPath, errno};

use crate::contents;
use crate::manifest::{Backup, Mode};
use crate::{Error, Result};

/// The directory of the backups in the directory of their snapshot.
pub(crate) const CONTENTS: &str = "contents";

/// How often a file is taken again because somebody wrote to it meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// Only the owner reads a backup, whatever the file allows: it gets its own mode when it goes back.
const PRIVATE: u32 = 0o600;

/// How the contents of files may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Reflink, and a copy where the file system cannot. Never a hard link: safe whatever is done to the files.
    #[default]
    Auto,
    /// Reflink, and an error where the file system cannot.
    Reflink,
    /// Hard link, and as `Auto` where that is not possible or not permitted. Only where every writer replaces files by
    /// renaming; one that writes in place destroys the backup, which is noticed and named on restore, not undone.
    HardLink,
    /// Copy.
    Copy,
}

/// How many files were kept how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Entries in the manifest, the directories above guarded paths among them.
    pub entries: u64,
    /// Files with contents of their own; a second name of one is not counted.
    pub files: u64,
    /// Of these, kept by reflink.
    pub reflinked: u64,
    /// Of these, kept by hard link.
    pub hard_linked: u64,
    /// Of these, kept by copy.
    pub copied: u64,
    /// Bytes that were written for copies, holes not among them.
    pub bytes_copied: u64,
}

/// A file that was kept: its attributes at that moment and where its contents are.
pub(crate) struct Kept {
    pub(crate) meta: Meta,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
    pub(crate) backup: Backup,
}

/// Hands out backups, numbered from zero.
pub(crate) struct Ladder<'a> {
    disk: &'a dyn Disk,
    contents: Dir,
    sharing: Sharing,
    can_reflink: bool,
    next: u64,
    pub(crate) report: Report,
}

/// The name of a backup.
pub(crate) fn backup_name(number: u64) -> OsString {
    number.to_string().into()
}

impl<'a> Ladder<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, contents: Dir, sharing: Sharing) -> Self {
        Self { disk, contents, sharing, can_reflink: sharing != Sharing::Copy, next: 0, report: Report::default() }
    }

    /// Keeps the contents of the file `name` in `dir`, which was seen as `seen`. Nothing is synced.
    pub(crate) fn keep(&mut self, dir: &Dir, name: &OsStr, path: &RelPath, seen: &Meta) -> Result<Kept> {
        for _ in 0..ATTEMPTS_MAX {
            let number = self.next;
            self.next += 1;
            let kept = match self.sharing {
                Sharing::HardLink => self.link(dir, name, path, seen, number)?,
                _ => self.copy(dir, name, path, number)?,
            };
            if let Some(kept) = kept {
                self.count(kept.backup.mode);
                return Ok(kept);
            }
            match self.disk.remove_file(&self.contents, &backup_name(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io { verb: "take back", path: path.clone(), source: error });
                }
                _ => {}
            }
        }
        Err(Error::Changed { path: path.clone() })
    }

    fn count(&mut self, mode: Mode) {
        self.report.files += 1;
        match mode {
            Mode::Reflink => self.report.reflinked += 1,
            Mode::HardLink => self.report.hard_linked += 1,
            Mode::Copy => self.report.copied += 1,
            Mode::None => {}
        }
    }

    /// A second name for the file; `None` where it was not the file that was seen.
    fn link(&mut self, dir: &Dir, name: &OsStr, path: &RelPath, seen: &Meta, number: u64) -> Result<Option<Kept>> {
        let own = backup_name(number);
        match self.disk.hard_link(dir, name, &self.contents, &own) {
            Err(error) if cannot_link(&error) => return self.copy(dir, name, path, number),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            linked => linked.map_err(Error::io("link", path))?,
        }
        let xattrs = self.disk.xattrs(&self.contents, &own).map_err(Error::io("read attributes of", path))?;
        // Only now: the link itself moved the time of last change, and counts as a name.
        let meta = self.disk.stat(&self.contents, &own).map_err(Error::io("describe", path))?;
        if !is_same_file(&meta, seen) {
            return Ok(None);
        }
        Ok(Some(Kept { meta, xattrs, backup: backup(number, Mode::HardLink, &meta, None) }))
    }

    /// A file of its own with the same contents; `None` where somebody wrote to the original meanwhile.
    fn copy(&mut self, dir: &Dir, name: &OsStr, path: &RelPath, number: u64) -> Result<Option<Kept>> {
        let from = match self.disk.open(dir, name, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            from => from.map_err(Error::io("open", path))?,
        };
        let meta = self.disk.stat_file(&from).map_err(Error::io("describe", path))?;
        if meta.kind != Kind::File {
            return Ok(None);
        }
        let xattrs = self.disk.xattrs(dir, name).map_err(Error::io("read attributes of", path))?;
        let to = self
            .disk
            .open(&self.contents, &backup_name(number), Open::CreateNew { mode: PRIVATE })
            .map_err(Error::io("make a backup of", path))?;
        let filled = self.fill(&from, &to, meta.size);
        // Looked at by its name: that its owner moved another file there counts as a change too.
        let after = self.disk.stat(dir, name).ok();
        if !after.is_some_and(|after| is_untouched(&meta, &after)) {
            return Ok(None);
        }
        let (mode, checksum) = filled.map_err(Error::io("copy", path))?;
        let own = self.disk.stat_file(&to).map_err(Error::io("describe the backup of", path))?;
        Ok(Some(Kept { meta, xattrs, backup: backup(number, mode, &own, checksum) }))
    }

    fn fill(&mut self, from: &File, to: &File, size: u64) -> io::Result<(Mode, Option<u32>)> {
        if self.can_reflink {
            match self.disk.reflink(from, to) {
                Ok(()) => return Ok((Mode::Reflink, None)),
                Err(error) if self.sharing == Sharing::Reflink || !cannot_reflink(&error) => return Err(error),
                // EINVAL may be the matter of this one file; everything else is the file system's.
                Err(error) => self.can_reflink = error.raw_os_error() == Some(errno::EINVAL),
            }
        }
        let (bytes, checksum) = contents::copy(self.disk, from, to, size)?;
        self.report.bytes_copied += bytes;
        Ok((Mode::Copy, Some(checksum)))
    }
}

fn backup(number: u64, mode: Mode, own: &Meta, checksum: Option<u32>) -> Backup {
    Backup { number, mode, ino: own.ino, born: own.born, modified: own.modified, checksum }
}

fn is_same_file(a: &Meta, b: &Meta) -> bool {
    a.identity() == b.identity() && a.kind == Kind::File
}

fn is_untouched(before: &Meta, after: &Meta) -> bool {
    is_same_file(before, after) && before.changed == after.changed
}

fn cannot_link(error: &io::Error) -> bool {
    let cannot = [errno::EXDEV, errno::EPERM, errno::EACCES, errno::EMLINK, errno::EOPNOTSUPP, errno::ENOSYS];
    error.raw_os_error().is_some_and(|errno| cannot.contains(&errno))
}

fn cannot_reflink(error: &io::Error) -> bool {
    let cannot = [errno::EOPNOTSUPP, errno::EXDEV, errno::EINVAL, errno::ENOTTY, errno::ENOSYS];
    error.raw_os_error().is_some_and(|errno| cannot.contains(&errno))
}
