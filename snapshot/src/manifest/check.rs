//! How the records of a manifest fit together. Pure: values in, a reason out.
//!
//! A frame with the right checksum is what was written; it is still not trusted, because whoever can write the file
//! can compute a checksum. What passes here cannot name a path outside of the guarded ones.

use std::collections::{HashMap, HashSet};

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::Manifest;
use super::entry::{Entry, Guarded, Mode, Role};
use super::record::{Record, into_entry};

type Check<T = ()> = Result<T, String>;

const NANOS_BELOW: u32 = 1_000_000_000;
const MODE_BITS: u32 = 0o7777;

/// Takes the records one by one and is a manifest after the last.
#[derive(Debug, Default)]
pub(super) struct Checker {
    guarded: Vec<Guarded>,
    excluded: Vec<RelPath>,
    entries: Vec<Entry>,
    places: HashMap<RelPath, usize>,
    backups: HashSet<u64>,
    taken: Option<Time>,
}

impl Checker {
    /// Takes the next record.
    pub(super) fn push(&mut self, record: Record) -> Check {
        if self.taken.is_some() {
            return Err("a record after the end".into());
        }
        match record {
            Record::Guarded { path, present } => self.guarded(&path, present),
            Record::Excluded { path } => self.excluded(&path),
            Record::Entry(entry) => self.entry(into_entry(*entry).map_err(|why| why.to_string())?),
            Record::End { entries, taken } => self.end(entries, taken),
        }
    }

    /// Whether the end record was seen.
    pub(super) fn is_ended(&self) -> bool {
        self.taken.is_some()
    }

    /// The manifest; `None` before the end record.
    pub(super) fn finish(self) -> Option<Manifest> {
        let Self { guarded, excluded, entries, places, taken, .. } = self;
        Some(Manifest { guarded, excluded, entries, places, taken: taken? })
    }

    fn guarded(&mut self, path: &[u8], present: bool) -> Check {
        let path = parse(path)?;
        if !self.excluded.is_empty() || !self.entries.is_empty() {
            return Err(format!("guarded path {path:?} after other records"));
        }
        // Sorted and none inside another: then the one that covers a path is found by its place.
        if self.guarded.last().is_some_and(|last| path <= last.path || path.starts_with(&last.path)) {
            return Err(format!("guarded path {path:?} out of order"));
        }
        self.guarded.push(Guarded { path, present });
        Ok(())
    }

    fn excluded(&mut self, path: &[u8]) -> Check {
        let path = parse(path)?;
        if !self.entries.is_empty() || self.excluded.last().is_some_and(|last| path <= *last) {
            return Err(format!("excluded path {path:?} out of order"));
        }
        self.excluded.push(path);
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Check {
        let path = &entry.path;
        if self.excluded.iter().any(|excluded| path.starts_with(excluded)) {
            return Err(format!("{path:?} is excluded"));
        }
        match entry.role {
            Role::Guarded if !self.covers(path) => return Err(format!("{path:?} is not guarded")),
            Role::Ancestor if path.is_root() || !entry.is_dir() || !self.leads_to_guarded(path) => {
                return Err(format!("{path:?} is no directory above a guarded path"));
            }
            _ => {}
        }
        let parent = path.parent().filter(|parent| !parent.is_root());
        let under_dir = parent.is_none_or(|parent| {
            self.places.get(&parent).and_then(|place| self.entries.get(*place)).is_some_and(Entry::is_dir)
        });
        if !under_dir || (path.is_root() && !entry.is_dir()) {
            return Err(format!("{path:?} does not stand in a recorded directory"));
        }
        attributes(&entry)?;
        self.contents(&entry)?;
        if self.places.insert(path.clone(), self.entries.len()).is_some() {
            return Err(format!("{path:?} stands twice"));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Links point back to a first name of the same inode; each backup serves one file.
    fn contents(&mut self, entry: &Entry) -> Check {
        let path = &entry.path;
        if let Some(first) = entry.same_as {
            let first = self.entries.get(first).ok_or_else(|| format!("{path:?} links to a later entry"))?;
            let same = first.same_as.is_none() && same_inode(&first.meta, &entry.meta) && !entry.is_dir();
            if !same || first.role != Role::Guarded || entry.backup.is_some() {
                return Err(format!("{path:?} links to another inode"));
            }
        } else if (entry.meta.kind == Kind::File) != entry.backup.is_some() {
            return Err(format!("{path:?} has contents and no backup, or the other way round"));
        }
        if let Some(backup) = &entry.backup {
            if backup.mode == Mode::None || backup.modified.nanos >= NANOS_BELOW || !self.backups.insert(backup.number)
            {
                return Err(format!("the backup of {path:?} is impossible"));
            }
        }
        Ok(())
    }

    fn end(&mut self, entries: u64, taken: Time) -> Check {
        if u64::try_from(self.entries.len()) != Ok(entries) {
            return Err(format!("{} entries, and the end says {entries}", self.entries.len()));
        }
        for guarded in &self.guarded {
            let excluded = self.excluded.iter().any(|excluded| guarded.path.starts_with(excluded));
            if guarded.present != (self.places.contains_key(&guarded.path)) || excluded {
                return Err(format!("guarded path {:?} and its entry disagree", guarded.path));
            }
        }
        self.taken = Some(taken);
        Ok(())
    }

    fn covers(&self, path: &RelPath) -> bool {
        let after = self.guarded.partition_point(|guarded| guarded.path <= *path);
        after.checked_sub(1).is_some_and(|at| self.guarded[at].present && path.starts_with(&self.guarded[at].path))
    }

    fn leads_to_guarded(&self, path: &RelPath) -> bool {
        let after = self.guarded.partition_point(|guarded| guarded.path <= *path);
        self.guarded.get(after).is_some_and(|guarded| guarded.path.starts_with(path))
    }
}

fn parse(path: &[u8]) -> Check<RelPath> {
    RelPath::from_bytes(path).map_err(|why| why.to_string())
}

fn same_inode(a: &Meta, b: &Meta) -> bool {
    a.kind == b.kind && a.ino == b.ino && a.born == b.born
}

fn attributes(entry: &Entry) -> Check {
    let meta = &entry.meta;
    let times = [meta.born, meta.accessed, meta.modified, meta.changed];
    let possible = meta.mode & !MODE_BITS == 0
        && times.iter().all(|time| time.nanos < NANOS_BELOW)
        && (meta.kind == Kind::Symlink) == entry.target.is_some()
        && entry.xattrs.iter().all(|(name, _)| !name.is_empty());
    if possible { Ok(()) } else { Err(format!("the attributes of {:?} are impossible", entry.path)) }
}
