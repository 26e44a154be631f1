//! The bytes of files: copied, summed up and compared block by block, holes left out.

use std::cmp::Ordering;
use std::io;

use treewal_vfs::{Disk, File, Meta, write_all};

use crate::Progress;

/// What is read at a time, and all the memory that takes (twice, where two files are compared).
const BLOCK_BYTES: usize = 256 << 10;

/// Copies what `from` holds, of which `meta` tells, into the empty file `to`, holes as holes. Gives the bytes written and
/// the checksum, and tells `progress` of each block. Not durable before a sync.
///
/// # Errors
/// `UnexpectedEof` where `from` became shorter; those of the disk.
pub(crate) fn copy(
    disk: &dyn Disk,
    from: &File,
    to: &File,
    meta: &Meta,
    progress: &Progress,
) -> io::Result<(u64, u32)> {
    let size = meta.size;
    let mut sum = Sum::default();
    let mut written = 0;
    let each = |offset, block: &[u8]| {
        sum.feed(offset, block);
        written += block.len() as u64;
        progress.copied(block.len() as u64);
        write_all(disk, to, block, offset)
    };
    // A small file that takes as many bytes of the disk as it is long has no holes worth asking for; most files are such.
    if size <= BLOCK_BYTES as u64 && meta.allocated >= size {
        each_of_run(disk, from, (0, size), each)
    } else {
        each_block(disk, from, size, each)
    }?;
    if sum.reached < size {
        // A hole at the end has no data after it that would give the copy its length.
        disk.set_len(to, size)?;
    }
    Ok((written, sum.finish(size)))
}

/// The checksum of the first `size` bytes: CRC-32, holes being zeros.
///
/// # Errors
/// As [`copy`].
pub(crate) fn checksum(disk: &dyn Disk, file: &File, size: u64) -> io::Result<u32> {
    let mut sum = Sum::default();
    each_block(disk, file, size, |offset, block| {
        sum.feed(offset, block);
        Ok(())
    })?;
    Ok(sum.finish(size))
}

/// Whether the first `size` bytes of two files are the same, wherever their holes are.
///
/// # Errors
/// As [`copy`].
pub(crate) fn equal(disk: &dyn Disk, a: &File, b: &File, size: u64) -> io::Result<bool> {
    let (mut of_a, mut of_b) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut at = 0;
    while at < size {
        let (a_start, a_end) = run(disk, a, at, size)?;
        let (b_start, b_end) = run(disk, b, at, size)?;
        let start = a_start.min(b_start);
        // As far as one of the two has data and the other does not change between data and hole.
        let end = match a_start.cmp(&b_start) {
            Ordering::Equal => a_end.min(b_end),
            Ordering::Less => a_end.min(b_start),
            Ordering::Greater => b_end.min(a_start),
        };
        at = start;
        while at < end {
            let wanted = block_bytes(end - at);
            fill(disk, a, &mut of_a[..wanted], at)?;
            fill(disk, b, &mut of_b[..wanted], at)?;
            if of_a[..wanted] != of_b[..wanted] {
                return Ok(false);
            }
            at += wanted as u64;
        }
    }
    Ok(true)
}

fn each_block(
    disk: &dyn Disk,
    file: &File,
    size: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        let (start, end) = run(disk, file, at, size)?;
        each_of_run(disk, file, (start, end), &mut each)?;
        at = end;
    }
    Ok(())
}

fn each_of_run(
    disk: &dyn Disk,
    file: &File,
    (start, end): (u64, u64),
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = Vec::new();
    let mut at = start;
    while at < end {
        let wanted = block_bytes(end - at);
        block.resize(wanted, 0);
        fill(disk, file, &mut block, at)?;
        each(at, &block)?;
        at += wanted as u64;
    }
    Ok(())
}

/// The next run of data before `size`; empty at `size` where there is none.
fn run(disk: &dyn Disk, file: &File, at: u64, size: u64) -> io::Result<(u64, u64)> {
    let (start, end) = disk.next_data(file, at)?.unwrap_or((size, size));
    let start = start.clamp(at, size);
    Ok((start, end.clamp(start, size)))
}

fn block_bytes(left: u64) -> usize {
    usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES))
}

fn fill(disk: &dyn Disk, file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match disk.read_at(file, buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buf = &mut buf[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A checksum over blocks with holes between them.
#[derive(Default)]
struct Sum {
    crc: crc32fast::Hasher,
    reached: u64,
}

impl Sum {
    fn feed(&mut self, offset: u64, block: &[u8]) {
        self.zeros(offset.saturating_sub(self.reached));
        self.crc.update(block);
        self.reached = offset + block.len() as u64;
    }

    fn finish(mut self, size: u64) -> u32 {
        self.zeros(size.saturating_sub(self.reached));
        self.crc.finalize()
    }

    /// As if so many zeros had been fed, in steps that double: a hole of a terabyte costs forty of them.
    fn zeros(&mut self, count: u64) {
        let mut left = count;
        let mut power = crc32fast::Hasher::new();
        power.update(&[0]);
        while left > 0 {
            if left & 1 == 1 {
                self.crc.combine(&power);
            }
            power.combine(&power.clone());
            left >>= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use treewal_vfs::Open;
    use treewal_vfs::sim::SimDisk;

    use super::*;

    fn file(disk: &SimDisk, name: &str, runs: &[(u64, &[u8])], size: u64) -> File {
        let root = disk.open_root("/".as_ref()).unwrap();
        let file = disk.open(&root, OsStr::new(name), Open::CreateNew { mode: 0o600 }).unwrap();
        for (offset, bytes) in runs {
            write_all(disk, &file, bytes, *offset).unwrap();
        }
        disk.set_len(&file, size).unwrap();
        file
    }

    #[test]
    fn a_hole_counts_as_its_zeros() {
        let mut sum = Sum::default();
        sum.feed(3, b"abc");
        let whole = [&[0; 3][..], b"abc", &[0; 70_001]].concat();
        assert_eq!(sum.finish(70_007), crc32fast::hash(&whole));
    }

    #[test]
    fn a_copy_keeps_holes_and_equals_its_original() {
        let disk = SimDisk::new();
        let size = 3 << 20;
        let from = file(&disk, "from", &[(4096, b"one"), (1 << 20, b"two")], size);
        let to = file(&disk, "to", &[], 0);
        let (written, sum) = copy(&disk, &from, &to, &disk.stat_file(&from).unwrap(), &Progress::new()).unwrap();
        assert!(written < 64 << 10, "{written} bytes of a file that is nearly all hole");
        assert!(equal(&disk, &from, &to, size).unwrap());
        assert_eq!(checksum(&disk, &to, size).unwrap(), sum);
        let dense = file(&disk, "dense", &[(0, &[0; 5000]), (4096, b"one"), (1 << 20, b"two")], size);
        assert!(equal(&disk, &from, &dense, size).unwrap() && equal(&disk, &dense, &from, size).unwrap());
        assert_eq!(checksum(&disk, &dense, size).unwrap(), sum);
        for (offset, byte) in [(0, b"x"), (size - 1, b"x"), (1 << 20, b"x")] {
            let other = file(&disk, &format!("other-{offset}"), &[(4096, b"one"), (1 << 20, b"two")], size);
            write_all(&disk, &other, byte, offset).unwrap();
            assert!(!equal(&disk, &from, &other, size).unwrap() && !equal(&disk, &other, &from, size).unwrap());
            assert_ne!(checksum(&disk, &other, size).unwrap(), sum);
        }
    }
}
