//! Putting whole paths back in one step each, however much is in them.

use std::ffi::OsString;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, errno};

use super::apply::work_dir;
use super::place::{Bench, Item};
use super::{Restored, WORK};
use crate::manifest::{Entry, Guarded, Manifest, Records, Role};
use crate::mirror::{Mark, mirrors, top};
use crate::walk::{open_parent, stat};
use crate::{Error, Result};

/// Brings the guarded paths of the snapshot in `from`, which was taken with
/// [`TakeOptions::exchange`](crate::TakeOptions::exchange), back to what they were: each is exchanged with its
/// mirror. What that costs does not depend on how much is in them or how much of it changed.
///
/// Every file and directory in them is another inode than before, the guarded directories themselves among them: for
/// whoever has one of them open, or stands in it, that is the one that was displaced. The displaced tree stays in `from`,
/// to be thrown away or kept.
///
/// # What survives a crash
/// As for [`restore`](super::restore): not durable before a sync, and after a crash either this is run again, or
/// [`restore`](super::restore).
///
/// # Errors
/// [`Error::NotExchangeable`] before anything was changed; use [`restore`](super::restore) then. Otherwise as there.
pub fn exchange(disk: &dyn Disk, tree: &Dir, from: &Dir, manifest: &Manifest) -> Result<Restored> {
    let (home, marks) = mirrors(disk, from, manifest.guarded())?;
    let above = above(disk, manifest)?;
    let mut moves = Vec::new();
    // Mirrors are numbered by the paths that were there; others may have been added to what is guarded since.
    let mut number = 0;
    for guarded in manifest.guarded() {
        moves.extend(plan(disk, tree, (&home, &marks), (number, guarded))?);
        number += usize::from(guarded.present);
    }
    let mut bench = work_dir(disk, from).and_then(|dir| Bench::new(disk, dir)).map_err(Error::own("open", WORK))?;
    let mut done = Restored::default();
    for step in moves {
        let path = step.path;
        let parent = path.parent().unwrap_or_default();
        let then = above.iter().find(|entry| entry.path == parent);
        let still = then.map(|entry| entry.meta.modified) == modified(disk, tree, &parent)?;
        let Some(place) = path.name() else { continue };
        match step.mirror {
            Some(Placed { name, kind, mark }) => {
                let item = Item { dir: &home, name: &name, kind };
                let over = step.live.map(|live| live.kind);
                bench.put(&item, &step.dir, place, over).map_err(Error::io("put back", path))?;
                let now = disk.stat(&step.dir, place).map_err(Error::io("describe", path))?;
                settle(disk, &step.dir, path, &now, &mark)?;
                done.restored += 1;
            }
            None => {
                bench.take_away(&step.dir, place).map_err(Error::io("remove", path))?;
                done.removed += 1;
            }
        }
        if let Some(then) = then.filter(|_| still) {
            set_times(disk, tree, then)?;
        }
    }
    for guarded in manifest.guarded().iter().filter(|guarded| !guarded.present) {
        done.removed += prune(disk, tree, &guarded.path, &above)?;
    }
    done.unchanged = 0;
    Ok(done)
}

/// One step: what goes where.
struct Move<'a> {
    path: &'a RelPath,
    dir: Dir,
    live: Option<Meta>,
    /// The mirror, or `None` where nothing was.
    mirror: Option<Placed>,
}

/// A mirror that is to be put into place.
struct Placed {
    name: OsString,
    kind: Kind,
    mark: Mark,
}

