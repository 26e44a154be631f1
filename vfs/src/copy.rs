//! Copying the contents of a file, as cheaply as the file system lets us.

use std::io;

use crate::{Disk, File, errno, write_all};

/// What is read and written at a time where bytes must be copied, and all the memory that takes.
const BLOCK_BYTES: usize = 256 << 10;

/// How [`copy_contents`] made the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The file system shares the extents: nothing was written but metadata.
    Reflink,
    /// So many bytes were written; holes are not among them.
    Bytes(u64),
}

/// Gives the empty file `to` the contents of `from`: shared extents where the file system can, else the bytes, with
/// holes kept as holes. Mode, owner, times and extended attributes are not copied.
///
/// Not durable before `to` is synced. After an error, or a crash before the sync, `to` holds any part.
///
/// # Errors
/// Those of [`Disk`]; `InvalidInput` where `to` is not empty; `UnexpectedEof` where `from` became shorter meanwhile.
/// Whether it was written to otherwise is for the caller to find out.
pub fn copy_contents(disk: &dyn Disk, from: &File, to: &File) -> io::Result<Copied> {
    // The holes of the copy are simply not written, so old bytes would show through them.
    if disk.stat_file(to)?.size != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file to copy to is not empty"));
    }
    match disk.reflink(from, to) {
        Err(error) if cannot_share(&error) => copy_bytes(disk, from, to).map(Copied::Bytes),
        shared => shared.map(|()| Copied::Reflink),
    }
}

/// Whether a reflink failed because these two files cannot have one, rather than because the disk failed.
fn cannot_share(error: &io::Error) -> bool {
    // ENOTTY and ENOSYS come from file systems that know no such request at all.
    let cannot = [errno::EOPNOTSUPP, errno::EXDEV, errno::EINVAL, errno::ENOTTY, errno::ENOSYS];
    error.raw_os_error().is_some_and(|errno| cannot.contains(&errno))
}

fn copy_bytes(disk: &dyn Disk, from: &File, to: &File) -> io::Result<u64> {
    // What is appended from here on does not belong to the copy.
    let size = disk.stat_file(from)?.size;
    let mut buf = Vec::new();
    let mut copied = 0;
    let mut reached = 0;
    while reached < size {
        let Some((start, end)) = disk.next_data(from, reached)? else { break };
        let end = end.min(size);
        let mut offset = start.max(reached);
        if offset >= end {
            break;
        }
        buf.resize(BLOCK_BYTES, 0);
        while offset < end {
            let wanted = usize::try_from(end - offset).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            let read = read_some(disk, from, &mut buf[..wanted], offset)?;
            write_all(disk, to, &buf[..read], offset)?;
            offset += read as u64;
            copied += read as u64;
        }
        reached = end;
    }
    if reached < size {
        if disk.stat_file(from)?.size < size {
            return Err(became_shorter());
        }
        // The last hole has no data after it that would give the copy its length.
        disk.set_len(to, size)?;
    }
    Ok(copied)
}

/// At least one byte.
fn read_some(disk: &dyn Disk, from: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match disk.read_at(from, buf, offset) {
            Ok(0) => return Err(became_shorter()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn became_shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "file became shorter while it was copied")
}
