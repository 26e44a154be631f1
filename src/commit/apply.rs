//! Applying: the renames that bring the staged entries into the tree, and their mirror images.

use std::collections::BTreeSet;

use treewal_journal::record::{Intent, ModeChange};
use treewal_recovery::plan::{Ground, Place, Step};
use treewal_vfs::{Identity, RelPath};

use super::flight::pairs;
use super::steps::{Plan, direct, general};
use crate::engine::Stage;
use crate::{Error, Result};

/// Up to this many directories are synced one by one; beyond it, one sync of the file system is cheaper.
const SYNCS_MAX: usize = 8;

/// The steps of a commit, and how many of them are taken.
pub(super) struct Applied {
    steps: Vec<Step>,
    modes: Vec<(RelPath, ModeChange)>,
    identities: Vec<Identity>,
    displaced: Vec<u64>,
    steps_taken: usize,
    modes_taken: usize,
}

impl Applied {
    /// Works out the steps, from the tree as the check has just found it.
    pub(super) fn plan<'a>(
        stage: &Stage,
        paths: &'a [RelPath],
        intents: impl Iterator<Item = &'a Intent> + Clone,
    ) -> Self {
        let mut spare = || stage.slot();
        let intents = pairs(paths, intents);
        let Plan { steps, identities, displaced } = direct(stage.name(), intents.clone(), &mut spare)
            .unwrap_or_else(|| general(stage.name(), intents.clone(), &mut spare));
        let modes = intents.filter_map(|(path, intent)| intent.mode.map(|change| (path.clone(), change))).collect();
        Self { steps, modes, identities, displaced, steps_taken: 0, modes_taken: 0 }
    }

    /// Takes all steps, up to the first that fails.
    pub(super) fn take(&mut self, ground: &mut Ground<'_>) -> Result<()> {
        for step in &self.steps {
            let mut done = false;
            let taken = ground.take(step, &|entity| self.identities[entity.0], &mut done);
            self.steps_taken += usize::from(done);
            taken.map_err(Error::from_recovery)?;
        }
        for (path, change) in &self.modes {
            set_mode(ground, path, change.mode)?;
            self.modes_taken += 1;
        }
        Ok(())
    }

    /// Takes every taken step back, the last first.
    pub(super) fn undo(&self, ground: &mut Ground<'_>) -> Result<()> {
        for (path, change) in self.modes[..self.modes_taken].iter().rev() {
            set_mode(ground, path, change.prior)?;
        }
        for step in self.steps[..self.steps_taken].iter().rev() {
            ground.undo(step).map_err(Error::from_recovery)?;
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
        dirs.extend(self.modes.iter().filter_map(|(path, _)| path.parent().map(Place::tree)));
        ground.forget();
        if dirs.len() > SYNCS_MAX || !self.modes.is_empty() {
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

fn set_mode(ground: &mut Ground<'_>, path: &RelPath, mode: u32) -> Result<()> {
    let set = ground.split(&Place::tree(path.clone())).and_then(|(dir, name)| ground.disk().set_mode(&dir, name, mode));
    set.map_err(Error::io("set the mode of", path))
}
