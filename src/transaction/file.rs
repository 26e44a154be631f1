//! A file that is being written inside a transaction.

use std::io::{self, Read, Seek, SeekFrom, Write};

use treewal_vfs::RelPath;

use super::Transaction;
use super::overlay::NodeId;

/// A file opened with [`Transaction::create`]: write, read back, seek.
///
/// Contents up to the inline limit stay in memory; beyond it they stream into the stage. Nothing is visible in the tree
/// before the transaction commits.
pub struct StagedFile<'tx> {
    tx: &'tx mut Transaction,
    node: NodeId,
    path: RelPath,
    position: u64,
}

impl<'tx> StagedFile<'tx> {
    pub(super) fn new(tx: &'tx mut Transaction, node: NodeId, path: RelPath) -> Self {
        Self { tx, node, path, position: 0 }
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// What the disk says of the stage.
    pub fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.tx.make_room(self.node, len).map_err(io::Error::from)?;
        let (overlay, base) = self.tx.overlay_and_base();
        overlay.content_mut(self.node).set_len(base.disk(), len)
    }
}

impl Drop for StagedFile<'_> {
    fn drop(&mut self) {
        self.tx.rest(self.node);
    }
}

impl Write for StagedFile<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            // Nothing is written, also beyond the end.
            return Ok(0);
        }
        self.tx.write_content(self.node, &self.path, buf, self.position).map_err(io::Error::from)?;
        self.position += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for StagedFile<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (overlay, base) = self.tx.overlay_and_base();
        let read = overlay.content_mut(self.node).read_at(base.disk(), buf, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for StagedFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.tx.content_mut(self.node).len().checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl std::fmt::Debug for StagedFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedFile").field("path", &self.path).field("position", &self.position).finish_non_exhaustive()
    }
}
