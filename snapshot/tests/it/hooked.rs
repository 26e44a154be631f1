//! A disk on which something happens after each call.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;

use treewal_vfs::{Dir, Disk, Entry, File, Lock, Meta, Open, RelPath, Rename, Time, Verb};

/// Forwards to `inner` and then calls `after` with what was done.
pub(crate) struct Hooked<D, F> {
    pub(crate) inner: D,
    pub(crate) after: F,
}

impl<D: fmt::Debug, F> fmt::Debug for Hooked<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

macro_rules! forward {
    ($($verb:ident: fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            let out = self.inner.$name($($arg),*);
            (self.after)(Verb::$verb);
            out
        })*
    };
}

impl<D: Disk, F: Fn(Verb) + Send + Sync> Disk for Hooked<D, F> {
    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        let out = self.inner.open(at, name, how);
        (self.after)(if matches!(how, Open::Read | Open::ReadWrite) { Verb::Open } else { Verb::Create });
        out
    }

    forward! {
        OpenRoot: fn open_root(&self, path: &Path) -> io::Result<Dir>;
        OpenDir: fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;
        Stat: fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;
        StatDir: fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;
        StatFile: fn stat_file(&self, file: &File) -> io::Result<Meta>;
        List: fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>>;
        ReadLink: fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;
        ReadAt: fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
        NextData: fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>>;
        Xattrs: fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;
        Space: fn space(&self, dir: &Dir) -> io::Result<u64>;
        BootId: fn boot_id(&self) -> String;
        User: fn user(&self) -> u32;
        CreateDir: fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
        RemoveDir: fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
        RemoveFile: fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
        Symlink: fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()>;
        HardLink: fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()>;
        MakeNode: fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()>;
        Rename: fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()>;
        WriteAt: fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize>;
        SetLen: fn set_len(&self, file: &File, len: u64) -> io::Result<()>;
        Reflink: fn reflink(&self, from: &File, to: &File) -> io::Result<()>;
        SetMode: fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
        SetOwner: fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()>;
        SetTimes: fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()>;
        SetXattr: fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()>;
        RemoveXattr: fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()>;
        SyncData: fn sync_data(&self, file: &File) -> io::Result<()>;
        SyncFile: fn sync_file(&self, file: &File) -> io::Result<()>;
        SyncDir: fn sync_dir(&self, dir: &Dir) -> io::Result<()>;
        SyncAll: fn sync_all(&self, dir: &Dir) -> io::Result<()>;
        TryLock: fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool>;
        Unlock: fn unlock(&self, file: &File) -> io::Result<()>;
    }
}

/// The disk of the machine, whose listings tell numbers of inodes that nothing has.
#[derive(Debug)]
pub(crate) struct Lying;

macro_rules! forward_real {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            treewal_vfs::RealDisk.$name($($arg),*)
        })*
    };
}

impl Disk for Lying {
    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        let listed = treewal_vfs::RealDisk.list(dir)?;
        Ok(listed.into_iter().map(|entry| Entry { ino: treewal_vfs::random(), ..entry }).collect())
    }

    forward_real! {
        fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File>;
        fn open_root(&self, path: &Path) -> io::Result<Dir>;
        fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;
        fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;
        fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;
        fn stat_file(&self, file: &File) -> io::Result<Meta>;
        fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;
        fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
        fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>>;
        fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;
        fn space(&self, dir: &Dir) -> io::Result<u64>;
        fn boot_id(&self) -> String;
        fn user(&self) -> u32;
        fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
        fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
        fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
        fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()>;
        fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()>;
        fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()>;
        fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()>;
        fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize>;
        fn set_len(&self, file: &File, len: u64) -> io::Result<()>;
        fn reflink(&self, from: &File, to: &File) -> io::Result<()>;
        fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
        fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()>;
        fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()>;
        fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()>;
        fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()>;
        fn sync_data(&self, file: &File) -> io::Result<()>;
        fn sync_file(&self, file: &File) -> io::Result<()>;
        fn sync_dir(&self, dir: &Dir) -> io::Result<()>;
        fn sync_all(&self, dir: &Dir) -> io::Result<()>;
        fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool>;
        fn unlock(&self, file: &File) -> io::Result<()>;
    }
}
