//! From "what stands where" and "what shall stand where" to an ordered list of renames. The planner is pure: no disk, no
//! time; only `ground.rs` takes steps.
//!
//! The same planner serves a commit, which starts from the tree as the transaction found it, and recovery, which starts
//! from whatever a crash left. That is what makes a redo repeatable: it does not replay steps, it works out afresh
//! which renames are missing, and finds none when all is in place.
//!
//! Order of the steps, and why:
//!
//! 1. *Place*, parents before children: what is wanted where something stands is exchanged with it, so that the path is
//!    never missing; what is wanted where nothing stands is renamed there. If the wanted entry stands at a path that
//!    shall hold something else afterwards, that path gets its new entry first, by exchange, for the same reason. An
//!    entry whose directory has changed places meanwhile is taken from where the directory is now: the model knows.
//! 2. *Remove*: what stands where nothing shall stand goes to a slot.
//!
//! Every step can be undone by its mirror image, and none destroys anything.

mod ground;
mod inodes;
mod model;
mod opened;
mod place;
mod plain;

pub use ground::Ground;
pub(crate) use ground::shown;
pub use inodes::Inodes;
pub use model::{Entity, Model};
pub use place::{Area, Place, removed_by, removed_slot};

use std::collections::{BTreeMap, BTreeSet};

use treewal_vfs::RelPath;

/// One rename.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The entity moves to a place where nothing stands.
    Move {
        /// What moves.
        entity: Entity,
        /// From where.
        from: Place,
        /// To where.
        to: Place,
    },
    /// Two entities change places; neither path is missing at any moment.
    Exchange {
        /// What comes to stand at `to`.
        entity: Entity,
        /// What comes to stand at `from`.
        displaced: Entity,
        /// Where `entity` stood.
        from: Place,
        /// Where `displaced` stood.
        to: Place,
    },
}

/// What shall stand at each path: an entity or nothing.
pub type Goals = BTreeMap<RelPath, Option<Entity>>;

/// Works out the steps that turn `model` into one that meets `goals`, and applies them to `model`.
///
/// `spare` names a free place of the stage each time it is called. A goal whose entity stands nowhere is left alone: the
/// caller has put everything it wants somewhere before it asks.
pub fn plan(model: &mut Model, goals: &Goals, spare: &mut dyn FnMut() -> Place) -> Vec<Step> {
    let mut planner = Planner { model, goals, spare, steps: Vec::new(), visiting: BTreeSet::new() };
    for path in goals.keys() {
        planner.place(path);
    }
    planner.remove();
    planner.steps
}

struct Planner<'a> {
    model: &'a mut Model,
    goals: &'a Goals,
    spare: &'a mut dyn FnMut() -> Place,
    steps: Vec<Step>,
    visiting: BTreeSet<RelPath>,
}

impl Planner<'_> {
    /// Step 1, for one path.
    fn place(&mut self, path: &RelPath) {
        let Some(Some(wanted)) = self.goals.get(path).copied() else { return };
        let target = Place::tree(path.clone());
        let Some(mut source) = self.model.place_of(wanted).cloned() else { return };
        if source == target {
            return;
        }
        match self.model.at(&target) {
            None => {
                // Filling the source moves the wanted entry on, perhaps to a path that must be filled, too.
                while self.must_fill_first(&source, wanted) && self.visiting.insert(source.path.clone()) {
                    self.place(&source.path);
                    let Some(now) = self.model.place_of(wanted).cloned() else { return };
                    source = now;
                }
                self.model.rename(&source, &target);
                self.steps.push(Step::Move { entity: wanted, from: source, to: target });
            }
            Some(displaced) => {
                if source.starts_with(&target) || target.starts_with(&source) {
                    source = self.shift(wanted, source);
                }
                self.model.exchange(&source, &target);
                self.steps.push(Step::Exchange { entity: wanted, displaced, from: source, to: target });
            }
        }
    }

    /// Whether `source` is a path of the tree that shall hold something else, and can be given it now.
    fn must_fill_first(&self, source: &Place, leaving: Entity) -> bool {
        let wants_other =
            source.area == Area::Tree && matches!(self.goals.get(&source.path), Some(Some(other)) if *other != leaving);
        wants_other
            && source.path.ancestors().all(|above| match self.goals.get(&above) {
                Some(goal) => self.model.at(&Place::tree(above)) == *goal,
                None => true,
            })
    }

    /// Step 2: takes away what stands where nothing shall.
    fn remove(&mut self) {
        for (path, goal) in self.goals {
            if goal.is_some() {
                continue;
            }
            let from = Place::tree(path.clone());
            if let Some(entity) = self.model.at(&from) {
                self.shift(entity, from);
            }
        }
    }

    /// Moves an entity to a spare slot.
    fn shift(&mut self, entity: Entity, from: Place) -> Place {
        // Something above may have moved since the place was noted: the model knows.
        let from = self.model.place_of(entity).cloned().unwrap_or(from);
        let to = (self.spare)();
        self.model.rename(&from, &to);
        self.steps.push(Step::Move { entity, from, to: to.clone() });
        to
    }
}

#[cfg(test)]
mod ground_tests;
#[cfg(test)]
mod tests;
