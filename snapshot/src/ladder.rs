//! Keeping the contents of one file: by reflink, by hard link or by copy.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use treewal_vfs::{Dir, Disk, File, Kind, Meta, Open, RelPath, errno};

use crate::contents;
use crate::manifest::{Backup, Mode};
use crate::{Error, Result, TakeOptions};

/// The directory of the backups in the directory of their snapshot.
pub(crate) const CONTENTS: &str = "contents";

/// How many numbers belong to a directory of backups, which is part of the format.
const BLOCK: u64 = 1024;

/// How many of them are given out. Names are made in several directories at a time, and in none of them slowly: file systems
/// look through a block of a directory for each name, and this many fit into one.
const NAMES_MAX: u64 = 128;
const _: () = assert!(NAMES_MAX < BLOCK);

/// The directory of the backup of a number, beneath that of the snapshot, and its name there.
pub(crate) fn backup_place(number: u64) -> (RelPath, OsString) {
    (RelPath::root().join(CONTENTS).join((number / BLOCK).to_string()), backup_name(number))
}

fn backup_name(number: u64) -> OsString {
    number.to_string().into()
}

/// How often a file is taken again because somebody wrote to it meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// Only the owner reads a backup, whatever the file allows: it gets its own mode when it goes back.
const PRIVATE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// How the contents of files may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Reflink, and where the file system cannot: a hard link for what lies under
    /// [`TakeOptions::managed`](crate::TakeOptions::managed), a copy for everything else, which is safe whatever is done to
    /// the files.
    #[default]
    Auto,
    /// Reflink, and an error where the file system cannot.
    Reflink,
    /// Hard link, and reflink or copy where that is not possible or not permitted. Only where every writer replaces files by
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

impl Report {
    /// Counts a file that was kept.
    pub(crate) fn count(&mut self, mode: Mode, bytes_copied: u64) {
        self.files += 1;
        self.bytes_copied += bytes_copied;
        match mode {
            Mode::Reflink => self.reflinked += 1,
            Mode::HardLink => self.hard_linked += 1,
            Mode::Copy => self.copied += 1,
            Mode::None => {}
        }
    }
}

/// A file that was kept: its attributes at that moment and where its contents are.
pub(crate) struct Kept {
    pub(crate) meta: Meta,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
    pub(crate) backup: Backup,
    /// Bytes that were written for it.
    pub(crate) bytes_copied: u64,
}

/// What became of a file that was looked at.
pub(crate) enum Looked {
    /// It was kept.
    Kept(Kept),
    /// It has several names, and may have been kept under another one already. Nothing was done.
    Several(Meta),
}

/// How files are kept, for all threads.
pub(crate) struct Ladder<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) contents: Dir,
    pub(crate) options: &'a TakeOptions,
    /// Whether a listing was found to tell wrong numbers of inodes; then files are looked at before they are kept.
    pub(crate) deceived: &'a AtomicBool,
    pub(crate) looks_first: bool,
    can_reflink: AtomicBool,
    next_block: AtomicU64,
}

impl<'a> Ladder<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, contents: Dir, options: &'a TakeOptions, deceived: &'a AtomicBool) -> Self {
        let looks_first = deceived.load(Ordering::Relaxed);
        let can_reflink = AtomicBool::new(options.sharing != Sharing::Copy);
        Self { disk, contents, options, deceived, looks_first, can_reflink, next_block: AtomicU64::new(0) }
    }

    /// What one thread keeps files with.
    pub(crate) fn hand(&self) -> Hand<'_> {
        Hand { ladder: self, block: None }
    }

    /// Whether the file at this path may be its own backup.
    fn links(&self, path: &RelPath) -> bool {
        if self.options.exchange {
            return false;
        }
        match self.options.sharing {
            Sharing::HardLink => true,
            Sharing::Auto => {
                let managed = || self.options.managed.iter().any(|managed| path.starts_with(managed));
                !self.can_reflink.load(Ordering::Relaxed) && managed()
            }
            Sharing::Reflink | Sharing::Copy => false,
        }
    }
}

/// Keeps files, for one thread: numbers and a directory for backups are its own, so that threads do not wait for each
/// other where names are made.
pub(crate) struct Hand<'a> {
    ladder: &'a Ladder<'a>,
    block: Option<Block>,
}

struct Block {
    dir: Dir,
    next: u64,
}

