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
        let path = match op {
            Op::Chmod(path, _)
            | Op::SetTime(path, _)
            | Op::Xattr(path, _)
            | Op::Chown(path, _)
            | Op::Lchown(path, _) => path,
            // A file takes the attributes of the one that it replaces.
            Op::Publish(path, to, _) if fs::symlink_metadata(self.at(to)).is_ok_and(|found| found.is_file()) => path,
            _ => return false,
        };
        // Who may give files away is not asked of a model.
        let denied = matches!(op, Op::Chown(..) | Op::Lchown(..)) && RealDisk.user() != 0;
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
            Op::Rename(a, b) | Op::Exchange(a, b) | Op::HardLink(a, b) | Op::Publish(a, b, _) => (vec![a, b], false),
            Op::CreateDir(path)
            | Op::Symlink(path)
            | Op::RemoveFile(path)
            | Op::RemoveDir(path)
            | Op::RemoveDirAll(path)
            | Op::Lchown(path, _) => (vec![path], false),
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
            Op::Publish(from, to, keep) => self.publish(from, to, *keep),
            Op::Lchown(path, id) => std::os::unix::fs::lchown(self.at(path), Some(*id), None),
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

    fn publish(&self, from: &Path, to: &Path, keep: bool) -> io::Result<()> {
        let moving = fs::symlink_metadata(self.at(from))?;
        if !fs::symlink_metadata(self.at(to).parent().unwrap())?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        if from == to {
            return Ok(());
        }
        if to.starts_with(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let there = match fs::symlink_metadata(self.at(to)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            there => Some(there?),
        };
        match there.as_ref().map(fs::Metadata::is_dir) {
            Some(false) if moving.is_dir() => return Err(ErrorKind::NotADirectory.into()),
            Some(true) if !moving.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            _ => {}
        }
        let aside = tempfile::tempdir()?;
        let moved = aside.path().join("moved");
        fs::rename(self.at(from), &moved)?;
        if let Some(there) = there {
            if there.is_dir() && keep {
                move_unmanaged(&self.at(to), &moved)?;
            }
            if there.is_file() && moving.is_file() {
                std::os::unix::fs::chown(&moved, Some(there.uid()), Some(there.gid()))?;
                let (dir, name) = self.split(to)?;
                let into = RealDisk.open_root(aside.path())?;
                for (key, value) in RealDisk.xattrs(&dir, &name)? {
                    RealDisk.set_xattr(&into, "moved".as_ref(), &key, &value)?;
                }
                fs::set_permissions(&moved, there.permissions())?;
            }
            if there.is_dir() { fs::remove_dir_all(self.at(to))? } else { fs::remove_file(self.at(to))? }
        }
        fs::rename(&moved, self.at(to))
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

/// Moves what only the old directory has into the new one.
fn move_unmanaged(old: &Path, new: &Path) -> io::Result<()> {
    for entry in fs::read_dir(old)? {
        let entry = entry?;
        let to = new.join(entry.file_name());
        match fs::symlink_metadata(&to) {
            Err(_) => fs::rename(entry.path(), to)?,
            Ok(there) if there.is_dir() && entry.file_type()?.is_dir() => move_unmanaged(&entry.path(), &to)?,
            Ok(_) => {}
        }
    }
    Ok(())
}
