//! Named snapshots: what they hold, and what a restore leaves.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use treewal::{SnapshotOptions, Tree};
use treewal_vfs::{Disk, Kind, RelPath};

use crate::memory::{Memory, rel};
use crate::quarantine::same_body;
use crate::step::MOUNTED;
use crate::transactions::{Done, Plan};
use crate::world::{Checked, ROOT, State, World, must};

/// What a snapshot holds.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) memory: Memory,
    /// The path that it was taken of; all but the mounted file where there is none.
    path: Option<RelPath>,
}

impl Kept {
    pub(crate) fn covers(&self, path: &RelPath) -> bool {
        let own = self.path.as_ref().is_none_or(|own| path.starts_with(own));
        own && !path.is_root() && !path.starts_with(&rel(MOUNTED.as_ref()))
    }
}

pub(crate) fn name(name: u8) -> String {
    format!("s{name}")
}

impl World {
    fn whole_or(path: Option<&RelPath>) -> Vec<RelPath> {
        vec![path.cloned().unwrap_or_default()]
    }

    pub(crate) fn plan_snapshot(&self, name: u8, path: Option<RelPath>) -> Plan {
        let about = Self::whole_or(path.as_ref());
        let may_fail = !about.iter().all(|path| self.state.memory.leads_to(path));
        let mut after = self.state.clone();
        if after.snaps.contains_key(&name) {
            let fails = Some("there is one of that name".to_owned());
            return Plan { fails, ..Plan::of(after, about) };
        }
        after.snaps.insert(name, Kept { memory: self.state.memory.clone(), path });
        Plan { may_fail, ..Plan::of(after, about) }
    }

    pub(crate) fn plan_forget(&self, name: u8) -> Plan {
        let mut after = self.state.clone();
        let fails = after.snaps.remove(&name).is_none().then(|| "there is none of that name".to_owned());
        Plan { fails, ..Plan::of(after, Vec::new()) }
    }

    pub(crate) fn plan_restore(&self, name: u8, only: Option<&RelPath>) -> Option<Plan> {
        let kept = self.state.snaps.get(&name)?;
        let about = Self::whole_or(only.or(kept.path.as_ref()));
        if only.is_some_and(|only| !kept.covers(only)) {
            let fails = Some("the snapshot was not taken of that path".to_owned());
            return Some(Plan { fails, ..Plan::of(self.state.clone(), about) });
        }
        let wanted = |path: &RelPath| only.is_none_or(|only| path.starts_with(only));
        let now = &self.state.memory;
        let reaches = |path: &RelPath| kept.covers(path) && wanted(path);
        if now.brings_back_for_others(&kept.memory, reaches) {
            return None;
        }
        let memory = now.restored(&kept.memory, reaches);
        let may_fail = !about.iter().all(|path| now.leads_to(path));
        let linked = (only.is_none() && kept.path.is_none()).then(|| kept.memory.groups());
        Some(Plan { may_fail, linked, ..Plan::of(State { memory, ..self.state.clone() }, about) })
    }

    pub(crate) fn take_snapshot(&self, tree: &Tree, number: u8, path: Option<&Path>) -> treewal::Result<()> {
        let mut options = SnapshotOptions::new().exclude(MOUNTED).digest(number % 2 == 1);
        if number % 2 == 1 {
            options = options.threads(NonZeroUsize::new(2).unwrap());
        }
        if let Some(path) = path {
            options = options.path(path);
        }
        tree.snapshot_with(options, &name(number)).map(drop)
    }

    pub(crate) fn restore(tree: &Tree, number: u8, only: Option<&Path>, crashes: bool) -> Checked<Done> {
        let snapshot = tree.find_snapshot(&name(number)).map_err(|error| format!("{error:?}"))?;
        let Some(only) = only else {
            let done = Done::of(tree.restore(&snapshot));
            if done.error.is_none() && !crashes {
                let differ = snapshot.diff();
                must(matches!(&differ, Ok(differ) if differ.is_empty()), || {
                    format!("restored, and differs: {differ:?}")
                })?;
            }
            return Ok(done);
        };
        Ok(Done::of(tree.restore_paths(&snapshot, [only])))
    }

    /// What is different from a snapshot is told.
    pub(crate) fn snapshots_differ(&self, tree: &Tree) -> Checked {
        for (number, kept) in &self.state.snaps {
            let snapshot = tree.find_snapshot(&name(*number)).map_err(|error| format!("{error:?}"))?;
            let differ = snapshot.diff().map_err(|error| format!("{error:?}"))?;
            let told: BTreeSet<RelPath> = differ.into_iter().map(|change| change.path).collect();
            let (now, then) = (&self.state.memory, &kept.memory);
            let all: BTreeSet<&RelPath> = now.names.keys().chain(then.names.keys()).collect();
            let is_missed =
                |path: &&RelPath| kept.covers(path) && !told.contains(*path) && !same_body(now.at(path), then.at(path));
            let missed = all.into_iter().find(is_missed);
            must(missed.is_none(), || format!("{} does not tell of {missed:?}: {told:?}", snapshot.name()))?;
            let entries = snapshot.entries().map_err(|error| format!("{error:?}"))?;
            let lost = then.names.keys().find(|path| kept.covers(path) && !entries.contains(&path.to_path()));
            must(lost.is_none(), || format!("{} does not list {lost:?}: {entries:?}", snapshot.name()))?;
            self.look_into_snapshot(&snapshot, kept)?;
            self.counts.add("snapshot compared");
        }
        self.two_snapshots_differ(tree)
    }

    /// Which snapshots there are, by what lies on the disk.
    pub(crate) fn snapshot_names(&self) -> Checked<Vec<u8>> {
        let root = self.disk.open_root(ROOT.as_ref()).unwrap();
        let Ok(dir) = self.disk.open_dir(&root, &rel(".treewal/snapshots".as_ref())) else { return Ok(Vec::new()) };
        let entries = self.disk.list(&dir).unwrap();
        let names = entries.iter().filter_map(|entry| entry.name.to_str()?.strip_prefix('s')?.parse().ok());
        let mut names: Vec<u8> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Each holds what the tree held when it was taken.
    pub(crate) fn snapshots_hold(&self) -> Checked {
        let Some(handle) = self.handles.iter().flatten().next() else { return Ok(()) };
        let all = handle.tree.snapshots().map_err(|error| format!("{error:?}"))?;
        let names: Vec<String> = self.state.snaps.keys().map(|number| name(*number)).collect();
        must(all.iter().map(|one| one.name()).eq(names.iter()), || format!("{all:?}, not {names:?}"))?;
        for (snapshot, kept) in all.iter().zip(self.state.snaps.values()) {
            let bad = snapshot.verify().map_err(|error| format!("{error:?}"))?;
            must(bad.is_empty(), || format!("{} has lost {bad:?}", snapshot.name()))?;
            for (path, id) in kept.memory.names.iter().filter(|(path, _)| kept.covers(path)) {
                let entry = &kept.memory.nodes[id];
                if entry.kind == Kind::File {
                    let found = snapshot.read(path.to_path());
                    let same = matches!(&found, Ok(found) if *found == entry.contents);
                    must(same, || format!("{} has at {path}: {found:?}", snapshot.name()))?;
                }
            }
        }
        Ok(())
    }
}
