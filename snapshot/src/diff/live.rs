//! What changed under the guarded paths since the snapshot, told by attributes alone.

use std::cmp::Ordering;

use treewal_vfs::{Dir, Disk, Kind, Meta};

use super::{Change, ChangeKind, Changes, Firsts, Source, told};
use crate::judge::{Verdict, has_attributes, is_doubtful, is_settled, judge};
use crate::manifest::{Entry, Manifest, Raw, Records, Role, compare_paths, rel};
use crate::walk::{Names, Run, open_parent, split, stat};
use crate::{Error, Result};

/// Every difference under the guarded paths, sorted by path. Reads no contents: inode, size and times decide, so the
/// cost is a look at every entry. A difference may be reported where there is none that anybody could see; one that
/// there is goes unreported only if the times of a file lie (see [`Check`](crate::Check)).
///
/// An item can be [`Error::Changed`](crate::Error::Changed) where entries come and go meanwhile, or what the disk says; it
/// is then the last one.
#[must_use]
pub fn changes<'a>(disk: &'a dyn Disk, tree: &'a Dir, manifest: &'a Manifest) -> Changes<'a> {
    differences(disk, tree, manifest, false)
}

/// As [`changes`], and what nobody can tell by looking counts, too: that a directory or a symlink is another one than then, with
/// the same attributes, or that anything about an entry was set to what it was. So do the directories above the guarded paths,
/// where names may have come and gone as well. So what is not among them needs no sync.
#[must_use]
pub fn touched<'a>(disk: &'a dyn Disk, tree: &'a Dir, manifest: &'a Manifest) -> Changes<'a> {
    differences(disk, tree, manifest, true)
}

fn differences<'a>(disk: &'a dyn Disk, tree: &'a Dir, manifest: &'a Manifest, touched: bool) -> Changes<'a> {
    let starts = manifest.guarded().iter().map(|guarded| guarded.path.clone());
    Changes::of(Live {
        disk,
        tree,
        manifest,
        touched,
        records: Records::new(manifest, disk),
        firsts: Firsts::default(),
        then: Next::Unread,
        names: Names::new(disk, tree, starts, manifest.excluded(), false),
        run: None,
        now: Next::Unread,
    })
}

/// All of [`changes`] at once.
///
/// # Errors
/// The first one of them.
pub fn compare(disk: &dyn Disk, tree: &Dir, manifest: &Manifest) -> Result<Vec<Change>> {
    changes(disk, tree, manifest).collect()
}

/// A manifest, and the tree as it is.
struct Live<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    manifest: &'a Manifest,
    /// Whether what was only touched counts.
    touched: bool,
    records: Records<'a>,
    firsts: Firsts,
    then: Next<Raw>,
    names: Names<'a>,
    /// Names of one directory, and how many of them were looked at.
    run: Option<(Run, usize)>,
    now: Next<(Vec<u8>, Meta)>,
}

/// What comes next on one side.
enum Next<T> {
    Unread,
    Is(T),
    Nothing,
}

impl<T> Next<T> {
    fn of(next: Option<T>) -> Self {
        next.map_or(Self::Nothing, Self::Is)
    }

    fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Unread) {
            Self::Is(next) => Some(next),
            Self::Unread | Self::Nothing => None,
        }
    }
}

/// Names that are listed at a time.
const NAMES: usize = 256;