/// What is to be done for a guarded path; `None` where that was done.
fn plan<'a>(
    disk: &dyn Disk,
    tree: &Dir,
    (home, marks): (&Dir, &[Mark]),
    (number, guarded): (usize, &'a Guarded),
) -> Result<Option<Move<'a>>> {
    let path = &guarded.path;
    let refused = |what| Err(Error::NotExchangeable { path: path.clone(), what });
    let Some(parent) = path.parent() else { return refused("it is the tree itself") };
    let dir = open_parent(disk, tree, &parent)?;
    let live = dir.as_ref().map(|dir| stat(disk, dir, path)).transpose()?.flatten();
    if !guarded.present {
        return Ok(dir.filter(|_| live.is_some()).map(|dir| Move { path, dir, live, mirror: None }));
    }
    let Some(dir) = dir else { return refused("the directory that it was in is gone") };
    let mark_of = |meta: &Meta| marks.iter().find(|mark| mark.is(number, meta));
    if let Some((live, mark)) = live.as_ref().and_then(|live| Some((live, mark_of(live)?))) {
        settle(disk, &dir, path, live, mark)?;
        return Ok(None);
    }
    let mirror = match disk.stat(home, &top(number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        meta => Some(meta.map_err(Error::io("describe the mirror of", path))?),
    };
    let Some((meta, mark)) = mirror.and_then(|meta| Some((meta, mark_of(&meta)?))) else {
        return refused("its mirror is gone");
    };
    Ok(Some(Move { path, dir, live, mirror: Some(Placed { name: top(number), kind: meta.kind, mark: *mark }) }))
}

/// Gives a mirror that is in its place the time that it had.
fn settle(disk: &dyn Disk, dir: &Dir, path: &RelPath, live: &Meta, mark: &Mark) -> Result<()> {
    let Some(name) = path.name().filter(|_| live.modified != mark.modified) else { return Ok(()) };
    let set = disk.set_times(dir, name, live.accessed, mark.modified);
    set.map_err(Error::io("set the times of", path))
}

/// The directories above the guarded paths, which come first in a manifest.
fn above(disk: &dyn Disk, manifest: &Manifest) -> Result<Vec<Entry>> {
    let mut records = Records::new(manifest, disk);
    let mut above = Vec::new();
    while let Some(raw) = records.next()?.filter(|raw| raw.entry.role == Role::Ancestor) {
        above.push(raw.whole());
    }
    Ok(above)
}

fn modified(disk: &dyn Disk, tree: &Dir, path: &RelPath) -> Result<Option<treewal_vfs::Time>> {
    let dir = open_parent(disk, tree, path)?;
    let meta = dir.map(|dir| disk.stat_dir(&dir)).transpose().map_err(Error::io("describe", path))?;
    Ok(meta.map(|meta| meta.modified))
}

fn set_times(disk: &dyn Disk, tree: &Dir, then: &Entry) -> Result<()> {
    let Some((parent, name)) = then.path.split() else { return Ok(()) };
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(()) };
    let set = disk.set_times(&dir, name, then.meta.accessed, then.meta.modified);
    set.map_err(Error::io("set the times of", &then.path))
}

/// Removes the directories above `path` that are newer, unless somebody else uses them; says how many.
fn prune(disk: &dyn Disk, tree: &Dir, path: &RelPath, above: &[Entry]) -> Result<u64> {
    let mut removed = 0;
    let newer: Vec<RelPath> =
        path.ancestors().filter(|path| !path.is_root() && !above.iter().any(|entry| entry.path == *path)).collect();
    for path in newer.iter().rev() {
        let Some((parent, name)) = path.split() else { continue };
        let Some(dir) = open_parent(disk, tree, &parent)? else { continue };
        match disk.remove_dir(&dir, name) {
            Ok(()) => removed += 1,
            Err(error) if is_in_use(&error) => {}
            Err(error) => return Err(Error::io("remove", path)(error)),
        }
    }
    Ok(removed)
}

/// Whether a directory stays because it is not empty, or is none.
pub(super) fn is_in_use(error: &io::Error) -> bool {
    let stays = [errno::ENOTEMPTY, errno::EEXIST, errno::ENOENT, errno::ENOTDIR, errno::EBUSY];
    error.raw_os_error().is_some_and(|errno| stays.contains(&errno))
}
