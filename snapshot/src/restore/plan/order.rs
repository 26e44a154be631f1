//! What is done about what is newer, and everything put in its order.

use std::collections::{HashMap, HashSet};

use treewal_vfs::{Kind, Meta, RelPath};

use super::{Action, Plan, Planner, inode_of};
use crate::manifest::{Entry, Role};
use crate::walk::OWNER_ALL;

impl Planner<'_> {
    /// What is newer, from the bottom, without what goes or stays as a whole.
    pub(super) fn removals(&mut self) -> Vec<Action> {
        let mut kept: HashSet<RelPath> = self.survey.excluded.iter().flat_map(RelPath::ancestors).collect();
        for (path, meta) in &self.survey.added {
            let is_closed = path.ancestors().any(|above| self.closed.contains(&above));
            if is_closed || (meta.kind != Kind::Dir && self.spared.contains(&inode_of(meta))) {
                kept.insert(path.clone());
                kept.extend(path.ancestors());
            }
        }
        let mut removals = Vec::new();
        for (path, meta) in self.survey.added.iter().rev().filter(|(path, _)| !kept.contains(path)) {
            self.touch(path);
            removals.push(Action::Remove { path: path.clone(), dir: meta.kind == Kind::Dir });
        }
        for path in self.survey.fresh.iter().rev() {
            self.touch(path);
            removals.push(Action::Prune { path: path.clone() });
        }
        removals
    }

    pub(super) fn finish(mut self, removals: Vec<Action>) -> Plan {
        let added: HashMap<&RelPath, &Meta> = self.survey.added.iter().map(|(path, meta)| (path, meta)).collect();
        let mut actions = Vec::new();
        let mut unlocked = HashSet::new();
        for path in &self.touched {
            let place = self.extract.place(path);
            let live = place.and_then(|place| self.live(place)).map(|live| live.meta);
            let meta = live.or_else(|| added.get(path).map(|meta| **meta));
            if let Some(meta) = meta.filter(|meta| meta.kind == Kind::Dir && meta.mode & OWNER_ALL != OWNER_ALL) {
                actions.push(Action::Unlock { path: path.clone(), mode: meta.mode | OWNER_ALL });
                unlocked.insert(path.clone());
            }
        }
        actions.extend(removals);
        let barrier = self.needs_barrier();
        actions.append(&mut self.make_dirs);
        actions.extend(barrier.then_some(Action::Barrier));
        actions.append(&mut self.puts);
        actions.append(&mut self.attributes);
        for (place, entry) in self.extract.entries().iter().enumerate().rev() {
            if entry.is_dir() {
                actions.extend(self.dir_attributes(place, entry, unlocked.contains(&entry.path)));
            }
        }
        let (in_place, lost) = (self.in_place.into_iter().collect(), self.lost.into_iter().collect());
        Plan { actions, in_place, lost }
    }

    /// Whether a power loss could part a backup from the name it is given.
    ///
    /// A backup goes into a directory, not to a path. Where the directory itself was made, moved or exchanged and that is
    /// not durable, a power loss may put the directory back and keep what was put into it: the backup would be
    /// somewhere else, perhaps outside of everything guarded. A directory that did not change has not moved.
    fn needs_barrier(&self) -> bool {
        !self.survey.is_still && self.puts.iter().any(|action| matches!(action, Action::Put { .. }))
    }

    fn dir_attributes(&self, place: usize, entry: &Entry, unlocked: bool) -> Option<Action> {
        let is_touched = self.touched.contains(&entry.path);
        let live = self.live(place).filter(|_| !self.made.contains(&place));
        match (entry.role, live) {
            (_, None) => Some(Action::Attributes { place }),
            (Role::Guarded, Some(live)) => (is_touched || !live.settled).then_some(Action::Attributes { place }),
            (Role::Ancestor, Some(live)) => {
                // Others may have changed it, and rightly: only what we did to it ourselves is taken back. A mode that
                // was opened by a restore that did not come to its end is known by what it differs in.
                let opened = entry.meta.mode | OWNER_ALL;
                let left_open = live.meta.mode != entry.meta.mode && live.meta.mode == opened;
                let mode = if left_open { Some(entry.meta.mode) } else { unlocked.then_some(live.meta.mode) };
                let times = is_touched && live.meta.modified == entry.meta.modified;
                (times || mode.is_some()).then_some(Action::Ancestor { place, times, mode })
            }
        }
    }
}
