//! The part of a manifest that a restore has something to do with.

use std::collections::HashMap;

use treewal_vfs::{RelPath, Time};

use crate::Error;
use crate::judge;
use crate::manifest::{Backup, Entry};

/// Entries in the order of the manifest, each after the directory that it is in; links point to places in here. With a
/// file that has several names in the manifest, all of them are here.
#[derive(Debug, Default)]
pub(super) struct Extract {
    entries: Vec<Entry>,
    places: HashMap<RelPath, usize>,
    taken: Time,
}

impl Extract {
    /// Of entries with their places in the manifest, in order. An error says which link is none.
    pub(super) fn new(chosen: Vec<(usize, Entry)>, taken: Time) -> Result<Self, RelPath> {
        let new_places: HashMap<usize, usize> =
            chosen.iter().enumerate().map(|(new, (place, _))| (*place, new)).collect();
        let mut entries: Vec<Entry> = Vec::with_capacity(chosen.len());
        for (_, mut entry) in chosen {
            if let Some(first) = entry.same_as {
                let new = new_places.get(&first).filter(|new| entries.get(**new).is_some_and(|of| may_be(&entry, of)));
                let Some(new) = new else { return Err(entry.path) };
                entry.same_as = Some(*new);
            }
            entries.push(entry);
        }
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.path.clone(), place)).collect();
        Ok(Self { entries, places, taken })
    }

    /// The error for a link that is none.
    pub(super) fn wrong_link(path: &RelPath) -> Error {
        Error::Damaged { offset: 0, what: format!("{path:?} is a link to another inode") }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn place(&self, path: &RelPath) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// Where the contents of a file are, also where `entry` is a second name of it.
    pub(super) fn backup_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a Backup> {
        match entry.same_as {
            Some(first) => self.entries.get(first)?.backup.as_ref(),
            None => entry.backup.as_ref(),
        }
    }

    pub(super) fn is_doubtful(&self, entry: &Entry) -> bool {
        judge::is_doubtful(self.taken, entry)
    }
}

/// Whether an entry can be another name of `of`.
fn may_be(entry: &Entry, of: &Entry) -> bool {
    let (a, b) = (&entry.meta, &of.meta);
    of.same_as.is_none()
        && (a.kind, a.ino, a.born) == (b.kind, b.ino, b.born)
        && !entry.is_dir()
        && of.role == entry.role
}
