//! Handles of the simulated disk, and the way from a call to the state behind the lock.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;

use super::SimDisk;
use super::image::Id;
use super::state::{Opened, State};
use crate::handle::Handle;
use crate::{Dir, File};

/// One open of the simulated disk. It is closed, and its lock given up, when this is dropped.
pub(crate) struct SimHandle {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl fmt::Debug for SimHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sim {}", self.number)
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.state.lock().close(self.number);
    }
}

impl State {
    pub(super) fn open_handle(&mut self, process: u64, id: Id, writable: bool) -> u64 {
        self.last_handle += 1;
        self.opened.insert(self.last_handle, Opened { id, process, writable });
        *self.opens_of.entry(id).or_default() += 1;
        self.last_handle
    }

    pub(super) fn close(&mut self, number: u64) {
        let Some(Opened { id, .. }) = self.opened.remove(&number) else { return };
        self.locks.unlock(id, number);
        let left = self.opens_of.get(&id).map_or(0, |count| count - 1);
        if left > 0 {
            self.opens_of.insert(id, left);
        } else {
            self.opens_of.remove(&id);
            self.reap(id);
        }
    }
}

impl SimDisk {
    /// Begins a call that changes nothing.
    pub(super) fn enter(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state.lock();
        if state.off || !state.processes.contains(&self.process) { Err(Errno::IO) } else { Ok(state) }
    }

    /// Begins a call that changes something or makes it durable, unless the power goes here.
    pub(super) fn enter_changing(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.enter()?;
        if state.cut_at == Some(state.mutations + 1) {
            state.off = true;
            return Err(Errno::IO);
        }
        state.mutations += 1;
        state.now_us += 1;
        Ok(state)
    }

    pub(super) fn handle(&self, state: &mut State, id: Id, writable: bool) -> Arc<Handle> {
        let number = state.open_handle(self.process, id, writable);
        Arc::new(Handle::Sim(SimHandle { state: Arc::clone(&self.state), number }))
    }

    /// What is open at `handle`, with its number.
    pub(super) fn opened(&self, state: &State, handle: &Handle) -> Result<(Opened, u64), Errno> {
        let Handle::Sim(handle) = handle else { return Err(Errno::BADF) };
        if !Arc::ptr_eq(&handle.state, &self.state) {
            return Err(Errno::BADF);
        }
        // A handle of a process that was killed is no longer in the table.
        let opened = state.opened.get(&handle.number).ok_or(Errno::IO)?;
        Ok((*opened, handle.number))
    }

    /// A call on a directory that changes nothing.
    pub(super) fn look<T>(&self, dir: &Dir, call: impl FnOnce(&State, Id) -> Result<T, Errno>) -> io::Result<T> {
        let state = self.enter()?;
        let id = self.opened(&state, &dir.0)?.0.id;
        Ok(call(&state, id)?)
    }

    /// A call on a directory that changes something.
    pub(super) fn change<T>(&self, dir: &Dir, call: impl FnOnce(&mut State, Id) -> Result<T, Errno>) -> io::Result<T> {
        let mut state = self.enter_changing()?;
        let id = self.opened(&state, &dir.0)?.0.id;
        Ok(call(&mut state, id)?)
    }

    /// A call on two directories that changes something.
    pub(super) fn change_both<T>(
        &self,
        dirs: (&Dir, &Dir),
        call: impl FnOnce(&mut State, Id, Id) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let mut state = self.enter_changing()?;
        let first = self.opened(&state, &dirs.0.0)?.0.id;
        let second = self.opened(&state, &dirs.1.0)?.0.id;
        Ok(call(&mut state, first, second)?)
    }

    /// A call on a file that changes nothing.
    pub(super) fn look_file<T>(
        &self,
        file: &File,
        call: impl FnOnce(&State, Opened) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let state = self.enter()?;
        let (opened, _) = self.opened(&state, &file.0)?;
        Ok(call(&state, opened)?)
    }

    /// A call on a file that changes something.
    pub(super) fn change_file<T>(
        &self,
        file: &File,
        call: impl FnOnce(&mut State, Opened) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let mut state = self.enter_changing()?;
        let (opened, _) = self.opened(&state, &file.0)?;
        Ok(call(&mut state, opened)?)
    }
}
