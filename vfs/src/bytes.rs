//! Whole reads and whole writes, over verbs that may do less than they were asked.

use std::io::{self, IoSlice};

use crate::{Disk, File};

/// How many buffers one call takes on Linux.
const VECTORED_MAX: usize = 1024;

/// Reads all of `file`, but not more than `bytes_max`.
///
/// # Errors
/// `FileTooLarge` where there is more; whatever [`Disk::read_at`] says.
pub fn read_all(disk: &dyn Disk, file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let size = disk.stat_file(file)?.size;
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("file is larger than {bytes_max} bytes"));
    let capacity = usize::try_from(size.min(bytes_max)).map_err(|_| too_large())?;
    // One byte more than the size, so that the last read finds the end without growing the buffer.
    let mut out = vec![0; capacity + 1];
    let mut filled = 0;
    loop {
        match disk.read_at(file, &mut out[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if filled as u64 > bytes_max {
            return Err(too_large());
        }
        if filled == out.len() {
            out.resize(out.len() * 2, 0);
        }
    }
    out.truncate(filled);
    Ok(out)
}

/// Writes all of `buf` at `offset`.
///
/// # Errors
/// `WriteZero` where the disk takes nothing more; whatever [`Disk::write_at`] says. Part of `buf` may then be written.
pub fn write_all(disk: &dyn Disk, file: &File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match disk.write_at(file, buf, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                buf = &buf[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of several buffers, one after another, with one call where the disk takes them all at once. The slices
/// are used up on the way.
///
/// # Errors
/// As [`Disk::write_at`]; a part may have been written.
pub fn write_all_vectored(
    disk: &dyn Disk,
    file: &File,
    mut bufs: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<()> {
    // Without the empty ones in front, of which a call would write nothing.
    IoSlice::advance_slices(&mut bufs, 0);
    while !bufs.is_empty() {
        // The system takes so many at once.
        let now = &bufs[..bufs.len().min(VECTORED_MAX)];
        match disk.write_vectored_at(file, now, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut bufs, written);
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
