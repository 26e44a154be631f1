//! Files as memory, on the file systems where that is known to be safe.

use std::io;
use std::os::fd::BorrowedFd;

use memmap2::{Advice, MmapOptions};
use rustix::fs::{FsWord, fstatfs};
use rustix::io::retry_on_intr;

use super::stat;
use crate::{Kind, Mapping};

/// File systems whose files change by nobody but this machine, as the kernel's `magic.h` numbers them: ext2 to ext4,
/// XFS, Btrfs, tmpfs, overlayfs. Elsewhere, on a network or in another process (FUSE), a file may become shorter or
/// its server go away while nobody here writes it.
const MAPPABLE: [FsWord; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630];

/// Maps the first `bytes_max` bytes of a file, or all of it; `None` where it is better read.
pub(super) fn map(file: BorrowedFd<'_>, bytes_max: u64) -> io::Result<Option<Mapping>> {
    let meta = stat::stat_open(file)?;
    let bytes = usize::try_from(meta.size.min(bytes_max)).unwrap_or(usize::MAX);
    if meta.kind != Kind::File || bytes == 0 || !MAPPABLE.contains(&retry_on_intr(|| fstatfs(file))?.f_type) {
        return Ok(None);
    }
    let map = read_only(file, bytes)?;
    // It is read from the front to the back.
    map.advise(Advice::Sequential)?;
    Ok(Some(Mapping::of_file(map)))
}

#[expect(unsafe_code, reason = "memory that stands for a file has no safe constructor")]
fn read_only(file: BorrowedFd<'_>, bytes: usize) -> io::Result<memmap2::Mmap> {
    // SAFETY: the memory becomes a slice, so for as long as the mapping lives nobody may change these bytes of the file,
    // and nobody may cut it: that would pull the pages away, and a look at one kills the process.
    //
    // * Whoever calls `Disk::map` promises that nobody writes or cuts the file meanwhile: the journal does it only for
    //   a caller who holds the lock of the log, and all who write a log hold that lock.
    // * Other machines, and servers in user space, have their own ideas of that promise: `map` refuses their file
    //   systems before it comes here.
    // * The mapping is read-only, and no pointer into it leaves this crate but the slices that `Mapping` lends out,
    //   which cannot outlive it.
    // * `Mapping` hands out no page that the kernel has not read in, so a medium that refuses one is an error.
    // * `bytes` is not zero and not beyond the end of the file as it just was.
    //
    // What no code can rule out is somebody who ignores the lock; `Mapping` says what happens then.
    unsafe { MmapOptions::new().len(bytes).map(&file) }
}
