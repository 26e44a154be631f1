//! What a loss of power brought back: a state of a path that is older than the commit.
//!
//! Somebody replaces a file by a rename and does not sync it; a commit finds theirs, and replaces it; the power goes. The
//! promise is on the disk, and of the names the disk may keep neither rename: then the file from before theirs is back, which
//! the journal has never heard of.
//!
//! No program can set the time of change of an inode, and each rename and each write sets it. So what has one from before the
//! moment when the commit began to look was there by then, or had been. It is no newer work, and what was promised is due. But
//! its contents are not provably ours: they go to quarantine first, durably, with a line in the report.
//!
//! Times of entries come from a clock that is coarser than the one that a commit reads. What somebody writes right after that
//! moment can have a time from up to a tick before it, and so only what is older by more than a tick is.
//!
//! A clock that was set back makes this a wrong guess, and so does what came to the path with a directory above it, whose
//! renaming leaves the times of what is in it: then theirs is in quarantine, and not in its place.

use treewal_journal::record::Goal;
use treewal_vfs::{Kind, Meta, Time};

use super::{Contents, Redo, Seen, Wish};
use crate::plan::{Area, Place};

const BROUGHT_BACK: &str = "this is older than the transaction: a loss of power had brought it back in its place";

impl Redo<'_> {
    /// What something that looks like somebody else's is, by the time when it last changed.
    pub(super) fn come_back(&mut self, wish: &Wish, spot: &Place, meta: Meta) -> Seen {
        // What stands there under the inode that the commit made was written to since.
        let is_ours = match &wish.goal {
            Goal::New(new) => new.identity.same_inode(&meta.identity()),
            Goal::Absent | Goal::Moved { .. } => false,
            Goal::Emptied | Goal::Kept | Goal::Rewritten { .. } => return Seen::Foreign(meta),
        };
        // A file system that does not say when an inode changed says zero.
        let is_older = meta.changed != Time::default() && latest(meta.changed) < wish.at;
        // What is in a directory has times of its own.
        let is_one = matches!(meta.kind, Kind::File | Kind::Symlink);
        if is_ours || !is_older || !is_one || spot.area != Area::Tree {
            return Seen::Foreign(meta);
        }
        self.guesses.push((wish.txn, wish.path.clone(), Contents::Copied(spot.clone()), BROUGHT_BACK));
        Seen::Known(meta)
    }
}

/// The longest that the clock of entries can be behind, in nanoseconds: Linux ticks 100 to 1000 times a second.
const TICK_NS: u32 = 10_000_000;

/// The same of a file system that keeps no fractions, in seconds: FAT counts every other one.
const WHOLE_SECS: i64 = 2;

/// The latest moment at which an entry can have changed that says `changed`.
fn latest(changed: Time) -> Time {
    if changed.nanos == 0 {
        return Time { secs: changed.secs.saturating_add(WHOLE_SECS), nanos: 0 };
    }
    let nanos = changed.nanos.saturating_add(TICK_NS);
    Time { secs: changed.secs.saturating_add(i64::from(nanos / 1_000_000_000)), nanos: nanos % 1_000_000_000 }
}
