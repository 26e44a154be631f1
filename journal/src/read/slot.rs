//! One segment file as its name and its first block show it: what stands in which place of the log.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use treewal_vfs::{Dir, Disk, Kind, Open};

use super::report::{Finding, Proof, Scan};
use super::{contents, unbegun};
use crate::error::{Attempt, Error};
use crate::header::{HeaderFault, Parsed};
use crate::layout::{HEADER_BYTES, is_zero};
use crate::{SegmentHeader, TreeId, name};

/// What stands under the name of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The segment that the name says, of the right tree.
    Segment(SegmentHeader),
    /// The same, but not begun: reserved for what comes next.
    Reserved(TreeId),
    /// Something else, or nothing that can be read.
    Bad(Proof),
}

/// A name that is a segment's, with what stands under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) file_bytes: u64,
    pub(crate) slot: Slot,
}

impl Place {
    /// The header of the segment, where it is one.
    pub(crate) fn header(&self) -> Option<SegmentHeader> {
        if let Slot::Segment(header) = self.slot { Some(header) } else { None }
    }
}

/// The segments in the directory of a log, by number, with the findings about them.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) all: Vec<Place>,
    /// The one that is to be begun next.
    pub(crate) reserved: Option<u64>,
    pub(crate) tree: Option<TreeId>,
    pub(crate) findings: Vec<Finding>,
}

impl Places {
    /// Reads the names and the first block of every segment.
    pub(crate) fn read(disk: &dyn Disk, dir: &Dir, tree: Option<TreeId>) -> Result<Self, Error> {
        let mut places = Self { all: Vec::new(), reserved: None, tree, findings: Vec::new() };
        let mut numbers = BTreeSet::new();
        for entry in disk.list(dir).plain("list", name::DIR)? {
            match name::parse(&entry.name) {
                name::Name::Segment(seq) => {
                    numbers.insert(seq);
                }
                name::Name::Doubt => places.findings.push(Finding::Doubt),
                name::Name::Spare(_) => {}
                name::Name::Stray(name) => {
                    places.findings.push(Finding::Stray { name: name.to_string_lossy().into_owned() });
                }
            }
        }
        let highest = numbers.last().copied();
        let mut reserved = Vec::new();
        for &seq in &numbers {
            let (place, block) = read_head(disk, dir, seq)?;
            let place = places.check_tree(place);
            if let Slot::Reserved(_) = place.slot {
                reserved.push(seq);
                continue;
            }
            let unused = matches!(place.slot, Slot::Bad(Proof::Header(_))) && is_zero(&block);
            if Some(seq) == highest && unused && is_all_zero(disk, dir, &place)? {
                places.findings.push(Finding::Unfinished { segment: seq });
                continue;
            }
            if let Slot::Bad(proof) = place.slot {
                places.findings.extend(finding(seq, proof, &numbers));
            }
            places.all.push(place);
        }
        places.set_reserved(&reserved);
        Ok(places)
    }

    /// A segment is reserved while the one before it is written, which may be lost as a whole: so several may follow the
    /// last that is begun, without a gap. The first of them is next. The others, and what is left among the
    /// segments that are begun, are of no use.
    fn set_reserved(&mut self, reserved: &[u64]) {
        let begun = self.all.last().map_or(0, |place| place.seq);
        let next = reserved.iter().copied().find(|seq| *seq > begun);
        self.reserved = next;
        self.findings.extend(
            reserved.iter().copied().filter(|seq| Some(*seq) != next).map(|segment| Finding::Unfinished { segment }),
        );
    }

    /// Adds what the names, the first blocks and the reserved segment tell to what the segments told.
    pub(crate) fn complete(self, mut scan: Scan, disk: &dyn Disk, dir: &Dir) -> Result<Scan, Error> {
        scan.tree = self.tree;
        scan.reserved = self.reserved;
        scan.findings.splice(..0, self.findings);
        if let Some(segment) = scan.reserved {
            unbegun::check(disk, dir, &mut scan).plain("read", &name::segment(segment))?;
        }
        Ok(scan)
    }

    /// A segment of another tree is not one of this log; the first readable one says which tree that is, where nobody
    /// else did.
    fn check_tree(&mut self, place: Place) -> Place {
        let (Slot::Segment(SegmentHeader { tree, .. }) | Slot::Reserved(tree)) = place.slot else { return place };
        if *self.tree.get_or_insert(tree) == tree {
            place
        } else {
            Place { slot: Slot::Bad(Proof::Foreign(tree)), ..place }
        }
    }
}

/// Whether the first block of a file belongs to the segment of this number.
pub(crate) fn is_of(parsed: &Parsed, seq: u64) -> bool {
    match parsed {
        Parsed::Header(header) => header.seq == seq,
        Parsed::Reserved(header) => header.seq == seq,
        Parsed::Version(_) | Parsed::Fault(_) => false,
    }
}

fn finding(segment: u64, proof: Proof, numbers: &BTreeSet<u64>) -> Option<Finding> {
    match proof {
        Proof::Header(fault) => Some(Finding::Header { segment, fault }),
        Proof::Foreign(tree) => Some(Finding::Foreign { segment, tree }),
        Proof::Misnamed { says } if numbers.contains(&says) => Some(Finding::Duplicate { segment, says }),
        Proof::Misnamed { says } => Some(Finding::Misnamed { segment, says }),
        Proof::Unreadable => Some(Finding::Unreadable { segment, offset: 0 }),
        Proof::NoFile(kind) => Some(Finding::NoFile { segment, kind }),
        _ => None,
    }
}

fn read_head(disk: &dyn Disk, dir: &Dir, seq: u64) -> Result<(Place, Vec<u8>), Error> {
    let name = name::segment(seq);
    let meta = disk.stat(dir, OsStr::new(&name)).plain("look at", &name)?;
    let file_bytes = meta.size;
    if meta.kind != Kind::File {
        return Ok((Place { seq, file_bytes, slot: Slot::Bad(Proof::NoFile(meta.kind)) }, Vec::new()));
    }
    let file = disk.open(dir, OsStr::new(&name), Open::Read).plain("open", &name)?;
    let mut block = Vec::new();
    let given = contents::read(disk, &file, HEADER_BYTES as u64, &mut block).plain("read", &name)?;
    let slot = match SegmentHeader::decode(&block) {
        Parsed::Header(header) if header.seq == seq => Slot::Segment(header),
        Parsed::Header(header) => Slot::Bad(Proof::Misnamed { says: header.seq }),
        Parsed::Reserved(header) if header.seq == seq => Slot::Reserved(header.tree),
        Parsed::Reserved(header) => Slot::Bad(Proof::Misnamed { says: header.seq }),
        Parsed::Version(version) => return Err(Error::Version { segment: seq, version }),
        Parsed::Fault(HeaderFault::Short) if !given => Slot::Bad(Proof::Unreadable),
        Parsed::Fault(fault) => Slot::Bad(Proof::Header(fault)),
    };
    Ok((Place { seq, file_bytes, slot }, block))
}

/// Whether a file holds no byte but zeros: a segment that somebody had only begun to make.
fn is_all_zero(disk: &dyn Disk, dir: &Dir, place: &Place) -> Result<bool, Error> {
    let name = name::segment(place.seq);
    let file = disk.open(dir, OsStr::new(&name), Open::Read).plain("open", &name)?;
    Ok(contents::is_all_zero(disk, &file).plain("read", &name)?)
}
