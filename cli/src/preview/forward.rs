//! The verbs: all but those that meet `.treewal`, and the syncs, are passed on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use treewal_vfs::{Dir, Disk, Entry, File, Lock, Meta, Open, RealDisk, RelPath, Rename, Time, errno};

use super::PreviewDisk;

impl Disk for PreviewDisk {
    fn open_root(&self, path: &Path) -> io::Result<Dir> {
        RealDisk.open_root(path)
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        match self.beyond(at, path)? {
            Some(path) => RealDisk.open_dir(&self.elsewhere, &path),
            None => RealDisk.open_dir(at, path),
        }
    }

    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        RealDisk.open(at, name, how)
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        if self.is_own(at, name)? {
            return RealDisk.stat_dir(&self.elsewhere);
        }
        RealDisk.stat(at, name)
    }

    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta> {
        RealDisk.stat_dir(dir)
    }

    fn stat_file(&self, file: &File) -> io::Result<Meta> {
        RealDisk.stat_file(file)
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString> {
        RealDisk.read_link(at, name)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        RealDisk.read_at(file, buf, offset)
    }

    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
        RealDisk.next_data(file, offset)
    }

    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        RealDisk.xattrs(at, name)
    }

    fn space(&self, dir: &Dir) -> io::Result<u64> {
        RealDisk.space(dir)
    }

    fn boot_id(&self) -> String {
        RealDisk.boot_id()
    }

    fn user(&self) -> u32 {
        RealDisk.user()
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        if self.is_own(at, name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        RealDisk.create_dir(at, name, mode)
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        RealDisk.remove_dir(at, name)
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        RealDisk.remove_file(at, name)
    }

    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()> {
        RealDisk.symlink(target, at, name)
    }

    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        RealDisk.hard_link(from, name, to, to_name)
    }

    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        RealDisk.make_node(at, name, meta)
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        // What is to be published is taken from where it is prepared: here it is copied, and stays there.
        let (source, target) = (RealDisk.stat_dir(from)?, RealDisk.stat_dir(to)?);
        if (source.dev, source.ino) != (target.dev, target.ino) {
            return Err(io::Error::from_raw_os_error(errno::EXDEV));
        }
        RealDisk.rename(from, name, to, to_name, how)
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        RealDisk.write_at(file, buf, offset)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        RealDisk.set_len(file, len)
    }

    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        RealDisk.reflink(from, to)
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        if self.is_own(at, name)? {
            return Ok(());
        }
        RealDisk.set_mode(at, name, mode)
    }

    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        RealDisk.set_owner(at, name, uid, gid)
    }

    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
        RealDisk.set_times(at, name, accessed, modified)
    }

    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        RealDisk.set_xattr(at, name, key, value)
    }

    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()> {
        RealDisk.remove_xattr(at, name, key)
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_file(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Dir) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self, _: &Dir) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        RealDisk.try_lock(file, lock)
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        RealDisk.unlock(file)
    }
}
