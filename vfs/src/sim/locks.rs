//! Locks as `flock` has them: on an open, shared or exclusive, gone with the open.

use std::collections::{BTreeMap, HashMap};

use super::image::Id;
use crate::Lock;

/// Per inode, which opens hold what.
#[derive(Debug, Clone, Default)]
pub(super) struct Locks(HashMap<Id, BTreeMap<u64, Lock>>);

impl Locks {
    /// Takes or changes a lock. As in Linux, changing gives up the old lock first: where that fails, none is held.
    pub(super) fn try_lock(&mut self, id: Id, open: u64, lock: Lock) -> bool {
        let held = self.0.entry(id).or_default();
        if held.get(&open) == Some(&lock) {
            return true;
        }
        held.remove(&open);
        let free = match lock {
            Lock::Shared => held.values().all(|other| *other == Lock::Shared),
            Lock::Exclusive => held.is_empty(),
        };
        if free {
            held.insert(open, lock);
        }
        free
    }

    pub(super) fn unlock(&mut self, id: Id, open: u64) {
        if let Some(held) = self.0.get_mut(&id) {
            held.remove(&open);
            if held.is_empty() {
                self.0.remove(&id);
            }
        }
    }
}
