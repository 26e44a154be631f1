//! The view of a snapshot for people and their tools: ordinary files under their own names.

use std::ffi::OsStr;
use std::io;

use treewal_snapshot::{Entry, Manifest};
use treewal_vfs::{Dir, Disk, Kind, RelPath};

use super::FILES;

/// Whoever is not root cannot write to a file by mistake.
const READ_ONLY: u32 = 0o400;

/// Makes `files` in `into`: directories, symlinks, and a second name for each backup, with the times of then. Nothing is
/// synced. What has no contents, fifos and the like, is left out.
pub(super) fn make(disk: &dyn Disk, into: &Dir, manifest: &Manifest) -> io::Result<()> {
    disk.create_dir(into, OsStr::new(FILES), 0o700)?;
    let view = disk.open_dir(into, &RelPath::root().join(FILES))?;
    let contents = disk.open_dir(into, &RelPath::root().join("contents"))?;
    let mut open: Option<(RelPath, Dir)> = None;
    for entry in manifest.entries() {
        let Some((parent, name)) = entry.path.split() else { continue };
        let dir = match &open {
            Some((path, dir)) if *path == parent => dir.clone(),
            _ => disk.open_dir(&view, &parent)?,
        };
        open = Some((parent, dir.clone()));
        show(disk, (&dir, name), &contents, entry, manifest)?;
    }
    for entry in manifest.entries().iter().rev().filter(|entry| entry.is_dir()) {
        let Some((parent, name)) = entry.path.split() else { continue };
        disk.set_times(&disk.open_dir(&view, &parent)?, name, entry.meta.accessed, entry.meta.modified)?;
    }
    Ok(())
}

fn show(
    disk: &dyn Disk,
    (dir, name): (&Dir, &OsStr),
    contents: &Dir,
    entry: &Entry,
    manifest: &Manifest,
) -> io::Result<()> {
    match (entry.meta.kind, &entry.target, manifest.backup_of(entry)) {
        (Kind::Dir, ..) => disk.create_dir(dir, name, 0o700),
        (Kind::Symlink, Some(target), _) => disk.symlink(target, dir, name),
        (Kind::File, _, Some(backup)) => {
            disk.hard_link(contents, OsStr::new(&backup.number.to_string()), dir, name)?;
            disk.set_times(dir, name, entry.meta.accessed, entry.meta.modified)?;
            disk.set_mode(dir, name, READ_ONLY)
        }
        _ => Ok(()),
    }
}
