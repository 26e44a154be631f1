//! The contents of a file as memory, given out only as far as the disk has been seen to give them.

use std::fmt;
use std::io;

/// How much is asked for at a time, in bytes: what is not looked at need not be read.
const PART_BYTES: usize = 2 << 20;

/// The first bytes of a file as memory: see [`Disk::map`](crate::Disk::map).
///
/// Memory that stands for a file has no way to say that the disk does not give a page, but to kill the process
/// (`SIGBUS`). So nothing is handed out before the kernel has been asked to read it in, and has done so: a page that
/// cannot be read is then an error of [`upto`](Mapping::upto), and the caller reads the file instead.
///
/// # What remains
///
/// The promise that `Disk::map` asks for is kept by people, not by the compiler. Where somebody cuts the file below
/// what was handed out, the next look at it kills the process. The same happens where the kernel needs the memory,
/// drops a page that was already looked at, and the medium fails in just that time.
pub struct Mapping {
    bytes: Bytes,
    /// So many of them are known to be there.
    ready: usize,
}

enum Bytes {
    File(memmap2::Mmap),
    /// The bytes of a disk that is not the operating system's, and how many of them it gives.
    Copy {
        bytes: Vec<u8>,
        given: usize,
    },
}

impl Mapping {
    pub(crate) fn of_file(map: memmap2::Mmap) -> Self {
        Self { bytes: Bytes::File(map), ready: 0 }
    }

    /// What a disk gives that has no files of the operating system: `bytes`, of which it refuses those from `given` on.
    #[must_use]
    pub fn of_copy(bytes: Vec<u8>, given: usize) -> Self {
        Self { bytes: Bytes::Copy { bytes, given }, ready: 0 }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that the disk gives all bytes before `end`, or all there are, and gives these and perhaps some more.
    ///
    /// # Errors
    /// Where the disk refuses one of them, or the kernel knows no way to ask (before Linux 5.14). What it says is not
    /// told apart: read the file to know.
    pub fn upto(&mut self, end: usize) -> io::Result<&[u8]> {
        let end = end.min(self.len());
        while self.ready < end {
            let part = PART_BYTES.min(self.len() - self.ready);
            self.ask(self.ready, part)?;
            self.ready += part;
        }
        Ok(self.ready())
    }

    /// What has been asked for so far.
    #[must_use]
    pub fn ready(&self) -> &[u8] {
        &self.all()[..self.ready]
    }

    fn ask(&self, start: usize, bytes: usize) -> io::Result<()> {
        match &self.bytes {
            Bytes::File(map) => map.advise_range(memmap2::Advice::PopulateRead, start, bytes),
            Bytes::Copy { given, .. } if start + bytes > *given => {
                Err(io::Error::from_raw_os_error(crate::errno::EFAULT))
            }
            Bytes::Copy { .. } => Ok(()),
        }
    }

    fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::File(map) => map,
            Bytes::Copy { bytes, .. } => bytes,
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} of {} bytes)", self.ready, self.len())
    }
}
