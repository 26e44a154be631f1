//! The verbs: each is written down and passed on.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::path::Path;

use super::{Call, RecordingDisk};
use crate::{Dir, Disk, Entry, File, Lock, Mapping, Meta, MountId, Open, PowerLoss, RelPath, Rename, Time, Verb};

impl Disk for RecordingDisk {
    fn open_root(&self, path: &Path) -> io::Result<Dir> {
        self.named(Verb::OpenRoot, path.as_os_str()).open_root(path)
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        self.named(Verb::OpenDir, path.to_path().as_os_str()).open_dir(at, path)
    }

    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        self.named(Verb::of_open(how), name).open(at, name, how)
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        self.named(Verb::Stat, name).stat(at, name)
    }

    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta> {
        self.handle(Verb::StatDir).stat_dir(dir)
    }

    fn stat_file(&self, file: &File) -> io::Result<Meta> {
        self.handle(Verb::StatFile).stat_file(file)
    }

    fn stamp(&self, file: &File, now: Time) -> io::Result<Meta> {
        self.handle(Verb::SetTimes).stamp(file, now)
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        self.handle(Verb::List).list(dir)
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString> {
        self.named(Verb::ReadLink, name).read_link(at, name)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.note(Call::new(Verb::ReadAt, OsStr::new("")).bytes(buf.len())).read_at(file, buf, offset)
    }

    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>> {
        self.handle(Verb::Map).map(file, bytes_max)
    }

    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
        self.handle(Verb::NextData).next_data(file, offset)
    }

    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.named(Verb::Xattrs, name).xattrs(at, name)
    }

    fn xattrs_of_file(&self, file: &File, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.named(Verb::Xattrs, name).xattrs_of_file(file, at, name)
    }

    /// Not counted: it asks before the call that is.
    fn may_change_names(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        self.inner.may_change_names(at, name)
    }

    /// Not counted: it asks before the call that is.
    fn is_mount_point(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        self.inner.is_mount_point(at, name)
    }

    fn space(&self, dir: &Dir) -> io::Result<u64> {
        self.handle(Verb::Space).space(dir)
    }

    fn power_loss(&self, dir: &Dir) -> io::Result<PowerLoss> {
        self.inner.power_loss(dir)
    }

    fn network(&self, dir: &Dir) -> io::Result<Option<String>> {
        self.inner.network(dir)
    }

    fn lockers(&self, file: &File) -> io::Result<Vec<crate::Locker>> {
        self.inner.lockers(file)
    }

    fn now(&self) -> crate::Time {
        self.inner.now()
    }

    fn unwritten(&self) -> Option<u64> {
        self.inner.unwritten()
    }

    /// Not counted: it asks the machine, not the disk.
    fn mount_id(&self, dir: &Dir) -> io::Result<Option<MountId>> {
        self.inner.mount_id(dir)
    }

    fn boot_id(&self) -> String {
        self.handle(Verb::BootId).boot_id()
    }

    fn user(&self) -> u32 {
        self.handle(Verb::User).user()
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.named(Verb::CreateDir, name).create_dir(at, name, mode)
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.named(Verb::RemoveDir, name).remove_dir(at, name)
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.named(Verb::RemoveFile, name).remove_file(at, name)
    }

    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.note(Call::new(Verb::Symlink, name).with(target)).symlink(target, at, name)
    }

    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        self.note(Call::new(Verb::HardLink, name).with(to_name)).hard_link(from, name, to, to_name)
    }

    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        self.named(Verb::MakeNode, name).make_node(at, name, meta)
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        self.note(Call::new(Verb::Rename, name).with(to_name)).rename(from, name, to, to_name, how)
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.note(Call::new(Verb::WriteAt, OsStr::new("")).bytes(buf.len())).write_at(file, buf, offset)
    }

    fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        self.note(Call::new(Verb::WriteAt, OsStr::new("")).bytes(bytes)).write_vectored_at(file, bufs, offset)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.handle(Verb::SetLen).set_len(file, len)
    }

    /// Not counted: it changes nothing that anybody reads.
    fn overwrite_in_place(&self, file: &File) -> io::Result<bool> {
        self.inner.overwrite_in_place(file)
    }

    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        self.handle(Verb::Reflink).reflink(from, to)
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.named(Verb::SetMode, name).set_mode(at, name, mode)
    }

    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        self.named(Verb::SetOwner, name).set_owner(at, name, uid, gid)
    }

    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
        self.named(Verb::SetTimes, name).set_times(at, name, accessed, modified)
    }

    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        self.note(Call::new(Verb::SetXattr, name).with(key).bytes(value.len())).set_xattr(at, name, key, value)
    }

    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()> {
        self.note(Call::new(Verb::RemoveXattr, name).with(key)).remove_xattr(at, name, key)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.handle(Verb::SyncData).sync_data(file)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.handle(Verb::SyncFile).sync_file(file)
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        self.handle(Verb::SyncDir).sync_dir(dir)
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        self.handle(Verb::SyncAll).sync_all(dir)
    }

    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        self.handle(Verb::TryLock).try_lock(file, lock)
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        self.handle(Verb::Unlock).unlock(file)
    }
}
