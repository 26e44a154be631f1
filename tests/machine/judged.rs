//! What stands on the disk, and which of the states of the model that is.

use std::collections::BTreeSet;

use treewal_vfs::{Disk, RelPath};

use crate::memory::{Groups, Memory, rel};
use crate::outside::Outside;
use crate::quarantine::Goal;
use crate::seen::{differences, look};
use crate::step::MOUNTED;
use crate::world::{Checked, ROOT, State, World, is_own, must};

impl World {
    /// What stands in the tree.
    pub(crate) fn found(&self) -> Memory {
        let disk = &self.disk;
        let mut seen = look(disk, ROOT);
        seen.retain(|path, _| !is_own(path));
        let root = disk.open_root(ROOT.as_ref()).unwrap();
        let inode = |path: &RelPath| match path.split() {
            None => disk.stat_dir(&root).unwrap().ino,
            Some((parent, name)) => disk.stat(&disk.open_dir(&root, &parent).unwrap(), name).unwrap().ino,
        };
        let inodes = seen.keys().map(|path| (path.clone(), inode(path))).collect();
        let mut memory = Memory::of(&seen, &inodes);
        memory.mounted = Some(rel(MOUNTED.as_ref()));
        memory
    }

    /// The tree must be as one of these says, and is the model's from here on.
    pub(crate) fn becomes(&mut self, allowed: Vec<State>) -> Checked {
        let found = self.found();
        let (seen, names) = (found.seen(), self.snapshot_names()?);
        let kept = self.kept(&allowed);
        let fits = |state: &State| {
            let snaps = state.snaps.keys().copied().eq(names.iter().copied());
            snaps && state.cases.keys().eq(&kept) && state.memory.seen() == seen && self.outside(state).is_some()
        };
        let Some(at) = allowed.iter().position(fits) else {
            let why = |state: &State| {
                let (snaps, differ) = (state.snaps.keys(), differences(&seen, &state.memory.seen()));
                let cases = state.cases.keys();
                let outside = state.outside.tops();
                format!(
                    "{differ}outside {outside:?}, snapshots {names:?}, not {snaps:?}, in quarantine {kept:?}, not {cases:?}\n"
                )
            };
            let all: Vec<String> = allowed.iter().map(why).collect();
            return Err(format!("the tree is not as it should be:\n{}", all.join("or\n")));
        };
        self.state = allowed.into_iter().nth(at).unwrap_or_default();
        self.state.memory = found;
        let outside = self.outside(&self.state).unwrap_or_default();
        if outside.strays() > self.state.outside.strays() {
            self.counts.add("what the dead were to publish is left");
        }
        self.state.outside = outside;
        self.admit_told()
    }

    /// What stands outside, if that is as this state says.
    pub(crate) fn outside(&self, state: &State) -> Option<Outside> {
        state.outside.found(&self.disk, self.died)
    }

    /// What an opening could not tell from somebody else's work.
    pub(crate) fn admit_told(&mut self) -> Checked {
        for id in self.in_quarantine() {
            if !self.state.cases.contains_key(&id) {
                let told = self.foreign || self.since.len() > 1 || id.starts_with("publish-") && self.prepared > 0;
                must(told, || format!("nobody else was there, and there is {id}"))?;
                self.admit(&id, Goal::Told);
            }
        }
        Ok(())
    }

    /// What is in quarantine of all that these states know.
    pub(crate) fn kept(&self, states: &[State]) -> BTreeSet<String> {
        let knows = |id: &String| states.iter().chain([&self.state]).any(|state| state.cases.contains_key(id));
        self.in_quarantine().into_iter().filter(knows).collect()
    }

    /// Names of one file are one file, as the model has it.
    pub(crate) fn linked(&self, wanted: &Groups) -> Checked {
        let found = self.found().groups();
        must(found == *wanted, || format!("these are one file each: {found:?}, not {wanted:?}"))
    }
}
