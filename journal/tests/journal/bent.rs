//! A disk with a sector that cannot be read, and with somebody who meddles with a file as soon as it is mapped.

use std::fmt;
use std::io;
use std::sync::Arc;

use treewal_vfs::{Disk, File, Layer, Mapping, errno};

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

impl Layer for Bent {
    fn inner(&self) -> &dyn Disk {
        &*self.inner
    }

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
}
