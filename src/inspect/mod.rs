//! Looking at a tree from outside: reads only, takes no lock, makes nothing, mends nothing.

mod log;
mod status;
mod verify;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use treewal_recovery::home::Home;
use treewal_vfs::{Disk, RealDisk};

pub use log::{Follow, Log, LogEntry, LogEvent, LogSegment, LogTail, LogTransaction, log, log_of};
pub(crate) use status::of as status_of;
pub use status::{Status, Unfinished, status, status_with};
pub(crate) use verify::of as verify_of;
pub use verify::{Finding, verify, verify_with};

/// The named snapshots of the tree at `path`, by name. Takes no lock.
///
/// # Errors
/// Any error of the disk.
pub fn snapshots(path: impl AsRef<Path>) -> Result<Vec<Snapshot>> {
    home(path.as_ref())?.map_or_else(|| Ok(Vec::new()), |home| crate::snapshot::list(&home))
}

/// What is in the quarantine of the tree at `path`, by name. Takes no lock.
///
/// # Errors
/// Any error of the disk.
pub fn quarantine(path: impl AsRef<Path>) -> Result<Vec<Quarantined>> {
    home(path.as_ref())?.map_or_else(|| Ok(Vec::new()), |home| crate::quarantine::list(&home))
}

/// What is in one entry of the quarantine of the tree at `path`. Takes no lock.
///
/// # Errors
/// `NotFound`; [`Error::Snapshot`] where the entries of a snapshot cannot be read; any error of the disk.
pub fn quarantined(path: impl AsRef<Path>, id: &str) -> Result<QuarantineDetails> {
    crate::quarantine::show(&used(path.as_ref(), id)?, id)
}

/// Copies an entry of the quarantine of the tree at `path` to `dest`, a directory that is empty or not there yet; see
/// [`Tree::export_quarantine`](crate::Tree::export_quarantine). Takes no lock.
///
/// # Errors
/// As [`Tree::export_quarantine`](crate::Tree::export_quarantine).
pub fn export_quarantine(path: impl AsRef<Path>, id: &str, dest: impl AsRef<Path>) -> Result<Exported> {
    crate::quarantine::export(&used(path.as_ref(), id)?, id, dest.as_ref())
}

fn used(path: &Path, id: &str) -> Result<Home> {
    let missing = || Error::from_os("find", crate::quarantine::shown(id.as_ref()), ErrorKind::NotFound.into());
    home(path)?.ok_or_else(missing)
}

use crate::{Error, Exported, QuarantineDetails, Quarantined, Result, Snapshot};

/// The tree's own directory; `None` where treewal was never used on the tree.
fn home(path: &Path) -> Result<Option<Home>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
    Home::open(disk, root).map_err(Error::from_recovery)
}
