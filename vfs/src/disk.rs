//! The verbs.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;

use crate::{Dir, Entry, File, Mapping, Meta, RelPath, Time};

/// How [`Disk::open`] opens a file. A symlink in the last place is never followed (`ELOOP`), and opening a fifo does
/// not wait for its other end. What is opened need not be a regular file: ask [`Disk::stat_file`]. A directory opens for
/// reading, and its first read gives `EISDIR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new file, for reading and writing; `EEXIST` where the name is taken. The mode is subject to the umask.
    CreateNew {
        /// Permission bits before the umask.
        mode: u32,
    },
    /// A file for reading and writing, made empty where it does not exist: for lock files. The mode is subject to the
    /// umask.
    Create {
        /// Permission bits before the umask.
        mode: u32,
    },
}

/// What [`Disk::rename`] does about the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename {
    /// Takes the place of what is there.
    Replace,
    /// Fails with `EEXIST` where something is there. On a file system that cannot do both in one step, what somebody puts
    /// there between the look and the rename is replaced.
    NoReplace,
    /// Both names change places; both must exist. Neither is missing at any moment.
    Exchange,
}

/// What [`Disk::power_loss`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// The file system keeps what it synced, and changes of names whole.
    Survives,
    /// It does not, for this reason.
    Loses(&'static str),
    /// Nothing is known of it.
    Unknown,
}

/// A mount in one boot of one machine: see [`Disk::mount_id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountId(pub [u8; 24]);

/// A kernel lock on an open file. It ends with [`Disk::unlock`], or with the last clone of the handle, whatever ended the
/// process.
///
/// A child process that another thread is just starting has a copy of every handle until its `exec`, and with it keeps
/// a dropped lock for that moment: unlock where the next taker must not be turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Beside other shared locks.
    Shared,
    /// Alone.
    Exclusive,
}

/// A process that holds a lock; see [`Disk::lockers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locker {
    /// Its number.
    pub pid: u32,
    /// When it began, in seconds since 1970; `None` where that is not known.
    pub began: Option<u64>,
}

/// The name of a directory in itself, for the verbs that describe an entry or set attributes: `.`. The root of a tree has no
/// other.
pub const ITSELF: &str = ".";

/// A disk: the few verbs that treewal needs of one.
///
/// Names (`name`) are single components; a name with a `/`, an empty one, `.` and `..` give `InvalidInput`. Where an entry is
/// described ([`stat`](Disk::stat), [`xattrs`](Disk::xattrs)) or gets attributes, [`ITSELF`] is the directory itself. Modes are
/// the low 12 bits; any other bit gives `InvalidInput`. All other errors are those of the operating system, so that
/// `io::Error::raw_os_error` can be asked; [`errno`](crate::errno) has the numbers.
///
/// Only [`open_dir`](Disk::open_dir) refuses other mounts. A verb that takes a name works on the root of what is mounted
/// at that name; [`Meta::dev`](crate::Meta::dev) tells, except for a bind mount of the same file system.
///
/// No verb has a default: a disk says each. One that stands over another is a [`Layer`](crate::Layer), and says only what
/// it does otherwise.
///
/// # What survives a crash
///
/// A kill loses nothing that was called before it. A power loss keeps what a `sync_*` verb covered when it returned
/// `Ok`. Of what came after, each of these is assumed, and nothing more:
///
/// * a change of names (`create_dir`, `rename`, `remove_file`, …) is there wholly or not at all, also where it touches
///   two directories; two changes of the same name or of the same file are kept in their order, changes that have
///   nothing to do with each other may be kept in any order;
/// * written bytes may be there, be missing or be zero in any 512-byte sector, and the length may be the old one, the
///   new one or one between;
/// * mode, owner, times and extended attributes are the old or the new ones, each for itself.
///
/// A sync that fails leaves all it should have covered in doubt, and a later one that succeeds proves nothing about it:
/// the kernel may have dropped the pages.
pub trait Disk: Debug + Send + Sync {
    // --- handles ---------------------------------------------------------------------------------------------------

    /// Opens the directory that everything else is relative to. Symlinks on the way are followed: the caller chose it.
    fn open_root(&self, path: &Path) -> io::Result<Dir>;

