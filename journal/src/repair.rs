//! The explicit second pass over a damaged log: sets aside what does not count and lets the log go on behind it.
//!
//! A scan calls the log damaged until every cut file is safe, and the whole can be run again after a crash at any point:
//!
//! 1. Every file that is cut, the damaged segment and all after it, gets a second name in the quarantine, which is
//!    synced. Nothing has changed for a reader.
//! 2. The last segment that is kept is synced, and a new segment is placed behind all of them. It continues from the last valid record, but as long as others stand
//!    between, a reader does not get there. Its records have numbers beyond any that the cut records can have had, and
//!    its own number is new, too: nothing is ever called twice the same.
//! 3. The names of the segments between go.
//! 4. The name of the damaged segment goes, where nothing in it is valid. It goes last: without it a segment after it
//!    could pass for the oldest. Where a part is valid it stays, and the new segment says where that part ends.
//!
//! A segment with a second name is never used again, only removed: see [`Log::truncate`](crate::Log::truncate).

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Open, Rename, copy_contents, errno};

use crate::LogOptions;
use crate::error::{Attempt, Error, Failure};
use crate::header::Parsed;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::lsn::LSN_MAX;
use crate::read::contents;
use crate::read::report::{Scan, Tail};
use crate::write::make;
use crate::{Lsn, SegmentHeader, name, stamp};

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Names of the files in the quarantine: the damaged segment, whole, and all after it.
    pub quarantined: Vec<String>,
    /// The last record that still counts.
    pub kept: Lsn,
    /// The number that the next record gets. Numbers between were those of cut records, or of none.
    pub next: Lsn,
}

/// Cuts a damaged log behind its last valid record. What is cut stays as it is, under its own names in `quarantine`,
/// a directory of the same file system; where a name is taken there, with a number behind it. Scan again afterwards:
/// the log is clean and can be resumed.
///
/// Durable when it returns; after a crash or an error it can be called again with a new scan.
///
/// # Errors
/// [`Error::NotDamaged`] where `scan` shows no damage, [`Error::Foreign`] where it is of another tree, [`Error::Io`]:
/// the files that are cut are then where they were or in the quarantine, or both.
pub fn repair(
    disk: &dyn Disk,
    dir: &Dir,
    options: &LogOptions,
    scan: &Scan,
    quarantine: &Dir,
) -> Result<Repair, Error> {
    options.check()?;
    let Tail::Corrupt { segment, offset, .. } = scan.tail else { return Err(Error::NotDamaged(scan.tail)) };
    if let Some(found) = scan.tree.filter(|found| *found != options.tree) {
        return Err(Error::Foreign { found, wanted: options.tree });
    }
    let cut = cut_files(disk, dir, segment)?;
    let mut quarantined = Vec::new();
    for file in cut.iter().filter(|file| file.kind != Kind::Dir) {
        quarantined.push(keep(disk, dir, quarantine, file)?);
    }
    disk.sync_dir(quarantine).plain("sync", "quarantine")?;
    let next = beyond(disk, dir, options, scan, &cut)?;
    if let Some(last) = scan.segments.last() {
        sync_kept(disk, dir, &name::segment(last.header.seq)).inspect_err(|_| make::leave_doubt(disk, dir))?;
    }
    let boot = stamp::boot(&disk.boot_id());
    let header = make::header(boot, options, number(scan, &cut)?, scan.last, scan.chain);
    let header = SegmentHeader { first: next, durable: next.before(), ..header };
    make::prepare(disk, dir, &mut None, &header, &[])
        .and_then(|segment| segment.place(disk, dir, Rename::NoReplace))
        .inspect_err(|_| make::leave_doubt(disk, dir))?;
    let mut clear = |file: &CutFile| match file.kind {
        Kind::Dir => move_away(disk, dir, quarantine, file).map(|name| quarantined.push(name)),
        _ => disk.remove_file(dir, OsStr::new(&file.name)).plain("remove", &file.name),
    };
    let settle = || disk.sync_dir(dir).fatal("sync", name::DIR).inspect_err(|_| make::leave_doubt(disk, dir));
    cut.iter().filter(|file| file.seq > segment).try_for_each(&mut clear)?;
    settle()?;
    if offset == 0 {
        cut.iter().filter(|file| file.seq == segment).try_for_each(&mut clear)?;
        settle()?;
    }
    Ok(Repair { quarantined, kept: scan.last, next })
}

