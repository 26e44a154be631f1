//! What a snapshot knows of one path.

use std::ffi::OsString;

use treewal_vfs::{Kind, Meta, RelPath, Time};

// Order of variants is the format.
/// How the contents of an entry were really kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub enum Mode {
    /// The backup shares its extents with the file and goes its own way from the first write on.
    Reflink,
    /// The backup *is* the file, under a second name: whoever writes in place writes into both.
    HardLink,
    /// The backup is a copy.
    Copy,
    /// The entry has no contents to keep: a directory, a symlink, a fifo, …, or a second name of a file whose first
    /// name has them.
    None,
}

// Order of variants is the format.
/// Why an entry stands in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub enum Role {
    /// It is a guarded path, or lies beneath one: it will be as it was.
    Guarded,
    /// It is a directory above a guarded path: made again where it is gone, otherwise left to others.
    Ancestor,
}

/// One path as it was when the snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it was.
    pub path: RelPath,
    /// Why it is here.
    pub role: Role,
    /// What the disk said of it. `dev` is zero: a device number means nothing after a reboot.
    pub meta: Meta,
    /// Its extended attributes, POSIX ACLs among them, sorted by name; none for the tree itself.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// Where a symlink points to.
    pub target: Option<OsString>,
    /// Which earlier entry (by its place among [`Manifest::entries`](super::Manifest::entries)) is the same inode under
    /// another name; what that one says of contents is true of this one.
    pub same_as: Option<usize>,
    /// Where the contents were kept: for files without `same_as`, and for no others.
    pub backup: Option<Backup>,
}

impl Entry {
    /// How the contents were kept.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.backup.as_ref().map_or(Mode::None, |backup| backup.mode)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.meta.kind == Kind::Dir
    }
}

/// The file in the snapshot that holds the contents of an entry, and how to know it again wherever it is by then.
// Order of fields is the format.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Backup {
    /// Its name in the snapshot, as a decimal number.
    pub number: u64,
    /// How it came to be.
    pub mode: Mode,
    /// Its inode number.
    pub ino: u64,
    /// When its inode was made.
    pub born: Time,
    /// When it was last written: by the copy, so not the time of the entry.
    pub modified: Time,
    /// CRC-32 of the contents, holes being zeros; for copies alone, where every byte was read anyway.
    pub checksum: Option<u32>,
}

/// One path that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// The path.
    pub path: RelPath,
    /// Whether there was anything. What stands at an absent path later is new and goes away.
    pub present: bool,
}
