//! Makes segments. A segment is complete and durable under another name before it gets its own, so that under the name
//! of a segment there is never half of one. While a log is written, the next segment is made so as *reserved*: all it
//! lacks is its first record, and with it the header that says where it begins.

use std::ffi::OsStr;

use treewal_vfs::{Dir, Disk, File, Kind, Open, Rename, errno, write_all};

use super::writer::Reserved;
use crate::error::{Attempt, Failure};
use crate::header::ReservedHeader;
use crate::layout::FRAME_HEADER_BYTES;
use crate::{LogOptions, Lsn, SegmentHeader, name, stamp};

/// How much one call zeroes. Larger writes leave larger folios in the page cache, and every later small sync of the
/// file is slower for it.
const FILL_BYTES: usize = 16 << 10;
static ZEROS: [u8; FILL_BYTES] = [0; FILL_BYTES];

/// Permission bits of everything in the directory of a log.
const MODE: u32 = 0o600;

/// A segment that is complete and durable but for its name.
#[derive(Debug)]
pub(crate) struct Prepared {
    spare: String,
    seq: u64,
    /// Opened before it has its name: a process that has no more files to open finds that out while nothing depends
    /// on it.
    file: File,
}

/// The header of segment `seq` that continues from the record `prev`, whose frame has the checksum `prev_crc`.
pub(crate) fn header(boot: [u8; 16], options: &LogOptions, seq: u64, prev: Lsn, prev_crc: u32) -> SegmentHeader {
    SegmentHeader {
        tree: options.tree,
        boot,
        seq,
        first: prev.next(),
        seed: treewal_vfs::random(),
        prev,
        prev_crc,
        segment_bytes: options.segment_bytes,
        created: stamp::now(),
        durable: prev,
    }
}

/// Makes a spare file of `bytes` zeros and gives its name. The zeros are written and not only reserved, so that a later
/// append changes nothing but data.
pub(crate) fn spare(disk: &dyn Disk, dir: &Dir, bytes: u64) -> Result<String, Failure> {
    let name = name::fresh_spare();
    let file = disk.open(dir, OsStr::new(&name), Open::CreateNew { mode: MODE }).plain("make", &name)?;
    // What a full disk must not keep from being written has its blocks now, and keeps them. The checksums that this takes away
    // are ours as well: of each header, and of each frame.
    if let Err(error) = disk.overwrite_in_place(&file) {
        tracing::debug!(%error, "a segment that cannot be kept in place may need room to be written to");
    }
    if let Err(failure) = fill(disk, &file, &name, bytes) {
        // A disk that is full must not stay full because of it.
        remove_if_there(disk, dir, &name)?;
        return Err(failure);
    }
    Ok(name)
}

fn fill(disk: &dyn Disk, file: &File, name: &str, bytes: u64) -> Result<(), Failure> {
    let mut offset = 0;
    while offset < bytes {
        let part = usize::try_from(bytes - offset).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        write_all(disk, file, &ZEROS[..part], offset).plain("fill", name)?;
        offset += part as u64;
    }
    Ok(())
}

/// Whether the file can become a segment of this length. A second name would mean that somebody keeps what it holds.
pub(crate) fn is_reusable(disk: &dyn Disk, dir: &Dir, name: &str, bytes: u64) -> Result<bool, Failure> {
    let meta = disk.stat(dir, OsStr::new(name)).plain("look at", name)?;
    Ok(meta.kind == Kind::File && meta.size == bytes && meta.links == 1)
}

/// Makes the segment of `header` with `frames` in it out of the spare file, or of a new one where there is none. The
/// file stays the spare one where that fails.
pub(crate) fn prepare(
    disk: &dyn Disk,
    dir: &Dir,
    slot: &mut Option<String>,
    header: &SegmentHeader,
    frames: &[u8],
) -> Result<Prepared, Failure> {
    let spare = match slot.take() {
        Some(spare) => spare,
        None => spare(disk, dir, header.segment_bytes)?,
    };
    let prepared = Prepared::write(disk, dir, slot.insert(spare), header.seq, &start(header, frames))?;
    *slot = None;
    Ok(prepared)
}

/// What a new segment starts with: header, frames and, where there is room, the zeros that end them.
fn start(header: &SegmentHeader, frames: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode();
    if !frames.is_empty() {
        bytes.truncate(bytes.len() - FRAME_HEADER_BYTES);
        bytes.extend_from_slice(frames);
        if crate::read::walk::limit(header).saturating_sub(bytes.len()) >= FRAME_HEADER_BYTES {
            bytes.extend_from_slice(&ZEROS[..FRAME_HEADER_BYTES]);
        }
    }
    bytes
}

/// Gives the spare file, or a new one, the name of segment `seq`, with a header that says that it is not begun. When it
/// returns, name, header and blocks survive a power loss, and to begin the segment is to write to it.
pub(crate) fn reserve(
    disk: &dyn Disk,
    dir: &Dir,
    slot: &mut Option<String>,
    options: &LogOptions,
    seq: u64,
) -> Result<Reserved, Failure> {
    let header =
        ReservedHeader { tree: options.tree, seq, segment_bytes: options.segment_bytes, created: stamp::now() };
    let spare = match slot.take() {
        Some(spare) => spare,
        None => spare(disk, dir, header.segment_bytes)?,
    };
    let prepared = Prepared::write(disk, dir, slot.insert(spare), seq, &header.encode())?;
    let file = prepared.place(disk, dir, Rename::NoReplace)?;
    *slot = None;
    Ok(Reserved { seq, file })
}

impl Prepared {
    /// Makes the spare file the segment that starts with `start`, durably.
    fn write(disk: &dyn Disk, dir: &Dir, spare: &str, seq: u64, start: &[u8]) -> Result<Self, Failure> {
        let file = open(disk, dir, spare).plain("open", spare)?;
        write_all(disk, &file, start, 0).plain("write", spare)?;
        disk.sync_file(&file).fatal("sync", spare)?;
        Ok(Self { spare: spare.to_owned(), seq, file })
    }

    /// Gives the segment its name. From its return on the segment survives a power loss; before, it is there wholly or
    /// not at all.
    pub(crate) fn place(self, disk: &dyn Disk, dir: &Dir, how: Rename) -> Result<File, Failure> {
        let name = name::segment(self.seq);
        match disk.rename(dir, OsStr::new(&self.spare), dir, OsStr::new(&name), how) {
            // Refused before anything changed.
            Err(error) if is_full(&error) => return Err(error).plain("name", &name),
            done => done.fatal("name", &name)?,
        }
        disk.sync_dir(dir).fatal("sync", name::DIR)?;
        Ok(self.file)
    }
}

fn is_full(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some_and(|number| [errno::ENOSPC, errno::EDQUOT].contains(&number))
}

/// Opens a segment to write it.
pub(crate) fn open(disk: &dyn Disk, dir: &Dir, name: &str) -> std::io::Result<File> {
    disk.open(dir, OsStr::new(name), Open::ReadWrite)
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(disk: &dyn Disk, dir: &Dir, name: &str) -> Result<(), Failure> {
    match disk.remove_file(dir, OsStr::new(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.plain("remove", name),
    }
}

/// Leaves word for whoever opens the log next that the page cache may show what the disk does not hold.
///
/// The word goes into the same page cache and is not synced: where that is lost, so is what it warns of.
pub(crate) fn leave_doubt(disk: &dyn Disk, dir: &Dir) {
    if let Err(error) = disk.open(dir, OsStr::new(name::DOUBT), Open::Create { mode: MODE }) {
        tracing::warn!(%error, "cannot leave word that a sync of the log failed");
    }
}