    /// Opens the directory at `path` beneath `at`; the root path gives a fresh handle on `at` itself.
    ///
    /// # Errors
    /// `ELOOP` where a component is a symlink, `ENOTDIR` where one is something else, `EXDEV` where one is on another
    /// mount, `ENOENT`.
    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;

    /// Opens a file; see [`Open`]. After a power loss a created file is there, with its mode, once it was synced with
    /// [`sync_file`](Disk::sync_file) and its directory with [`sync_dir`](Disk::sync_dir).
    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File>;

    // --- looking: changes nothing ----------------------------------------------------------------------------------

    /// Describes an entry, itself and never the target of a symlink.
    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;

    /// Describes an open directory.
    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;

    /// Describes an open file.
    fn stat_file(&self, file: &File) -> io::Result<Meta>;

    /// Describes a file that this process has just written and nobody else can reach, and may set its time of last
    /// modification to `now` for it: then the description says `now`, also where the file system stores it rounded down.
    ///
    /// Where the kernel keeps times finer than its tick for files that somebody has asked about (Linux 6.13 and later), to
    /// ask for the times of a file and to rename it within the same tick moves the clock of all file systems forward, and
    /// the next write to each file is one more change of its inode. Nothing of the times is asked for here.
    fn stamp(&self, file: &File, now: Time) -> io::Result<Meta>;

    /// The entries of a directory, in no particular order.
    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>>;

    /// The target of a symlink, as its bytes.
    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;

    /// Reads into `buf` from `offset` on; fewer bytes than asked for are no error, none is the end of the file.
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The first `bytes_max` bytes of a file, or all of it, as memory: to look at much without a call for each part of it.
    /// `None` where the file is better read: it is empty or no regular file, its file system is on a network or not
    /// known, or the disk has no such thing.
    ///
    /// **Only for a file that nobody writes and nobody cuts while the mapping lives**: hold the lock that all who do
    /// have to hold. [`Mapping`] says what happens otherwise. Where that cannot be had, use [`read_at`](Disk::read_at).
    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>>;

    /// The next run of bytes at or after `offset` that is not a hole, as `(start, end)`; `None` where only a hole
    /// follows. A file system that knows no holes gives the rest of the file.
    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>>;

    /// All extended attributes of an entry, POSIX ACLs among them as the bytes they are stored as, sorted by name. None
    /// where the file system has no such thing.
    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;