/// A file on its way into the snapshot.
struct Place<'p> {
    dir: &'p Dir,
    name: &'p OsStr,
    path: &'p RelPath,
    /// Whether a link was not tried and found impossible.
    linkable: bool,
}

impl<'a> Hand<'a> {
    /// Where it is from.
    pub(crate) fn ladder(&self) -> &'a Ladder<'a> {
        self.ladder
    }

    /// Keeps the contents of the file `name` in `dir`, where it has no other name or `several` says that none of them was
    /// kept. Nothing is synced.
    pub(crate) fn keep(&mut self, dir: &Dir, name: &OsStr, path: &RelPath, several: bool) -> Result<Looked> {
        let place = Place { dir, name, path, linkable: true };
        for _ in 0..ATTEMPTS_MAX {
            let own = self.own(path)?;
            let kept = if self.ladder.links(path) {
                self.link(&place, &own, several)
            } else {
                self.copy(&place, &own, several)
            };
            match kept? {
                Some(kept) => return Ok(kept),
                None => self.take_back(&own, path)?,
            }
        }
        Err(Error::Changed { path: path.clone() })
    }

    /// The directory and the number of the next backup.
    fn own(&mut self, path: &RelPath) -> Result<(Dir, u64)> {
        let ladder = self.ladder;
        if self.block.is_none() {
            let block = ladder.next_block.fetch_add(1, Ordering::Relaxed);
            let first = block * BLOCK;
            let (dir, _) = backup_place(first);
            let name = dir.name().unwrap_or_default();
            let made = ladder.disk.create_dir(&ladder.contents, name, PRIVATE_DIR);
            made.map_err(Error::io("make room for the backup of", path))?;
            let opened = ladder.disk.open_dir(&ladder.contents, &RelPath::root().join(name));
            self.block =
                Some(Block { dir: opened.map_err(Error::io("make room for the backup of", path))?, next: first });
        }
        // Made just above where it was not there.
        let block = self.block.as_mut().ok_or_else(|| Error::Changed { path: path.clone() })?;
        Ok((block.dir.clone(), block.next))
    }

