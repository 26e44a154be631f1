//! Reading a manifest frame by frame. The reader tells what is wrong and never mends.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, File, Open, codec};

use super::check::Checker;
use super::layout::{self, FRAME_HEADER_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::{MANIFEST, Manifest};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 64 << 10;

pub(super) fn load(disk: &dyn Disk, from: &Dir) -> Result<Manifest> {
    let file = match disk.open(from, OsStr::new(MANIFEST), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Incomplete { what: "there is no manifest" });
        }
        opened => opened.map_err(Error::own("open", MANIFEST))?,
    };
    let bytes = disk.stat_file(&file).map_err(Error::own("describe", MANIFEST))?.size;
    let mut source = Source { disk, file, bytes, offset: 0, buffer: Vec::new(), at: 0 };
    read_header(&mut source)?;
    let mut checker = Checker::default();
    let mut payload = Vec::new();
    let mut sequence = 0;
    while !checker.is_ended() {
        let offset = source.offset;
        let damaged = |what: String| Error::Damaged { offset, what };
        read_frame(&mut source, sequence, &mut payload)?;
        let record = codec::decode(&payload).map_err(|why| damaged(why.to_string()))?;
        checker.push(record).map_err(damaged)?;
        sequence += 1;
    }
    if source.left() > 0 {
        return Err(Error::Damaged { offset: source.offset, what: format!("{} bytes after the end", source.left()) });
    }
    checker.finish().ok_or(Error::Incomplete { what: "the manifest has no end" })
}

fn read_header(source: &mut Source<'_>) -> Result<()> {
    let mut header = [0; HEADER_BYTES];
    source.fill(&mut header)?;
    match layout::version(&header) {
        None => Err(Error::Damaged { offset: 0, what: "this is not a manifest".into() }),
        Some(layout::VERSION) => Ok(()),
        Some(found) if found > layout::VERSION => Err(Error::Version { found, newest: layout::VERSION }),
        Some(found) => Err(Error::Damaged { offset: 0, what: format!("there never was a version {found}") }),
    }
}

fn read_frame(source: &mut Source<'_>, sequence: u64, payload: &mut Vec<u8>) -> Result<()> {
    let offset = source.offset;
    let damaged = |what: &str| Error::Damaged { offset, what: what.into() };
    let mut header = [0; FRAME_HEADER_BYTES];
    source.fill(&mut header)?;
    let (length, crc) = layout::frame_header(header);
    let bytes = usize::try_from(length).map_err(|_| damaged("a frame is too long"))?;
    if bytes == 0 || bytes > PAYLOAD_BYTES_MAX {
        return Err(damaged("the length of a frame is impossible"));
    }
    // Before memory is asked for: a length beyond the end of the file is not worth a byte.
    if u64::from(length) > source.left() {
        return Err(Error::Incomplete { what: "the manifest ends within a frame" });
    }
    payload.clear();
    payload.resize(bytes, 0);
    source.fill(payload)?;
    if layout::frame_crc(sequence, length, payload) != crc {
        return Err(damaged("the checksum of a frame does not match"));
    }
    Ok(())
}

/// The bytes of the file, in order.
struct Source<'a> {
    disk: &'a dyn Disk,
    file: File,
    /// Length of the file.
    bytes: u64,
    /// Where the next byte handed out stands in the file.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Source<'_> {
    fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.offset)
    }

    fn fill(&mut self, mut out: &mut [u8]) -> Result<()> {
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
            match self.disk.read_at(&self.file, &mut self.buffer, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(Error::own("read", MANIFEST))?,
            }
        };
        self.buffer.truncate(read);
        if read == 0 { Err(Error::Incomplete { what: "the manifest has no end" }) } else { Ok(()) }
    }
}