    /// The same of a file that is open, and was opened as `name` in `at`: cheaper where the disk can ask the open file.
    fn xattrs_of_file(&self, file: &File, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;

    /// Whether the permissions of the directory `name` let this process make, remove and rename entries in it. The system may
    /// have other reasons to refuse: only the call itself tells.
    fn may_change_names(&self, at: &Dir, name: &OsStr) -> io::Result<bool>;

    /// Free bytes that this process may still use on the file system.
    fn space(&self, dir: &Dir) -> io::Result<u64>;

    /// Whether what is synced on the file system of `dir` is there after a power loss, as far as the system tells.
    fn power_loss(&self, dir: &Dir) -> io::Result<PowerLoss>;

    /// The name of the file system that `dir` is on, where that is one of a network or the like: other machines may have it
    /// mounted too, and a lock may keep nobody there out. `None` where it is this machine's own, as far as the system tells.
    fn network(&self, dir: &Dir) -> io::Result<Option<String>>;

    /// Whether the file system of `dir` keeps all its entries in one tree of blocks, as btrfs does: threads that make entries
    /// there at a time, in whichever directories, mostly wait for each other.
    fn keeps_one_tree(&self, dir: &Dir) -> io::Result<bool>;

    /// Bytes that were written and that no disk of this machine has yet, whoever wrote them and wherever: at most so many
    /// has [`sync_all`](Disk::sync_all) to write. `None` where nobody knows.
    fn unwritten(&self) -> Option<u64>;

    /// What names the mount that `dir` is on, in this boot of the machine, and no other mount ever. As long as it stays the
    /// same, the kernel has lost nothing that it knew of the files there, and every write to one has moved its times. `None`
    /// where the system does not tell, or the file system is not known to keep times so.
    fn mount_id(&self, dir: &Dir) -> io::Result<Option<MountId>>;

    /// A string that names this boot of the machine, for diagnosis; empty where the system does not tell.
    fn boot_id(&self) -> String;

    /// The clock that the times of entries come from, or one that goes with it, for saying when something was done. It is
    /// finer than they are: what changes after this can have a time from before it, by a tick of that clock.
    fn now(&self) -> Time;

    /// The user that this process acts as on the disk.
    fn user(&self) -> u32;

    // --- the namespace: not durable before `sync_dir` of every directory it touched, or `sync_all` -----------------

    /// Makes a directory. The mode is subject to the umask.
    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()>;

    /// Removes a name that is not a directory.
    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()>;

    /// Makes a symlink at `name` that points to `target`.
    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()>;

    /// Gives the file at `from` a second name; a symlink gets one itself.
    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()>;

    /// Makes a fifo, a socket or a device node, as `meta` says; only `kind`, `mode` and `rdev` count. The mode is
    /// subject to the umask.
    ///
    /// # Errors
    /// `InvalidInput` for any other kind; `EPERM` for a device node without the privilege.
    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()>;

    /// Renames an entry in one step; see [`Rename`]. A destination that must stay findable never goes missing under
    /// [`Rename::Replace`] and [`Rename::Exchange`].
    ///
    /// # Errors
    /// `EEXIST`, `EXDEV`, `EBUSY` (a mount point), `EINVAL` (a directory into itself, or a file system that cannot
    /// exchange), `ENOTEMPTY`.
    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()>;

    // --- contents: not durable before `sync_data` or `sync_file` ---------------------------------------------------

    /// Writes at `offset`; may write less than asked for.
    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// The same from several buffers, one after another, as if they were one. A disk that has no such call writes the
    /// first of them that is not empty.
    fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or extends it with a hole.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()>;

    /// Asks for a file, which is empty, that what is written over its bytes goes into the blocks that it has, on a file system
    /// that would take new ones for it, which a full disk does not have. Says whether it is such a file system, and does so
    /// now. There the file loses the checksums of the file system.
    fn overwrite_in_place(&self, file: &File) -> io::Result<bool>;

    /// Makes the empty `to` share all the extents of `from`.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EXDEV` or `EINVAL` where the file system cannot do it: copy instead.
    fn reflink(&self, from: &File, to: &File) -> io::Result<()>;

    // --- metadata: not durable before `sync_file` of the file, `sync_dir` of the directory it describes, or `sync_all`

    /// Sets the permission bits of an entry that is not a symlink; `EOPNOTSUPP` where it is one.
    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;

    /// Sets owner and group of an entry, of a symlink itself. On a file that is not a directory this clears the set-id
    /// bits and `security.capability`, so these are set after it. `InvalidInput` for `u32::MAX`, which is nobody.
    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()>;

    /// Sets the times of last access and last modification of an entry, of a symlink itself. The file
    /// system rounds them down to what it can store. `InvalidInput` where nanoseconds are not below a second.
    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()>;

    /// Sets one extended attribute of an entry, of a symlink itself.
    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()>;

    /// Removes one extended attribute of an entry, of a symlink itself.
    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()>;

    // --- durability ------------------------------------------------------------------------------------------------

    /// `fdatasync`: contents and length of the file survive a power loss from here on. Not its name.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// `fsync`: as [`sync_data`](Disk::sync_data), and mode, owner, times and extended attributes too. Not its name.
    fn sync_file(&self, file: &File) -> io::Result<()>;

    /// `fsync` of a directory: every change of a name in it survives from here on, and its own metadata. Not what the
    /// files in it hold.
    fn sync_dir(&self, dir: &Dir) -> io::Result<()>;

    /// `syncfs`: everything that was done on the file system of `dir` survives from here on, whoever did it.
    fn sync_all(&self, dir: &Dir) -> io::Result<()>;

    // --- locks -----------------------------------------------------------------------------------------------------

    /// Tries to lock an open file, or to change the lock it holds; `false` where somebody else's lock is in the way.
    /// Never waits.
    ///
    /// Changing a lock gives the old one up first: after `false`, or an error, no lock is held, and even where it
    /// succeeds somebody else may have held the lock in between.
    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool>;

    /// Gives the lock up.
    fn unlock(&self, file: &File) -> io::Result<()>;

    /// Which processes hold a lock on the file, this one among them, as far as the system tells: for people, never to
    /// decide anything by.
    fn lockers(&self, file: &File) -> io::Result<Vec<Locker>>;
}
