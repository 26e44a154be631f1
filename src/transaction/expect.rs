//! Preconditions: what a transaction relies on.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use treewal_vfs::Kind;

use super::{Expectation, Transaction};
use crate::{Error, Result};

/// What [`Transaction::expect`] expects of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Nothing stands there.
    Absent,
    /// A file stands there whose contents have this SHA-256.
    Digest([u8; 32]),
    /// Whatever stands there now still stands there, unchanged, at the commit.
    Unchanged,
}

impl Transaction {
    /// States what the tree must be like, before this transaction's own changes: checked now, and again at the commit,
    /// when nobody else can commit any more.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it does not hold.
    pub fn expect(&mut self, path: impl AsRef<Path>, expected: Expect) -> Result<()> {
        let path = Self::path(path)?;
        let meta = match self.base.stat("look at", &path) {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(error) => return Err(error),
        };
        let conflict = |detail: &str| Err(Error::Conflict { path: path.to_path(), detail: detail.to_owned() });
        match (expected, &meta) {
            (Expect::Absent, Some(_)) => return conflict("expected nothing here, but something stands here"),
            (Expect::Digest(_), None) => return conflict("expected a file, but nothing stands here"),
            (Expect::Digest(_), Some(meta)) if meta.kind != Kind::File => {
                return conflict("expected a file, but something else stands here");
            }
            (Expect::Digest(digest), Some(_)) if self.sha256(&path)? != digest => {
                return conflict("the contents are not the expected ones");
            }
            _ => {}
        }
        // The tree itself stays what was opened: no name leads to it.
        if !path.is_root() {
            self.expectations.push(Expectation { path, identity: meta.map(|meta| meta.identity()) });
        }
        Ok(())
    }

    /// SHA-256 of a file on the disk, streamed.
    fn sha256(&self, path: &treewal_vfs::RelPath) -> Result<[u8; 32]> {
        let file = self.base.open("read", path)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 256 << 10];
        let mut offset = 0;
        loop {
            let read = self.base.disk().read_at(&file, &mut block, offset).map_err(Error::io("read", path))?;
            if read == 0 {
                return Ok(hash.finalize().into());
            }
            hash.update(&block[..read]);
            offset += read as u64;
        }
    }
}
