//! Makes segments. A segment is complete and durable under another name before it gets its own, so that under the name
//! of a segment there is never half of one.

use std::ffi::OsStr;

use treewal_vfs::{Dir, Disk, File, Kind, Open, Rename, write_all};

use crate::error::{Attempt, Failure};
use crate::layout::FRAME_HEADER_BYTES;
use crate::{LogOptions, Lsn, SegmentHeader, name, seed};

/// How much one call zeroes. Larger writes leave larger folios in the page cache, and every later small sync of the
/// file is slower for it.
const FILL_BYTES: usize = 16 << 10;
static ZEROS: [u8; FILL_BYTES] = [0; FILL_BYTES];

/// Permission bits of everything in the directory of a log.
const MODE: u32 = 0o600;

fn spare_name() -> &'static OsStr {
    OsStr::new(name::SPARE)
}

/// The header of segment `seq` that continues from the record `prev`, whose frame has the checksum `prev_crc`.
pub(crate) fn header(disk: &dyn Disk, options: &LogOptions, seq: u64, prev: Lsn, prev_crc: u32) -> SegmentHeader {
    SegmentHeader {
        tree: options.tree,
        boot: seed::boot(&disk.boot_id()),
        seq,
        first: prev.next(),
        seed: seed::seed(),
        prev,
        prev_crc,
        segment_bytes: options.segment_bytes,
        created: seed::now(),
        durable: prev,
    }
}

/// The file that becomes the next segment: the spare one where it fits, else a new one full of zeros. Blocks are
/// written and not only reserved, so that a later append changes nothing but data.
pub(crate) fn spare(disk: &dyn Disk, dir: &Dir, bytes: u64) -> Result<File, Failure> {
    if is_usable_spare(disk, dir, bytes)? {
        return disk.open(dir, spare_name(), Open::ReadWrite).plain("open", name::SPARE);
    }
    let file = disk.open(dir, spare_name(), Open::CreateNew { mode: MODE }).plain("make", name::SPARE)?;
    match fill(disk, &file, bytes) {
        Ok(()) => Ok(file),
        Err(failure) => {
            // A disk that is full must not stay full because of it.
            disk.remove_file(dir, spare_name()).plain("remove", name::SPARE)?;
            Err(failure)
        }
    }
}

/// Whether there is a spare file that can become a segment of this length; another one is removed. A second name would
/// mean that somebody keeps what the file held.
pub(crate) fn is_usable_spare(disk: &dyn Disk, dir: &Dir, bytes: u64) -> Result<bool, Failure> {
    match disk.stat(dir, spare_name()) {
        Ok(meta) if meta.kind == Kind::File && meta.size == bytes && meta.links == 1 => Ok(true),
        Ok(_) => disk.remove_file(dir, spare_name()).plain("remove", name::SPARE).map(|()| false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).plain("look at", name::SPARE),
    }
}

/// Removes the spare file, if there is one.
pub(crate) fn discard_spare(disk: &dyn Disk, dir: &Dir) -> Result<(), Failure> {
    remove_if_there(disk, dir, name::SPARE)
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(disk: &dyn Disk, dir: &Dir, name: &str) -> Result<(), Failure> {
    match disk.remove_file(dir, OsStr::new(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.plain("remove", name),
    }
}

fn fill(disk: &dyn Disk, file: &File, bytes: u64) -> Result<(), Failure> {
    let mut offset = 0;
    while offset < bytes {
        let part = usize::try_from(bytes - offset).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        write_all(disk, file, &ZEROS[..part], offset).plain("fill", name::SPARE)?;
        offset += part as u64;
    }
    Ok(())
}

/// Makes the spare file the segment of `header` with `frames` in it, complete and durable but for its name.
pub(crate) fn prepare(disk: &dyn Disk, dir: &Dir, header: &SegmentHeader, frames: &[u8]) -> Result<File, Failure> {
    let file = spare(disk, dir, header.segment_bytes)?;
    let mut block = header.encode();
    if !frames.is_empty() {
        block.truncate(block.len() - FRAME_HEADER_BYTES);
        block.extend_from_slice(frames);
        let room = usize::try_from(header.segment_bytes).map_or(usize::MAX, |bytes| bytes.saturating_sub(block.len()));
        if room >= FRAME_HEADER_BYTES {
            block.extend_from_slice(&ZEROS[..FRAME_HEADER_BYTES]);
        }
    }
    write_all(disk, &file, &block, 0).plain("write", name::SPARE)?;
    disk.sync_file(&file).fatal("sync", name::SPARE)?;
    Ok(file)
}

/// Gives the prepared segment its name. From its return on the segment survives a power loss; before, it is there
/// wholly or not at all.
pub(crate) fn place(disk: &dyn Disk, dir: &Dir, seq: u64, how: Rename) -> Result<(), Failure> {
    let name = name::segment(seq);
    disk.rename(dir, spare_name(), dir, OsStr::new(&name), how).fatal("name", &name)?;
    disk.sync_dir(dir).fatal("sync", name::DIR)
}

/// Leaves word for whoever opens the log next that the page cache may show what the disk does not hold.
///
/// The word goes into the same page cache and is not synced: where that is lost, so is what it warns of.
pub(crate) fn leave_doubt(disk: &dyn Disk, dir: &Dir) {
    if let Err(error) = disk.open(dir, OsStr::new(name::DOUBT), Open::Create { mode: MODE }) {
        tracing::warn!(%error, "cannot leave word that a sync of the log failed");
    }
}

/// Takes the word back, once nothing that it warned of counts any more.
pub(crate) fn clear_doubt(disk: &dyn Disk, dir: &Dir) -> Result<(), Failure> {
    disk.remove_file(dir, OsStr::new(name::DOUBT)).plain("remove", name::DOUBT)
}
