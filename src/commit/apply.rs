//! Applying: the renames that bring the staged entries into the tree, and their mirror images.

use std::collections::BTreeSet;

use treewal_journal::record::{Body, Change, Goal, Intent, LookChange, New};
use treewal_recovery::look::Attributes;
use treewal_recovery::make::open_bits;
use treewal_recovery::plan::{Ground, Place, Step, removed_slot};
use treewal_vfs::{Identity, RelPath};

use super::check;
use super::flight::pairs;
use super::permits::opening;
use super::rewrites::Rewrite;
use super::steps::{Plan, direct, general, place_after};
use crate::engine::Stage;
use crate::transaction::Emptied;
use crate::{Error, Result};

/// Up to this many directories are synced one by one; beyond it, one sync of the file system is cheaper.
const SYNCS_MAX: usize = 8;

/// The steps of a commit, and how many of them are taken.
pub(super) struct Applied {
    steps: Vec<Step>,
    /// Attributes of entries of the tree, what is in a directory before it.
    looks: Vec<(RelPath, LookChange)>,
    /// Attributes of new directories that they can only have once they are filled.
    late: Vec<(RelPath, Attributes)>,
    identities: Vec<Identity>,
    displaced: Vec<u64>,
    /// Files to rewrite in place.
    rewrites: Vec<Rewrite>,
    /// Bits of directories of the tree that open them, what is in a directory after it.
    openings: Vec<(RelPath, Change<u32>)>,
    /// How many openings, steps and looks are taken.
    taken: [usize; 3],
}

