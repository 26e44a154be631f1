//! treewal's journal: every call of it that is measured stands here.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use treewal_journal::{LogOptions, Reader, ScanOptions, Source, TreeId};
use treewal_vfs::{Disk, RealDisk};

use crate::Result;
use crate::contestant::Log;
use crate::scans::Seen;

const TREE: TreeId = TreeId(*b"a tree to measur");
const KIND: u8 = 1;
const SEGMENT_BYTES_MAX: u64 = treewal_journal::SEGMENT_BYTES_MAX;

pub(crate) struct Ours(treewal_journal::Log);

impl Ours {
    /// A log of segments of `room` bytes, up to the largest there is; `ahead` has each made by a thread before it is needed.
    pub(crate) fn new(dir: &Path, room: u64, ahead: bool) -> Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = disk.open_root(dir)?;
        let options = LogOptions { segment_bytes: room.min(SEGMENT_BYTES_MAX), ahead, ..LogOptions::new(TREE) };
        Ok(Self(treewal_journal::Log::create(disk, dir, options)?))
    }

    /// Bytes that the segment at hand still takes: more than before where a new one was begun.
    pub(crate) fn room(&self) -> u64 {
        self.0.room()
    }

    /// Says that nothing durable is needed any more, so that full segments are used again.
    pub(crate) fn give_back(&self) -> Result {
        Ok(self.0.truncate(self.0.durable())?)
    }
}

impl Log for Ours {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        let last = self.0.append(&[(KIND, record)])?;
        Ok(self.0.sync_to(last)?)
    }

    fn append(&self, record: &[u8]) -> Result {
        self.0.append(&[(KIND, record)])?;
        Ok(())
    }

    fn flush(&self) -> Result {
        Ok(self.0.flush()?)
    }

    fn sync(&self) -> Result {
        Ok(self.0.sync()?)
    }
}

/// Reads every record of the log in `dir`.
pub(crate) fn scan(dir: &Path, source: Source, threads: usize) -> Result<Seen> {
    let mut seen = Seen::default();
    let dir = RealDisk.open_root(dir)?;
    let options = ScanOptions { source, threads, ..ScanOptions::new(Some(TREE)) };
    Reader::scan_with(&RealDisk, &dir, &options, &mut |frame| {
        seen.visit(frame.payload);
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}
