//! The limits of appending: a file that was filled with zeros and keeps its length and its blocks, `pwrite`, and
//! `fdatasync` where it has to be durable. No locks, no recovery, one thread.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use treewal_vfs::{Disk, File, Open, RealDisk, write_all};

use crate::Result;
use crate::contestant::Log;

/// Larger writes leave large pieces in the page cache, and each small sync afterwards is slower for it.
const FILL_BYTES: usize = 16 << 10;
/// What is gathered before it is written where nothing has to be durable.
const BUFFER_BYTES: usize = 256 << 10;
/// Length and checksum: the least that lets a reader find the next record and trust it.
pub(crate) const FRAME_BYTES: usize = 8;
/// A frame as long as that of treewal.
pub(crate) const WIDE_FRAME_BYTES: usize = 32;
pub(crate) const NAME: &str = "log";

pub(crate) struct Limit {
    file: File,
    frame: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    offset: u64,
}

impl Limit {
    /// A log of `bytes`; each record has a frame of `frame` bytes: none, or [`FRAME_BYTES`], or
    /// that and zeros.
    pub(crate) fn new(dir: &Path, bytes: u64, frame: usize) -> Result<Self> {
        let dir = RealDisk.open_root(dir)?;
        let file = RealDisk.open(&dir, OsStr::new(NAME), Open::CreateNew { mode: 0o600 })?;
        let zeros = vec![0; FILL_BYTES];
        for offset in (0..bytes).step_by(FILL_BYTES) {
            write_all(&RealDisk, &file, &zeros, offset)?;
        }
        RealDisk.sync_file(&file)?;
        RealDisk.sync_dir(&dir)?;
        let buffer = Vec::with_capacity(2 * BUFFER_BYTES);
        Ok(Self { file, frame, state: Mutex::new(State { buffer, offset: 0 }) })
    }

    fn put(&self, state: &mut State, record: &[u8]) -> Result {
        if let Some(zeros) = self.frame.checked_sub(FRAME_BYTES) {
            state.buffer.extend_from_slice(&u32::try_from(record.len())?.to_le_bytes());
            state.buffer.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
            state.buffer.resize(state.buffer.len() + zeros, 0);
        }
        state.buffer.extend_from_slice(record);
        Ok(())
    }

    fn write(&self, state: &mut State) -> Result {
        write_all(&RealDisk, &self.file, &state.buffer, state.offset)?;
        state.offset += state.buffer.len() as u64;
        state.buffer.clear();
        Ok(())
    }
}

impl Log for Limit {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        self.commit_many(record, 1)
    }

    fn commit_many(&self, record: &[u8], records: usize) -> Result {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..records {
            self.put(&mut state, record)?;
        }
        self.write(&mut state)?;
        Ok(RealDisk.sync_data(&self.file)?)
    }

    fn append(&self, record: &[u8]) -> Result {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&mut state, record)?;
        if state.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.write(&mut state) }
    }

    fn flush(&self) -> Result {
        self.write(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sync(&self) -> Result {
        self.flush()?;
        Ok(RealDisk.sync_data(&self.file)?)
    }
}
