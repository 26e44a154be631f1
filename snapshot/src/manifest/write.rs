//! Writing a manifest record by record, in constant memory.

use std::ffi::OsStr;
use std::time::Duration;

use treewal_vfs::codec::{self, CodecError};
use treewal_vfs::{Dir, Disk, File, Open, RelPath, Time, write_all};

use super::entry::Entry;
use super::record::{Record, from_entry};
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
        Ok(Self { disk, file, buffer: layout::header().to_vec(), written: 0, frames: 0, entries: 0 })
    }

    /// Records a guarded path; all of them come first, sorted.
    pub(crate) fn guarded(&mut self, path: &RelPath, present: bool) -> Result<()> {
        self.put(&Record::Guarded { path: path.to_bytes(), present }, path)
    }

    /// Records an excluded path; all of them come after the guarded ones, sorted.
    pub(crate) fn excluded(&mut self, path: &RelPath) -> Result<()> {
        self.put(&Record::Excluded { path: path.to_bytes() }, path)
    }

    /// Records an entry, after the directory that it is in. Returns its place.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<usize> {
        let too_large = || Error::TooLarge { path: entry.path.clone() };
        let place = usize::try_from(self.entries).map_err(|_| too_large())?;
        self.put(&from_entry(entry).ok_or_else(too_large)?, &entry.path)?;
        self.entries += 1;
        Ok(place)
    }

    /// Writes the end. Nothing is synced: that is one call for the whole snapshot.
    ///
    /// `latest` is the latest change of any entry. The clock of many file systems moves every 4 ms only, and a file
    /// changed twice within one tick shows it once. So the end waits until the clock has moved past `latest`; where it
    /// does not within [`WAIT_MS_MAX`], `Manifest::is_doubtful` says which entries a reader must not trust.
    pub(crate) fn finish(mut self, latest: Time) -> Result<u64> {
        self.flush()?;
        let mut taken = self.clock()?;
        for _ in 0..WAIT_MS_MAX {
            if taken > latest {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
            write_all(self.disk, &self.file, &layout::header(), 0).map_err(Error::own("write", MANIFEST))?;
            taken = self.clock()?;
        }
        self.put(&Record::End { entries: self.entries, taken }, &RelPath::root())?;
        self.flush()?;
        Ok(self.entries)
    }

    /// The clock of the file system, as of the last write to this file.
    fn clock(&self) -> Result<Time> {
        Ok(self.disk.stat_file(&self.file).map_err(Error::own("describe", MANIFEST))?.modified)
    }

    fn put(&mut self, record: &Record, path: &RelPath) -> Result<()> {
        let too_large = || Error::TooLarge { path: path.clone() };
        let payload = codec::encode(record).map_err(|_: CodecError| too_large())?;
        layout::put_frame(self.frames, &payload, &mut self.buffer).ok_or_else(too_large)?;
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
