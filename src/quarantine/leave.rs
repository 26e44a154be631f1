//! Entries that leave quarantine for a directory of somebody's choice.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Disk, File, Kind, Open, RelPath, Time, copy_contents, errno};

/// What an entry is to look like outside.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// `None` for a directory whose time nobody has set: it has that of its making.
    pub(super) modified: Option<Time>,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Look {
    /// That of an entry.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn of(disk: &dyn Disk, at: &Dir, name: &OsStr) -> io::Result<Self> {
        let meta = disk.stat(at, name)?;
        let xattrs = disk.xattrs(at, name)?;
        Ok(Self { mode: meta.mode, owner: (meta.uid, meta.gid), modified: Some(meta.modified), xattrs })
    }

    /// Sets it, as far as this process may: who may not give a file away stays its owner, and then nobody gets that
    /// owner's rights by running it.
    ///
    /// # Errors
    /// Any other error of the disk.
    pub(super) fn set(&self, disk: &dyn Disk, at: &Dir, name: &OsStr) -> io::Result<()> {
        const SET_ID: u32 = 0o6000;
        let there = disk.stat(at, name)?;
        let mut mode = self.mode & 0o7777;
        if (there.uid, there.gid) != self.owner && disk.set_owner(at, name, self.owner.0, self.owner.1).is_err() {
            mode &= !SET_ID;
        }
        for (key, value) in &self.xattrs {
            match disk.set_xattr(at, name, key, value) {
                Err(error) if may_be_left(&error) => {}
                set => set?,
            }
        }
        if there.kind != Kind::Symlink {
            disk.set_mode(at, name, mode)?;
        }
        self.modified.map_or(Ok(()), |time| disk.set_times(at, name, time, time))
    }
}

/// Attributes that this file system, or this user, cannot have.
fn may_be_left(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
        || error.raw_os_error() == Some(errno::EOPNOTSUPP)
}

/// Writes a new file.
///
/// # Errors
/// `AlreadyExists`; any error of the disk.
pub(super) fn file(disk: &dyn Disk, from: &File, to: &Dir, name: &OsStr) -> io::Result<()> {
    let file = disk.open(to, name, Open::CreateNew { mode: 0o600 })?;
    copy_contents(disk, from, &file)?;
    disk.sync_file(&file)
}

/// The directory at a path beneath another, made where it is missing. Nothing is gone through that is no directory.
///
/// # Errors
/// Any error of the disk.
pub(super) fn dirs(disk: &dyn Disk, root: &Dir, path: &RelPath) -> io::Result<Dir> {
    let mut dir = root.clone();
    for name in path.components() {
        match disk.create_dir(&dir, name, 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        dir = disk.open_dir(&dir, &RelPath::root().join(name))?;
    }
    Ok(dir)
}

/// Copies an entry with all that is in it. What is neither file, directory nor symlink stays, and is named.
///
/// # Errors
/// `AlreadyExists`; any error of the disk.
pub(super) fn whole(
    disk: &dyn Disk,
    (from, name): (&Dir, &OsStr),
    (to, to_name): (&Dir, &OsStr),
    left: &mut Vec<RelPath>,
) -> io::Result<()> {
    let mut todo = vec![(from.clone(), name.to_owned(), to.clone(), to_name.to_owned(), RelPath::root().join(to_name))];
    let mut looks = Vec::new();
    while let Some((from, name, to, to_name, path)) = todo.pop() {
        let look = Look::of(disk, &from, &name)?;
        match disk.stat(&from, &name)?.kind {
            Kind::File => {
                file(disk, &disk.open(&from, &name, Open::Read)?, &to, &to_name)?;
                look.set(disk, &to, &to_name)?;
            }
            Kind::Symlink => disk.symlink(&disk.read_link(&from, &name)?, &to, &to_name)?,
            Kind::Dir => {
                disk.create_dir(&to, &to_name, 0o700)?;
                let inner = disk.open_dir(&from, &RelPath::root().join(&name))?;
                let outer = disk.open_dir(&to, &RelPath::root().join(&to_name))?;
                for entry in disk.list(&inner)? {
                    let path = path.join(&entry.name);
                    todo.push((inner.clone(), entry.name.clone(), outer.clone(), entry.name, path));
                }
                looks.push((to, to_name, look));
            }
            _ => left.push(path),
        }
    }
    // What is in a directory first: its bits may close it.
    looks.iter().rev().try_for_each(|(at, name, look)| look.set(disk, at, name))
}
