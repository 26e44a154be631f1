//! Writing a manifest record by record, in constant memory.

use std::ffi::OsStr;
use std::time::Duration;

use treewal_vfs::codec::{self, CodecError};
use treewal_vfs::{Dir, Disk, File, Open, RelPath, Time, write_all};

use super::layout::{End, MOUNT_BYTES};
use super::record::{EntryRecord, Record, rel};
use super::{MANIFEST, layout};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 64 << 10;
/// Longer than a tick of any kernel (10 ms at 100 Hz); file systems that count whole seconds are not waited for.
const WAIT_MS_MAX: u32 = 25;
const PRIVATE: u32 = 0o600;

/// An open manifest that is not yet one: without [`Writer::finish`] it has no end, and nobody will take it for whole.
pub(crate) struct Writer<'a> {
    disk: &'a dyn Disk,
    file: File,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    written: u64,
    frames: u64,
    entries: u64,
}

impl<'a> Writer<'a> {
    /// Makes the file `manifest` in `into`.
    pub(crate) fn create(disk: &'a dyn Disk, into: &Dir) -> Result<Self> {
        let file = disk
            .open(into, OsStr::new(MANIFEST), Open::CreateNew { mode: PRIVATE })
            .map_err(Error::own("create", MANIFEST))?;
        Ok(Self {
            disk,
            file,
            buffer: layout::header().to_vec(),
            payload: Vec::new(),
            written: 0,
            frames: 0,
            entries: 0,
        })
    }

    /// Records a guarded path; all of them come first, sorted.
    pub(crate) fn guarded(&mut self, path: &RelPath, present: bool) -> Result<()> {
        self.put(&Record::Guarded { path: path.to_bytes(), present })
    }

    /// Records an excluded path; all of them come after the guarded ones, sorted.
    pub(crate) fn excluded(&mut self, path: &RelPath) -> Result<()> {
        self.put(&Record::Excluded { path: path.to_bytes() })
    }

    /// Records an entry, in the order of a manifest. Returns its place.
    pub(crate) fn entry(&mut self, entry: EntryRecord) -> Result<u64> {
        let record = Record::Entry(Box::new(entry));
        let put = self.put(&record);
        if let (Err(Error::TooLarge { path }), Record::Entry(entry)) = (&put, &record) {
            debug_assert!(path.is_root());
            return Err(Error::TooLarge { path: rel(&entry.path) });
        }
        put?;
        self.entries += 1;
        Ok(self.entries - 1)
    }

    /// Writes the end. Nothing is synced: that is one call for the whole snapshot.
    ///
    /// `latest` is the latest change of any entry. The clock of many file systems moves every 4 ms only, and a file
    /// changed twice within one tick shows it once. So the end waits until the clock has moved past `latest`; where it
    /// does not within [`WAIT_MS_MAX`], `Manifest::is_doubtful` says which entries a reader must not trust.
    pub(crate) fn finish(mut self, latest: Time, mount: [u8; MOUNT_BYTES]) -> Result<u64> {
        self.flush()?;
        let mut taken = self.clock()?;
        for waited_ms in 0..=WAIT_MS_MAX {
            if taken > latest {
                break;
            }
            // A kernel that keeps times finer than its tick moves the clock for a file that was asked about: without a wait.
            if waited_ms > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            write_all(self.disk, &self.file, &layout::header(), 0).map_err(Error::own("write", MANIFEST))?;
            taken = self.clock()?;
        }
        self.put(&Record::End { bytes: End { entries: self.entries, taken, mount }.to_bytes() })?;
        self.flush()?;
        Ok(self.entries)
    }

    /// The clock of the file system, as of the last write to this file.
    fn clock(&self) -> Result<Time> {
        Ok(self.disk.stat_file(&self.file).map_err(Error::own("describe", MANIFEST))?.modified)
    }

    fn put(&mut self, record: &Record) -> Result<()> {
        let too_large = || Error::TooLarge { path: RelPath::root() };
        self.payload.clear();
        codec::encode_into(record, &mut self.payload).map_err(|_: CodecError| too_large())?;
        layout::put_frame(self.frames, &self.payload, &mut self.buffer).ok_or_else(too_large)?;
        self.frames += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        write_all(self.disk, &self.file, &self.buffer, self.written).map_err(Error::own("write", MANIFEST))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
