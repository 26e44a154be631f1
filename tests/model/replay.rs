//! The oracle: the same operations with `std::fs` on a plain directory.
//!
//! Where treewal differs by design, the oracle does as treewal says it does: a file is replaced, not written in place, so
//! its other names keep the old contents; symlinks are not followed; new entries have the bits of the umask 022, which is
//! that of the simulated disk.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use treewal_vfs::{Dir, Disk, ITSELF, Kind, RealDisk, RelPath, Rename, Time};

use super::ops::{Op, TARGET, XATTR};

pub(crate) struct Replay {
    dir: tempfile::TempDir,
}

/// What an operation has to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Fails(ErrorKind),
    /// Must fail; `std::fs` would have gone through a symlink, or waited for a fifo.
    Refuses,
    /// Is not asked: see [`Replay::is_outside`].
    Outside,
}

impl Replay {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The bits of a file with two names belong to both, which a transaction does not know before it commits.
    fn is_outside(&self, op: &Op) -> bool {
        let (Op::Chmod(path, _) | Op::SetTime(path, _) | Op::Xattr(path, _) | Op::Chown(path, _)) = op else {
            return false;
        };
        // Who may give files away is not asked of a model.
        let denied = matches!(op, Op::Chown(..)) && RealDisk.user() != 0;
        // Writing is replacing, so in the oracle it is a change of names, which sets the time of the directory.
        let directory = matches!(op, Op::SetTime(..)) && self.at(path).is_dir();
        denied
            || directory
            || fs::symlink_metadata(self.at(path)).is_ok_and(|found| found.is_file() && found.nlink() > 1)
    }

