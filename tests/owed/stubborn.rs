//! A disk that does not rename to or from certain names, as long as it is told so.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Entry, File, Lock, Mapping, Meta, Open, RelPath, Rename, Time};

#[derive(Debug)]
pub(crate) struct Stubborn {
    inner: SimDisk,
    names: Mutex<BTreeSet<String>>,
    errno: i32,
}

impl Stubborn {
    pub(crate) fn new(inner: &SimDisk, errno: i32, names: &[&str]) -> Arc<Self> {
        let names = Mutex::new(names.iter().map(|name| (*name).to_owned()).collect());
        Arc::new(Self { inner: inner.clone(), names, errno })
    }

    /// From now on everything works.
    pub(crate) fn give_in(&self) {
        self.names.lock().unwrap().clear();
    }

    fn refuses(&self, name: &OsStr) -> bool {
        name.to_str().is_some_and(|name| self.names.lock().unwrap().contains(name))
    }
}

macro_rules! forward {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            self.inner.$name($($arg),*)
        })*
    };
}

impl Disk for Stubborn {
    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        if self.refuses(name) || self.refuses(to_name) {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        self.inner.rename(from, name, to, to_name, how)
    }

    forward! {
        fn now(&self) -> Time;
        fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File>;
        fn open_root(&self, path: &Path) -> io::Result<Dir>;
        fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;
        fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;
        fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;
        fn stat_file(&self, file: &File) -> io::Result<Meta>;
        fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>>;
        fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;
        fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
        fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>>;
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
