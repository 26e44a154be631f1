//! Writes and cuts of one file that a power loss may still undo, and what may be left of them.
//!
//! Two choices are independent. The *step* says how many changes the length has seen; cuts go with it. The *version* of
//! a sector says how many writes that sector has seen: a sector reaches the disk as the page cache had it at some moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::content::{Content, SECTOR_BYTES, to_usize};

const SECTOR: u64 = SECTOR_BYTES as u64;

#[derive(Debug, Clone)]
pub(super) enum Change {
    Data { offset: u64, bytes: Arc<[u8]> },
    Len(u64),
}

#[derive(Debug, Clone)]
pub(super) struct FileChange {
    pub(super) seq: u64,
    pub(super) change: Change,
    /// It is certain, but comes after one that is not.
    pub(super) certain: bool,
    /// A sync that should have covered it failed: no later one does.
    pub(super) dropped: bool,
}

/// How many of the pending changes a sector has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Version {
    /// The first so many.
    After(usize),
    /// All, but what they wrote reads as zeros.
    Zeroed,
}

impl Version {
    fn has(self, number: usize) -> bool {
        match self {
            Self::After(count) => number <= count,
            Self::Zeroed => true,
        }
    }
}

/// What is left of the pending changes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Torn {
    pub(super) step: usize,
    pub(super) len: u64,
    /// The version of every sector that is not in `odd`.
    pub(super) version: Version,
    pub(super) odd: BTreeMap<u64, Version>,
}

/// Which steps a file may be in: a journalled file system keeps cuts in the order of everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Window {
    pub(super) first: usize,
    pub(super) last: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileLog(pub(super) Vec<FileChange>);

impl FileLog {
    pub(super) fn push(&mut self, seq: u64, change: Change) {
        self.0.push(FileChange { seq, change, certain: false, dropped: false });
    }

    /// What is certain after a successful sync, if that is not simply everything.
    pub(super) fn settle(&mut self) -> bool {
        if self.0.iter().all(|change| !change.dropped) {
            self.0.clear();
            return true;
        }
        for change in &mut self.0 {
            change.certain |= !change.dropped;
        }
        false
    }

    /// Every step.
    pub(super) fn whole(&self) -> Window {
        Window { first: 0, last: self.0.len() }
    }

    /// The steps where exactly the cuts up to `seq` have happened.
    pub(super) fn cuts_up_to(&self, seq: u64) -> Window {
        let cut = |change: &FileChange| matches!(change.change, Change::Len(_));
        let done = self.0.iter().rposition(|change| cut(change) && change.seq <= seq);
        let open = self.0.iter().position(|change| cut(change) && change.seq > seq);
        Window { first: done.map_or(0, |place| place + 1), last: open.unwrap_or(self.0.len()) }
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &FileChange)> {
        self.0.iter().enumerate().map(|(place, change)| (place + 1, change))
    }

    pub(super) fn len_at(&self, base: &Content, step: usize) -> u64 {
        let mut len = base.len();
        for (number, FileChange { change, certain, .. }) in self.numbered() {
            if *certain || number <= step {
                len = match change {
                    Change::Data { offset, bytes } => len.max(offset + bytes.len() as u64),
                    Change::Len(wanted) => *wanted,
                };
            }
        }
        len
    }

    /// The sectors that any of the changes wrote.
    pub(super) fn sectors(&self) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for change in &self.0 {
            if let Change::Data { offset, bytes } = &change.change {
                found.extend(offset / SECTOR..(offset + bytes.len() as u64).div_ceil(SECTOR));
            }
        }
        found
    }

    pub(super) fn build(&self, base: &Content, torn: &Torn) -> Content {
        let mut out = base.clone();
        for (number, FileChange { change, certain, .. }) in self.numbered() {
            match change {
                Change::Data { offset, bytes } if *certain => out.write(bytes, *offset),
                Change::Data { offset, bytes } if torn.version.has(number) => match torn.version {
                    Version::After(_) => out.write(bytes, *offset),
                    Version::Zeroed => out.write(&vec![0; bytes.len()], *offset),
                },
                Change::Len(len) if *certain || number <= torn.step => out.set_len(*len),
                Change::Data { .. } | Change::Len(_) => {}
            }
        }
        for (sector, version) in &torn.odd {
            out.put_sector(*sector, &self.sector(base, *sector, *version, torn.step));
        }
        out.set_len(torn.len);
        out
    }

    fn sector(&self, base: &Content, sector: u64, version: Version, step: usize) -> [u8; SECTOR_BYTES] {
        let mut out = base.sector(sector);
        let start = sector * SECTOR;
        for (number, FileChange { change, certain, .. }) in self.numbered() {
            match change {
                Change::Data { offset, bytes } if *certain || version.has(number) => {
                    let from = start.max(*offset);
                    let to = (start + SECTOR).min(offset + bytes.len() as u64);
                    if from < to {
                        let source = &bytes[to_usize(from - offset)..to_usize(to - offset)];
                        let target = &mut out[to_usize(from - start)..to_usize(to - start)];
                        if *certain || version != Version::Zeroed {
                            target.copy_from_slice(source);
                        } else {
                            target.fill(0);
                        }
                    }
                }
                Change::Len(len) if *certain || number <= step => {
                    out[to_usize(len.saturating_sub(start)).min(SECTOR_BYTES)..].fill(0);
                }
                Change::Data { .. } | Change::Len(_) => {}
            }
        }
        out
    }

    /// Nothing of it, as far as that is open.
    pub(super) fn none(&self, base: &Content, window: Window) -> Torn {
        self.plain(base, window.first, Version::After(0))
    }

    /// All of it, as far as that is open.
    pub(super) fn all(&self, base: &Content, window: Window) -> Torn {
        self.plain(base, window.last, Version::After(window.last))
    }

    pub(super) fn plain(&self, base: &Content, step: usize, version: Version) -> Torn {
        Torn { step, len: self.len_at(base, step), version, odd: BTreeMap::new() }
    }
}
