//! The verbs: each is judged and passed on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::{FaultDisk, Verdict};
use crate::{
    Dir, Disk, Entry, File, Lock, Mapping, Meta, MountId, Open, PowerLoss, RelPath, Rename, Time, Verb, errno,
};

impl Disk for FaultDisk {
    fn open_root(&self, path: &Path) -> io::Result<Dir> {
        self.whole(Verb::OpenRoot)?.open_root(path)
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        self.whole(Verb::OpenDir)?.open_dir(at, path)
    }

    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        self.whole(Verb::of_open(how))?.open(at, name, how)
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        self.whole(Verb::Stat)?.stat(at, name)
    }

    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta> {
        self.whole(Verb::StatDir)?.stat_dir(dir)
    }

    fn stat_file(&self, file: &File) -> io::Result<Meta> {
        self.whole(Verb::StatFile)?.stat_file(file)
    }

    fn stamp(&self, file: &File, now: Time) -> io::Result<Meta> {
        self.whole(Verb::SetTimes)?.stamp(file, now)
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        self.whole(Verb::List)?.list(dir)
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString> {
        self.whole(Verb::ReadLink)?.read_link(at, name)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.whole(Verb::ReadAt)?.read_at(file, buf, offset)
    }

    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>> {
        self.whole(Verb::Map)?.map(file, bytes_max)
    }

    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
        self.whole(Verb::NextData)?.next_data(file, offset)
    }

    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.whole(Verb::Xattrs)?.xattrs(at, name)
    }

    fn xattrs_of_file(&self, file: &File, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.whole(Verb::Xattrs)?.xattrs_of_file(file, at, name)
    }

    /// Not counted: it asks before the call that is.
    fn may_change_names(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        self.inner.may_change_names(at, name)
    }

    /// Not counted: it asks before the call that is.
    fn is_mount_point(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        Ok(self.busy.as_deref() == Some(name) || self.inner.is_mount_point(at, name)?)
    }

    fn space(&self, dir: &Dir) -> io::Result<u64> {
        self.whole(Verb::Space)?.space(dir)
    }

    /// Not counted: it asks the machine, not the disk, and cannot fail.
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
        self.inner.boot_id()
    }

    /// Not counted: it asks the machine, not the disk, and cannot fail.
    fn user(&self) -> u32 {
        self.inner.user()
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.whole(Verb::CreateDir)?.create_dir(at, name, mode)
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.whole(Verb::RemoveDir)?.remove_dir(at, name)
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.prove_free(name)?;
        self.whole(Verb::RemoveFile)?.remove_file(at, name)
    }

    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.whole(Verb::Symlink)?.symlink(target, at, name)
    }

    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        if !self.links {
            return Err(io::Error::from_raw_os_error(errno::EPERM));
        }
        self.whole(Verb::HardLink)?.hard_link(from, name, to, to_name)
    }

    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        self.whole(Verb::MakeNode)?.make_node(at, name, meta)
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        if how == Rename::Exchange && !self.exchanges {
            return Err(io::Error::from_raw_os_error(errno::EINVAL));
        }
        self.prove_free(name)?;
        self.prove_free(to_name)?;
        self.whole(Verb::Rename)?.rename(from, name, to, to_name, how)
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        let buf = match self.judge(Verb::WriteAt)? {
            Verdict::Whole => buf,
            Verdict::Half => &buf[..buf.len().div_ceil(2)],
        };
        self.inner.write_at(file, buf, offset)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.whole(Verb::SetLen)?.set_len(file, len)
    }

    /// Not counted: it changes nothing that anybody reads.
    fn overwrite_in_place(&self, file: &File) -> io::Result<bool> {
        self.inner.overwrite_in_place(file)
    }

    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        self.whole(Verb::Reflink)?.reflink(from, to)
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.whole(Verb::SetMode)?.set_mode(at, name, mode)
    }

    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        self.whole(Verb::SetOwner)?.set_owner(at, name, uid, gid)
    }

    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
        self.whole(Verb::SetTimes)?.set_times(at, name, accessed, modified)
    }

    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        self.whole(Verb::SetXattr)?.set_xattr(at, name, key, value)
    }

    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()> {
        self.whole(Verb::RemoveXattr)?.remove_xattr(at, name, key)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.whole(Verb::SyncData)?.sync_data(file)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.whole(Verb::SyncFile)?.sync_file(file)
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        self.whole(Verb::SyncDir)?.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        self.whole(Verb::SyncAll)?.sync_all(dir)
    }

    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        self.whole(Verb::TryLock)?.try_lock(file, lock)
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        self.whole(Verb::Unlock)?.unlock(file)
    }
}
