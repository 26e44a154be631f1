//! What a disk says about a file: its kind, its attributes and what makes it the same file as before.

use std::ffi::OsString;

/// A point in time: seconds since 1970 (negative before) and nanoseconds below a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, bincode::Encode, bincode::Decode)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub secs: i64,
    /// Nanoseconds, below 1 000 000 000.
    pub nanos: u32,
}

impl Time {
    /// The wall clock, for what people read: nothing may be decided by it. Zero where it stands before 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(Self::default(), |since| Self {
            secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        })
    }
}

// Order of variants is the format: 0 file, 1 directory, 2 symlink, 3 fifo, 4 socket, 5 character, 6 block device.
/// The kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, never followed.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// What `stat` says of one entry. A symlink is described itself, never its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, set-id and sticky bits: the low 12 bits of the mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Bytes of disk it takes (blocks × 512): less than `size` where the file has holes.
    pub allocated: u64,
    /// How many names it has.
    pub links: u64,
    /// Inode number.
    pub ino: u64,
    /// Device of the file system. It changes with a reboot or a remount: good for "same mount now?", never for identity.
    pub dev: u64,
    /// Device number of a device node, else 0.
    pub rdev: u64,
    /// When the inode was made; zero where the file system does not say.
    pub born: Time,
    /// Last access.
    pub accessed: Time,
    /// Last change of the contents.
    pub modified: Time,
    /// Last change of the inode.
    pub changed: Time,
    /// Whether something is mounted there, so that the entry can be neither renamed nor replaced by a rename (`EBUSY`). `false`
    /// where the system does not tell: before Linux 5.8.
    pub mounted: bool,
}

/// What makes an entry *the same entry* across a reboot or a remount: inode number and birth time, with size and
/// modification time to tell that nobody wrote into it. The device number is left out on purpose: it changes with
/// every reboot, which is when recovery runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub struct Identity {
    /// What it is.
    pub kind: Kind,
    /// Inode number.
    pub ino: u64,
    /// When the inode was made; zero where the file system does not say.
    pub born: Time,
    /// Length in bytes; zero for a directory, whose length says nothing.
    pub size: u64,
    /// Last change of the contents; zero for a directory, where it moves with every child.
    pub modified: Time,
}

impl Meta {
    /// The identity of the entry; see [`Identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        let contents = self.kind != Kind::Dir;
        Identity {
            kind: self.kind,
            ino: self.ino,
            born: self.born,
            size: if contents { self.size } else { 0 },
            modified: if contents { self.modified } else { Time::default() },
        }
    }
}

impl Identity {
    /// Whether both name the same inode, whatever was written into it meanwhile.
    #[must_use]
    pub fn same_inode(&self, other: &Self) -> bool {
        self.kind == other.kind && self.ino == other.ino && self.born == other.born
    }
}

/// One entry of a directory listing; `.` and `..` are never among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, a single component.
    pub name: OsString,
    /// What it is, where the directory says so (`d_type`); `None` means: ask `stat`.
    pub kind: Option<Kind>,
    /// Inode number.
    pub ino: u64,
}
