//! The contents of a new file: in memory while they are small, in the stage once they are not.

use std::io;
use std::sync::Arc;

use treewal_vfs::{Disk, File, Open, write_all};

use crate::engine::{Stage, slot_name};
use crate::{Error, Result};

/// Contents that no reader of the tree sees yet.
pub(crate) enum Content {
    /// At most `inline_max` bytes; they travel in the journal record.
    Memory(Vec<u8>),
    /// A file in a slot of the stage.
    Staged(Staged),
}

/// Contents in a slot of the stage. The file is open while it is written to; between that, only a few are.
pub(crate) struct Staged {
    pub(crate) slot: u64,
    pub(crate) len: u64,
    stage: Arc<Stage>,
    file: Option<File>,
}

impl Staged {
    /// The file, to be kept open from here on.
    pub(crate) fn open(&mut self) -> io::Result<File> {
        let file = self.reopen()?;
        self.file = Some(file.clone());
        Ok(file)
    }

    /// The file; where it is not open, it is for this once.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => self.stage.disk().open(self.stage.dir(), &slot_name(self.slot), Open::ReadWrite),
        }
    }

    /// Handles are few, often 1024 to a process, and files of a transaction need not be.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Staged(staged) => staged.len,
        }
    }

    /// Writes `buf` at `offset`, a hole before it where the contents are shorter.
    pub(crate) fn write_at(&mut self, disk: &dyn Disk, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        match self {
            Self::Memory(bytes) => {
                let (start, end) = (to_usize(offset)?, to_usize(end)?);
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(buf);
            }
            Self::Staged(staged) => {
                let file = staged.open()?;
                if let Err(error) = write_all(disk, &file, buf, offset) {
                    // What was written of it beyond the end must not become part of the file.
                    disk.set_len(&file, staged.len)?;
                    return Err(error);
                }
                staged.len = staged.len.max(end);
            }
        }
        Ok(())
    }

    pub(crate) fn read_at(&mut self, disk: &dyn Disk, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let rest = bytes.get(to_usize(offset)?..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
            Self::Staged(staged) => disk.read_at(&staged.open()?, buf, offset),
        }
    }

    pub(crate) fn set_len(&mut self, disk: &dyn Disk, len: u64) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.resize(to_usize(len)?, 0),
            Self::Staged(staged) => {
                disk.set_len(&staged.open()?, len)?;
                staged.len = len;
            }
        }
        Ok(())
    }

    /// Moves contents that outgrow the journal into the stage.
    pub(crate) fn spill(&mut self, stage: &Arc<Stage>) -> Result<()> {
        let Self::Memory(bytes) = self else { return Ok(()) };
        let (slot, file) = stage.create_file()?;
        if let Err(source) = write_all(stage.disk(), &file, bytes, 0) {
            stage.discard(slot);
            return Err(Error::from_os("stage", stage.path_of(slot), source));
        }
        let len = bytes.len() as u64;
        *self = Self::Staged(Staged { slot, len, stage: Arc::clone(stage), file: Some(file) });
        Ok(())
    }
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
