//! Reads a file into memory as far as the disk gives it.

use std::io;

use treewal_vfs::{Disk, File, errno};

use crate::layout::is_zero;

/// How much one call asks for: a bad sector costs at most this much of what stands before it, and then is asked for
/// sector by sector.
const PART_BYTES: usize = 256 << 10;
/// What a medium refuses at the least, in bytes.
pub(crate) const SECTOR_BYTES: usize = 512;

/// Fills `out` with the first `bytes_max` bytes of `file`, or all of it. Gives whether the disk gave them all; where
/// it did not, `out` ends at the first byte it refused.
///
/// # Errors
/// Whatever [`Disk::read_at`] says but `EIO`, which a part of the medium may answer for ever.
pub(crate) fn read(disk: &dyn Disk, file: &File, bytes_max: u64, out: &mut Vec<u8>) -> io::Result<bool> {
    out.clear();
    let size = disk.stat_file(file)?.size.min(bytes_max);
    let size = usize::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    out.resize(size, 0);
    let mut filled = 0;
    let mut part = PART_BYTES;
    while filled < size {
        let end = size.min(filled.saturating_add(part));
        match disk.read_at(file, &mut out[filled..end], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(errno::EIO) => {
                if part == SECTOR_BYTES {
                    out.truncate(filled);
                    return Ok(false);
                }
                part = SECTOR_BYTES;
            }
            Err(error) => return Err(error),
        }
    }
    out.truncate(filled);
    Ok(true)
}

/// Whether the disk gives all bytes of `file`, and all are zero. Stops at the first that is not.
///
/// # Errors
/// Whatever [`Disk::read_at`] says but `EIO`.
pub(crate) fn is_all_zero(disk: &dyn Disk, file: &File) -> io::Result<bool> {
    let mut buffer = vec![0; PART_BYTES];
    let mut offset = 0;
    loop {
        match disk.read_at(file, &mut buffer, offset) {
            Ok(0) => return Ok(true),
            Ok(read) if is_zero(&buffer[..read]) => offset += read as u64,
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(errno::EIO) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