    pub(crate) fn take(&self, op: &Op) -> Answer {
        if self.is_outside(op) {
            return Answer::Outside;
        }
        if self.is_refused(op) {
            return Answer::Refuses;
        }
        match self.try_take(op) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Fails(error.kind()),
        }
    }

    fn is_refused(&self, op: &Op) -> bool {
        let (paths, follows): (Vec<&Path>, bool) = match op {
            Op::Write(path, _) | Op::Append(path, _) | Op::Stream(path, ..) | Op::CreateDirAll(path) => {
                (vec![path], true)
            }
            Op::Chmod(path, _) | Op::SetTime(path, _) | Op::Chown(path, _) | Op::Xattr(path, _) => {
                (vec![path], self.is_symlink(path))
            }
            Op::Update(path, ..) => (vec![path], true),
            Op::Copy(from, to) => (vec![from, to], true),
            Op::Rename(a, b) | Op::Exchange(a, b) | Op::HardLink(a, b) => (vec![a, b], false),
            Op::CreateDir(path)
            | Op::Symlink(path)
            | Op::RemoveFile(path)
            | Op::RemoveDir(path)
            | Op::RemoveDirAll(path) => (vec![path], false),
        };
        let is_fifo = |path: &Path| {
            let found = fs::symlink_metadata(self.at(path));
            found.is_ok_and(|found| found.file_type().is_fifo())
        };
        let special = |path: &Path| follows && (self.is_symlink(path) || is_fifo(path));
        paths.into_iter().any(|path| special(path) || path.ancestors().skip(1).any(|above| self.is_symlink(above)))
    }

    fn is_symlink(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok_and(|found| found.is_symlink())
    }

    fn try_take(&self, op: &Op) -> io::Result<()> {
        match op {
            Op::Write(path, bytes) => self.write(path, bytes),
            Op::Append(path, bytes) => {
                let old = match fs::read(self.at(path)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                    other => other?,
                };
                self.write(path, &[old.as_slice(), bytes].concat())
            }
            Op::Stream(path, pieces, len) => {
                let mut bytes = Vec::new();
                for (offset, piece) in pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
                    let start = usize::try_from(*offset).unwrap();
                    bytes.resize(bytes.len().max(start + piece.len()), 0);
                    bytes[start..start + piece.len()].copy_from_slice(piece);
                }
                len.iter().for_each(|len| bytes.resize(usize::try_from(*len).unwrap(), 0));
                self.write(path, &bytes)
            }
            Op::Copy(from, to) => {
                let found = fs::metadata(self.at(from))?;
                if !found.is_file() {
                    return Err(ErrorKind::InvalidInput.into());
                }
                self.write(to, &fs::read(self.at(from))?)?;
                fs::set_permissions(self.at(to), found.permissions())
            }
            Op::Update(path, offset, piece) => self.update(path, *offset, piece),
            Op::HardLink(original, link) => fs::hard_link(self.at(original), self.at(link)),
            Op::SetTime(path, secs) => {
                let (dir, name) = self.split(path)?;
                let accessed = RealDisk.stat(&dir, &name)?.accessed;
                RealDisk.set_times(
                    &dir,
                    &name,
                    accessed,
                    Time { secs: i64::try_from(*secs).unwrap(), nanos: 999_999_999 },
                )
            }
            Op::Xattr(path, value) => self.xattr(path, *value),
            Op::Chown(path, id) => std::os::unix::fs::chown(self.at(path), Some(*id), Some(*id + 1)),
            Op::CreateDir(path) => self.create_dir(path),
            Op::CreateDirAll(path) => fs::create_dir_all(self.at(path)),
            Op::Symlink(path) => std::os::unix::fs::symlink(TARGET, self.at(path)),
            Op::Rename(from, to) => fs::rename(self.at(from), self.at(to)),
            Op::Exchange(a, b) => self.exchange(a, b),
            Op::RemoveFile(path) => fs::remove_file(self.at(path)),
            Op::RemoveDir(path) => fs::remove_dir(self.at(path)),
            Op::RemoveDirAll(path) => fs::remove_dir_all(self.at(path)),
            Op::Chmod(path, mode) => fs::set_permissions(self.at(path), fs::Permissions::from_mode(*mode)),
        }
    }

    fn update(&self, path: &Path, offset: u64, piece: &[u8]) -> io::Result<()> {
        let mut bytes = fs::read(self.at(path))?;
        if !piece.is_empty() {
            let start = usize::try_from(offset).unwrap();
            bytes.resize(bytes.len().max(start + piece.len()), 0);
            bytes[start..start + piece.len()].copy_from_slice(piece);
        }
        self.write(path, &bytes)
    }

    fn xattr(&self, path: &Path, value: Option<u8>) -> io::Result<()> {
        let (dir, name) = self.split(path)?;
        if !matches!(RealDisk.stat(&dir, &name)?.kind, Kind::File | Kind::Dir) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if let Some(value) = value {
            return RealDisk.set_xattr(&dir, &name, XATTR.as_ref(), &[value]);
        }
        let there = RealDisk.xattrs(&dir, &name)?.iter().any(|(name, _)| name == XATTR);
        if there { RealDisk.remove_xattr(&dir, &name, XATTR.as_ref()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(self.at(path))
    }

    /// Writes a file as treewal does: a new one takes the place of the old, with its bits.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.at(path);
        let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file);
        let mut xattrs = Vec::new();
        if found.is_some() {
            let (dir, name) = self.split(path.strip_prefix(self.root()).unwrap())?;
            xattrs = RealDisk.xattrs(&dir, &name)?;
            fs::remove_file(&path)?;
        }
        fs::write(&path, bytes)?;
        let mode = found.as_ref().map_or(0o644, |found| found.permissions().mode());
        if let Some(found) = found {
            std::os::unix::fs::chown(&path, Some(found.uid()), Some(found.gid()))?;
            let (dir, name) = self.split(path.strip_prefix(self.root()).unwrap())?;
            for (key, value) in xattrs {
                RealDisk.set_xattr(&dir, &name, &key, &value)?;
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    }

    fn split(&self, path: &Path) -> io::Result<(Dir, OsString)> {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap_or_else(|| (RelPath::root(), ITSELF.as_ref()));
        Ok((RealDisk.open_root(&self.at(&parent.to_path()))?, name.to_os_string()))
    }

    fn exchange(&self, a: &Path, b: &Path) -> io::Result<()> {
        if a == b {
            return fs::symlink_metadata(self.at(a)).map(drop);
        }
        let dir = |path: &Path| RealDisk.open_root(&self.at(path.parent().unwrap()));
        let name = |path: &Path| RelPath::new(path).unwrap().name().unwrap().to_os_string();
        RealDisk.rename(&dir(a)?, &name(a), &dir(b)?, &name(b), Rename::Exchange)
    }
}
