//! What differs: between two snapshots, and between a snapshot and the tree. Both are read side by side in the order of
//! paths, so the memory that takes does not grow with the number of entries.

mod live;
mod pure;

use std::collections::HashMap;
use std::iter::FusedIterator;

use treewal_vfs::{Kind, Meta, RelPath};

use crate::Result;
use crate::manifest::{Backup, Mode, Raw};

pub use live::{changes, compare, touched};
pub use pure::diff;

/// How an entry differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is newer than the snapshot.
    Added,
    /// Its contents, or the target of a symlink, are others, or may be: it is another inode, or was written to.
    Modified,
    /// Mode, owner, times or extended attributes are others, or may be.
    Metadata,
    /// It is gone.
    Removed,
    /// It is of another kind.
    TypeChanged,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RelPath,
    /// What.
    pub kind: ChangeKind,
}

/// Differences, one after the other, sorted by path: what [`changes`] and [`diff`] give. An error is the last item.
pub struct Changes<'a> {
    /// `None` where there is nothing more.
    source: Option<Box<dyn Source + Send + 'a>>,
}

/// Where differences come from.
trait Source {
    /// The next one; `None` after the last. Not called again after that, nor after an error.
    fn next(&mut self) -> Result<Option<Change>>;
}

impl<'a> Changes<'a> {
    fn of(source: impl Source + Send + 'a) -> Self {
        Self { source: Some(Box::new(source)) }
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        let change = self.source.as_mut()?.next();
        if !matches!(change, Ok(Some(_))) {
            self.source = None;
        }
        change.transpose()
    }
}

impl FusedIterator for Changes<'_> {}

impl std::fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("over", &self.source.is_none()).finish_non_exhaustive()
    }
}

/// Of `what` about an entry of the same kind: its contents, and its attributes.
fn told(same_contents: bool, same_attributes: bool) -> Option<ChangeKind> {
    match (same_contents, same_attributes) {
        (false, _) => Some(ChangeKind::Modified),
        (true, false) => Some(ChangeKind::Metadata),
        (true, true) => None,
    }
}

/// The backups of files that have several names, which stand at the first of them alone.
#[derive(Debug, Default)]
struct Firsts {
    backups: HashMap<usize, Backup>,
    place: usize,
}

/// What is beyond this many files with several names is forgotten, and may be told as changed where it was put back.
const FIRSTS_MAX: usize = 1 << 16;

impl Firsts {
    /// Gives an entry that is another name of a file the backup of that. Every entry must come by here, in order.
    fn complete(&mut self, raw: &mut Raw) {
        let entry = &mut raw.entry;
        if let Some(first) = entry.same_as {
            entry.backup = self.backups.get(&first).cloned();
        } else if let Some(backup) = entry.backup.as_ref().filter(|backup| has_names(&entry.meta, backup)) {
            if self.backups.len() < FIRSTS_MAX {
                self.backups.insert(self.place, backup.clone());
            }
        }
        self.place += 1;
    }
}

/// Whether a file had names beside the one that it was first met under. A backup by hard link is none.
pub(crate) fn has_names(meta: &Meta, backup: &Backup) -> bool {
    meta.kind == Kind::File && meta.links > 1 + u64::from(backup.mode == Mode::HardLink)
}
