//! The operating system's disk: one file an idea, each verb one system call where the kernel offers it as one.
//!
//! A verb that changes something makes exactly one mutating system call, so that a crash finds it done or not begun;
//! a verb that needs a second call (`set_mode`) only looks with the other one.
//!
//! `EINTR` is retried where repeating is harmless (opening, looking, locking, syncing: an interrupted sync has not
//! reported an error yet). Reads, writes and changes of names pass it on: their callers know what repeating means.
//!
//! Linux 4.11 or later, and a mounted `/proc` for [`Disk::set_mode`] and extended attributes: without it, these fail
//! with [`io::ErrorKind::Unsupported`].

mod attributes;
mod contents;
mod kernel;
mod list;
mod listxattrat;
mod lock;
mod lockers;
mod map;
mod name;
mod names;
mod network;
mod open;
mod power;
mod proc;
mod process;
mod resolve;
mod stat;
mod sync;
mod system;
mod xattr;

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::handle::Handle;
use crate::{Dir, Disk, Entry, File, Lock, Locker, Mapping, Meta, MountId, Open, PowerLoss, RelPath, Rename, Time};

pub(crate) use process::kill_self;

/// The operating system, over `rustix`. It has no state: every value of it is the same disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

fn fd(handle: &Handle) -> io::Result<BorrowedFd<'_>> {
    match handle {
        Handle::Os(fd) => Ok(fd.as_fd()),
        #[cfg(feature = "sim")]
        Handle::Sim(_) => Err(io::Error::from_raw_os_error(crate::errno::EBADF)),
    }
}

fn handle(fd: OwnedFd) -> Arc<Handle> {
    Arc::new(Handle::Os(fd))
}

impl Disk for RealDisk {
    fn open_root(&self, path: &Path) -> io::Result<Dir> {
        resolve::open_root(path).map(|fd| Dir(handle(fd)))
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        resolve::open_dir(fd(&at.0)?, path).map(|fd| Dir(handle(fd)))
    }

    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        open::open(fd(&at.0)?, name, how).map(|fd| File(handle(fd)))
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        stat::stat(fd(&at.0)?, name)
    }

    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta> {
        stat::stat_open(fd(&dir.0)?)
    }

    fn stat_file(&self, file: &File) -> io::Result<Meta> {
        stat::stat_open(fd(&file.0)?)
    }

    fn stamp(&self, file: &File, now: Time) -> io::Result<Meta> {
        let fd = fd(&file.0)?;
        attributes::set_modified(fd, now)?;
        stat::stat_timeless(fd, now)
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        list::list(fd(&dir.0)?)
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString> {
        stat::read_link(fd(&at.0)?, name)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        contents::read_at(fd(&file.0)?, buf, offset)
    }

    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>> {
        map::map(fd(&file.0)?, bytes_max)
    }

    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
        contents::next_data(fd(&file.0)?, offset)
    }

    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        xattr::xattrs(fd(&at.0)?, name)
    }

    fn xattrs_of_file(&self, file: &File, _: &Dir, _: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        xattr::xattrs_of_file(fd(&file.0)?)
    }

    fn may_change_names(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        names::may_change_names(fd(&at.0)?, name)
    }

    fn space(&self, dir: &Dir) -> io::Result<u64> {
        system::space(fd(&dir.0)?)
    }

    fn power_loss(&self, dir: &Dir) -> io::Result<PowerLoss> {
        power::power_loss(fd(&dir.0)?)
    }

    fn network(&self, dir: &Dir) -> io::Result<Option<String>> {
        network::network(fd(&dir.0)?)
    }

    fn keeps_one_tree(&self, dir: &Dir) -> io::Result<bool> {
        system::keeps_one_tree(fd(&dir.0)?)
    }

    fn unwritten(&self) -> Option<u64> {
        system::unwritten().ok().flatten()
    }

    fn mount_id(&self, dir: &Dir) -> io::Result<Option<MountId>> {
        system::mount_id(fd(&dir.0)?)
    }

    fn boot_id(&self) -> String {
        system::boot_id()
    }

    fn now(&self) -> Time {
        Time::now()
    }

    fn user(&self) -> u32 {
        process::user()
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        names::create_dir(fd(&at.0)?, name, mode)
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        names::remove_dir(fd(&at.0)?, name)
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        names::remove_file(fd(&at.0)?, name)
    }

    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()> {
        names::symlink(target, fd(&at.0)?, name)
    }

    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        names::hard_link(fd(&from.0)?, name, fd(&to.0)?, to_name)
    }

    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        names::make_node(fd(&at.0)?, name, meta)
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        names::rename(fd(&from.0)?, name, fd(&to.0)?, to_name, how)
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        contents::write_at(fd(&file.0)?, buf, offset)
    }

    fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        contents::write_vectored_at(fd(&file.0)?, bufs, offset)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        contents::set_len(fd(&file.0)?, len)
    }

    fn overwrite_in_place(&self, file: &File) -> io::Result<bool> {
        contents::overwrite_in_place(fd(&file.0)?)
    }

    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        contents::reflink(fd(&from.0)?, fd(&to.0)?)
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        attributes::set_mode(fd(&at.0)?, name, mode)
    }

    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        attributes::set_owner(fd(&at.0)?, name, uid, gid)
    }

    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
        attributes::set_times(fd(&at.0)?, name, accessed, modified)
    }

    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        xattr::set_xattr(fd(&at.0)?, name, key, value)
    }

    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()> {
        xattr::remove_xattr(fd(&at.0)?, name, key)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        sync::sync_data(fd(&file.0)?)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        sync::sync_inode(fd(&file.0)?)
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        sync::sync_inode(fd(&dir.0)?)
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        sync::sync_all(fd(&dir.0)?)
    }

    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        lock::try_lock(fd(&file.0)?, lock)
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        lock::unlock(fd(&file.0)?)
    }

    fn lockers(&self, file: &File) -> io::Result<Vec<Locker>> {
        lockers::lockers(fd(&file.0)?)
    }
}
