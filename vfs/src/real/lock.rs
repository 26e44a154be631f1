//! Kernel locks on open files, over `flock`: bound to the open, not to the process, so that two opens of one process
//! exclude each other, and gone with the last descriptor, however the process ended.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::Lock;

pub(super) fn try_lock(file: BorrowedFd<'_>, lock: Lock) -> io::Result<bool> {
    let operation = match lock {
        Lock::Shared => FlockOperation::NonBlockingLockShared,
        Lock::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match retry_on_intr(|| flock(file, operation)) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        locked => Ok(locked.map(|()| true)?),
    }
}

pub(super) fn unlock(file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(file, FlockOperation::Unlock))?)
}