/// What is kept may have stood in the page cache alone, and the new segment says that it is there.
fn sync_kept(disk: &dyn Disk, dir: &Dir, name: &str) -> Result<(), Failure> {
    let file = disk.open(dir, OsStr::new(name), Open::ReadWrite).plain("open", name)?;
    disk.sync_file(&file).fatal("sync", name)
}

/// A directory has no second name, and moves when its turn to go has come.
fn move_away(disk: &dyn Disk, dir: &Dir, quarantine: &Dir, cut: &CutFile) -> Result<String, Failure> {
    let mut kept = cut.name.clone();
    for number in 1.. {
        match disk.rename(dir, OsStr::new(&cut.name), quarantine, OsStr::new(&kept), Rename::NoReplace) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < SAME_NAME_MAX => {
                kept = format!("{}.{number}", cut.name);
            }
            done => {
                done.plain("set aside", &cut.name)?;
                break;
            }
        }
    }
    disk.sync_dir(quarantine).plain("sync", "quarantine")?;
    Ok(kept)
}

/// A number for the new segment: above all that are cut. Somebody may have made a file with the highest number there
/// is; then any number behind the valid segments that is free.
fn number(scan: &Scan, cut: &[CutFile]) -> Result<u64, Error> {
    let valid = scan.segments.last().map_or(0, |segment| segment.header.seq);
    let highest = cut.iter().map(|file| file.seq).fold(valid, u64::max);
    let free = |seq: &u64| cut.iter().all(|file| file.seq != *seq);
    highest.checked_add(1).or_else(|| (valid..u64::MAX).skip(1).find(free)).ok_or(Error::Exhausted)
}

struct CutFile {
    seq: u64,
    kind: Kind,
    name: String,
    bytes: u64,
}

/// The segments from the damaged one on, by number.
fn cut_files(disk: &dyn Disk, dir: &Dir, from: u64) -> Result<Vec<CutFile>, Error> {
    let mut cut = Vec::new();
    for entry in disk.list(dir).plain("list", name::DIR)? {
        if let name::Name::Segment(seq) = name::parse(&entry.name) {
            if seq >= from {
                let name = name::segment(seq);
                let meta = disk.stat(dir, OsStr::new(&name)).plain("look at", &name)?;
                cut.push(CutFile { seq, kind: meta.kind, name, bytes: meta.size });
            }
        }
    }
    cut.sort_by_key(|file| file.seq);
    Ok(cut)
}

/// A number that no record in the cut files, nor any before, can have: every frame takes at least 32 bytes, and a
/// segment that can be read says where its numbers begin and how long it was made. A file may have lost its end since.
fn beyond(disk: &dyn Disk, dir: &Dir, options: &LogOptions, scan: &Scan, cut: &[CutFile]) -> Result<Lsn, Error> {
    let frames = |bytes: u64| bytes.min(SEGMENT_BYTES_MAX) / FRAME_HEADER_BYTES as u64;
    let headers: Vec<_> = cut.iter().map(|file| header_of(disk, dir, file)).collect::<Result<_, _>>()?;
    let made = scan.segments.iter().map(|segment| &segment.header).chain(headers.iter().flatten());
    let longest = made.map(|header| header.segment_bytes).fold(options.segment_bytes, u64::max);
    let mut next = scan.last.next().0;
    if scan.segments.is_empty() {
        // Nothing readable before: at most so many records fit in all segments that there ever were.
        let bytes = cut.iter().map(|file| file.bytes).fold(longest, u64::max);
        next = cut.iter().map(|file| file.seq).fold(1, u64::max).saturating_mul(frames(bytes));
    }
    for (file, header) in cut.iter().zip(headers) {
        let (first, made) = header.map_or((0, longest), |header| (header.first.0, header.segment_bytes));
        next = next.max(first).saturating_add(frames(file.bytes.max(made)));
    }
    if next < LSN_MAX.0 { Ok(Lsn(next)) } else { Err(Error::Exhausted) }
}

