//! The bytes of a segment from where a reader has come to: a little at first, since mostly little has been appended.

use std::io;

use treewal_vfs::{Disk, File};

use super::window::Window;

/// What the first call asks for, in bytes. Each further one asks for four times as much.
const PART_BYTES: usize = 8 << 10;
/// What a call asks for at most, unless a frame is longer.
const PART_BYTES_MAX: usize = 256 << 10;

/// Reads ahead of a walk that begins somewhere in a segment.
pub(crate) struct Onward<'a> {
    disk: &'a dyn Disk,
    file: File,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    start: usize,
    part: usize,
    ended: bool,
}

impl<'a> Onward<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, file: File, start: usize) -> Self {
        Self { disk, file, buffer: Vec::new(), start, part: PART_BYTES, ended: false }
    }

    /// Reads on, so that the buffer holds at least `wanted` bytes, or all there are.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let mut filled = self.buffer.len();
        let goal = wanted.max(self.part);
        self.part = PART_BYTES_MAX.min(self.part * 4);
        self.buffer.resize(goal, 0);
        let outcome = loop {
            if filled >= wanted {
                break Ok(());
            }
            match self.disk.read_at(&self.file, &mut self.buffer[filled..], (self.start + filled) as u64) {
                Ok(0) => {
                    self.ended = true;
                    break Ok(());
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer.truncate(filled);
        outcome
    }
}

impl Window for Onward<'_> {
    type Error = io::Error;

    fn at(&mut self, offset: usize, wanted: usize) -> io::Result<&[u8]> {
        let end = self.start + self.buffer.len();
        if offset.saturating_add(wanted) > end && !self.ended {
            // The walk never goes back.
            self.buffer.drain(..offset.saturating_sub(self.start).min(self.buffer.len()));
            self.start = offset;
            self.fill(wanted)?;
        }
        Ok(offset.checked_sub(self.start).and_then(|at| self.buffer.get(at..)).unwrap_or_default())
    }
}
