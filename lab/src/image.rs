//! The contents of a disk: pages in memory, shared among all images that have them in common.

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const SECTOR_BYTES: usize = 512;

type Page = [u8; PAGE_BYTES];
type Pages = BTreeMap<u64, Arc<Page>>;

static ZEROS: Page = [0; PAGE_BYTES];

/// A disk of a fixed size. A clone costs what was written since the last [`freeze`](Self::freeze).
#[derive(Clone)]
pub(crate) struct Image {
    bytes: u64,
    base: Arc<Pages>,
    over: Pages,
    sum: u64,
}

impl Image {
    /// All zeros.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, base: Arc::default(), over: Pages::new(), sum: 0 }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number that two images over the same base share only if they hold the same bytes, but for a chance of one in
    /// four thousand millions.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The same bytes as a base of others.
    pub(crate) fn freeze(self) -> Self {
        let mut base = Arc::unwrap_or_clone(self.base);
        base.extend(self.over);
        base.retain(|_, page| **page != ZEROS);
        Self { bytes: self.bytes, base: Arc::new(base), over: Pages::new(), sum: 0 }
    }

    /// Writes the disk to a sparse file.
    pub(crate) fn save(&self, path: &std::path::Path) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::create(path).unwrap();
        file.set_len(self.bytes).unwrap();
        for (number, page) in self.base.iter().chain(&self.over) {
            file.write_all_at(&**page, number * PAGE_BYTES as u64).unwrap();
        }
    }

    fn page(&self, number: u64) -> &Page {
        self.over.get(&number).or_else(|| self.base.get(&number)).map_or(&ZEROS, |page| page)
    }

    /// Fills `buf` from `offset` on; what lies behind the end reads as zeros.
    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) {
        for (number, at, range) in spans(offset, buf.len()) {
            let bytes = range.len();
            buf[range].copy_from_slice(&self.page(number)[at..at + bytes]);
        }
    }

    /// Writes `data` at `offset`.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        for (number, at, range) in spans(offset, data.len()) {
            let old = self.page(number);
            let bytes = range.len();
            if old[at..at + bytes] == data[range.clone()] {
                continue;
            }
            let mut page = *old;
            page[at..at + bytes].copy_from_slice(&data[range]);
            self.sum ^= digest(number, self.page(number)) ^ digest(number, &page);
            self.over.insert(number, Arc::new(page));
        }
    }
}

/// The pages that a range touches: number, where in the page, and which part of the range.
fn spans(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let page_bytes = PAGE_BYTES as u64;
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let here = offset + done as u64;
        let at = usize::try_from(here % page_bytes).unwrap();
        let bytes = (PAGE_BYTES - at).min(len - done);
        let span = (here / page_bytes, at, done..done + bytes);
        done += bytes;
        Some(span)
    })
}

/// Mixed so that the digests of several pages do not cancel each other: a checksum alone is linear.
fn digest(number: u64, page: &Page) -> u64 {
    mix(u64::from(crc32fast::hash(page)) | number << 32)
}

/// One step of `SplitMix64` (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_clones_keep_their_own() {
        let mut image = Image::new(1 << 20);
        image.write(4000, &[7; 5000]);
        let frozen = image.clone().freeze();
        let mut other = frozen.clone();
        other.write(4096, &[9; 512]);
        let read = |image: &Image, offset, len| {
            let mut buf = vec![1; len];
            image.read(offset, &mut buf);
            buf
        };
        assert_eq!(read(&image, 3999, 5002), [vec![0], vec![7; 5000], vec![0]].concat());
        assert_eq!(read(&frozen, 4000, 5000), vec![7; 5000]);
        assert_eq!(read(&other, 4095, 514), [vec![7], vec![9; 512], vec![7]].concat());
    }

    #[test]
    fn the_sum_tells_images_apart_and_comes_back_with_the_bytes() {
        let base = Image::new(1 << 20).freeze();
        let mut image = base.clone();
        image.write(512, &[1; 512]);
        let one = image.sum();
        image.write(8192, &[1; 512]);
        assert!(one != base.sum() && image.sum() != one);
        image.write(8192, &[0; 512]);
        assert_eq!(image.sum(), one);
        image.write(512, &[0; 512]);
        assert_eq!(image.sum(), base.sum());
    }
}
