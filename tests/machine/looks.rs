//! What snapshots and guards tell of what they have kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use treewal::{Guard, Snapshot, SnapshotEntry, SnapshotMode, Tree};
use treewal_vfs::{Kind, RelPath};

use crate::memory::{Memory, rel};
use crate::quarantine::same_body;
use crate::seen::look;
use crate::snaps::{Kept, name};
use crate::world::{Checked, ROOT, World, is_own, must};

/// What a model and what was kept have in common: path, kind and bytes.
type Listed = BTreeMap<RelPath, (Kind, u64)>;

fn listed(kept: &[SnapshotEntry]) -> Listed {
    kept.iter().map(|one| (rel(&one.path), (one.kind, one.bytes))).collect()
}

fn wanted(memory: &Memory, covers: impl Fn(&RelPath) -> bool) -> Listed {
    let covered = memory.names.iter().filter(|(path, _)| covers(path));
    let all = covered.map(|(path, id)| {
        let entry = &memory.nodes[id];
        (path.clone(), (entry.kind, entry.contents.len() as u64))
    });
    all.collect()
}

/// How many files these are, and how many bytes they have; names of one file are one.
fn files(memory: &Memory, listed: &Listed) -> (u64, u64) {
    let is_file = |(_, (kind, _)): &(&RelPath, &(Kind, u64))| *kind == Kind::File;
    let ids: BTreeMap<_, u64> =
        listed.iter().filter(is_file).map(|(path, (_, bytes))| (memory.names.get(path).ok_or(path), *bytes)).collect();
    (ids.len() as u64, ids.values().sum())
}

/// Contents are kept in some way, and nothing else is.
fn modes(kept: &[SnapshotEntry]) -> Checked {
    let wrong = kept.iter().find(|one| (one.kind == Kind::File) != (one.mode != SnapshotMode::None));
    must(wrong.is_none(), || format!("kept in no way, or in some: {wrong:?}"))
}

impl World {
    /// What one of them holds: in numbers, entry by entry, and as files for people.
    pub(crate) fn look_into_snapshot(&self, snapshot: &Snapshot, kept: &Kept) -> Checked {
        let told = snapshot.kept().map_err(|error| format!("{error:?}"))?;
        modes(&told)?;
        let mut all = listed(&told);
        let then = &kept.memory;
        let (count, bytes) = files(then, &all);
        let summary = snapshot.summary().map_err(|error| format!("{error:?}"))?;
        let parts = summary.reflinked + summary.hard_linked + summary.copied;
        let numbers = (summary.files, summary.bytes, parts) == (count, bytes, count);
        must(numbers, || format!("{count} files of {bytes} bytes: {summary:?}"))?;
        must(summary.entries >= told.len() as u64, || format!("{} entries: {summary:?}", told.len()))?;
        all.retain(|path, _| !is_own(path));
        let wanted = wanted(then, |path| kept.covers(path));
        must(all == wanted, || format!("{} has kept {all:?}, not {wanted:?}", snapshot.name()))?;
        let shown = look(&self.disk, Path::new(ROOT).join(snapshot.files()));
        let is_shown = |path: &&RelPath| match then.at(path).map(|entry| entry.kind) {
            Some(Kind::File | Kind::Dir | Kind::Symlink) => same_body(shown.get(*path), then.at(path)),
            _ => !shown.contains_key(*path),
        };
        let other = wanted.keys().find(|path| !is_shown(path));
        must(other.is_none(), || format!("{} does not show {other:?}", snapshot.name()))?;
        self.counts.add("snapshot looked into");
        Ok(())
    }

    /// What is different between two of them is told, and nothing that only one was taken of.
    pub(crate) fn two_snapshots_differ(&self, tree: &Tree) -> Checked {
        let find = |number: &u8| tree.find_snapshot(&name(*number)).map_err(|error| format!("{error:?}"));
        for (one, then) in &self.state.snaps {
            for (other, later) in self.state.snaps.iter().filter(|(other, _)| *other != one) {
                let differ = find(one)?.diff_to(&find(other)?).map_err(|error| format!("{error:?}"))?;
                let told: BTreeSet<RelPath> = differ.into_iter().map(|change| change.path).collect();
                let both = |path: &RelPath| then.covers(path) && later.covers(path);
                let all: BTreeSet<&RelPath> = then.memory.names.keys().chain(later.memory.names.keys()).collect();
                let differs = |path: &RelPath| !same_body(then.memory.at(path), later.memory.at(path));
                let missed = all.iter().find(|path| both(path) && differs(path) && !told.contains(**path));
                must(missed.is_none(), || format!("from {one} to {other}: {missed:?} is missing in {told:?}"))?;
                let beyond = told.iter().find(|path| !both(path));
                must(beyond.is_none(), || format!("from {one} to {other}: {beyond:?} is of one alone"))?;
                self.counts.add("two snapshots compared");
            }
        }
        Ok(())
    }

    /// What a guard has kept, of what was there when it was taken.
    pub(crate) fn look_into_guard(&self, id: u64, guard: &Guard) -> Checked {
        let kept = guard.kept().map_err(|error| format!("{error:?}"))?;
        modes(&kept)?;
        let own = self.state.guards.iter().find(|one| one.id == id).unwrap();
        let (found, wanted) = (listed(&kept), wanted(&own.before, |path| own.scope.covers(path)));
        must(found == wanted, || format!("the guard has kept {found:?}, not {wanted:?}"))?;
        let report = guard.snapshot();
        let (count, bytes) = files(&own.before, &found);
        let parts = report.reflinked + report.hard_linked + report.copied;
        let numbers = report.files == count && parts == count && report.bytes_copied <= bytes;
        must(numbers && report.entries >= kept.len() as u64, || format!("{count} files: {report:?}"))?;
        self.counts.add("guard looked into");
        Ok(())
    }
}
