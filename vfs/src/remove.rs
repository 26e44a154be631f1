//! Removing a tree that may be deep, wide, unreadable, half gone and raced by others.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::path::PATH_BYTES_MAX;
use crate::{Dir, Disk, Kind, RelPath, errno};

/// How many directories of the way down are kept open. Those above are found again by their path when the way back up
/// reaches them: handles are few (often 1024 to a process), levels need not be.
const OPEN_MAX: usize = 32;

/// How often one directory is emptied again because somebody fills it meanwhile.
const ROUNDS_MAX: u32 = 8;

/// Removes the entry `name` in `at`, and everything beneath it where it is a directory. Gives the number of entries
/// removed.
///
/// Nothing is followed: a symlink goes, its target stays, and a mount beneath is an error and not entered. What is gone
/// already, at whatever step, is no error, so that a removal that was cut short is finished by another call. A directory
/// that its owner may not read, search or write gets the mode 0700 first, where that is permitted.
///
/// Memory grows with the listings of the directories on the way down; handles and call stack do not grow.
///
/// Not durable: sync `at` (and nothing beneath it) for that. After a power loss before, any of the entries may be back.
///
/// # Errors
/// Those of [`Disk`]; part of the tree is then gone. `EXDEV` or `EBUSY` for a mount, `ENOTEMPTY` where somebody keeps
/// filling a directory.
pub fn remove_tree(disk: &dyn Disk, at: &Dir, name: &OsStr) -> io::Result<u64> {
    let mut sweep = Sweep { disk, at, levels: Vec::new(), removed: 0 };
    if sweep.remove_unless_dir(at, name, None)? {
        sweep.enter(name, 0)?;
    }
    while let Some(level) = sweep.levels.last_mut() {
        match level.todo.pop() {
            Some(child) => sweep.enter(&child, 0)?,
            None => sweep.leave()?,
        }
    }
    Ok(sweep.removed)
}

struct Sweep<'a> {
    disk: &'a dyn Disk,
    at: &'a Dir,
    /// From the entry to be removed down to the directory that is being emptied.
    levels: Vec<Level>,
    removed: u64,
}

/// A directory with nothing left in it but directories.
struct Level {
    name: OsString,
    /// `None` where the way down went on too far; see [`OPEN_MAX`].
    dir: Option<Dir>,
    todo: Vec<OsString>,
    round: u32,
}

impl Sweep<'_> {
    /// Removes an entry that is no directory; says whether it is one.
    fn remove_unless_dir(&mut self, parent: &Dir, name: &OsStr, kind: Option<Kind>) -> io::Result<bool> {
        let kind = match kind.map_or_else(|| self.disk.stat(parent, name).map(|meta| meta.kind), Ok) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            kind => kind?,
        };
        if kind == Kind::Dir {
            return Ok(true);
        }
        match self.disk.remove_file(parent, name) {
            Ok(()) => self.removed += 1,
            // It became a directory since it was looked at.
            Err(error) if error.raw_os_error() == Some(errno::EISDIR) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Opens the directory `name` in the deepest level, removes what is no directory from it and makes it the deepest.
    fn enter(&mut self, name: &OsStr, round: u32) -> io::Result<()> {
        let Some(parent) = self.here()? else { return Ok(()) };
        let dir = match self.open(&parent, name) {
            Err(error) if self.is_over(&error) => return Ok(()),
            dir => dir?,
        };
        let entries = match self.disk.list(&dir) {
            Err(error) if self.is_over(&error) => return Ok(()),
            entries => entries?,
        };
        let mut todo = Vec::new();
        for entry in entries {
            if self.remove_unless_dir(&dir, &entry.name, entry.kind)? {
                todo.push(entry.name);
            }
        }
        self.levels.push(Level { name: name.to_os_string(), dir: Some(dir), todo, round });
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX + 1) {
            self.levels[far].dir = None;
        }
        Ok(())
    }

    /// Opens a directory so that it can be read and emptied.
    fn open(&self, parent: &Dir, name: &OsStr) -> io::Result<Dir> {
        const WHOLE: u32 = 0o700;
        let path = RelPath::root().join(name);
        let dir = match self.disk.open_dir(parent, &path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.disk.set_mode(parent, name, WHOLE)?;
                return self.disk.open_dir(parent, &path);
            }
            dir => dir?,
        };
        let mode = self.disk.stat_dir(&dir)?.mode;
        if mode & WHOLE != WHOLE {
            // Who may not change the mode may still be in a group that can empty it; else the next call says so.
            self.disk.set_mode(parent, name, mode | WHOLE).or_else(|error| match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(dir)
    }

    /// Removes the deepest directory; empties it once more where somebody filled it.
    fn leave(&mut self) -> io::Result<()> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let Some(parent) = self.here()? else { return Ok(()) };
        match self.disk.remove_dir(&parent, &level.name) {
            Ok(()) => self.removed += 1,
            Err(error) if self.is_over(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && level.round < ROUNDS_MAX => {
                self.enter(&level.name, level.round + 1)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a directory is there no more. Where something else took its name, its parent is found not empty later
    /// and looked through again; the entry that all began with has no such parent.
    fn is_over(&self, error: &io::Error) -> bool {
        let replaced = matches!(error.raw_os_error(), Some(errno::ENOTDIR | errno::ELOOP));
        error.kind() == io::ErrorKind::NotFound || replaced && !self.levels.is_empty()
    }

    /// The deepest directory; `None` where somebody removed it or one above it.
    fn here(&mut self) -> io::Result<Option<Dir>> {
        let Some(last) = self.levels.len().checked_sub(1) else { return Ok(Some(self.at.clone())) };
        if self.levels[last].dir.is_none() {
            match self.reopen(last) {
                Err(error) if self.is_over(&error) => {}
                reopened => reopened?,
            }
        }
        Ok(self.levels[last].dir.clone())
    }

    /// Opens the levels up to `last` again, as many as may be open: the way back up needs each of them.
    fn reopen(&mut self, last: usize) -> io::Result<()> {
        let first = last.saturating_sub(OPEN_MAX - 1);
        let mut dir = self.descend(first)?;
        for level in &mut self.levels[first..=last] {
            dir = self.disk.open_dir(&dir, &RelPath::root().join(&level.name))?;
            level.dir = Some(dir.clone());
        }
        Ok(())
    }

    /// The directory above level `depth`, reached in steps that are no longer than a path may be.
    fn descend(&self, depth: usize) -> io::Result<Dir> {
        let mut dir = self.at.clone();
        let mut path = Vec::new();
        for level in &self.levels[..depth] {
            if path.len() + level.name.len() + 1 > PATH_BYTES_MAX {
                dir = self.disk.open_dir(&dir, &rel(&path)?)?;
                path.clear();
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(level.name.as_bytes());
        }
        self.disk.open_dir(&dir, &rel(&path)?)
    }
}

fn rel(path: &[u8]) -> io::Result<RelPath> {
    RelPath::from_bytes(path).map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))
}
