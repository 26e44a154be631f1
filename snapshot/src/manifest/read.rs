//! Reading a manifest frame by frame. The reader tells what is wrong and never mends.

use std::ffi::OsStr;
use std::io;
use std::iter::FusedIterator;

use treewal_vfs::{Dir, Disk, Kind, Open, codec, errno};

use super::check::Checker;
use super::entry::Entry;
use super::layout::{self, END_FRAME_BYTES, End, FRAME_HEADER_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::record::{Raw, Record};
use super::source::Source;
use super::{MANIFEST, Manifest};
use crate::{Error, Result};

pub(super) fn load(disk: &dyn Disk, from: &Dir) -> Result<Manifest> {
    let file = match disk.open(from, OsStr::new(MANIFEST), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Incomplete { what: "there is no manifest" });
        }
        Err(error) if matches!(error.raw_os_error(), Some(errno::ELOOP | errno::ENOTDIR | errno::EISDIR)) => {
            return Err(no_file());
        }
        opened => opened.map_err(Error::own("open", MANIFEST))?,
    };
    let meta = disk.stat_file(&file).map_err(Error::own("describe", MANIFEST))?;
    if meta.kind != Kind::File {
        return Err(no_file());
    }
    let bytes = meta.size;
    let mut manifest = Manifest { file, bytes, guarded: Vec::new(), excluded: Vec::new(), end: End::default() };
    read_header(&mut Source::new(disk, &manifest.file, bytes, 0))?;
    let Some(end) = read_end(disk, &manifest.file, bytes)? else { return Err(reason(disk, &manifest)) };
    manifest.end = end;
    let mut records = Records::new(&manifest, disk);
    // What the manifest says of itself comes before all entries.
    let entry = records.next()?;
    let Checker { guarded, excluded, .. } = records.checker;
    tracing::trace!(empty = entry.is_none(), "manifest opened");
    (manifest.guarded, manifest.excluded) = (guarded, excluded);
    Ok(manifest)
}

/// Something else stands where the manifest was: it is gone, and nobody can tell whether it was ever finished.
fn no_file() -> Error {
    Error::Damaged { offset: 0, what: "this is not a file".into() }
}

/// Why a manifest does not end as it should: found by reading all of it.
fn reason(disk: &dyn Disk, manifest: &Manifest) -> Error {
    let mut records = Records::new(manifest, disk);
    loop {
        match records.next() {
            Ok(Some(_)) => {}
            Ok(None) => return Error::Incomplete { what: "the manifest has no end" },
            Err(error) => return error,
        }
    }
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

/// What the end record says, before its checksum can be looked at: that covers the number of its frame. `None` where
/// there is no such record at the end of the file.
fn read_end(disk: &dyn Disk, file: &treewal_vfs::File, bytes: u64) -> Result<Option<End>> {
    let offset = bytes.checked_sub(END_FRAME_BYTES as u64).filter(|offset| *offset >= HEADER_BYTES as u64);
    let Some(offset) = offset else { return Ok(None) };
    let mut frame = [0; END_FRAME_BYTES];
    Source::new(disk, file, bytes, offset).fill(&mut frame)?;
    Ok(match codec::decode(&frame[FRAME_HEADER_BYTES..]) {
        Ok(Record::End { bytes }) => End::from_bytes(&bytes),
        _ => None,
    })
}

fn read_frame(source: &mut Source<'_>, sequence: u64, payload: &mut Vec<u8>) -> Result<Record> {
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
    codec::decode(payload).map_err(|why| Error::Damaged { offset, what: why.to_string() })
}

fn push(checker: &mut Checker, record: Record, offset: u64) -> Result<Option<Raw>> {
    let entry = checker.push(record).map_err(|what| Error::Damaged { offset, what })?;
    Ok(entry.map(|entry| Raw::new(*entry)))
}

/// The entries of a manifest with their paths as bytes.
pub(crate) struct Records<'a> {
    manifest: &'a Manifest,
    source: Source<'a>,
    checker: Checker,
    sequence: u64,
    payload: Vec<u8>,
    over: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(manifest: &'a Manifest, disk: &'a dyn Disk) -> Self {
        let source = Source::new(disk, &manifest.file, manifest.bytes, HEADER_BYTES as u64);
        Self { manifest, source, checker: Checker::default(), sequence: 0, payload: Vec::new(), over: false }
    }

    /// The next entry; `None` after the last, when the end was found to be as it was first read.
    pub(crate) fn next(&mut self) -> Result<Option<Raw>> {
        while self.checker.end.is_none() {
            let offset = self.source.offset;
            let record = read_frame(&mut self.source, self.sequence, &mut self.payload)?;
            self.sequence += 1;
            if let Some(entry) = push(&mut self.checker, record, offset)? {
                return Ok(Some(entry));
            }
        }
        let damaged = |what: String| Err(Error::Damaged { offset: self.source.offset, what });
        if self.source.left() > 0 {
            return damaged(format!("{} bytes after the end", self.source.left()));
        }
        if self.checker.end != Some(self.manifest.end) {
            return damaged("the end changed while it was read".into());
        }
        Ok(None)
    }
}

/// The entries of a manifest, in order; see [`Manifest::entries`].
pub struct Entries<'a>(Records<'a>);

impl<'a> Entries<'a> {
    pub(super) fn new(manifest: &'a Manifest, disk: &'a dyn Disk) -> Self {
        Self(Records::new(manifest, disk))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.over {
            return None;
        }
        let next = self.0.next();
        self.0.over = !matches!(next, Ok(Some(_)));
        next.map(|entry| entry.map(Raw::whole)).transpose()
    }
}

impl FusedIterator for Entries<'_> {}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("read", &self.0.sequence).finish_non_exhaustive()
    }
}
