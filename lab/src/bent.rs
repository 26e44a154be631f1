//! A real disk with a kernel that writes back when it pleases, or with a sync that does nothing.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;

use treewal_vfs::{Dir, Disk, Entry, File, Lock, Mapping, Meta, Open, RealDisk, RelPath, Rename, Time, Verb};

use crate::order::Sync;

/// The real disk, and what else happens around each call.
pub(crate) struct Bent<F> {
    /// Called after each call, with what it was.
    pub(crate) after: F,
    /// A control: this one does nothing and says that it did.
    pub(crate) dropped: Option<Sync>,
}

impl<F> fmt::Debug for Bent<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bent").finish_non_exhaustive()
    }
}

macro_rules! forward {
    ($($verb:ident: fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            let out = RealDisk.$name($($arg),*);
            (self.after)(Verb::$verb);
            out
        })*
    };
}

impl<F: Fn(Verb) + Send + std::marker::Sync> Disk for Bent<F> {
    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        let out = RealDisk.open(at, name, how);
        (self.after)(if matches!(how, Open::Read | Open::ReadWrite) { Verb::Open } else { Verb::Create });
        out
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.dropped == Some(Sync::Data) { Ok(()) } else { RealDisk.sync_data(file) }
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.dropped == Some(Sync::File) { Ok(()) } else { RealDisk.sync_file(file) }
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        if self.dropped == Some(Sync::Dir) { Ok(()) } else { RealDisk.sync_dir(dir) }
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        if self.dropped == Some(Sync::All) { Ok(()) } else { RealDisk.sync_all(dir) }
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
        Map: fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>>;
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
        TryLock: fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool>;
        Unlock: fn unlock(&self, file: &File) -> io::Result<()>;
    }
}
