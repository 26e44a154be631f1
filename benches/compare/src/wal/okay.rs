//! okaywal: each entry is durable when its commit returns, and threads share syncs.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use okaywal::{Configuration, Entry, EntryId, LogManager, ReadChunkResult, SegmentReader, WriteAheadLog};

use crate::Result;
use crate::contestant::Log;
use crate::scans::Seen;

pub(crate) struct Okay(WriteAheadLog);

impl Okay {
    /// With its defaults, segments of 1 MiB; or one segment of `room` bytes, none begun or given back while measured.
    pub(crate) fn new(dir: &Path, room: Option<u64>) -> Result<Self> {
        Ok(Self(configuration(dir, room)?.open(Nothing)?))
    }
}

fn configuration(dir: &Path, room: Option<u64>) -> Result<Configuration> {
    let defaults = Configuration::default_for(dir);
    Ok(match room {
        None => defaults,
        Some(room) => defaults.preallocate_bytes(u32::try_from(room)?).checkpoint_after_bytes(u64::MAX),
    })
}

impl Log for Okay {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        self.commit_many(record, 1)
    }

    /// One entry of many chunks, each as long as a record.
    fn commit_many(&self, record: &[u8], records: usize) -> Result {
        let mut entry = self.0.begin_entry()?;
        for _ in 0..records {
            entry.write_chunk(record)?;
        }
        entry.commit()?;
        Ok(())
    }

    /// Its thread would outlive it otherwise.
    fn end(self: Box<Self>) -> Result {
        Ok(self.0.shutdown()?)
    }
}

/// Reads every chunk of the log of one large segment in `dir`, its checksum looked at.
pub(crate) fn scan(dir: &Path, room: u64) -> Result<Seen> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let log = configuration(dir, Some(room))?.open(Count(Arc::clone(&seen)))?;
    let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
    log.shutdown()?;
    Ok(seen)
}

/// Whose entries are needed by nobody.
#[derive(Debug)]
struct Nothing;

impl LogManager for Nothing {
    fn recover(&mut self, _entry: &mut Entry<'_>) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Count(Arc<Mutex<Seen>>);

impl LogManager for Count {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            let payload = chunk.read_all()?;
            if !chunk.check_crc()? {
                return Err(io::ErrorKind::InvalidData.into());
            }
            seen.visit(&payload);
        }
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}
