//! What stands outside of the tree to be published: it is there, or in the tree, or, where who took it was killed, in quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use treewal_vfs::{Disk, Kind, Open, RelPath, write_all};

use crate::call::{Call, More};
use crate::memory::{Memory, rel};
use crate::seen::{Seen, look};
use crate::world::{Checked, OUTSIDE, ROOT, World, must};

/// What stands outside, each thing under its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    pub(crate) seen: Seen,
    /// What nobody has synced, of which a loss of power may leave anything.
    unsynced: BTreeSet<RelPath>,
    /// What a transaction that is begun has taken, by whose it is.
    taken: BTreeMap<usize, Seen>,
    /// What was taken by somebody who died, and what it was called.
    stray: Vec<Stray>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stray {
    top: RelPath,
    thing: Seen,
    synced: bool,
}

/// What is beneath a path, which is left out of the names.
fn beneath(seen: &Seen, top: &RelPath) -> Seen {
    let own = seen.iter().filter(|(path, _)| path.starts_with(top));
    own.map(|(path, entry)| (path.strip_prefix(top).unwrap(), entry.clone())).collect()
}

/// Whether it is somewhere in there, whole; with what it was given to keep.
fn has(seen: &Seen, thing: &Seen) -> bool {
    let whole = |at: &RelPath| thing.iter().all(|(path, entry)| seen.get(&at.join_path(path)) == Some(entry));
    seen.keys().any(whole)
}

impl Outside {
    /// What stands there, by name.
    pub(crate) fn tops(&self) -> Vec<RelPath> {
        self.seen.keys().filter(|path| path.components().count() == 1).cloned().collect()
    }

    /// As the disk has it, to be looked at like a tree: under a name that the tree has not.
    pub(crate) fn thing(&self, top: &RelPath) -> Seen {
        beneath(&self.seen, top)
    }

    pub(crate) fn remove(&mut self, top: &RelPath) {
        self.seen.retain(|path, _| !path.starts_with(top));
        self.unsynced.remove(top);
    }

    /// A transaction that is begun has taken what is there no more.
    pub(crate) fn is_taken_by(&mut self, who: usize, left: &Self) {
        let taken = self.seen.iter().filter(|(path, _)| !left.seen.contains_key(*path));
        let taken = taken.map(|(path, entry)| (path.clone(), entry.clone())).collect();
        self.taken.insert(who, taken);
        self.seen.clone_from(&left.seen);
    }

    /// The transaction is no more, and gives back what it took.
    pub(crate) fn is_given_back(&mut self, dies: impl Fn(usize) -> bool) {
        let who: Vec<usize> = self.taken.keys().copied().filter(|who| dies(*who)).collect();
        who.iter().for_each(|who| self.seen.extend(self.taken.remove(who).unwrap()));
    }

    /// The transaction has put into the tree what it took.
    pub(crate) fn is_published(&mut self, who: usize) {
        self.taken.remove(&who);
    }

    /// That went with the power, and what nobody had synced.
    pub(crate) fn forget(&mut self, tops: &BTreeSet<RelPath>) {
        self.stray.retain(|stray| stray.synced && !tops.contains(&stray.top));
        for top in tops {
            self.remove(top);
            self.taken.values_mut().for_each(|taken| taken.retain(|path, _| !path.starts_with(top)));
        }
    }

    /// Of what nobody synced, a loss of power may leave anything.
    fn lost_power(&self, disk: &dyn Disk) -> BTreeSet<RelPath> {
        let found = look(disk, OUTSIDE);
        let tops = self.taken.values().chain([&self.seen]).flat_map(Seen::keys);
        let lost = tops.filter(|top| self.unsynced.contains(*top));
        // Nobody synced that it was taken.
        let is_back = |stray: &&Stray| {
            found.contains_key(&stray.top) && (!stray.synced || beneath(&found, &stray.top) == stray.thing)
        };
        let back = self.stray.iter().filter(is_back).map(|stray| &stray.top);
        lost.chain(back).cloned().collect()
    }

    /// What became of it, where it is as it should be: all there; with somebody dead it may be in the stage or in quarantine.
    pub(crate) fn found(&self, disk: &dyn Disk, died: bool) -> Option<Self> {
        let mut found = look(disk, OUTSIDE);
        found.remove(&RelPath::root());
        if found == self.seen {
            return Some(self.clone());
        }
        let mut after = self.clone();
        for top in self.tops().iter().filter(|top| !found.contains_key(*top)) {
            let (thing, synced) = (self.thing(top), !self.unsynced.contains(top));
            after.stray.push(Stray { top: top.clone(), thing, synced });
            after.remove(top);
        }
        (died && found == after.seen && after.is_kept(disk)).then_some(after)
    }

    /// Whether what the dead have taken is in the stage or in quarantine, whole.
    pub(crate) fn is_kept(&self, disk: &dyn Disk) -> bool {
        if self.stray.is_empty() {
            return true;
        }
        let own = ["stage", "quarantine"].map(|sub| look(disk, format!("{ROOT}/.treewal/{sub}")));
        self.stray.iter().all(|stray| own.iter().any(|seen| has(seen, &stray.thing)))
    }

    /// Whether there is something in it that nobody has synced.
    pub(crate) fn is_unsynced_in(&self, whole: &Seen) -> bool {
        self.stray.iter().any(|stray| !stray.synced && has(whole, &stray.thing))
    }

    /// What was thrown away is nowhere any more.
    pub(crate) fn is_purged(&mut self, whole: &Seen) {
        self.stray.retain(|stray| !has(whole, &stray.thing));
    }

