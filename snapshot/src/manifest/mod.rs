//! The manifest: what was there, written as the tree is walked and read back as a whole.

mod check;
mod entry;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod layout;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;

use treewal_vfs::{Dir, Disk, RelPath, Time};

pub use entry::{Backup, Entry, Guarded, Mode, Role};
pub(crate) use write::Writer;

use crate::Result;

/// The name of the manifest in the directory of its snapshot.
pub(crate) const MANIFEST: &str = "manifest";

/// Everything a snapshot knows, checked: paths lie beneath the guarded ones, each stands once and after its parent.
#[derive(Debug, Clone)]
pub struct Manifest {
    guarded: Vec<Guarded>,
    excluded: Vec<RelPath>,
    entries: Vec<Entry>,
    places: HashMap<RelPath, usize>,
    taken: Time,
}

impl Manifest {
    /// Reads the manifest of the snapshot in `from`. Bytes are not trusted: memory stays in proportion to the length
    /// of the file, and nothing that it says can name a path outside of the guarded ones.
    ///
    /// # Errors
    /// [`Error::Incomplete`](crate::Error::Incomplete) where the snapshot was never finished,
    /// [`Error::Damaged`](crate::Error::Damaged), [`Error::Version`](crate::Error::Version), or what the disk says.
    pub fn load(disk: &dyn Disk, from: &Dir) -> Result<Self> {
        read::load(disk, from)
    }

    /// The guarded paths, sorted, none inside another.
    #[must_use]
    pub fn guarded(&self) -> &[Guarded] {
        &self.guarded
    }

    /// The paths that were left out and that a restore leaves alone.
    #[must_use]
    pub fn excluded(&self) -> &[RelPath] {
        &self.excluded
    }

    /// All entries, a directory before what is in it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that was at `path`.
    #[must_use]
    pub fn entry(&self, path: &RelPath) -> Option<&Entry> {
        self.place(path).and_then(|place| self.entries.get(place))
    }

    /// The clock of the file system when the last entry had been recorded.
    #[must_use]
    pub fn taken(&self) -> Time {
        self.taken
    }

    /// Where the contents of a file are, also where `entry` is a second name of it.
    #[must_use]
    pub fn backup_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a Backup> {
        match entry.same_as {
            Some(first) => self.entries.get(first)?.backup.as_ref(),
            None => entry.backup.as_ref(),
        }
    }

    /// For tests of what is done with a manifest; nothing is checked.
    #[cfg(test)]
    pub(crate) fn of(guarded: Vec<Guarded>, excluded: Vec<RelPath>, entries: Vec<Entry>, taken: Time) -> Self {
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.path.clone(), place)).collect();
        Self { guarded, excluded, entries, places, taken }
    }

    pub(crate) fn place(&self, path: &RelPath) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// Whether the times of an entry cannot prove that it was not changed after the snapshot: they lie within the same
    /// tick of the clock.
    pub(crate) fn is_doubtful(&self, entry: &Entry) -> bool {
        entry.meta.changed >= self.taken
    }

    /// Guards a path that was not there when the snapshot was taken, as if it had been asked for: a restore removes what stands
    /// there. Nothing for a path that is guarded anyway, or excluded.
    pub fn guard_absent(&mut self, path: &RelPath) {
        if self.is_excluded(path) || self.guarded.iter().any(|guarded| path.starts_with(&guarded.path)) {
            return;
        }
        // What was asked for beneath it was not there either, or this would have been.
        self.guarded.retain(|guarded| !guarded.path.starts_with(path));
        let place = self.guarded.partition_point(|guarded| guarded.path < *path);
        self.guarded.insert(place, Guarded { path: path.clone(), present: false });
    }

    pub(crate) fn is_excluded(&self, path: &RelPath) -> bool {
        self.excluded.iter().any(|excluded| path.starts_with(excluded))
    }
}
