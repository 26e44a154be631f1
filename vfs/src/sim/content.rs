//! What a file holds: a length and the blocks that are not holes, shared between copies until one of them writes.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// The unit in which a power loss keeps or loses written bytes.
pub(super) const SECTOR_BYTES: usize = 512;
/// The unit of allocation, and of a hole.
pub(super) const BLOCK_BYTES: usize = 4096;

const SECTOR: u64 = SECTOR_BYTES as u64;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// Saturates: what does not fit in memory cannot be addressed in it either.
pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Content {
    len: u64,
    blocks: BTreeMap<u64, Arc<Block>>,
}

/// The bytes of a block, with a digest of them once somebody has asked for it: most blocks of a disk are the same in
/// thousands of its crashes.
#[derive(Debug)]
struct Block {
    bytes: [u8; BLOCK_BYTES],
    mixed: OnceLock<u64>,
}

impl Block {
    fn zeroed() -> Arc<Self> {
        Arc::new(Self { bytes: [0; BLOCK_BYTES], mixed: OnceLock::new() })
    }

    /// The bytes, to be changed here and in no other copy.
    fn bytes_mut(this: &mut Arc<Self>) -> &mut [u8; BLOCK_BYTES] {
        let own = Arc::make_mut(this);
        own.mixed = OnceLock::new();
        &mut own.bytes
    }

    /// Words at a time: digests are taken of disks with much in them, and often.
    fn mixed(&self) -> u64 {
        *self.mixed.get_or_init(|| {
            self.bytes.chunks_exact(8).fold(0u64, |mixed, chunk| {
                let word = chunk.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                (mixed.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })
        })
    }
}

impl Clone for Block {
    /// For somebody who is about to change it.
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, mixed: OnceLock::new() }
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.bytes == other.bytes
    }
}

impl Eq for Block {}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn allocated(&self) -> u64 {
        self.blocks.len() as u64 * BLOCK
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let total = to_usize(self.len.saturating_sub(offset)).min(buf.len());
        let mut done = 0;
        while done < total {
            let (block, start, room) = place(offset + done as u64);
            let part = room.min(total - done);
            match self.blocks.get(&block) {
                Some(held) => buf[done..done + part].copy_from_slice(&held.bytes[start..start + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        total
    }

    /// All bytes; a hole reads as zeros.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; to_usize(self.len)];
        let read = self.read(&mut out, 0);
        out.truncate(read);
        out
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let (block, start, room) = place(offset + done as u64);
            let part = room.min(bytes.len() - done);
            let into = self.blocks.entry(block).or_insert_with(Block::zeroed);
            Block::bytes_mut(into)[start..start + part].copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        if done > 0 {
            self.len = self.len.max(offset + done as u64);
        }
    }

    /// Cuts, or extends with a hole.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK));
            let (block, start, _) = place(len);
            if let Some(last) = self.blocks.get_mut(&block) {
                Block::bytes_mut(last)[start..].fill(0);
            }
        }
        self.len = len;
    }

    /// How many of `want` bytes at `offset` fit when only `blocks_max` more blocks may be allocated.
    pub(super) fn fitting(&self, want: usize, offset: u64, mut blocks_max: u64) -> usize {
        let mut fits = 0;
        while fits < want {
            let (block, _, room) = place(offset + fits as u64);
            if !self.blocks.contains_key(&block) {
                if blocks_max == 0 {
                    break;
                }
                blocks_max -= 1;
            }
            fits += room.min(want - fits);
        }
        fits
    }

    /// The next run of blocks at or after `offset`, within the length.
    pub(super) fn next_data(&self, offset: u64) -> Option<(u64, u64)> {
        let (first, _) = self.blocks.range(offset / BLOCK..).next()?;
        let mut after = *first;
        while self.blocks.contains_key(&after) {
            after += 1;
        }
        let run = (offset.max(first * BLOCK), self.len.min(after * BLOCK));
        (run.0 < run.1).then_some(run)
    }

    pub(super) fn sector(&self, sector: u64) -> [u8; SECTOR_BYTES] {
        let mut out = [0; SECTOR_BYTES];
        self.read(&mut out, sector * SECTOR);
        out
    }

    /// Puts a whole sector; zeros in a hole leave the hole.
    pub(super) fn put_sector(&mut self, sector: u64, bytes: &[u8; SECTOR_BYTES]) {
        let offset = sector * SECTOR;
        if self.blocks.contains_key(&(offset / BLOCK)) || bytes.iter().any(|byte| *byte != 0) {
            self.write(bytes, offset);
        }
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, into: &mut H) {
        self.len.hash(into);
        for (number, block) in &self.blocks {
            (number, block.mixed()).hash(into);
        }
    }
}

/// Block, offset in it, and bytes from there to its end.
fn place(offset: u64) -> (u64, usize, usize) {
    let start = to_usize(offset % BLOCK);
    (offset / BLOCK, start, BLOCK_BYTES - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_zeros_and_a_cut_forgets() {
        let mut content = Content::default();
        content.write(b"abc", 10_000);
        assert_eq!((content.len(), content.allocated()), (10_003, 4096));
        assert_eq!(content.next_data(0), Some((8192, 10_003)));
        content.set_len(10_001);
        content.set_len(10_003);
        assert_eq!(&content.to_vec()[9_999..], b"\0a\0\0");
        content.set_len(0);
        assert_eq!((content.next_data(0), content.allocated()), (None, 0));
    }

    #[test]
    fn copies_are_apart() {
        let mut first = Content::default();
        first.write(&[1; 5000], 0);
        let second = first.clone();
        first.write(&[2; 10], 4090);
        assert_eq!(second.to_vec(), [1; 5000]);
        assert_eq!(first.to_vec()[4089..4101], [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    }
}
