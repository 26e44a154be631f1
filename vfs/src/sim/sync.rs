//! What each sync makes certain, and what a sync that fails leaves in doubt for good.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::image::{Body, Id};
use super::settings::Lose;
use super::state::State;

impl State {
    /// Counts a sync; says whether it is the one to fail.
    pub(super) fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        self.fail_sync_at == Some(self.syncs)
    }

    pub(super) fn sync_data(&mut self, id: Id) -> Result<(), Errno> {
        self.has_pages(id)?;
        if self.sync_fails() {
            self.doubt_contents(id);
            return Err(Errno::IO);
        }
        self.settle_contents(id)
    }

    pub(super) fn sync_file(&mut self, id: Id) -> Result<(), Errno> {
        if self.seen.is_dir(id) {
            return self.sync_dir(id);
        }
        self.has_pages(id)?;
        if self.sync_fails() {
            self.doubt_contents(id);
            self.doubt_metadata(id);
            return Err(Errno::IO);
        }
        self.settle_contents(id)?;
        self.settle_metadata(id)?;
        self.journalled = self.seq;
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, id: Id) -> Result<(), Errno> {
        let wanted = self.names.closure_of_dir(id);
        if self.sync_fails() {
            self.doubt_names(&wanted);
            self.doubt_metadata(id);
            return Err(Errno::IO);
        }
        self.settle_names(&wanted);
        self.settle_metadata(id)?;
        self.journalled = self.seq;
        Ok(())
    }

    pub(super) fn sync_all(&mut self) -> Result<(), Errno> {
        let names: BTreeSet<u64> = self.names.pending.keys().copied().collect();
        let files: Vec<Id> = self.files.keys().copied().collect();
        let metas: Vec<Id> = self.metas.keys().copied().collect();
        if self.sync_fails() {
            self.doubt_names(&names);
            files.into_iter().for_each(|id| self.doubt_contents(id));
            metas.into_iter().for_each(|id| self.doubt_metadata(id));
            return Err(Errno::IO);
        }
        for id in files {
            self.settle_contents(id)?;
        }
        for id in metas {
            self.settle_metadata(id)?;
        }
        self.settle_names(&names);
        self.journalled = self.seq;
        Ok(())
    }

    /// A fifo cannot be synced.
    fn has_pages(&self, id: Id) -> Result<(), Errno> {
        match self.seen.inode(id)?.body {
            Body::Node => Err(Errno::INVAL),
            _ => Ok(()),
        }
    }

    fn settle_contents(&mut self, id: Id) -> Result<(), Errno> {
        let Some(log) = self.files.get_mut(&id) else { return Ok(()) };
        if log.settle() {
            self.files.remove(&id);
            if let Some(seen) = self.seen.find(id) {
                let body = seen.body.clone();
                if let Body::File(_) = body {
                    self.durable.inode_mut(id)?.body = body;
                }
            }
        }
        Ok(())
    }

    fn settle_metadata(&mut self, id: Id) -> Result<(), Errno> {
        if let Some(log) = self.metas.get_mut(&id) {
            log.settle(self.durable.inode_mut(id)?);
            if log.0.is_empty() {
                self.metas.remove(&id);
            }
        }
        Ok(())
    }

    fn settle_names(&mut self, wanted: &BTreeSet<u64>) {
        let taken = self.names.take(wanted);
        for (seq, change) in &taken {
            self.durable.apply(*seq, change.at, &change.edits);
        }
        for id in taken.iter().flat_map(|(_, change)| &change.edits).filter_map(|edit| edit.old) {
            self.reap(id);
        }
    }

    fn doubt_contents(&mut self, id: Id) {
        if let Some(log) = self.files.get_mut(&id) {
            log.0.iter_mut().for_each(|change| change.dropped |= !change.certain);
        }
    }

    fn doubt_metadata(&mut self, id: Id) {
        if self.settings.lose == Lose::Contents {
            return;
        }
        if let Some(log) = self.metas.get_mut(&id) {
            log.0.iter_mut().for_each(|change| change.dropped = true);
        }
    }

    fn doubt_names(&mut self, wanted: &BTreeSet<u64>) {
        if self.settings.lose == Lose::Contents {
            return;
        }
        for seq in wanted {
            if let Some(change) = self.names.pending.get_mut(seq) {
                change.dropped = true;
            }
        }
    }
}