impl Live<'_> {
    fn difference(&self, entry: &Entry, live: &Meta) -> Result<Option<ChangeKind>> {
        let doubtful = is_doubtful(self.manifest.taken(), entry);
        if live.kind != entry.meta.kind {
            return Ok(Some(ChangeKind::TypeChanged));
        }
        let (disk, tree) = (self.disk, self.tree);
        let settled = is_settled(entry, live) && !(self.touched && doubtful);
        let same_contents = match entry.meta.kind {
            Kind::Dir => true,
            Kind::File => match judge(entry, entry.backup.as_ref(), live) {
                Verdict::Same | Verdict::Touched => !doubtful,
                Verdict::Backup => true,
                Verdict::Written | Verdict::BackupWritten | Verdict::Alike | Verdict::Other => false,
            },
            Kind::Symlink => settled || target_is(disk, tree, entry)?,
            Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => live.rdev == entry.meta.rdev,
        };
        let has_same = || Ok::<_, Error>(has_attributes(entry, live) && xattrs_are(disk, tree, entry)?);
        let same_attributes = settled || !self.touched && !verdict_is_open(entry, live) && has_same()?;
        Ok(told(same_contents, same_attributes))
    }

    /// The same of a directory above guarded paths, which no walk meets.
    fn above(&self, entry: &Entry) -> Result<Option<ChangeKind>> {
        let (parent, _) = split(&entry.path);
        let dir = open_parent(self.disk, self.tree, &parent)?;
        match dir.map(|dir| stat(self.disk, &dir, &entry.path)).transpose()?.flatten() {
            Some(live) => self.difference(entry, &live),
            None => Ok(Some(ChangeKind::Removed)),
        }
    }

    fn then(&mut self) -> Result<Option<Raw>> {
        while let Some(mut raw) = self.records.next()? {
            self.firsts.complete(&mut raw);
            // Directories above guarded paths belong to others.
            if raw.entry.role == Role::Guarded || self.touched {
                return Ok(Some(raw));
            }
        }
        Ok(None)
    }

    fn now(&mut self) -> Result<Option<(Vec<u8>, Meta)>> {
        loop {
            if let Some((run, seen)) = &mut self.run {
                if let Some(step) = run.step(*seen) {
                    *seen += 1;
                    // What was removed since it was listed is not there.
                    match step.meta_if_there(self.disk)? {
                        Some(meta) => return Ok(Some((step.bytes(), meta))),
                        None => continue,
                    }
                }
            }
            self.run = self.names.next(NAMES)?.map(|run| (run, 0));
            if self.run.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Source for Live<'_> {
    fn next(&mut self) -> Result<Option<Change>> {
        loop {
            if matches!(self.then, Next::Unread) {
                self.then = Next::of(self.then()?);
            }
            if matches!(self.now, Next::Unread) {
                self.now = Next::of(self.now()?);
            }
            let order = match (&self.then, &self.now) {
                (Next::Is(then), _) if then.entry.role == Role::Ancestor => Ordering::Less,
                (Next::Is(then), Next::Is((now, _))) => compare_paths(&then.path, now),
                (Next::Is(_), _) => Ordering::Less,
                (_, Next::Is(_)) => Ordering::Greater,
                _ => return Ok(None),
            };
            let then = if order.is_le() { self.then.take() } else { None };
            let now = if order.is_ge() { self.now.take() } else { None };
            let change = match (then, now) {
                (Some(then), Some((path, live))) => self.difference(&then.whole(), &live)?.map(|kind| (path, kind)),
                (Some(then), None) if then.entry.role == Role::Ancestor => {
                    let path = then.path.clone();
                    self.above(&then.whole())?.map(|kind| (path, kind))
                }
                (Some(then), None) => Some((then.path, ChangeKind::Removed)),
                (None, Some((path, _))) => Some((path, ChangeKind::Added)),
                (None, None) => None,
            };
            if let Some((path, kind)) = change {
                return Ok(Some(Change { path: rel(&path), kind }));
            }
        }
    }
}

/// Whether a file may have been written to by somebody who set its modification time back.
fn verdict_is_open(entry: &Entry, live: &Meta) -> bool {
    entry.meta.kind == Kind::File && judge(entry, entry.backup.as_ref(), live) == Verdict::Touched
}

fn xattrs_are(disk: &dyn Disk, tree: &Dir, entry: &Entry) -> Result<bool> {
    let (parent, name) = split(&entry.path);
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(false) };
    Ok(disk.xattrs(&dir, name).map_err(Error::io("read attributes of", &entry.path))? == entry.xattrs)
}

fn target_is(disk: &dyn Disk, tree: &Dir, entry: &Entry) -> Result<bool> {
    let Some((parent, name)) = entry.path.split() else { return Ok(false) };
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(false) };
    let target = disk.read_link(&dir, name).map_err(Error::io("read", &entry.path))?;
    Ok(entry.target.as_ref() == Some(&target))
}
