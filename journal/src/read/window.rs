//! The bytes of a segment as the walk through it asks for them: a part at a time, so that no more of a file is in memory
//! than the frame that is looked at and what was read ahead of it.

use std::convert::Infallible;
use std::io;

use treewal_vfs::{Disk, File, Mapping, errno};

use super::contents::SECTOR_BYTES;
use super::how::Source;
use crate::layout::HEADER_BYTES;

/// How much one call asks for, and the least that is read ahead. Small enough to be still in the cache of the processor
/// when the checksum comes by.
const PART_BYTES: usize = 256 << 10;

/// Gives the bytes of a segment.
pub(crate) trait Window {
    /// What a source may refuse.
    type Error;

    /// The bytes from `offset` on: at least `wanted` of them, or all there are.
    fn at(&mut self, offset: usize, wanted: usize) -> Result<&[u8], Self::Error>;
}

/// Bytes that are all at hand.
pub(crate) struct Whole<'a>(pub(crate) &'a [u8]);

impl Window for Whole<'_> {
    type Error = Infallible;

    fn at(&mut self, offset: usize, _wanted: usize) -> Result<&[u8], Infallible> {
        Ok(self.0.get(offset..).unwrap_or_default())
    }
}

/// The bytes of a segment's file, mapped or read.
pub(crate) struct SegmentBytes<'a> {
    disk: &'a dyn Disk,
    file: File,
    /// How many bytes of the file count.
    bytes: usize,
    map: Option<Mapping>,
    read: Read,
    /// Whether what was read stays until the end, so that the walk can begin anew.
    keep: bool,
}

/// What was read of a file that is not mapped.
#[derive(Debug, Default)]
struct Read {
    /// Longer than what is in it: it is not filled with zeros each time.
    buffer: Vec<u8>,
    filled: usize,
    /// Where the buffer begins in the file.
    start: usize,
    /// Up to here the disk is asked sector by sector, as it refused a larger part.
    careful: usize,
    ended: Option<Ended>,
}

/// Why a file gives no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// There is no more.
    Short,
    /// The disk answers `EIO` to the next sector.
    Refused,
}

impl<'a> SegmentBytes<'a> {
    /// The first `bytes_max` bytes of `file` behind the header, with `buffer` to read into. What cannot be mapped is read.
    ///
    /// # Errors
    /// Whatever [`Disk::stat_file`] says.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        file: File,
        bytes_max: u64,
        source: Source,
        buffer: Vec<u8>,
    ) -> io::Result<Self> {
        let bytes = disk.stat_file(&file)?.size.min(bytes_max);
        let bytes = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mapped = (source == Source::Mapped).then(|| disk.map(&file, bytes_max));
        // A disk that fails to map is asked for the bytes; if it fails there, too, it says so better.
        let map = mapped.and_then(|mapped| mapped.ok().flatten()).filter(|map| map.len() == bytes);
        let read = Read { buffer, start: HEADER_BYTES, ..Read::default() };
        Ok(Self { disk, file, bytes, map, read, keep: false })
    }

    /// Keeps what is read: memory for the whole segment, where it is not mapped.
    pub(crate) fn keeping(self) -> Self {
        Self { keep: true, ..self }
    }

    /// The memory, for the next segment.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.read.buffer
    }

    /// How many bytes the file had when it was opened.
    pub(crate) fn file_bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for all bytes from `offset` on; gives where they end, and whether because the disk refuses the next.
    ///
    /// # Errors
    /// As [`at`](Window::at).
    pub(crate) fn exhaust(&mut self, mut offset: usize) -> io::Result<(usize, bool)> {
        loop {
            let given = self.at(offset, PART_BYTES)?.len();
            offset += given;
            if given < PART_BYTES {
                break;
            }
        }
        Ok(match self.read.ended {
            Some(ended) => (self.read.end(), ended == Ended::Refused),
            None => (self.bytes, false),
        })
    }
}

impl Window for SegmentBytes<'_> {
    type Error = io::Error;

    fn at(&mut self, offset: usize, wanted: usize) -> io::Result<&[u8]> {
        let end = offset.saturating_add(wanted).min(self.bytes);
        if self.map.as_mut().is_some_and(|map| map.upto(end).is_err()) {
            // Which sector it is that the disk refuses, reading finds out.
            self.map = None;
            self.read.start = if self.keep { HEADER_BYTES } else { offset };
        }
        if let Some(map) = &self.map {
            return Ok(map.ready().get(offset..).unwrap_or_default());
        }
        if end > self.read.end() {
            if !self.keep {
                self.read.drop_before(offset);
            }
            // Twice as much, so that what is moved to the front each time is paid for by what is read.
            let ahead = PART_BYTES.max(wanted.saturating_mul(2));
            if self.keep {
                let left = self.bytes.saturating_sub(self.read.start + self.read.buffer.len());
                self.read.buffer.reserve_exact(left);
            }
            self.read.fill(self.disk, &self.file, offset.saturating_add(ahead).min(self.bytes))?;
        }
        Ok(self.read.from(offset))
    }
}

impl Read {
    fn end(&self) -> usize {
        self.start + self.filled
    }

    fn from(&self, offset: usize) -> &[u8] {
        let held = &self.buffer[..self.filled];
        offset.checked_sub(self.start).and_then(|at| held.get(at..)).unwrap_or_default()
    }

    fn drop_before(&mut self, offset: usize) {
        if self.ended.is_some() || offset <= self.start {
            return;
        }
        let gone = (offset - self.start).min(self.filled);
        self.buffer.copy_within(gone..self.filled, 0);
        self.filled -= gone;
        // Padding behind the last frame may not have been read.
        self.start = offset;
    }

    /// Reads up to `goal`, or to where the file gives no more.
    fn fill(&mut self, disk: &dyn Disk, file: &File, goal: usize) -> io::Result<()> {
        let room = goal.saturating_sub(self.start);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        while self.end() < goal && self.ended.is_none() {
            let at = self.end();
            let careful = at < self.careful;
            let part = if careful { SECTOR_BYTES - at % SECTOR_BYTES } else { PART_BYTES };
            let bytes = part.min(goal - at);
            match disk.read_at(file, &mut self.buffer[self.filled..self.filled + bytes], at as u64) {
                Ok(0) => self.ended = Some(Ended::Short),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() != Some(errno::EIO) => return Err(error),
                Err(_) if careful => self.ended = Some(Ended::Refused),
                Err(_) => self.careful = at + bytes,
            }
        }
        Ok(())
    }
}
