//! Changes of names that a power loss may still undo, and which of them can only survive together with which.
//!
//! A change depends on every earlier one
//!
//! * of the same name in the same directory, or of the same inode (moved, replaced, linked or unlinked);
//! * that made the directory it works in;
//! * inside a directory that it removes: that directory was found empty;
//! * that placed a directory above the new place of a directory it moves: that directory was found not to lie in itself;
//! * that made the number of its new inode free, where numbers are reused at once.
//!
//! The first is what [`Disk`](crate::Disk) promises, the others are what keeps any survivor a tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::image::{Edit, Id, Image, Name};
use crate::Time;

#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) at: Time,
    pub(super) edits: Vec<Edit>,
    /// The latest change of each kind above: those carry the earlier ones with them.
    pub(super) deps: Vec<u64>,
    /// A sync that should have covered it failed: no later one does.
    pub(super) dropped: bool,
}

impl NameChange {
    fn subjects(&self) -> impl Iterator<Item = Id> + '_ {
        self.edits.iter().flat_map(|edit| [edit.old, edit.new]).flatten()
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct NamesLog {
    pub(super) pending: BTreeMap<u64, NameChange>,
    by_name: HashMap<(Id, Name), u64>,
    by_subject: HashMap<Id, u64>,
    by_dir: HashMap<Id, BTreeSet<u64>>,
    made: HashMap<Id, u64>,
}

impl NamesLog {
    /// Notes a change; `before` is the tree without it.
    pub(super) fn push(&mut self, seq: u64, at: Time, edits: &[Edit], before: &Image, needs: Option<u64>) {
        let mut deps = self.deps(edits, before);
        deps.extend(needs);
        for edit in edits {
            self.by_name.insert((edit.dir, edit.name.clone()), seq);
            self.by_dir.entry(edit.dir).or_default().insert(seq);
            for id in [edit.old, edit.new].into_iter().flatten() {
                self.by_subject.insert(id, seq);
            }
            if let Some(fresh) = edit.new.filter(|id| before.find(*id).is_some_and(|inode| inode.names == 0)) {
                self.made.insert(fresh, seq);
            }
        }
        let (edits, deps) = (edits.to_vec(), deps.into_iter().collect());
        self.pending.insert(seq, NameChange { at, edits, deps, dropped: false });
    }

    fn deps(&self, edits: &[Edit], before: &Image) -> BTreeSet<u64> {
        let mut deps = BTreeSet::new();
        for edit in edits {
            deps.extend(self.by_name.get(&(edit.dir, edit.name.clone())));
            deps.extend(self.made.get(&edit.dir));
            deps.extend([edit.old, edit.new].into_iter().flatten().filter_map(|id| self.by_subject.get(&id)));
            if let Some(gone) = edit.old.filter(|id| edits.iter().all(|other| other.new != Some(*id))) {
                deps.extend(self.by_dir.get(&gone).into_iter().flatten());
            }
            if edit.new.is_some_and(|id| before.is_dir(id) && before.parent(id) != Some(edit.dir)) {
                deps.extend(before.ancestors(edit.dir).iter().filter_map(|up| self.by_subject.get(up)));
            }
        }
        deps
    }

    /// Every pending change of an entry of `dir`, with all that they depend on.
    pub(super) fn closure_of_dir(&self, dir: Id) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut open: Vec<u64> = self.by_dir.get(&dir).into_iter().flatten().copied().collect();
        while let Some(seq) = open.pop() {
            let Some(change) = self.pending.get(&seq) else { continue };
            if found.insert(seq) {
                open.extend(&change.deps);
            }
        }
        found
    }

    /// Takes those of `wanted`, a closed set, out of the log that no failed sync holds back.
    pub(super) fn take(&mut self, wanted: &BTreeSet<u64>) -> Vec<(u64, NameChange)> {
        let mut held = BTreeSet::new();
        let mut taken = Vec::new();
        for seq in wanted {
            let Some(change) = self.pending.get(seq) else { continue };
            if change.dropped || change.deps.iter().any(|dep| held.contains(dep)) {
                held.insert(*seq);
            } else if let Some(change) = self.remove(*seq) {
                taken.push((*seq, change));
            }
        }
        taken
    }

    fn remove(&mut self, seq: u64) -> Option<NameChange> {
        let change = self.pending.remove(&seq)?;
        for edit in &change.edits {
            let key = (edit.dir, edit.name.clone());
            if self.by_name.get(&key) == Some(&seq) {
                self.by_name.remove(&key);
            }
            if let Some(seqs) = self.by_dir.get_mut(&edit.dir) {
                seqs.remove(&seq);
                if seqs.is_empty() {
                    self.by_dir.remove(&edit.dir);
                }
            }
        }
        for id in change.subjects() {
            if self.by_subject.get(&id) == Some(&seq) {
                self.by_subject.remove(&id);
            }
            if self.made.get(&id) == Some(&seq) {
                self.made.remove(&id);
            }
        }
        Some(change)
    }

    /// The last pending change that names `id`.
    pub(super) fn last_of(&self, id: Id) -> Option<u64> {
        self.by_subject.get(&id).copied()
    }
}
