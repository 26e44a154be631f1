//! From one handle to the next: what a handle that takes the tree's lock has to read, and what one that gives it back says.
//!
//! | who had the lock last | what is read | what it costs |
//! |---|---|---|
//! | this handle | nothing | nothing |
//! | another, which gave it back in order | the records that were appended since | what was appended; no sync |
//! | another, and something is owed (`pending.rs`) | the whole journal, if anything was appended, and it is recovered | a recovery, but no try at what is owed |
//! | another, which was killed, stopped trusting its journal, or left anything undecided | the whole journal, and it is recovered | a recovery, which is a checkpoint |
//!
//! *In order* means: everything in the journal is durable there and, in the tree, applied, undone or owed; no guard is at
//! work. Then there is nothing to redo, and nothing that a look at the tree could find. What the one before has
//! *not* done is to settle: his commits may be covered by no checkpoint. So the next one takes that over. Its checkpoint
//! covers all that is in the journal, whoever wrote it, since one sync of the file system does; and it counts the bytes and the
//! age of what it took over, so that they bound the journal however many take turns. Why the word of the one before can be
//! believed stands in `recovery/src/home/lock.rs`.
//!
//! A displaced version stays in the stage of the handle that displaced it, for that handle to remove. It does so when it
//! finds a checkpoint behind its own commits, its own or another's. Until it takes the tree again it keeps them: no more than
//! make a checkpoint due. The stage of a handle that was killed goes with the next checkpoint of one that has seen others, with the next
//! handle that is closed, or with the next opening.
//!
//! A handle says how it leaves the tree only once it has seen another at work; where there is only one, nobody reads it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal_recovery::home::{Left, Taken};
use treewal_recovery::{Owed, Since, Standing, sweep_leftovers};

use super::{Core, State};
use crate::{Error, Result};

impl Core {
    /// Brings this handle up to what others have done since it last held the tree, whose lock it has just taken.
    pub(super) fn catch_up(&self, state: &mut State, taken: Taken) -> Result<()> {
        state.shared |= taken != Taken::Undisturbed;
        // A handle that no longer trusts its journal says so itself when it is asked for work.
        if state.log.is_none() {
            return Ok(());
        }
        let goes_on = !state.in_doubt
            && match &taken {
                Taken::Undisturbed => true,
                Taken::Handed(left) if !state.owed.is_empty() => is_where_it_was(state, left),
                Taken::Handed(left) => self.go_on_behind(state, left),
                Taken::Changed => false,
            };
        if !goes_on {
            self.read_anew(state)?;
            state.in_doubt = false;
        }
        Ok(())
    }

    /// Takes over what another handle left in order. Says whether it could: if not, nothing has changed, and only a recovery
    /// tells what there is.
    ///
    /// Nothing is synced, and nothing has to be: what was read is durable by the word of who wrote it, and was acted on by
    /// who wrote it.
    fn go_on_behind(&self, state: &mut State, left: &Left) -> bool {
        let Some(known) = state.log.clone() else { return false };
        let mut since = Since::default();
        let (log, first) = match known.rejoin(left.end, &mut |frame| since.tell(&frame)) {
            Ok(Some(rejoined)) => rejoined,
            Ok(None) => return false,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "what others appended cannot be read");
                return false;
            }
        };
        let Some(standing) = since.standing(first, known.last().next()) else { return false };
        let Standing { settled, unsettled } = standing;
        tracing::trace!(from = first.0, to = left.end.last.0, "went on behind another handle");
        state.settled = state.settled.max(settled);
        if state.unsettled <= Some(state.settled) {
            self.drop_garbage(state);
        }
        state.touched.forget(state.settled);
        if let Some(theirs) = unsettled {
            state.touched.add_anything(theirs);
        }
        state.unsettled = state.unsettled.max(unsettled).filter(|lsn| *lsn > state.settled);
        let age = left.age.unwrap_or_default();
        state.unsettled_since = state.unsettled.map(|_| before(Instant::now(), age));
        state.settled_bytes = log.bytes().saturating_sub(left.bytes);
        state.log = Some(Arc::new(log));
        if state.unsettled.is_some() {
            // The helper looks at this clock from now on.
            self.wanted.notify_one();
        }
        true
    }

    /// What the next holder may rely on; `None` where it has to look for itself.
    pub(super) fn left(state: &State) -> Option<Left> {
        let is_decided = !state.in_doubt && state.guards.is_empty();
        let log = state.log.as_ref().filter(|_| is_decided && state.shared)?;
        let bytes = log.bytes().saturating_sub(state.settled_bytes);
        let age = state.unsettled.and(state.unsettled_since).map(|since| since.elapsed());
        Some(Left { end: log.end()?, bytes, age, owes: !state.owed.is_empty() })
    }

    /// Removes the displaced versions of this handle, which a checkpoint covers.
    pub(super) fn drop_garbage(&self, state: &mut State) {
        if let Some(stage) = &*self.stage.lock() {
            for slot in state.garbage.drain(..) {
                stage.discard(slot);
            }
        }
    }

    /// Removes what handles that were killed left behind. Under the tree's lock, after a checkpoint that covers all that
    /// others have written.
    pub(super) fn sweep(&self, owed: &[Owed]) {
        match sweep_leftovers(&self.home, owed) {
            Ok((stages, snapshots)) if stages + snapshots > 0 => {
                tracing::debug!(stages, snapshots, "removed what handles that are gone left behind");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "leftovers could not be removed");
            }
        }
    }

    /// The last look of a handle that goes, where it has nothing to settle itself: another may have been killed, whose commits
    /// nobody has settled, and whose stage nobody has removed. Who holds the tree now does that instead.
    pub(super) fn tidy(&self) {
        let mut state = self.state.lock();
        let tidied = self.enter(&mut state, Duration::ZERO).and_then(|()| {
            let settled = self.checkpoint_held(&mut state);
            self.leave(&state);
            settled
        });
        match tidied {
            Ok(()) | Err(Error::Locked { .. }) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "work is left to the next opening"),
        }
    }
}

/// Whether nothing was appended since. Where something is owed, that alone will do: the one before may have settled it, and
/// who goes on telling it again would bring it back.
fn is_where_it_was(state: &State, left: &Left) -> bool {
    state.log.as_ref().and_then(|log| log.end()) == Some(left.end)
}

/// A moment that lies so far back, or as far as there are moments.
fn before(now: Instant, age: Duration) -> Instant {
    now.checked_sub(age).unwrap_or(now)
}
