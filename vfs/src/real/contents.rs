//! Bytes of files, holes among them.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::fs::{IFlags, SeekFrom, fstatfs, ftruncate, ioctl_ficlone, ioctl_getflags, ioctl_setflags, seek};
use rustix::io::{Errno, pread, pwrite, pwritev, retry_on_intr};

use super::power::BTRFS;
use super::stat;

pub(super) fn read_at(file: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    Ok(pread(file, buf, offset)?)
}

pub(super) fn write_at(file: BorrowedFd<'_>, buf: &[u8], offset: u64) -> io::Result<usize> {
    Ok(pwrite(file, buf, offset)?)
}

pub(super) fn write_vectored_at(file: BorrowedFd<'_>, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(pwritev(file, bufs, offset)?)
}

pub(super) fn set_len(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    // Setting a length twice is setting it once.
    Ok(retry_on_intr(|| ftruncate(file, len))?)
}

/// `FS_NOCOW_FL`, on btrfs alone: another file system that knows the flag is not known to need it.
pub(super) fn overwrite_in_place(file: BorrowedFd<'_>) -> io::Result<bool> {
    if retry_on_intr(|| fstatfs(file))?.f_type != BTRFS {
        return Ok(false);
    }
    let flags = ioctl_getflags(file)?;
    if !flags.contains(IFlags::NOCOW) {
        ioctl_setflags(file, flags | IFlags::NOCOW)?;
    }
    Ok(ioctl_getflags(file)?.contains(IFlags::NOCOW))
}

pub(super) fn reflink(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    Ok(ioctl_ficlone(to, from)?)
}

/// The next run of data. It moves the position of the open, which nothing else here looks at.
pub(super) fn next_data(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<(u64, u64)>> {
    if i64::try_from(offset).is_err() {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(offset)) {
        // No data at or after `offset`: a hole up to the end, or the end itself.
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return rest(file, offset),
        start => start?,
    };
    match seek(file, SeekFrom::Hole(start)) {
        // The end of a file counts as a hole, so this one was cut between the two calls.
        Err(Errno::NXIO) => Ok(None),
        end => Ok(Some((start, end?))),
    }
}

/// Everything after `offset` as one run, for a file system that knows no holes.
fn rest(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let size = stat::stat_open(file)?.size;
    Ok((offset < size).then_some((offset, size)))
}
