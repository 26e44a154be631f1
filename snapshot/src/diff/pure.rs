//! What differs between two snapshots. Looks at their manifests alone.

use std::cmp::Ordering;

use treewal_vfs::{Disk, Kind, Meta};

use super::{Change, ChangeKind, Changes, Firsts, Source, told};
use crate::Result;
use crate::manifest::{Backup, Entry, Manifest, Raw, Records, Role, compare_paths, rel};

/// Every difference between two snapshots, sorted by path: what was added, changed or removed from `old` to `new`.
///
/// Only paths that both cover are compared: what one of them did not guard, or excluded, is no difference. No contents are
/// read: files with checksums are compared by these, others by inode, size and modification time. So a file
/// that was replaced by one with the same bytes may be told as modified; one that has other bytes is told, unless
/// somebody wrote to it in place and set its times back (`touch -r`).
///
/// Reading either manifest can fail at any item; that one is then the last.
#[must_use]
pub fn diff<'a>(disk: &'a dyn Disk, old: &'a Manifest, new: &'a Manifest) -> Changes<'a> {
    Changes::of(Sides { old: Side::new(disk, old), new: Side::new(disk, new) })
}

/// Two manifests.
struct Sides<'a> {
    old: Side<'a>,
    new: Side<'a>,
}

struct Side<'a> {
    manifest: &'a Manifest,
    records: Records<'a>,
    firsts: Firsts,
    /// The next entry, where it was read already.
    next: Option<Raw>,
    over: bool,
}

impl<'a> Side<'a> {
    fn new(disk: &'a dyn Disk, manifest: &'a Manifest) -> Self {
        Self { manifest, records: Records::new(manifest, disk), firsts: Firsts::default(), next: None, over: false }
    }

    /// Makes the next entry ready, if there is one.
    fn ready(&mut self) -> Result<()> {
        while self.next.is_none() && !self.over {
            self.next = self.records.next()?;
            self.over = self.next.is_none();
            if let Some(next) = &mut self.next {
                self.firsts.complete(next);
                // Directories above guarded paths belong to others.
                if next.entry.role == Role::Ancestor {
                    self.next = None;
                }
            }
        }
        Ok(())
    }

    /// What stands on this side alone is a difference where the other side looked there.
    fn alone(&mut self, other: &Manifest, kind: ChangeKind) -> Option<Change> {
        let path = rel(&self.next.take()?.path);
        other.covers(&path).then_some(Change { path, kind })
    }
}

impl Source for Sides<'_> {
    fn next(&mut self) -> Result<Option<Change>> {
        loop {
            self.old.ready()?;
            self.new.ready()?;
            let order = match (&self.old.next, &self.new.next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => compare_paths(&old.path, &new.path),
            };
            let change = match order {
                Ordering::Less => self.old.alone(self.new.manifest, ChangeKind::Removed),
                Ordering::Greater => self.new.alone(self.old.manifest, ChangeKind::Added),
                Ordering::Equal => match (self.old.next.take(), self.new.next.take()) {
                    (Some(old), Some(new)) => difference(&old.entry, &new.entry)
                        .filter(|_| self.new.manifest.covers(&rel(&new.path)))
                        .map(|kind| Change { path: rel(&new.path), kind }),
                    _ => None,
                },
            };
            if change.is_some() {
                return Ok(change);
            }
        }
    }
}

fn difference(old: &Entry, new: &Entry) -> Option<ChangeKind> {
    let (then, now) = (&old.meta, &new.meta);
    if then.kind != now.kind {
        return Some(ChangeKind::TypeChanged);
    }
    let same_contents = match then.kind {
        Kind::Dir => true,
        Kind::File => same_bytes(old, new),
        Kind::Symlink => old.target == new.target,
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => then.rdev == now.rdev,
    };
    let attributes = |meta: &Meta| (meta.mode, meta.uid, meta.gid, meta.modified);
    told(same_contents, attributes(then) == attributes(now) && old.xattrs == new.xattrs)
}

/// Whether a file has the contents of then, as far as its attributes tell.
fn same_bytes(old: &Entry, new: &Entry) -> bool {
    let (then, now) = (&old.meta, &new.meta);
    if then.size != now.size {
        return false;
    }
    let sum = |entry: &Entry| entry.backup.as_ref().and_then(|backup| backup.checksum);
    if let (Some(then), Some(now)) = (sum(old), sum(new)) {
        return then == now;
    }
    // The inode of then, or that of its backup, which a restore put into its place.
    let is = |ino: u64, born| (ino, born) == (now.ino, now.born);
    let known = |backup: &Backup| is(backup.ino, backup.born);
    (is(then.ino, then.born) || old.backup.as_ref().is_some_and(known)) && then.modified == now.modified
}
