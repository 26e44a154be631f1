//! A disk with a sector that cannot be read, and with somebody who meddles with a file as soon as it is mapped.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use treewal_vfs::{Dir, Disk, Entry, File, Lock, Mapping, Meta, Open, RelPath, Rename, Time, errno};

/// What a medium refuses at the least, in bytes.
pub(crate) const SECTOR: u64 = 512;

/// A sector that the disk does not give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BadSector {
    /// Of which inode.
    pub(crate) ino: u64,
    /// Where it begins in the file.
    pub(crate) at: u64,
    /// Whether a read that begins before it gives what it can, or nothing.
    pub(crate) gives_what_it_can: bool,
}

type Meddle = Box<dyn Fn(&File) + Send + Sync>;

pub(crate) struct Bent {
    pub(crate) inner: Arc<dyn Disk>,
    pub(crate) bad: Option<BadSector>,
    /// Called with every file that was just mapped.
    pub(crate) meddle: Option<Meddle>,
}

impl fmt::Debug for Bent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bent({:?})", self.bad)
    }
}

impl Bent {
    fn bad_in(&self, file: &File) -> io::Result<Option<BadSector>> {
        let ino = self.inner.stat_file(file)?.ino;
        Ok(self.bad.filter(|bad| bad.ino == ino))
    }
}

macro_rules! forward {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            self.inner.$name($($arg),*)
        })*
    };
}

impl Disk for Bent {
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(bad) = self.bad_in(file)? else { return self.inner.read_at(file, buf, offset) };
        if offset >= bad.at + SECTOR || offset + buf.len() as u64 <= bad.at {
            return self.inner.read_at(file, buf, offset);
        }
        match usize::try_from(bad.at.saturating_sub(offset)).unwrap() {
            before if before > 0 && bad.gives_what_it_can => self.inner.read_at(file, &mut buf[..before], offset),
            _ => Err(io::Error::from_raw_os_error(errno::EIO)),
        }
    }

    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>> {
        let bad = self.bad_in(file)?;
        let Some(mut map) = self.inner.map(file, bytes_max)? else { return Ok(None) };
        if let Some(meddle) = &self.meddle {
            meddle(file);
        }
        let Some(bad) = bad else { return Ok(Some(map)) };
        let bytes = map.upto(usize::MAX)?.to_vec();
        Ok(Some(Mapping::of_copy(bytes, usize::try_from(bad.at).unwrap())))
    }

    forward! {
        fn open_root(&self, path: &Path) -> io::Result<Dir>;
        fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;
        fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File>;
        fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;
        fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;
        fn stat_file(&self, file: &File) -> io::Result<Meta>;
        fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>>;
        fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;
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
