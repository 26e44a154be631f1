//! Gives segments back that nobody needs any more.

use std::ffi::OsStr;

use treewal_vfs::Rename;

use crate::error::{Attempt, Error, Failure};
use crate::log::{Files, Log};
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
        let mut files = self.files.lock();
        while let Some(oldest) = files.sealed.front().copied().filter(|oldest| oldest.last <= upto) {
            self.give_back(&mut files, oldest.seq).map_err(|failure| self.raise(failure))?;
            files.sealed.pop_front();
        }
        Ok(())
    }

    /// Removes one segment, durably before the next is touched: names that go in any other order would leave a gap,
    /// and a gap is damage.
    fn give_back(&self, files: &mut Files, seq: u64) -> Result<(), Failure> {
        let (disk, dir, name) = (&*self.disk, &self.dir, name::segment(seq));
        if files.spare.is_none() && make::is_reusable(disk, dir, &name, self.options.segment_bytes)? {
            let spare = name::fresh_spare();
            disk.rename(dir, OsStr::new(&name), dir, OsStr::new(&spare), Rename::NoReplace)
                .plain("set aside", &name)?;
            files.spare = Some(spare);
        } else {
            disk.remove_file(dir, OsStr::new(&name)).plain("remove", &name)?;
        }
        disk.sync_dir(dir).fatal("sync", name::DIR)
    }
}
