//! Carrying out what was decided: the missing renames, the looks, and what is left over of them.

use std::io;
use std::io::ErrorKind::PermissionDenied;

use treewal_vfs::{RelPath, Rename};

use super::{Contents, Redo, Redone};
use crate::look::{Attributes, legible};
use crate::plan::{Area, Place, plan, shown};
use crate::{Error, Result};

impl Redo<'_> {
    /// Takes the missing steps and sets the looks.
    ///
    /// What was made again is synced before it gets a name in the tree. The journal knows the inodes that the commit
    /// made, not those of a recovery: one of them, torn by a second loss of power, would pass for somebody else's work.
    pub(super) fn carry_out(mut self) -> Result<Redone> {
        if self.made_again {
            let tree = Place::tree(RelPath::root());
            let root = self.ground.dir(&tree).map_err(Error::io("open", "."))?;
            self.ground.disk().sync_all(&root).map_err(Error::io("sync", "."))?;
        }
        let stages = &mut self.stages;
        let steps = plan(&mut self.model, &self.goals, &mut || stages.spare());
        let identities = &self.identities;
        for step in &steps {
            self.ground.close_if_many().map_err(closing())?;
            let mut done = false;
            if let Err(error) = self.ground.take(step, &|entity| identities[entity.0], &mut done) {
                // What moved is somebody else's: it goes back, as from a commit. The next try finds it there.
                return Err(if done { self.ground.undo(step).err().unwrap_or(error) } else { error });
            }
        }
        let mut looks = 0;
        // What is in a directory first: bits may close it.
        self.looks.sort_by(|a, b| b.0.cmp(&a.0));
        for (path, wanted) in std::mem::take(&mut self.looks) {
            self.ground.close_if_many().map_err(closing())?;
            self.set_look(&path, wanted).map_err(Error::io("set attributes of", path.to_path()))?;
            looks += 1;
        }
        let rewrites = self.rewrite_all()?;
        self.clear_adopted()?;
        self.done.changed = steps.len() as u64 + looks + rewrites;
        self.save_movers();
        self.look_behind()?;
        self.ground.close_opened().map_err(closing())?;
        self.done.garbage = self.stages.spares;
        Ok(self.done)
    }

    fn set_look(&mut self, path: &RelPath, mut wanted: Attributes) -> io::Result<()> {
        let place = Place::tree(path.clone());
        if let Some(mode) = wanted.mode {
            if self.ground.close_later(&place, mode)? {
                wanted.mode = None;
            }
        }
        let (dir, name) = self.ground.split(&place)?;
        let disk = self.ground.disk();
        let set = |wanted: &Attributes| legible(disk, &dir, name, wanted.mode, || wanted.set(disk, &dir, name));
        match set(&wanted) {
            // An owner that this process may not give away stays its own, as at the commit.
            Err(error) if error.kind() == PermissionDenied && wanted.owner.is_some() => {
                set(&Attributes { owner: None, ..wanted })
            }
            set => set,
        }
    }

    /// What stands where something was taken into a stage, once that is in the tree: what it displaced.
    fn clear_adopted(&mut self) -> Result<()> {
        let adopted: Vec<(Place, Place)> = self
            .located
            .iter()
            .map(|(from, (place, _))| (Place::of(from), place.clone()))
            .filter(|(from, _)| from.area != Area::Tree)
            .collect();
        for (from, found) in adopted {
            let placed = self.placed.get(&found).and_then(|entity| self.model.place_of(*entity));
            if placed.is_some_and(|place| place.area == Area::Tree) {
                let there = self.ground.stat(&from).map_err(Error::io("look at", shown(&from)))?;
                if there.is_some() {
                    let spare = self.stages.spare();
                    self.ground.rename(&from, &spare, Rename::NoReplace)?;
                    self.aside.insert(from, spare);
                }
            }
        }
        Ok(())
    }

    /// What was to move to a path that is somebody else's now, and stands in a stage: parked there before the crash, or
    /// taken out of the way of what belongs in its old place. Stages are swept, so it goes to quarantine.
    fn save_movers(&mut self) {
        for lost in &mut self.done.superseded {
            let mover = lost.from.as_ref().and_then(|from| self.located.get(from));
            let Some(entity) = mover.and_then(|(place, _)| self.placed.get(place)) else { continue };
            let place = self.model.place_of(*entity).filter(|place| place.area != Area::Tree);
            lost.contents = place.cloned().map(Contents::Staged).or(lost.contents.take());
        }
    }
}

pub(super) fn closing() -> impl FnOnce(io::Error) -> Error {
    Error::io("close", "what was opened")
}
