//! What is different in the tree from what a snapshot holds, and for certain: where attributes leave a doubt, contents are
//! compared.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;

use treewal_snapshot::{Change, ChangeKind, Entry, Manifest, Stored, compare};
use treewal_vfs::{Kind, Meta, RelPath};

use super::Snapshot;
use super::restore::has_names;
use crate::transaction::Base;
use crate::{Error, Result};

impl Snapshot {
    /// Every difference at a path that is `wanted`, sorted by path. The tree's own root directory is the caller's, and is
    /// none.
    pub(super) fn differences(
        &self,
        manifest: &Manifest,
        stored: &Stored<'_>,
        wanted: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Vec<Change>> {
        let disk = &*self.home.disk;
        let mut changes = compare(disk, &self.home.root, manifest).map_err(Error::Snapshot)?;
        let look = Look { base: Base::new(self.home.disk.clone(), self.home.root.clone()), stored };
        let torn = look.torn_groups()?;
        let joined = look.joined(&changes)?;
        let mut certain = Vec::with_capacity(changes.len());
        for change in changes.drain(..).filter(|change| !change.path.is_root() && wanted(&change.path)) {
            let entry = stored.entry(&change.path);
            let kind = match (change.kind, entry) {
                _ if joined.contains(&change.path) => Some(ChangeKind::Modified),
                (ChangeKind::Modified | ChangeKind::Metadata, Some(entry))
                    if entry.meta.kind == Kind::File && !torn.contains(&stored.first(entry).path) =>
                {
                    look.certain(entry, &change)?
                }
                (kind, _) => Some(kind),
            };
            certain.extend(kind.map(|kind| Change { kind, ..change }));
        }
        Ok(certain)
    }

    /// Of the files that have a `wanted` name, those of their other names that are not what they were: what is restored must not
    /// become one more name of theirs.
    pub(super) fn names_apart(
        &self,
        stored: &Stored<'_>,
        wanted: &dyn Fn(&RelPath) -> bool,
    ) -> Result<HashSet<RelPath>> {
        let look = Look { base: Base::new(self.home.disk.clone(), self.home.root.clone()), stored };
        let named = || stored.entries().iter().filter(|entry| has_names(stored, entry));
        let first = |entry| &stored.first(entry).path;
        let about: HashSet<&RelPath> = named().filter(|entry| wanted(&entry.path)).map(first).collect();
        let mut apart = HashSet::new();
        for entry in named().filter(|entry| !wanted(&entry.path) && about.contains(first(entry))) {
            if !look.is_as_it_was(entry)? {
                apart.insert(entry.path.clone());
            }
        }
        Ok(apart)
    }
}

struct Look<'a> {
    base: Base,
    stored: &'a Stored<'a>,
}

impl Look<'_> {
    /// What is really different where the contents may be. How many names a file has is no difference by itself: some lie
    /// where the snapshot does not reach, and what a commit has displaced stays a name until the next checkpoint. But attributes
    /// are set in place only where no other name gets them as well.
    fn certain(&self, entry: &Entry, change: &Change) -> Result<Option<ChangeKind>> {
        let verb = "compare";
        let Some((parent, name)) = change.path.split() else { return Ok(Some(change.kind)) };
        let Some(live) = self.base.stat(verb, &change.path)? else { return Ok(Some(ChangeKind::Removed)) };
        let dir = self.base.dir(verb, &parent)?;
        if !self.stored.is_same(&dir, name, &live, entry).map_err(Error::Snapshot)? {
            return Ok(Some(ChangeKind::Modified));
        }
        let same = looks_alike(entry, &live) && self.base.xattrs(verb, &change.path)? == entry.xattrs;
        let kind = if live.links == entry.meta.links { ChangeKind::Metadata } else { ChangeKind::Modified };
        Ok((!same).then_some(kind))
    }

    /// Whether an entry that is no directory is as it was, whatever other names it has by now.
    fn is_as_it_was(&self, entry: &Entry) -> Result<bool> {
        let (verb, path) = ("compare", &entry.path);
        let Some((parent, name)) = path.split() else { return Ok(false) };
        let Some(live) = self.live(path)?.filter(|live| live.kind == entry.meta.kind) else { return Ok(false) };
        if !looks_alike(entry, &live) || self.base.xattrs(verb, path)? != entry.xattrs {
            return Ok(false);
        }
        match (live.kind, &entry.target) {
            (Kind::File, _) => {
                let dir = self.base.dir(verb, &parent)?;
                self.stored.is_same(&dir, name, &live, entry).map_err(Error::Snapshot)
            }
            (_, Some(target)) => Ok(self.base.read_link(verb, path)? == *target),
            _ => Ok(live.rdev == entry.meta.rdev),
        }
    }

    /// What stands at a path, if anything does.
    fn live(&self, path: &RelPath) -> Result<Option<Meta>> {
        match self.base.stat("compare", path) {
            // Something else stands above it now.
            Err(Error::ThroughSymlink { .. }) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            live => live,
        }
    }

    /// Those of the changed paths that name the same file as a path that named another one then.
    fn joined(&self, changes: &[Change]) -> Result<HashSet<RelPath>> {
        let mut names: HashMap<u64, Vec<&Entry>> = HashMap::new();
        for change in changes.iter().filter(|one| matches!(one.kind, ChangeKind::Modified | ChangeKind::Metadata)) {
            let Some(entry) = self.stored.entry(&change.path).filter(|entry| entry.meta.kind == Kind::File) else {
                continue;
            };
            if let Some(live) = self.live(&change.path)?.filter(|live| live.kind == Kind::File && live.links > 1) {
                names.entry(live.ino).or_default().push(entry);
            }
        }
        // Who keeps its file is not always among the changed ones.
        for entry in self.stored.entries() {
            let Some(known) = names.get_mut(&entry.meta.ino) else { continue };
            if self.live(&entry.path)?.is_some_and(|live| live.ino == entry.meta.ino) {
                known.push(entry);
            }
        }
        let first = |entry: &Entry| self.stored.first(entry).path.clone();
        names.retain(|_, entries| entries.iter().any(|entry| first(entry) != first(entries[0])));
        Ok(names.into_values().flatten().map(|entry| entry.path.clone()).collect())
    }

    /// Files of several names (by the path of the first) whose names are different files now.
    fn torn_groups(&self) -> Result<HashSet<RelPath>> {
        let mut inodes: HashMap<RelPath, u64> = HashMap::new();
        let mut torn = HashSet::new();
        let firsts: HashSet<usize> = self.stored.entries().iter().filter_map(|entry| entry.same_as).collect();
        for (place, entry) in self.stored.entries().iter().enumerate() {
            if entry.same_as.is_none() && !firsts.contains(&place) {
                continue;
            }
            let Some(live) = self.live(&entry.path)?.filter(|live| live.kind == Kind::File) else { continue };
            let first = self.stored.first(entry).path.clone();
            if *inodes.entry(first.clone()).or_insert(live.ino) != live.ino {
                torn.insert(first);
            }
        }
        Ok(torn)
    }
}

fn looks_alike(entry: &Entry, live: &Meta) -> bool {
    let then = &entry.meta;
    (live.mode, live.uid, live.gid, live.modified) == (then.mode, then.uid, then.gid, then.modified)
}