impl Applied {
    /// Works out the steps of a transaction, from the tree as the check has just found it.
    ///
    /// Attributes are set when all steps are taken, whichever way those were found, but for bits that open a directory.
    pub(super) fn plan<'a>(
        (stage, txn): (&Stage, u64),
        paths: &'a [RelPath],
        intents: impl Iterator<Item = &'a Intent> + Clone,
    ) -> Self {
        let mut removals = 0..;
        let mut spare = || removals.next().and_then(|n| removed_slot(txn, n)).unwrap_or_else(|| stage.slot());
        let intents = pairs(paths, intents);
        let Plan { steps, identities, mut displaced } = direct(stage.name(), intents.clone(), &mut spare)
            .unwrap_or_else(|| general(stage.name(), intents.clone(), &mut spare));
        let (mut looks, mut late, mut openings, mut rewrites) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (path, intent) in intents {
            if let Some((rewrite, slots)) = Rewrite::of(stage.name(), path, intent) {
                rewrites.push(rewrite);
                displaced.extend(slots);
            }
            openings.extend(opening(intent).map(|mode| (path.clone(), mode)));
            if let Some(change) = &intent.look {
                looks.push((path.clone(), change.clone()));
            }
            if let Goal::New(new @ New { body: Body::Dir, .. }) = &intent.goal {
                late.push((path.clone(), at_last(new)));
            }
        }
        late.retain(|(_, attributes)| !attributes.is_empty());
        // Bits that close a directory come after all that is in it.
        looks.reverse();
        late.reverse();
        let taken = [0; 3];
        Self { steps, looks, late, identities, displaced, rewrites, openings, taken }
    }

    /// Directories to open before the steps, beside those whose bits the transaction sets.
    pub(super) fn open_first(&mut self, openings: Vec<(RelPath, Change<u32>)>) {
        self.openings.extend(openings);
    }

    /// Takes all steps, up to the first that fails.
    ///
    /// What others put into a directory before it goes is only seen for good when it is gone from where they find it.
    pub(super) fn take(&mut self, ground: &mut Ground<'_>, emptied: &[Emptied]) -> Result<()> {
        for (path, mode) in &self.openings {
            set_mode(ground, path, mode.to)?;
            self.taken[0] += 1;
        }
        for step in &self.steps {
            let mut done = false;
            let taken = ground.take(step, &|entity| self.identities[entity.0], &mut done);
            self.taken[1] += usize::from(done);
            taken.map_err(Error::from_recovery)?;
        }
        if !emptied.is_empty() {
            let moved = self.identities.iter().copied().collect();
            for dir in emptied {
                check::holds_no_more(ground, &place_after(&self.steps, Place::of(&dir.path)), dir, &moved)?;
            }
        }
        for (path, change) in &self.looks {
            // Counted first: of several attributes, some may be set where it fails.
            self.taken[2] += 1;
            set(ground, path, &Attributes::after(change))?;
        }
        // Undone with the directory, which goes back to the stage.
        self.late.iter().try_for_each(|(path, attributes)| set(ground, path, attributes))?;
        // Last: what fails before it leaves nothing torn, not for a moment.
        self.rewrites.iter_mut().try_for_each(|rewrite| rewrite.take(ground))
    }

    /// Takes every taken step back, the last first.
    pub(super) fn undo(&self, ground: &mut Ground<'_>) -> Result<()> {
        if ground.is_half_done() {
            return Err(Error::Poisoned);
        }
        self.rewrites.iter().rev().try_for_each(|rewrite| rewrite.undo(ground))?;
        for (path, change) in self.looks[..self.taken[2]].iter().rev() {
            let mut before = Attributes::before(change);
            if self.openings.iter().any(|(opened, _)| opened == path) {
                // Steps in it are still to be taken back.
                before.mode = None;
            }
            set(ground, path, &before)?;
        }
        for step in self.steps[..self.taken[1]].iter().rev() {
            ground.undo(step).map_err(Error::from_recovery)?;
        }
        for (path, mode) in self.openings[..self.taken[0]].iter().rev() {
            set_mode(ground, path, mode.prior)?;
        }
        Ok(())
    }

    /// The slots that hold displaced versions once all steps are taken.
    pub(super) fn displaced(&self) -> impl Iterator<Item = u64> + '_ {
        self.displaced.iter().copied()
    }

    /// Makes the names in the tree durable.
    pub(super) fn sync(&self, ground: &mut Ground<'_>) -> Result<()> {
        let mut dirs = BTreeSet::new();
        for step in &self.steps {
            let (Step::Move { from, to, .. } | Step::Exchange { from, to, .. }) = step;
            dirs.extend(
                [from, to]
                    .into_iter()
                    .filter_map(|place| Some(Place { area: place.area.clone(), path: place.path.parent()? })),
            );
        }
        ground.forget();
        if dirs.len() > SYNCS_MAX || !self.looks.is_empty() || !self.late.is_empty() {
            let root = ground.dir(&Place::tree(RelPath::root())).map_err(Error::io("open", &RelPath::root()))?;
            return ground.disk().sync_all(&root).map_err(Error::io("sync", &RelPath::root()));
        }
        for place in dirs {
            // A directory that a later step took away needs no sync of its own: its new place gets one.
            let Ok(dir) = ground.dir(&place) else { continue };
            ground.disk().sync_dir(&dir).map_err(Error::io("sync", &place.path))?;
        }
        Ok(())
    }
}

/// What a new directory was not given in the stage.
fn at_last(new: &New) -> Attributes {
    Attributes {
        mode: Some(new.mode).filter(|mode| open_bits(*mode) != *mode),
        times: new.times.map(|times| times.to),
        ..Attributes::default()
    }
}

fn set_mode(ground: &mut Ground<'_>, path: &RelPath, mode: u32) -> Result<()> {
    set(ground, path, &Attributes { mode: Some(mode), ..Attributes::default() })
}

fn set(ground: &mut Ground<'_>, path: &RelPath, attributes: &Attributes) -> Result<()> {
    let set =
        ground.split(&Place::tree(path.clone())).and_then(|(dir, name)| attributes.set(ground.disk(), &dir, name));
    set.map_err(Error::io("set attributes of", path))
}
