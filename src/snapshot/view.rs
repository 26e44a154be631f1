//! The view of a snapshot for people and their tools: ordinary files under their own names.

use std::ffi::OsStr;

use treewal_snapshot::{Entry, Stored};
use treewal_vfs::{Dir, Disk, Kind, RelPath};

use super::FILES;
use crate::{Error, Result};

/// Whoever is not root cannot write to a file by mistake.
const READ_ONLY: u32 = 0o400;

/// Makes `files` in `into`: directories, symlinks, and a second name for each backup, with the times of then. Nothing is
/// synced. What has no contents, fifos and the like, is left out.
pub(super) fn make(disk: &dyn Disk, into: &Dir, stored: &Stored<'_>) -> Result<()> {
    let io = |source| Error::from_os("show", FILES.into(), source);
    disk.create_dir(into, OsStr::new(FILES), 0o700).map_err(io)?;
    let view = disk.open_dir(into, &RelPath::root().join(FILES)).map_err(io)?;
    let mut open: Option<(RelPath, Dir)> = None;
    for entry in stored.entries() {
        let Some((parent, name)) = entry.path.split() else { continue };
        let dir = match &open {
            Some((path, dir)) if *path == parent => dir.clone(),
            _ => disk.open_dir(&view, &parent).map_err(io)?,
        };
        open = Some((parent, dir.clone()));
        show(disk, (&dir, name), entry, stored)?;
    }
    for entry in stored.entries().iter().rev().filter(|entry| entry.is_dir()) {
        let Some((parent, name)) = entry.path.split() else { continue };
        let set = disk.open_dir(&view, &parent);
        let set = set.and_then(|dir| disk.set_times(&dir, name, entry.meta.accessed, entry.meta.modified));
        set.map_err(io)?;
    }
    Ok(())
}

fn show(disk: &dyn Disk, (dir, name): (&Dir, &OsStr), entry: &Entry, stored: &Stored<'_>) -> Result<()> {
    let io = |source| Error::io("show", &entry.path)(source);
    match (entry.meta.kind, &entry.target) {
        (Kind::Dir, _) => disk.create_dir(dir, name, 0o700).map_err(io),
        (Kind::Symlink, Some(target)) => disk.symlink(target, dir, name).map_err(io),
        (Kind::File, _) => {
            stored.link(entry, dir, name).map_err(Error::Snapshot)?;
            disk.set_times(dir, name, entry.meta.accessed, entry.meta.modified).map_err(io)?;
            disk.set_mode(dir, name, READ_ONLY).map_err(io)
        }
        _ => Ok(()),
    }
}