    /// How much of that there is.
    pub(crate) fn strays(&self) -> usize {
        self.stray.len()
    }

    /// All was thrown away.
    pub(crate) fn forget_strays(&mut self) {
        self.stray.clear();
    }
}

impl World {
    /// There stands something for each that publishes. What is not synced is for the commit to make durable.
    pub(crate) fn prepare(&mut self, calls: &[Call]) {
        let there = self.state.outside.tops().len();
        let kinds = calls.iter().filter_map(|call| match call {
            Call::More(More::Outside(outer)) => Some((outer.kind, outer.synced)),
            _ => None,
        });
        for (kind, synced) in kinds.skip(there) {
            self.prepared += 1;
            let top = rel(format!("p{}", self.prepared).as_ref());
            self.make(&top, kind);
            let disk = &self.disk;
            let dir = disk.open_root(OUTSIDE.as_ref()).unwrap();
            let seen = look(disk, OUTSIDE).into_iter().filter(|(path, _)| path.starts_with(&top));
            self.state.outside.seen.extend(seen);
            if synced {
                self.sync_outside(&top);
            } else {
                self.state.outside.unsynced.insert(top.clone());
            }
            self.disk.sync_dir(&dir).unwrap();
        }
    }

    /// A file, or a directory with files and directories.
    fn make(&self, top: &RelPath, kind: u8) {
        let disk = &self.disk;
        let root = disk.open_root(OUTSIDE.as_ref()).unwrap();
        let file = |path: &RelPath, len: usize, mode: u32| {
            let (parent, name) = path.split().unwrap();
            let dir = disk.open_dir(&root, &parent).unwrap();
            let made = disk.open(&dir, name, Open::CreateNew { mode }).unwrap();
            let contents = format!("{top} {path} ").repeat(len);
            write_all(disk, &made, contents.as_bytes(), 0).unwrap();
        };
        let dir = |path: &RelPath, mode: u32| {
            let (parent, name) = path.split().unwrap();
            disk.create_dir(&disk.open_dir(&root, &parent).unwrap(), name, mode).unwrap();
        };
        let [a, b, c] = ["a", "b", "c"].map(|name| top.join(name));
        match kind % 4 {
            0 => file(top, 1, 0o640),
            1 => file(top, 30, 0o600),
            2 => {
                dir(top, 0o750);
                file(&a, 1, 0o644);
                dir(&b, 0o755);
                file(&b.join("a"), 30, 0o600);
                let at = disk.open_dir(&root, &b).unwrap();
                disk.set_xattr(&at, OsStr::new("a"), crate::ops::XATTR.as_ref(), b"x").unwrap();
            }
            _ => {
                dir(top, 0o755);
                dir(&a, 0o700);
                file(&b, 30, 0o640);
                let at = disk.open_dir(&root, top).unwrap();
                disk.set_owner(&at, OsStr::new("b"), 5, 6).unwrap();
                disk.symlink(crate::ops::TARGET.as_ref(), &at, c.name().unwrap()).unwrap();
            }
        }
    }

    fn sync_outside(&self, top: &RelPath) {
        let disk = &self.disk;
        let root = disk.open_root(OUTSIDE.as_ref()).unwrap();
        for (path, entry) in self.state.outside.seen.iter().filter(|(path, _)| path.starts_with(top)) {
            let (parent, name) = path.split().unwrap();
            let dir = disk.open_dir(&root, &parent).unwrap();
            match entry.kind {
                Kind::File => disk.sync_file(&disk.open(&dir, name, Open::Read).unwrap()).unwrap(),
                Kind::Dir => disk.sync_dir(&disk.open_dir(&root, path).unwrap()).unwrap(),
                _ => {}
            }
        }
    }

    /// What is not as it was where the power went, is cleared away.
    pub(crate) fn clear_outside(&mut self) -> BTreeSet<RelPath> {
        let dir = self.disk.open_root(OUTSIDE.as_ref()).unwrap();
        let lost = self.state.outside.lost_power(&self.disk);
        for top in &lost {
            treewal_vfs::remove_tree(&self.disk, &dir, top.name().unwrap()).unwrap();
        }
        self.disk.sync_dir(&dir).unwrap();
        lost
    }

    /// What stands outside is as before where it is that; else it is cleared away: the power took commits that had moved it.
    pub(crate) fn outside_is_anything(&mut self) {
        if let Some(outside) = self.outside(&self.state) {
            self.state.outside = outside;
            return;
        }
        let dir = self.disk.open_root(OUTSIDE.as_ref()).unwrap();
        for entry in self.disk.list(&dir).unwrap() {
            treewal_vfs::remove_tree(&self.disk, &dir, &entry.name).unwrap();
        }
        self.disk.sync_dir(&dir).unwrap();
        self.state.outside = Outside::default();
    }

    /// What the dead have taken is in quarantine, once all is swept.
    pub(crate) fn strays_are_in_quarantine(&self) -> Checked {
        let quarantine = look(&self.disk, format!("{ROOT}/.treewal/quarantine"));
        let lost = self.state.outside.stray.iter().find(|stray| !has(&quarantine, &stray.thing));
        must(lost.is_none(), || format!("what was to be published is lost: {lost:?}"))
    }
}

impl Memory {
    /// Puts a thing from outside at a path, to be published from there.
    pub(crate) fn put_thing(&mut self, at: &RelPath, thing: &Seen) {
        for (path, entry) in thing {
            self.put(&at.join_path(path), entry.clone());
        }
    }
}
