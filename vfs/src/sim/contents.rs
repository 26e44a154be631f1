//! Reading and writing what files hold.

use std::sync::Arc;

use rustix::io::Errno;

use super::content::{BLOCK_BYTES, Content};
use super::file_log::Change;
use super::image::{Body, Id};
use super::state::{Opened, State};
use crate::Kind;

/// The largest length, as in Linux: offsets are signed.
const LEN_MAX: u64 = i64::MAX.unsigned_abs();

impl State {
    fn content(&self, id: Id) -> Result<&Arc<Content>, Errno> {
        match &self.seen.inode(id)?.body {
            Body::File(content) => Ok(content),
            Body::Dir(_) => Err(Errno::ISDIR),
            Body::Symlink(_) | Body::Node => Err(Errno::SPIPE),
        }
    }

    pub(super) fn read_at(&self, file: Opened, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if offset > LEN_MAX {
            return Err(Errno::INVAL);
        }
        Ok(self.content(file.id)?.read(buf, offset))
    }

    pub(super) fn next_data(&self, file: Opened, offset: u64) -> Result<Option<(u64, u64)>, Errno> {
        Ok(self.content(file.id)?.next_data(offset))
    }

    /// Takes as much as there is space for.
    pub(super) fn write_at(&mut self, file: Opened, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        if offset > LEN_MAX {
            return Err(Errno::INVAL);
        }
        if !file.writable {
            return Err(Errno::BADF);
        }
        let content = self.content(file.id)?;
        if buf.is_empty() {
            return Ok(0);
        }
        if LEN_MAX - offset < buf.len() as u64 {
            return Err(Errno::FBIG);
        }
        self.writable()?;
        let fits = self.fitting(content, buf.len(), offset);
        if fits == 0 {
            return Err(Errno::NOSPC);
        }
        self.change_content(file.id, Change::Data { offset, bytes: buf[..fits].into() })?;
        Ok(fits)
    }

    pub(super) fn set_len(&mut self, file: Opened, len: u64) -> Result<(), Errno> {
        if len > LEN_MAX || !file.writable {
            return Err(Errno::INVAL);
        }
        if self.seen.inode(file.id)?.kind != Kind::File {
            return Err(Errno::INVAL);
        }
        self.writable()?;
        self.change_content(file.id, Change::Len(len))
    }

    /// Space is taken as for a copy, so that writing to either file later cannot run out of it.
    pub(super) fn reflink(&mut self, from: Opened, to: Opened) -> Result<(), Errno> {
        if !to.writable {
            return Err(Errno::BADF);
        }
        if !self.settings.reflink {
            return Err(Errno::OPNOTSUPP);
        }
        if from.id == to.id {
            return Err(Errno::INVAL);
        }
        self.writable()?;
        let source = Arc::clone(self.content(from.id)?);
        if self.content(to.id)?.len() > 0 {
            return Err(Errno::INVAL);
        }
        if self.free() < source.allocated() {
            return Err(Errno::NOSPC);
        }
        self.change_content(to.id, Change::Len(source.len()))?;
        let mut offset = 0;
        while let Some((start, end)) = source.next_data(offset) {
            offset = end.min(start + BLOCK_BYTES as u64);
            let mut bytes = vec![0; BLOCK_BYTES];
            let read = source.read(&mut bytes, start);
            bytes.truncate(read);
            self.change_content(to.id, Change::Data { offset: start, bytes: bytes.into() })?;
        }
        Ok(())
    }
}