    fn take_back(&mut self, (dir, number): &(Dir, u64), path: &RelPath) -> Result<()> {
        match self.ladder.disk.remove_file(dir, &backup_name(*number)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { verb: "take back", path: path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn kept(&mut self, kept: Kept) -> Looked {
        if let Some(block) = &mut self.block {
            block.next += 1;
            // A block that is full is given up: the numbers after it are another thread's.
            if block.next % BLOCK == NAMES_MAX {
                self.block = None;
            }
        }
        Looked::Kept(kept)
    }

    /// A second name for the file; `None` where it was no file any more.
    fn link(&mut self, place: &Place<'_>, own: &(Dir, u64), several: bool) -> Result<Option<Looked>> {
        let (disk, path) = (self.ladder.disk, place.path);
        if !several {
            match disk.stat(place.dir, place.name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                seen => {
                    let seen = seen.map_err(Error::io("describe", path))?;
                    if seen.kind == Kind::File && seen.links > 1 {
                        return Ok(Some(Looked::Several(seen)));
                    }
                }
            }
        }
        let (contents, number) = own;
        let own_name = backup_name(*number);
        match disk.hard_link(place.dir, place.name, contents, &own_name) {
            Err(error) if cannot_link(&error) => {
                return self.copy(&Place { linkable: false, ..*place }, own, several);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            linked => linked.map_err(Error::io("link", path))?,
        }
        let Some((checksum, summed)) = self.sum(contents, &own_name, path)? else { return Ok(None) };
        let xattrs = disk.xattrs(contents, &own_name).map_err(Error::io("read attributes of", path))?;
        // Only now: the link itself moved the time of last change, and counts as a name.
        let meta = disk.stat(contents, &own_name).map_err(Error::io("describe", path))?;
        if meta.kind != Kind::File || summed.is_some_and(|summed| !is_untouched(&summed, &meta)) {
            return Ok(None);
        }
        let backup = backup(*number, Mode::HardLink, &meta, checksum);
        Ok(Some(self.kept(Kept { meta, xattrs, backup, bytes_copied: 0 })))
    }

    /// The checksum of a backup, where it is wanted, and what the file was before it was read; `None` where it became
    /// shorter or is no file.
    fn sum(&self, dir: &Dir, name: &OsStr, path: &RelPath) -> Result<Option<(Option<u32>, Option<Meta>)>> {
        let disk = self.ladder.disk;
        if !self.ladder.options.digest {
            return Ok(Some((None, None)));
        }
        let file = match disk.open(dir, name, Open::Read) {
            Err(error) if is_replaced(&error) => return Ok(None),
            file => file.map_err(Error::io("open", path))?,
        };
        let meta = disk.stat_file(&file).map_err(Error::io("describe", path))?;
        if meta.kind != Kind::File {
            return Ok(None);
        }
        match contents::checksum(disk, &file, meta.size) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            sum => Ok(Some((Some(sum.map_err(Error::io("read", path))?), Some(meta)))),
        }
    }

    /// A file of its own with the same contents; `None` where somebody wrote to the original meanwhile.
    fn copy(&mut self, place: &Place<'_>, own: &(Dir, u64), several: bool) -> Result<Option<Looked>> {
        let (disk, path) = (self.ladder.disk, place.path);
        let from = match disk.open(place.dir, place.name, Open::Read) {
            Err(error) if is_replaced(&error) => return Ok(None),
            from => from.map_err(Error::io("open", path))?,
        };
        let meta = disk.stat_file(&from).map_err(Error::io("describe", path))?;
        if meta.kind != Kind::File {
            return Ok(None);
        }
        if meta.links > 1 && !several {
            return Ok(Some(Looked::Several(meta)));
        }
        let xattrs = disk.xattrs_of_file(&from, place.dir, place.name);
        let xattrs = xattrs.map_err(Error::io("read attributes of", path))?;
        let (contents, number) = own;
        let to = disk
            .open(contents, &backup_name(*number), Open::CreateNew { mode: PRIVATE })
            .map_err(Error::io("make a backup of", path))?;
        let filled = match self.share(&from, &to, &meta).transpose() {
            // Not by extents, it turned out, but by name.
            None if place.linkable && self.ladder.links(path) => {
                self.take_back(own, path)?;
                return self.link(place, own, several);
            }
            None => self.fill(&from, &to, &meta),
            Some(shared) => shared,
        };
        // Looked at by its name: that its owner moved another file there counts as a change too. So does an error: what is
        // tried again meets it, and says so.
        let after = disk.stat(place.dir, place.name).ok();
        if !after.is_some_and(|after| is_untouched(&meta, &after)) {
            return Ok(None);
        }
        let Filled { mode, checksum, bytes } = filled.map_err(Error::io("copy", path))?;
        let own = disk.stat_file(&to).map_err(Error::io("describe the backup of", path))?;
        let backup = backup(*number, mode, &own, checksum);
        Ok(Some(self.kept(Kept { meta, xattrs, backup, bytes_copied: bytes })))
    }

    /// By reflink; `None` where that cannot be.
    fn share(&self, from: &File, to: &File, meta: &Meta) -> io::Result<Option<Filled>> {
        let ladder = self.ladder;
        if !ladder.can_reflink.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match ladder.disk.reflink(from, to) {
            Ok(()) => {
                let sum = || contents::checksum(ladder.disk, to, meta.size);
                let checksum = ladder.options.digest.then(sum).transpose()?;
                Ok(Some(Filled { mode: Mode::Reflink, checksum, bytes: 0 }))
            }
            Err(error) if ladder.options.sharing == Sharing::Reflink || !cannot_reflink(&error) => Err(error),
            // EINVAL may be the matter of this one file; everything else is the file system's.
            Err(error) => {
                if error.raw_os_error() != Some(errno::EINVAL) {
                    ladder.can_reflink.store(false, Ordering::Relaxed);
                }
                Ok(None)
            }
        }
    }

    fn fill(&self, from: &File, to: &File, meta: &Meta) -> io::Result<Filled> {
        let (bytes, checksum) = contents::copy(self.ladder.disk, from, to, meta, &self.ladder.options.progress)?;
        Ok(Filled { mode: Mode::Copy, checksum: Some(checksum), bytes })
    }
}

/// How a backup was filled.
struct Filled {
    mode: Mode,
    checksum: Option<u32>,
    bytes: u64,
}

fn backup(number: u64, mode: Mode, own: &Meta, checksum: Option<u32>) -> Backup {
    Backup { number, mode, ino: own.ino, born: own.born, modified: own.modified, checksum }
}

/// Whether there is no file any more where one was listed.
fn is_replaced(error: &io::Error) -> bool {
    let replaced = matches!(error.raw_os_error(), Some(errno::ELOOP | errno::ENOTDIR));
    replaced || error.kind() == io::ErrorKind::NotFound
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
