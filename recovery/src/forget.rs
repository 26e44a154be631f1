//! The journal forgets.

use treewal_journal::{Log, Lsn};

use crate::Result;

/// Gives back the segments that a checkpoint covers whose record is durable. One that cannot be removed now is removed by a
/// later checkpoint or opening: nothing that was said of the tree depends on it.
///
/// # Errors
/// [`Error::Journal`](crate::Error::Journal) where a sync failed, which closes the journal.
pub fn forget(log: &Log, upto: Lsn) -> Result<()> {
    match log.truncate(upto) {
        Err(error @ treewal_journal::Error::Io { .. }) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "segments could not be given back");
            Ok(())
        }
        done => Ok(done?),
    }
}
