//! What a rename took out of the tree, and nobody looked at any more.
//!
//! A commit looks at each path, and renames. Should somebody put something else there between the two, the rename takes theirs,
//! and the look behind it finds that out. A process that is killed between the rename and that look leaves theirs in the
//! stage, and ours in its place, where recovery finds nothing to do. So recovery looks in its stead, before the stage is swept.
//!
//! Where a displaced version may stand is known: an exchange puts it into the slot that the record names, and a removal into one
//! whose number says so ([`removed_by`]). What stands there, and was last written to when the journal says so, is what was to be
//! displaced. Anything else goes to quarantine. No draft ever stands in such a slot but ours in its own, before it
//! changes places; and of settled transactions nothing is asked, since they have looked.

use std::collections::{BTreeMap, HashMap};

use treewal_journal::record::{Goal, Intent};
use treewal_vfs::{Identity, Meta, RelPath, Time};

use super::looks::newest;
use super::{Contents, Part, Redo};
use crate::plan::{Area, Place, removed_by};

const UNSEEN: &str = "somebody put this there at the last moment, and ours has taken its place";

/// What the records say of all that may have been displaced.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// When each entry was last written to, as far as the journal knows, by inode number and time of birth.
    written: HashMap<(u64, Time), Time>,
    /// Slots of new entries: of which transaction and path, and which entry that is.
    slots: HashMap<Place, (u64, RelPath, Identity)>,
    /// The stage of each transaction, the paths that it removes, in the order of their slots, and then all others.
    removals: BTreeMap<u64, (String, Vec<RelPath>)>,
}

impl Records {
    pub(super) fn of(parts: &[Part<'_>]) -> Self {
        let mut records = Self::default();
        for part in parts {
            part.intents.iter().for_each(|intent| records.add(part, intent));
            let is_removal =
                |intent: &&Intent| matches!(intent.goal, Goal::Absent | Goal::Emptied) && intent.prior.is_some();
            let (removed, others): (Vec<&Intent>, Vec<&Intent>) = part.intents.iter().partition(is_removal);
            let paths = removed.into_iter().chain(others).filter_map(|intent| intent.path.to_path().ok()).collect();
            records.removals.insert(part.txn, (part.stage.to_owned(), paths));
        }
        records
    }

    fn add(&mut self, part: &Part<'_>, intent: &Intent) {
        let goal = match &intent.goal {
            Goal::New(new) => {
                if new.inner.0.is_empty() {
                    let place = Place::slot(part.stage, new.slot, &RelPath::root());
                    let path = intent.path.to_path().unwrap_or_default();
                    self.slots.insert(place, (part.txn, path, new.identity));
                }
                Some(Identity { modified: newest(new), ..new.identity })
            }
            Goal::Moved { identity, .. } => Some(*identity),
            Goal::Absent | Goal::Emptied | Goal::Kept | Goal::Rewritten { .. } => None,
        };
        for known in intent.prior.into_iter().chain(goal) {
            let at = self.written.entry((known.ino, known.born)).or_insert(known.modified);
            *at = known.modified.max(*at);
        }
    }

    /// Of which transaction and path something was displaced that stands right in a stage; `None` where it was not, or is what
    /// was to be.
    fn stranger(&self, place: &Place, meta: &Meta) -> Option<(u64, RelPath)> {
        let found = meta.identity();
        let (txn, path) = match self.slots.get(place) {
            // Not displaced yet, or never.
            Some((.., own)) if own.same_inode(&found) => return None,
            Some((txn, path, _)) => (*txn, path.clone()),
            None => {
                let (_, name) = place.path.split()?;
                let (txn, index) = removed_by(name)?;
                let (stage, paths) = self.removals.get(&txn)?;
                if place.area != Area::Stage(stage.clone()) {
                    return None;
                }
                let path = usize::try_from(index).ok().and_then(|index| paths.get(index)).or(paths.first());
                (txn, path?.clone())
            }
        };
        let is_known = self.written.get(&(found.ino, found.born)).is_some_and(|written| found.modified <= *written);
        if is_known { None } else { Some((txn, path)) }
    }
}

impl Redo<'_> {
    /// Finds what was displaced unseen, to be kept before the first step. What the redo itself needs is nobody else's.
    pub(super) fn find_unseen(&mut self, records: &Records) {
        if self.copied {
            // Nothing there is what the journal knows by its inode.
            return;
        }
        for (place, meta) in self.stages.tops() {
            if self.model.at(place).is_some() {
                continue;
            }
            if let Some((txn, path)) = records.stranger(place, meta) {
                self.guesses.push((txn, path, Contents::Staged(place.clone()), UNSEEN));
            }
        }
    }
}