fn header_of(disk: &dyn Disk, dir: &Dir, cut: &CutFile) -> Result<Option<SegmentHeader>, Error> {
    if cut.kind != Kind::File {
        return Ok(None);
    }
    let file = disk.open(dir, OsStr::new(&cut.name), Open::Read).plain("open", &cut.name)?;
    let mut block = Vec::new();
    contents::read(disk, &file, HEADER_BYTES as u64, &mut block).plain("read", &cut.name)?;
    match SegmentHeader::decode(&block) {
        Parsed::Header(header) => Ok(Some(header)),
        Parsed::Reserved(_) | Parsed::Version(_) | Parsed::Fault(_) => Ok(None),
    }
}

/// How many files of the same name a quarantine takes.
const SAME_NAME_MAX: u32 = 1000;

/// Gives a file a second name in the quarantine, or a copy where the file system has no second names; gives the name.
/// What is there already under its own name may be from a repair that was interrupted; else a number is added.
fn keep(disk: &dyn Disk, dir: &Dir, quarantine: &Dir, cut: &CutFile) -> Result<String, Failure> {
    let mut kept = cut.name.clone();
    let mut number = 1;
    loop {
        let (from, to) = (OsStr::new(&cut.name), OsStr::new(&kept));
        let done = match disk.hard_link(dir, from, quarantine, to) {
            Err(error) if is_unsupported(&error) => copy(disk, dir, from, quarantine, to),
            other => other,
        };
        match done {
            Ok(()) => return Ok(kept),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < SAME_NAME_MAX => {
                if is_same(disk, dir, from, quarantine, to).plain("compare", &cut.name)? {
                    return Ok(kept);
                }
                kept = format!("{}.{number}", cut.name);
                number += 1;
            }
            Err(error) => return Err(error).plain("set aside", &cut.name),
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    const NO_LINKS: [i32; 4] = [errno::EPERM, errno::EOPNOTSUPP, errno::EXDEV, errno::EMLINK];
    error.raw_os_error().is_some_and(|number| NO_LINKS.contains(&number))
}

/// A copy that has its name only when it is whole and durable.
fn copy(disk: &dyn Disk, dir: &Dir, name: &OsStr, quarantine: &Dir, kept: &OsStr) -> io::Result<()> {
    let part = OsStr::new("part");
    match disk.remove_file(quarantine, part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let from = disk.open(dir, name, Open::Read)?;
    let to = disk.open(quarantine, part, Open::CreateNew { mode: 0o600 })?;
    copy_contents(disk, &from, &to)?;
    disk.sync_file(&to)?;
    match disk.rename(quarantine, part, quarantine, kept, Rename::NoReplace) {
        Err(error) => disk.remove_file(quarantine, part).and(Err(error)),
        done => done,
    }
}

fn is_same(disk: &dyn Disk, dir: &Dir, name: &OsStr, quarantine: &Dir, kept: &OsStr) -> io::Result<bool> {
    let (one, other) = (disk.stat(dir, name)?, disk.stat(quarantine, kept)?);
    if one.kind != Kind::File || other.kind != Kind::File {
        return Ok(one.identity() == other.identity());
    }
    let (here, there) = (disk.open(dir, name, Open::Read)?, disk.open(quarantine, kept, Open::Read)?);
    let (ours, theirs) = (disk.stat_file(&here)?, disk.stat_file(&there)?);
    if ours.identity() == theirs.identity() {
        return Ok(true);
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let read = contents::read(disk, &here, SEGMENT_BYTES_MAX, &mut left)?
        && contents::read(disk, &there, SEGMENT_BYTES_MAX, &mut right)?;
    Ok(read && ours.size == theirs.size && ours.size <= SEGMENT_BYTES_MAX && left == right)
}
