//! Wishes that are not carried out, because a path is somebody else's now.

use treewal_journal::record::{Body, Goal, New};

use super::{CONTENTS_GONE, Contents, Redo, Superseded, Wish};
use crate::Result;

impl Redo<'_> {
    /// The same for a large file that is not to be found.
    pub(super) fn supersede_lost(&mut self, wish: &Wish, new: &New) -> Result<()> {
        let may_be = self.in_slot(new, wish)?.is_some();
        self.supersede(wish, if may_be { "what was staged for it may be something else" } else { CONTENTS_GONE })
    }

    /// Leaves what stands there, and keeps ours for quarantine.
    pub(super) fn supersede(&mut self, wish: &Wish, reason: &'static str) -> Result<()> {
        // Where only attributes were to be set, what is wanted beneath has nothing to do with whose they are now; and what
        // was to be removed from a directory before it goes is ours to remove where it stays.
        if !matches!(wish.goal, Goal::Kept | Goal::Emptied) {
            self.blocked.insert(wish.path.clone());
        }
        let contents = match &wish.goal {
            Goal::New(new) | Goal::Rewritten { new, .. } => match &new.body {
                Body::Inline(bytes) => Some(Contents::Bytes(bytes.clone())),
                Body::Symlink(target) => Some(Contents::Bytes(target.clone())),
                Body::Staged => {
                    let place = match self.staged_place(new, wish)? {
                        Some((place, _)) => Some(place),
                        None => self.in_slot(new, wish)?,
                    };
                    place.map(Contents::Staged)
                }
                Body::Dir | Body::Link { .. } => None,
            },
            // Where it ends up is known once all steps are taken.
            Goal::Moved { .. } => None,
            Goal::Absent | Goal::Emptied | Goal::Kept => None,
        };
        let from = match &wish.goal {
            Goal::Moved { from, .. } => from.to_path().ok(),
            _ => None,
        };
        self.done.superseded.push(Superseded { txn: wish.txn, path: wish.path.clone(), reason, contents, from });
        Ok(())
    }
}
