//! The lock as readers have it: many at a time, and nobody writes meanwhile.
//!
//! Each reader opens the lock file for itself, so that the kernel counts it by itself, also among threads of one process,
//! and beside the handle that the same process writes with. Nothing is written: it works where nothing can be.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal_vfs::{Disk, File, Lock, Open, Time, errno};

use super::lock::{LONGEST_PAUSE, LONGEST_PAUSE_AT_HEAD, NAME, QUEUE, in_the_way, prove_named, said, try_until};
use super::sign::{Left, Sign};
use super::{DIR_NAME, Home};
use crate::{Error, Result};

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the queue, behind those who wait already.
    InTurn,
    /// Beside a lock that the caller has as a reader already. Whoever waits to write waits for that one, so to wait behind
    /// it would be to wait for oneself.
    Beside,
}

/// The lock of a tree, shared. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct ReadLock {
    disk: Arc<dyn Disk>,
    file: File,
    taken_by: u32,
}

impl ReadLock {
    /// Takes the lock, waiting at most `wait` for who writes, and for who waits to write.
    ///
    /// # Errors
    /// [`Error::Locked`] where it is not free in time, [`Error::Store`] where there is no lock file; any error of the disk.
    pub fn take(home: &Home, wait: Duration, place: Place) -> Result<Self> {
        let begun = Instant::now();
        let Some(file) = open(home, NAME)? else {
            let reason = "somebody removed it, or treewal was never used on the tree; open the tree again, to write, to have another";
            return Err(Error::Store { path: format!("{DIR_NAME}/{NAME}").into(), reason: reason.to_owned() });
        };
        let mine = home.disk.stat_file(&file).map_err(Error::io("look at", ".treewal/lock"))?.identity();
        // Without the file there is no order among those who wait, and no harm.
        let queue = if place == Place::InTurn { open(home, QUEUE)? } else { None };
        if let Some(queue) = &queue {
            if !try_until(home, queue, Lock::Exclusive, begun, wait, LONGEST_PAUSE)? {
                return Err(in_the_way(home, &file)?);
            }
        }
        let locked = try_until(home, &file, Lock::Shared, begun, wait, LONGEST_PAUSE_AT_HEAD);
        let left =
            queue.map_or(Ok(()), |queue| home.disk.unlock(&queue)).map_err(Error::io("unlock", ".treewal/queue"));
        if !locked? {
            return Err(in_the_way(home, &file)?);
        }
        let shared = Self { disk: Arc::clone(&home.disk), file, taken_by: std::process::id() };
        left?;
        prove_named(home, &mine)?;
        Ok(shared)
    }

    /// How the last one who wrote left the tree, where that was in order; see [`TreeLock`](super::TreeLock). To be believed
    /// by who has had the tree open since before that: what a power loss leaves of the word is not.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn left(&self, home: &Home) -> Result<Option<Left>> {
        Ok(Sign::decode(&said(home, &self.file)?, Time::now()).left)
    }
}

impl Drop for ReadLock {
    fn drop(&mut self) {
        // A process that was forked off has the same lock: to give it up there would be to give it up here.
        if self.taken_by != std::process::id() {
            return;
        }
        if let Err(error) = self.disk.unlock(&self.file) {
            // The kernel gives it back with the handle, which goes now.
            tracing::debug!(%error, "a reader's lock could not be given back");
        }
    }
}

/// Opens a lock file, for writing where that can be: some network file systems lock alone only what is.
fn open(home: &Home, name: &str) -> Result<Option<File>> {
    let with = |how| match home.disk.open(&home.dot, OsStr::new(name), how) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    };
    let opened = with(Open::ReadWrite).or_else(|error| match error.raw_os_error() {
        Some(errno::EROFS | errno::EACCES | errno::EPERM) => with(Open::Read),
        _ => Err(error),
    });
    opened.map_err(Error::io("open", format!("{DIR_NAME}/{name}")))
}

#[cfg(test)]
mod tests {
    use treewal_vfs::RealDisk;

    use super::*;

    #[test]
    fn a_forked_process_does_not_give_up_the_lock_of_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let home = Home::create(Arc::clone(&disk), disk.open_root(dir.path()).unwrap()).unwrap();
        let rival = disk.open(&home.dot, OsStr::new(NAME), Open::Create { mode: 0o600 }).unwrap();
        for is_forked in [false, true] {
            let mut lock = ReadLock::take(&home, Duration::ZERO, Place::InTurn).unwrap();
            // What a process has that was forked off: the same open, by another number.
            let theirs = lock.file.clone();
            lock.taken_by += u32::from(is_forked);
            drop(lock);
            assert_eq!(disk.try_lock(&rival, Lock::Exclusive).unwrap(), !is_forked);
            disk.unlock(&rival).unwrap();
            drop(theirs);
        }
    }
}
