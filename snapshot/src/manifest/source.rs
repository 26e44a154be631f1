//! The bytes of a manifest, in order.

use std::io;

use treewal_vfs::{Disk, File};

use super::MANIFEST;
use crate::{Error, Result};

const BUFFER_BYTES: usize = 64 << 10;

pub(super) struct Source<'a> {
    disk: &'a dyn Disk,
    file: &'a File,
    /// Length of the file.
    bytes: u64,
    /// Where the next byte handed out stands in the file.
    pub(super) offset: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(disk: &'a dyn Disk, file: &'a File, bytes: u64, offset: u64) -> Self {
        Self { disk, file, bytes, offset, buffer: Vec::new(), at: 0 }
    }

    pub(super) fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.offset)
    }

    pub(super) fn fill(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            if self.at == self.buffer.len() {
                self.refill()?;
            }
            let ready = &self.buffer[self.at..];
            let take = ready.len().min(out.len());
            out[..take].copy_from_slice(&ready[..take]);
            out = &mut out[take..];
            self.at += take;
            self.offset += take as u64;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<()> {
        self.at = 0;
        self.buffer.resize(BUFFER_BYTES, 0);
        let read = loop {
            match self.disk.read_at(self.file, &mut self.buffer, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(Error::own("read", MANIFEST))?,
            }
        };
        self.buffer.truncate(read);
        if read == 0 { Err(Error::Incomplete { what: "the manifest has no end" }) } else { Ok(()) }
    }
}
