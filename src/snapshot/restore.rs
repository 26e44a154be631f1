//! Restoring: what differs is staged as one transaction, so it is journaled, all or nothing, and never leaves a path
//! missing.
//!
//! A guard could do it as well, in place and undone after a crash. It would write everything twice: the state before, and
//! the backups again, since a restore in place uses them up. A transaction writes each changed file once, into the stage,
//! or shares its extents; readers find each path old or new; and it goes on beside other transactions until its commit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal_journal::Lsn;
use treewal_snapshot::{Change, ChangeKind, Entry, Manifest, Role, Stored};
use treewal_vfs::{Kind, RelPath, random};

use super::Snapshot;
use crate::engine::{Claim, Core, Engine, Held, Scope};
use crate::{Error, Receipt, Result, RetryPolicy, Transaction};

/// How often a restore begins anew at the least because somebody committed meanwhile. Of what another process commits, only
/// that it did is known: beside one that never pauses a restore takes as many tries as it has luck, and it has as long as it would
/// wait for the lock.
const TRIES_MIN: u32 = 8;

impl Core {
    /// The end of the log, with nothing under way: who finds it there later knows that nothing was committed since, and
    /// that no guard has begun or ended. And the guards that go on in these paths. Nothing may be owed to them, which would
    /// stand between two states.
    fn quiet(&self, about: &[RelPath], scope: &Scope) -> Result<(Lsn, Vec<Arc<Held>>)> {
        let hold = self.hold_beside_guards()?;
        hold.refuse_owed(&Claim::of(about.to_vec()), &[])?;
        Ok((hold.log()?.last(), hold.guards_over(scope)))
    }
}

impl Engine {
    /// Brings paths back, all that the snapshot has where none is given.
    pub(crate) fn restore(self: &Arc<Self>, snapshot: &Snapshot, only: Option<&[PathBuf]>) -> Result<Receipt> {
        let _span = tracing::debug_span!("restore", name = snapshot.name()).entered();
        let (ours, theirs) = (self.root_meta(), &snapshot.home.root_meta);
        if (ours.dev, ours.ino) != (theirs.dev, theirs.ino) {
            return Err(Error::Input(format!("the snapshot {:?} is one of another tree", snapshot.name())));
        }
        let only = only.map(|paths| paths.iter().map(|path| crate::path::parse(path)).collect::<Result<Vec<_>>>());
        let only = only.transpose()?;
        let manifest = snapshot.manifest()?;
        covered(&manifest, only.as_deref().unwrap_or_default())?;
        let restored = self.restore_where(snapshot, &manifest, only.as_deref(), &mut |_| Ok(true))?;
        restored.ok_or_else(|| Error::Input("nothing was to be restored".to_owned()))
    }

    /// The same where `may` allows it, which is asked with what would be changed; `None` where it does not.
    pub(crate) fn restore_where(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        manifest: &Manifest,
        only: Option<&[RelPath]>,
        may: &mut dyn FnMut(&[Change]) -> Result<bool>,
    ) -> Result<Option<Receipt>> {
        let stored = snapshot.stored(manifest)?;
        let guarded: Vec<RelPath> = manifest.guarded().iter().map(|guarded| guarded.path.clone()).collect();
        let about = only.unwrap_or(&guarded);
        let scope = Scope::new(about, &[], manifest.excluded());
        let pauses = RetryPolicy::new().pause_max(Duration::from_millis(20));
        let (begun, mut tried) = (Instant::now(), 1);
        loop {
            let (since, guards) = self.quiet(about, &scope)?;
            let wanted = |path: &RelPath| only.is_none_or(|only| only.iter().any(|one| path.starts_with(one)));
            let found = snapshot.differences(manifest, &stored, &wanted);
            if let Some((guard, path)) = self.in_the_way(&guards, &scope, &found) {
                self.wait_for_end(guard, &path)?;
                continue;
            }
            let changes = found?;
            if !may(&changes)? {
                return Ok(None);
            }
            let apart = snapshot.names_apart(&stored, &wanted)?;
            let mut tx = Transaction::new(Arc::clone(self));
            tx.set_durability(self.options().durability.or_journal());
            Restore { tx: &mut tx, manifest, stored: &stored, apart: &apart, wanted: &wanted, disk: &**self.disk() }
                .run(&changes)?;
            tx.expect_since(since, about.iter().cloned());
            match tx.commit() {
                Err(error)
                    if is_conflict(&error) && (tried < TRIES_MIN || begun.elapsed() < self.options().lock_wait) =>
                {
                    std::thread::sleep(pauses.pause(tried, random().to_le_bytes()[0]));
                    tried += 1;
                }
                ended => return ended.map(Some),
            }
        }
    }
}

fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Conflict { .. })
}

/// Paths that the snapshot says nothing of cannot be brought back.
fn covered(manifest: &Manifest, only: &[RelPath]) -> Result<()> {
    let known = |path: &RelPath| manifest.guarded().iter().any(|one| path.starts_with(&one.path));
    match only.iter().find(|path| !known(path)) {
        Some(path) => Err(Error::Input(format!("the snapshot was not taken of {:?}", path.to_path()))),
        None => Ok(()),
    }
}

struct Restore<'a> {
    tx: &'a mut Transaction,
    manifest: &'a Manifest,
    stored: &'a Stored<'a>,
    /// Names of files with several that are not to be restored, and are not what they were.
    apart: &'a HashSet<RelPath>,
    wanted: &'a dyn Fn(&RelPath) -> bool,
    disk: &'a dyn treewal_vfs::Disk,
}

