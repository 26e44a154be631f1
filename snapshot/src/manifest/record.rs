//! An entry as it travels: paths and names as bytes, no device numbers of the moment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::entry::{Backup, Entry, Role};
use super::layout::END_BYTES;

// Order of variants and of fields is the format: see `layout`.
#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub(super) enum Record {
    Guarded { path: Vec<u8>, present: bool },
    Excluded { path: Vec<u8> },
    Entry(Box<EntryRecord>),
    End { bytes: [u8; END_BYTES] },
}

#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub(crate) struct EntryRecord {
    pub(crate) path: Vec<u8>,
    pub(crate) role: Role,
    pub(crate) meta: MetaRecord,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) same_as: Option<u64>,
    pub(crate) backup: Option<Backup>,
}

/// What `stat` says, without the number of the device.
#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub(crate) struct MetaRecord {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    allocated: u64,
    links: u64,
    ino: u64,
    rdev: u64,
    pub(crate) born: Time,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
}

impl From<&Meta> for MetaRecord {
    fn from(meta: &Meta) -> Self {
        Self {
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
        }
    }
}

impl From<&MetaRecord> for Meta {
    fn from(record: &MetaRecord) -> Self {
        Self {
            kind: record.kind,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            size: record.size,
            allocated: record.allocated,
            links: record.links,
            ino: record.ino,
            // The number of the device means nothing after a reboot, and says nothing that is not the same for all.
            dev: 0,
            rdev: record.rdev,
            born: record.born,
            accessed: record.accessed,
            modified: record.modified,
            changed: record.changed,
            // Nor does what was mounted somewhere else.
            mounted: false,
        }
    }
}

/// The record of `entry`, which is at `path`.
pub(crate) fn from_entry(entry: Entry, path: Vec<u8>) -> EntryRecord {
    let bytes = OsString::into_vec;
    EntryRecord {
        path,
        role: entry.role,
        meta: MetaRecord::from(&entry.meta),
        xattrs: entry.xattrs.into_iter().map(|(name, value)| (bytes(name), value)).collect(),
        target: entry.target.map(bytes),
        // A place too large for the format is none that a file could hold.
        same_as: entry.same_as.map(|place| u64::try_from(place).unwrap_or(u64::MAX)),
        backup: entry.backup,
    }
}

/// An entry whose path is bytes still: most are looked at and forgotten, and a path costs more than all the rest.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) path: Vec<u8>,
    /// Its own path is empty.
    pub(crate) entry: Entry,
}

impl Raw {
    pub(super) fn new(record: EntryRecord) -> Self {
        let name = OsString::from_vec;
        let entry = Entry {
            path: RelPath::root(),
            role: record.role,
            meta: Meta::from(&record.meta),
            xattrs: record.xattrs.into_iter().map(|(key, value)| (name(key), value)).collect(),
            target: record.target.map(name),
            // A number too large for this machine is larger than every place.
            same_as: record.same_as.map(|place| usize::try_from(place).unwrap_or(usize::MAX)),
            backup: record.backup,
        };
        Self { path: record.path, entry }
    }

    /// The entry with its path.
    pub(crate) fn whole(self) -> Entry {
        let path = rel(&self.path);
        Entry { path, ..self.entry }
    }
}

/// The path of these bytes, which were checked.
pub(crate) fn rel(path: &[u8]) -> RelPath {
    RelPath::from_bytes(path).unwrap_or_default()
}
