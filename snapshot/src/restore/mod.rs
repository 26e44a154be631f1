//! Restoring by comparison: survey (reads) → plan (pure) → apply (may stop anywhere and be run again).

mod apply;
mod attributes;
mod backups;
mod displaced;
mod exchange;
mod extract;
mod place;
mod plan;
mod sift;
mod stored;
mod survey;

use treewal_vfs::{Dir, Disk};

pub(crate) use attributes::set_back;
pub use displaced::{Displaced, displaced, is_copy};
pub use exchange::exchange;
pub use stored::Stored;

use crate::{Error, Manifest, Result};

/// The directory of what a restore makes before it goes into place, and of what it displaced.
pub(crate) const WORK: &str = "work";

/// How far the attributes of a file are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// A file with its inode, size and times of then has its contents of then. True while the kernel that saw the
    /// writes is still running on this mount: in the process that took the snapshot, say. (Not on tmpfs for writes
    /// through a memory map, which move no time there.)
    Attributes,
    /// Contents and extended attributes are compared with the backup for every file, which costs reading both. After a
    /// power loss this is the only way: bytes reach the disk before the times that tell of them, up to a day before
    /// with `lazytime`. (Hard-linked backups have nothing to compare: there, nobody writes in place.)
    Contents,
}

/// What a restore did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Entries that were put back or made again.
    pub restored: u64,
    /// Entries that were removed because they are newer than the snapshot; what went with a directory that made room
    /// for a file is not counted.
    pub removed: u64,
    /// Entries in place of which attributes alone were set back, directories around what was restored among them.
    pub metadata: u64,
    /// Entries that nothing was done to.
    pub unchanged: u64,
}

/// Brings everything under the guarded paths of the snapshot in `from` back to what `manifest` says; see the crate for
/// what is brought back. Touches only what differs.
///
/// The backup file itself is renamed into place, so this needs no free space for contents, and `from` is used up: it
/// keeps what was displaced, for the caller to throw away or to keep. A path that was there before and is there now is
/// missing at no moment (where the file system can exchange two names; without that, a file is replaced in one step,
/// and only a change between directory and file leaves a gap).
///
/// # What survives a crash
/// Nothing is durable when this returns: call [`Disk::sync_all`] on the tree afterwards, before `from` is thrown away.
/// (Where names in guarded directories changed it does sync once itself, before the first backup goes into place, so
/// that a power loss cannot move a directory from under it.) After a kill or a power loss at any point, run it again, with [`Check::Contents`] where it may have been a power loss: it ends in the
/// same tree. Only the modification time of a directory *above* a guarded path may then stay newer than it was.
///
/// # Errors
/// [`Error::InPlace`] and [`Error::Lost`] name the files whose backups cannot be used; everything else was restored.
/// [`Error::Excluded`] before anything was changed. Otherwise [`Error::Io`] or [`Error::Changed`] with the path: part
/// is restored, and running it again goes on.
pub fn restore(disk: &dyn Disk, tree: &Dir, from: &Dir, manifest: &Manifest, check: Check) -> Result<Restored> {
    let (extract, survey) = survey::survey(disk, tree, from, manifest, check)?;
    let plan = plan::plan(&extract, &survey)?;
    let mut restored = apply::apply(disk, tree, from, &extract, &plan.actions)?;
    let guarded = manifest.len();
    let unusable = (plan.in_place.len() + plan.lost.len()) as u64;
    restored.unchanged = guarded.saturating_sub(restored.restored + restored.metadata + unusable);
    tracing::debug!(?restored, "snapshot restored");
    if !plan.lost.is_empty() {
        return Err(Error::Lost { paths: plan.lost, in_place: plan.in_place });
    }
    if !plan.in_place.is_empty() {
        return Err(Error::InPlace { paths: plan.in_place });
    }
    Ok(restored)
}
