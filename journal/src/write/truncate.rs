//! Gives segments back that nobody needs any more.

use std::ffi::OsStr;

use treewal_vfs::Rename;

use super::make;
use super::writer::Writer;
use crate::error::{Attempt, Error, Failure};
use crate::{Lsn, name};

impl Writer {
    /// See [`Log::truncate`](crate::Log::truncate).
    pub(crate) fn truncate(&self, upto: Lsn) -> Result<(), Error> {
        self.group.check()?;
        if self.files.lock().sealed.front().is_none_or(|oldest| oldest.last > upto) {
            return Ok(());
        }
        let settled = self.settle_beginning()?;
        let chores = self.chores.lock();
        loop {
            let oldest = self.files.lock().sealed.front().copied();
            let Some(oldest) = oldest.filter(|oldest| oldest.last <= upto && oldest.seq < settled) else { break };
            self.give_back(oldest.seq).map_err(|failure| self.raise(failure))?;
            self.files.lock().sealed.pop_front();
        }
        drop(chores);
        Ok(())
    }

    /// Sees to it that the segment that is written has its header on the disk, and gives its number: the log must not be
    /// left with none that is begun.
    fn settle_beginning(&self) -> Result<u64, Error> {
        let durable = self.group.durable();
        {
            let tail = self.tail.lock();
            if tail.begun_after.is_none_or(|before| before < durable) {
                return Ok(tail.seq);
            }
        }
        let turn = self.group.take_turn(true)?;
        let synced = turn.sync(self).inspect_err(|error| self.note(error));
        // Nobody begins a segment meanwhile.
        let mut tail = self.tail.lock();
        if synced.is_ok() {
            tail.begun_after = None;
        }
        let seq = tail.seq;
        drop(tail);
        turn.end();
        synced.map(|()| seq)
    }

    /// Removes one segment, durably before the next is touched: names that go in any other order would leave a gap,
    /// and a gap is damage.
    fn give_back(&self, seq: u64) -> Result<(), Failure> {
        let (disk, dir, name) = (&*self.disk, &self.dir, name::segment(seq));
        let wanted = self.files.lock().spare.is_none();
        if wanted && make::is_reusable(disk, dir, &name, self.options.segment_bytes)? {
            let spare = name::fresh_spare();
            disk.rename(dir, OsStr::new(&name), dir, OsStr::new(&spare), Rename::NoReplace)
                .plain("set aside", &name)?;
            self.files.lock().spare = Some(spare);
        } else {
            disk.remove_file(dir, OsStr::new(&name)).plain("remove", &name)?;
        }
        disk.sync_dir(dir).fatal("sync", name::DIR)
    }
}
