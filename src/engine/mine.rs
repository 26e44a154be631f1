//! What each thread of this process has taken of a tree: so that none waits for what only itself can give back.
//!
//! A guard or a reader may be handed to another thread, which ends it. The one that took it counts as having it all the
//! same: better refused at once, with a reason, than kept waiting for what may never come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

use parking_lot::Mutex;
use treewal_journal::TreeId;

use super::Core;

/// A tree as this process sees it: its identity, and the inode of its lock, in which a copy differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lockable {
    tree: TreeId,
    inode: u64,
}

#[derive(Debug, Clone, Copy)]
struct Taking {
    number: u64,
    thread: ThreadId,
    of: Lockable,
    reads: bool,
}

static TAKEN: Mutex<Vec<Taking>> = Mutex::new(Vec::new());
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Something that a thread has taken, until this goes.
#[derive(Debug)]
pub(crate) struct Mine {
    number: u64,
    process: u32,
}

impl Drop for Mine {
    fn drop(&mut self) {
        // In a process that was forked off, another thread may have had the mutex, and is not there to give it back.
        if self.process == std::process::id() {
            TAKEN.lock().retain(|taking| taking.number != self.number);
        }
    }
}

/// What the calling thread has of a tree already, through any handle of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) reads: bool,
    pub(crate) guards: bool,
}

impl Own {
    /// Whether a wait for the lock would be one for this thread itself.
    pub(crate) fn is_any(self) -> bool {
        self.reads || self.guards
    }
}

/// What the calling thread has of a tree with this lock file.
pub(super) fn own(tree: TreeId, inode: u64) -> Own {
    let (of, me) = (Lockable { tree, inode }, std::thread::current().id());
    TAKEN.lock().iter().filter(|taking| taking.of == of && taking.thread == me).fold(Own::default(), |own, taking| {
        Own { reads: own.reads || taking.reads, guards: own.guards || !taking.reads }
    })
}

impl Core {
    /// Notes that the calling thread has taken the tree: to read it, or under a guard.
    pub(crate) fn note_mine(&self, reads: bool) -> Mine {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let of = Lockable { tree: self.tree, inode: self.lock.inode() };
        TAKEN.lock().push(Taking { number, thread: std::thread::current().id(), of, reads });
        Mine { number, process: std::process::id() }
    }

    /// What the calling thread has of this tree already.
    pub(crate) fn own(&self) -> Own {
        own(self.tree, self.lock.inode())
    }
}
