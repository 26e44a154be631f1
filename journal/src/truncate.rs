//! Gives segments back that nobody needs any more.

use std::ffi::OsStr;

use treewal_vfs::{Kind, Rename};

use crate::error::{Attempt, Error, Failure};
use crate::log::Log;
use crate::{Lsn, make, name};

impl Log {
    /// Says that no record up to and including `upto` is needed any more. Segments that hold nothing else are removed,
    /// oldest first; one of them is kept to become the next segment. The segment that is written stays, so that the
    /// numbers go on.
    ///
    /// This is housekeeping, not a promise: records up to `upto` may still be found later, those after it always are.
    /// A crash leaves a log without a gap.
    ///
    /// # Errors
    /// [`Error::Io`]: the log goes on. [`Error::Poisoned`] where the directory could not be synced.
    pub fn truncate(&self, upto: Lsn) -> Result<(), Error> {
        self.group.check()?;
        let mut sealed = self.sealed.lock();
        while let Some(oldest) = sealed.front().filter(|oldest| oldest.last <= upto) {
            self.give_back(oldest.seq).map_err(|failure| self.raise(failure))?;
            sealed.pop_front();
        }
        Ok(())
    }

    /// Removes one segment, durably before the next is touched: names that go in any other order would leave a gap,
    /// and a gap is damage.
    fn give_back(&self, seq: u64) -> Result<(), Failure> {
        let name = name::segment(seq);
        let bytes = self.options.segment_bytes;
        let meta = self.disk.stat(&self.dir, OsStr::new(&name)).plain("look at", &name)?;
        // A second name keeps what is in it: see `repair`.
        let fits = meta.kind == Kind::File && meta.size == bytes && meta.links == 1;
        if fits && !make::is_usable_spare(&*self.disk, &self.dir, bytes)? {
            self.disk
                .rename(&self.dir, OsStr::new(&name), &self.dir, OsStr::new(name::SPARE), Rename::NoReplace)
                .plain("set aside", &name)?;
        } else {
            self.disk.remove_file(&self.dir, OsStr::new(&name)).plain("remove", &name)?;
        }
        self.disk.sync_dir(&self.dir).fatal("sync", name::DIR)
    }
}
