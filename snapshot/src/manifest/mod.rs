//! The manifest: what was there, written as the tree is walked and read back as a stream.

mod check;
mod entry;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod layout;
mod order;
mod read;
mod record;
mod source;
#[cfg(test)]
mod tests;
mod write;

use treewal_vfs::{Dir, Disk, RelPath, Time};

pub use entry::{Backup, Entry, Guarded, Mode, Role};
pub(crate) use order::{compare_paths, is_within, parent};
pub use read::Entries;
pub(crate) use read::Records;
pub(crate) use record::{Raw, from_entry, rel};
pub(crate) use write::Writer;

use crate::{Check, Result};

/// The name of the manifest in the directory of its snapshot.
pub(crate) const MANIFEST: &str = "manifest";

/// What was guarded, and an open manifest to read the entries from, one after the other: a manifest of a million entries
/// costs no more memory than one of ten.
#[derive(Debug, Clone)]
pub struct Manifest {
    file: treewal_vfs::File,
    /// Length of the file.
    bytes: u64,
    guarded: Vec<Guarded>,
    excluded: Vec<RelPath>,
    end: layout::End,
}

impl Manifest {
    /// Opens the manifest of the snapshot in `from`, and reads what it says of itself. The entries are read, and
    /// checked, when they are asked for.
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

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.entries
    }

    /// Whether nothing that was guarded existed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.entries == 0
    }

    /// All entries: the directories above guarded paths first, then the others, each sorted by path, so that a directory
    /// comes before what is in it.
    ///
    /// Bytes are not trusted: memory does not grow with what lengths say, and nothing that the manifest says can name
    /// a path outside of the guarded ones. What is wrong is an error of the iterator and its last item; so is a
    /// manifest that ends too early. Read to the end before you act on it.
    #[must_use]
    pub fn entries<'a>(&'a self, disk: &'a dyn Disk) -> Entries<'a> {
        Entries::new(self, disk)
    }

    /// The clock of the file system when the last entry had been recorded.
    #[must_use]
    pub fn taken(&self) -> Time {
        self.end.taken
    }

    /// How far attributes can be believed when `tree` is restored now: [`Check::Attributes`] where the kernel has seen
    /// every write since the snapshot, because the mount is the one that it was taken on; else
    /// [`Check::Contents`]. A process that was killed thus costs no more than one that lives, and a power loss what it must.
    #[must_use]
    pub fn check(&self, disk: &dyn Disk, tree: &Dir) -> Check {
        match disk.mount_id(tree) {
            Ok(Some(mount)) if mount.0 == self.end.mount && mount.0 != [0; layout::MOUNT_BYTES] => Check::Attributes,
            _ => Check::Contents,
        }
    }

    /// Whether `path` is guarded or lies beneath a guarded path, and is not excluded: what the manifest does not list
    /// there was not there.
    #[must_use]
    pub fn covers(&self, path: &RelPath) -> bool {
        let after = self.guarded.partition_point(|guarded| guarded.path <= *path);
        let above = after.checked_sub(1).and_then(|at| self.guarded.get(at));
        above.is_some_and(|guarded| path.starts_with(&guarded.path)) && !self.is_excluded(path)
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
