//! Other crates, each used as its documentation shows, with its defaults.

use std::io::Write as _;

use atomic_write_file::AtomicWriteFile;
use fs_transaction::exec::block_on;
use fs_transaction::{ChangeSet, StdFs};

use crate::Result;
use crate::contestant::Contestant;
use crate::tree::Tree;
use crate::work::Write;

/// A set of files, changed by no-replace renames between barriers. It has no handle that outlives a transaction: each one
/// opens the tree and looks for what a crash has left.
pub(crate) struct Fstx(pub(crate) Tree);

impl Contestant for Fstx {
    fn commit(&mut self, set: &[Write]) -> Result {
        let mut tx = fstx::Transaction::begin(&self.0.path)?;
        for write in set {
            tx.write(&write.path, &write.contents)?;
        }
        tx.commit()?;
        Ok(())
    }

    fn tree(&self) -> &Tree {
        &self.0
    }

    fn end(self: Box<Self>) -> Tree {
        self.0
    }
}

/// A set of files, its intent in a journal file that goes when the set is in place. Asynchronous; its own files finish
/// at the first poll, which its `block_on` is for. A set of one file is written without the journal.
pub(crate) struct FsTransaction(pub(crate) Tree);

impl Contestant for FsTransaction {
    fn commit(&mut self, set: &[Write]) -> Result {
        let mut change = ChangeSet::new();
        for write in set {
            change.write(&write.path, &*write.contents);
        }
        block_on(change.apply(&StdFs, &self.0.path))?;
        Ok(())
    }

    fn tree(&self) -> &Tree {
        &self.0
    }

    fn end(self: Box<Self>) -> Tree {
        self.0
    }
}

/// Each file by itself: durable and whole, but nothing holds the set together.
pub(crate) struct PerFile(pub(crate) Tree);

impl Contestant for PerFile {
    fn commit(&mut self, set: &[Write]) -> Result {
        for write in set {
            let mut file = AtomicWriteFile::open(self.0.path.join(&write.path))?;
            file.write_all(&write.contents)?;
            file.commit()?;
        }
        Ok(())
    }

    fn tree(&self) -> &Tree {
        &self.0
    }

    fn end(self: Box<Self>) -> Tree {
        self.0
    }
}
