//! Looking at a tree from outside: reads only, takes no lock, makes nothing, mends nothing.

mod log;
mod status;
mod verify;

use std::path::Path;
use std::sync::Arc;

use treewal_recovery::home::Home;
use treewal_vfs::{Disk, RealDisk};

pub use log::{Follow, Log, LogEntry, LogEvent, LogSegment, LogTail, LogTransaction, log, log_of};
pub use status::{Status, Unfinished, status};
pub use verify::{Finding, verify};

/// The named snapshots of the tree at `path`, by name. Takes no lock.
///
/// # Errors
/// Any error of the disk.
pub fn snapshots(path: impl AsRef<Path>) -> Result<Vec<Snapshot>> {
    home(path.as_ref())?.map_or_else(|| Ok(Vec::new()), |home| crate::snapshot::list(&home))
}

use crate::{Error, Result, Snapshot};

/// The tree's own directory; `None` where treewal was never used on the tree.
fn home(path: &Path) -> Result<Option<Home>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
    Home::open(disk, root).map_err(Error::from_recovery)
}
