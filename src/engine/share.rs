//! Sharing the lock of the tree with others who read.
//!
//! | what the lock file says, once the lock is shared | what it means | what a reader does |
//! |---|---|---|
//! | the last one who wrote left the tree in order | every transaction is there wholly or not at all | reads |
//! | the same, and that something is owed | there is no whole tree to be had | takes the tree alone, to learn what is owed, and says so |
//! | anything else | that one was killed at work, or has never seen another and said nothing | gives the lock back, takes the tree alone, which recovers what there is to recover, says so, and asks again |
//!
//! The word is believed for the reason for which the next one who writes believes it: see `recovery/src/home/lock.rs`.

use std::time::{Duration, Instant};

use treewal_recovery::home::{Place, ReadLock};
use treewal_vfs::RelPath;

use super::{Claim, Core};
use crate::{Error, Result};

/// How often a reader asks again once its time is over, where somebody was killed at work each time it looked.
const TRIES_MIN: u32 = 3;
/// What is known of the handle is kept for moments, but by one that waits to write: so a reader that is not to wait waits for
/// this long all the same.
const PATIENCE: Duration = Duration::from_millis(20);

impl Core {
    /// Takes the lock to read, waiting at most `wait`: from here on, until it is dropped, nobody changes the tree by a
    /// transaction or under a guard, and there is nothing that a recovery would have to do.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Pending`] where a transaction can be neither finished nor undone yet; as the beginning
    /// of a commit.
    pub(crate) fn lock_to_read(&self, wait: Duration) -> Result<ReadLock> {
        let _span = tracing::debug_span!("lock_wait", reads = true).entered();
        self.prove_own_process()?;
        let begun = Instant::now();
        let own = self.own();
        let place = if own.reads { Place::Beside } else { Place::InTurn };
        for tried in 1.. {
            // Who holds a guard would wait for itself.
            let wait = if own.guards { Duration::ZERO } else { wait.saturating_sub(begun.elapsed()) };
            let shared = self.lock.share(&self.home, wait, place).map_err(|error| self.locked(error, own))?;
            if shared.left(&self.home).map_err(Error::from_recovery)?.is_some_and(|left| !left.owes) {
                return Ok(shared);
            }
            drop(shared);
            if tried > TRIES_MIN && wait.is_zero() {
                break;
            }
            self.put_in_order(wait)?;
        }
        Err(Error::Locked { holder: crate::Holder::default() })
    }

    /// Takes the tree alone for a moment, which recovers it where there is anything to recover, and leaves word that it is
    /// in order.
    fn put_in_order(&self, wait: Duration) -> Result<()> {
        // Another thread that waits for the lock to write keeps it meanwhile.
        let Some(mut state) = self.state.try_lock_for(wait.max(PATIENCE)) else {
            let holder = crate::Holder { this_process: true, ..crate::Holder::default() };
            return Err(Error::Locked { holder });
        };
        loop {
            while let Some(guard) = state.guards.first().cloned() {
                self.wait_for_guard(&mut state, &guard, &guard.first())?;
            }
            self.wait_alone(&mut state);
            if state.guards.is_empty() {
                break;
            }
        }
        self.enter(&mut state, wait)?;
        state.shared = true;
        // A reader is about all there is.
        if let Err(error) = state.refuse_owed(&Claim::of(vec![RelPath::root()]), &[]) {
            self.leave(&state);
            return Err(error);
        }
        // What is not durable is not in order: the next one who writes would have to read all of the journal.
        let synced = match state.log.as_ref().filter(|log| log.end().is_none()).cloned() {
            Some(log) => log.sync().map_err(|error| {
                state.log = None;
                Error::Journal(error)
            }),
            None => Ok(()),
        };
        self.leave(&state);
        synced
    }
}