impl Restore<'_> {
    /// Stages everything that brings the changes back.
    fn run(&mut self, changes: &[Change]) -> Result<()> {
        self.clear(changes)?;
        let by_path: HashMap<&RelPath, ChangeKind> = changes.iter().map(|change| (&change.path, change.kind)).collect();
        let mut keepers: HashMap<RelPath, RelPath> = HashMap::new();
        for entry in self.stored.entries().iter().filter(|entry| has_names(self.stored, entry)) {
            let is_there = by_path.get(&entry.path).is_none_or(|kind| *kind == ChangeKind::Metadata);
            if is_there && !self.apart.contains(&entry.path) && self.stands(&entry.path)? {
                keepers.entry(self.stored.first(entry).path.clone()).or_insert_with(|| entry.path.clone());
            }
        }
        // Directories whose times move with what happens in them.
        let mut made: BTreeSet<&RelPath> = BTreeSet::new();
        let mut dirs: BTreeSet<RelPath> = changes.iter().filter_map(|change| change.path.parent()).collect();
        for entry in self.stored.entries() {
            let Some(kind) = by_path.get(&entry.path) else {
                // A directory above a restored path is made where it is gone, and else left as it is: it is another's, or was
                // not asked for.
                let next = || dirs.range(entry.path.clone()..).next();
                let leads = entry.is_dir() && next().is_some_and(|dir| dir.starts_with(&entry.path));
                if leads && !self.tx.exists(entry.path.to_path())? {
                    self.make(entry, &mut keepers)?;
                    dirs.insert(entry.path.clone());
                    made.insert(&entry.path);
                }
                continue;
            };
            match (kind, entry.meta.kind) {
                (ChangeKind::Metadata, Kind::Symlink) | (ChangeKind::Modified, _) if !entry.is_dir() => {
                    self.tx.remove_file(entry.path.to_path())?;
                    self.make(entry, &mut keepers)?;
                }
                (ChangeKind::Metadata | ChangeKind::Modified, _) => self.tx.look_like(entry, !entry.is_dir())?,
                _ => self.make(entry, &mut keepers)?,
            }
            if entry.is_dir() {
                dirs.insert(entry.path.clone());
            }
        }
        // One that nobody asked for, and that is there, is another's to look after.
        for path in dirs.iter().filter(|path| (self.wanted)(path) || made.contains(path)) {
            match self.stored.entry(path).filter(|entry| entry.is_dir() && entry.role == Role::Guarded) {
                Some(entry) if !path.is_root() => self.tx.look_like(entry, true)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether anything stands at a path; nothing does beneath what is no directory now.
    fn stands(&self, path: &RelPath) -> Result<bool> {
        match self.tx.exists(path.to_path()) {
            Err(Error::ThroughSymlink { .. }) => Ok(false),
            stands => stands,
        }
    }

    /// Removes what is newer than the snapshot, and what is of another kind now.
    fn clear(&mut self, changes: &[Change]) -> Result<()> {
        let mut gone: Option<&RelPath> = None;
        for change in changes.iter().filter(|one| matches!(one.kind, ChangeKind::Added | ChangeKind::TypeChanged)) {
            let path = &change.path;
            if gone.is_some_and(|gone| path.starts_with(gone)) {
                continue;
            }
            if self.tx.metadata(path.to_path())?.is_dir() {
                // Nobody said that what is left out may go.
                for excluded in self.manifest.excluded().iter().filter(|excluded| excluded.starts_with(path)) {
                    if self.tx.exists(excluded.to_path())? {
                        let excluded = excluded.clone();
                        return Err(Error::Snapshot(treewal_snapshot::Error::Excluded { path: excluded }));
                    }
                }
                self.tx.remove_dir_all(path.to_path())?;
            } else {
                self.tx.remove_file(path.to_path())?;
            }
            gone = Some(path);
        }
        Ok(())
    }

    /// Makes an entry where nothing stands.
    fn make(&mut self, entry: &Entry, keepers: &mut HashMap<RelPath, RelPath>) -> Result<()> {
        let path = entry.path.to_path();
        let first = self.stored.first(entry).path.clone();
        if let Some(keeper) = keepers.get(&first) {
            return self.tx.hard_link(keeper.to_path(), path);
        }
        match (entry.meta.kind, &entry.target) {
            (Kind::Dir, _) => self.tx.create_dir(path)?,
            (Kind::Symlink, Some(target)) => self.tx.symlink(target, path)?,
            (Kind::File, _) => {
                let source = self.stored.contents(entry).map_err(Error::Snapshot)?;
                self.tx.put_back(&entry.path, self.disk, &source)?;
            }
            _ => self.tx.put_back_node(entry)?,
        }
        if has_names(self.stored, entry) {
            keepers.insert(first, entry.path.clone());
        }
        match is_node(entry.meta.kind) {
            // It is made with all its attributes.
            true => Ok(()),
            false => self.tx.look_like(entry, !entry.is_dir()),
        }
    }
}

/// Whether it is a fifo, a socket or a device.
fn is_node(kind: Kind) -> bool {
    !matches!(kind, Kind::File | Kind::Dir | Kind::Symlink)
}

/// Whether the snapshot knows other names of the same file.
pub(super) fn has_names(stored: &Stored<'_>, entry: &Entry) -> bool {
    !entry.is_dir() && (entry.same_as.is_some() || entry.meta.links > 1 && stored.entries().len() > 1)
}
