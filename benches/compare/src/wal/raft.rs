//! raft-engine: entries of many logs in one file; threads share syncs. Each thread has a log of its own, as each group of
//! a server has.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::Result;
use crate::contestant::Log;
use crate::scans::Seen;

const THREADS_MAX: usize = 64;
const NUMBER_BYTES: usize = 8;

pub(crate) struct Raft {
    engine: Engine,
    /// Number of the next entry of each log; the first is 1.
    next: Vec<AtomicU64>,
}

/// An entry: its number, as a raft log has it, and the rest of the record.
struct Numbered;

impl MessageExt for Numbered {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk::<NUMBER_BYTES>().map_or(0, |number| u64::from_le_bytes(*number))
    }
}

impl Raft {
    /// With its defaults but for compression, which no other log does; with `room`, all files that are needed are filled
    /// with zeros before it is used.
    pub(crate) fn new(dir: &Path, room: Option<u64>) -> Result<Self> {
        let mut config = config(dir)?;
        if let Some(room) = room {
            config.prefill_for_recycle = true;
            config.target_file_size = ReadableSize(room);
            config.purge_threshold = ReadableSize(2 * room);
            config.prefill_limit = Some(ReadableSize(2 * room));
        }
        let next = (0..THREADS_MAX).map(|_| AtomicU64::new(1)).collect();
        Ok(Self { engine: Engine::open(config)?, next })
    }

    fn write(&self, thread: usize, record: &[u8], durable: bool) -> Result {
        let next = self.next.get(thread).ok_or("too many threads")?;
        let mut entry = BytesValue { value: record.to_vec(), ..BytesValue::default() };
        let number = next.fetch_add(1, Ordering::Relaxed);
        let head = entry.value.first_chunk_mut::<NUMBER_BYTES>().ok_or("a record too short for its number")?;
        *head = number.to_le_bytes();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Numbered>(thread as u64 + 1, &[entry])?;
        self.engine.write(&mut batch, durable)?;
        Ok(())
    }
}

fn config(dir: &Path) -> Result<Config> {
    let dir = dir.to_str().ok_or("a path that is no text")?.to_owned();
    Ok(Config { dir, batch_compression_threshold: ReadableSize(0), ..Config::default() })
}

impl Log for Raft {
    fn commit(&self, thread: usize, record: &[u8]) -> Result {
        self.write(thread, record, true)
    }

    fn append(&self, record: &[u8]) -> Result {
        self.write(0, record, false)
    }

    fn sync(&self) -> Result {
        Ok(self.engine.sync()?)
    }
}

/// Opens the log in `dir`, which reads all of it and makes an index; gives how many entries the first thread's log has.
pub(crate) fn open(dir: &Path) -> Result<u64> {
    Ok(numbers(&Engine::open(config(dir)?)?).count() as u64)
}

/// Opens the log in `dir` and reads every entry of the first thread's log.
pub(crate) fn scan(dir: &Path) -> Result<Seen> {
    const AT_ONCE: usize = 1024;
    let engine = Engine::open(config(dir)?)?;
    let (mut seen, mut entries, end) = (Seen::default(), Vec::with_capacity(AT_ONCE), numbers(&engine).end);
    for from in numbers(&engine).step_by(AT_ONCE) {
        engine.fetch_entries_to::<Numbered>(1, from, end.min(from + AT_ONCE as u64), None, &mut entries)?;
        entries.drain(..).for_each(|entry| seen.visit(&entry.value));
    }
    Ok(seen)
}

fn numbers(engine: &Engine) -> Range<u64> {
    engine.first_index(1).unwrap_or(1)..engine.last_index(1).map_or(1, |last| last + 1)
}
