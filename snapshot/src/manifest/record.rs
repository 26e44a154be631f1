//! An entry as it travels: paths and names as bytes, no device numbers of the moment.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use treewal_vfs::{BadPath, Kind, Meta, RelPath, Time};

use super::entry::{Backup, Entry, Mode, Role};

// Order of variants and of fields is the format: see `layout`.
#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub(super) enum Record {
    Guarded { path: Vec<u8>, present: bool },
    Excluded { path: Vec<u8> },
    Entry(Box<EntryRecord>),
    End { entries: u64, taken: Time },
}

#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub(super) struct EntryRecord {
    path: Vec<u8>,
    role: Role,
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    allocated: u64,
    links: u64,
    ino: u64,
    rdev: u64,
    born: Time,
    accessed: Time,
    modified: Time,
    changed: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    target: Option<Vec<u8>>,
    same_as: Option<u64>,
    backup: Option<BackupRecord>,
}

#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
struct BackupRecord {
    number: u64,
    mode: Mode,
    ino: u64,
    born: Time,
    modified: Time,
    checksum: Option<u32>,
}

/// The record of `entry`; `None` where its link to another entry does not fit the format (it always does).
pub(super) fn from_entry(entry: &Entry) -> Option<Record> {
    let meta = &entry.meta;
    let bytes = |value: &OsString| value.as_bytes().to_vec();
    Some(Record::Entry(Box::new(EntryRecord {
        path: entry.path.to_bytes(),
        role: entry.role,
        kind: meta.kind,
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        size: meta.size,
        allocated: meta.allocated,
        links: meta.links,
        ino: meta.ino,
        rdev: meta.rdev,
        born: meta.born,
        accessed: meta.accessed,
        modified: meta.modified,
        changed: meta.changed,
        xattrs: entry.xattrs.iter().map(|(name, value)| (bytes(name), value.clone())).collect(),
        target: entry.target.as_ref().map(bytes),
        same_as: entry.same_as.map(u64::try_from).transpose().ok()?,
        backup: entry.backup.as_ref().map(|backup| BackupRecord {
            number: backup.number,
            mode: backup.mode,
            ino: backup.ino,
            born: backup.born,
            modified: backup.modified,
            checksum: backup.checksum,
        }),
    })))
}

/// The entry that a record is. The path is checked as a path alone; how the entries fit together is `check`'s work.
pub(super) fn into_entry(record: EntryRecord) -> Result<Entry, BadPath> {
    Ok(Entry {
        path: RelPath::from_bytes(&record.path)?,
        role: record.role,
        meta: Meta {
            kind: record.kind,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            size: record.size,
            allocated: record.allocated,
            links: record.links,
            ino: record.ino,
            dev: 0,
            rdev: record.rdev,
            born: record.born,
            accessed: record.accessed,
            modified: record.modified,
            changed: record.changed,
        },
        xattrs: record.xattrs.into_iter().map(|(name, value)| (OsString::from_vec(name), value)).collect(),
        target: record.target.map(OsString::from_vec),
        // A number too large for this machine is larger than every place, which `check` refuses.
        same_as: record.same_as.map(|place| usize::try_from(place).unwrap_or(usize::MAX)),
        backup: record.backup.map(|backup| Backup {
            number: backup.number,
            mode: backup.mode,
            ino: backup.ino,
            born: backup.born,
            modified: backup.modified,
            checksum: backup.checksum,
        }),
    })
}
