//! From intents to renames. Pure.

use std::collections::{BTreeMap, BTreeSet};

use treewal_journal::record::{Goal, Intent};
use treewal_recovery::plan::{Area, Entity, Goals, Model, Place, Step, plan};
use treewal_vfs::{Identity, RelPath};

/// The renames of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Which entry each entity is.
    pub(super) identities: Vec<Identity>,
    /// The slots that hold displaced versions once all steps are taken.
    pub(super) displaced: Vec<u64>,
}

impl Plan {
    fn entity(&mut self, identity: Identity) -> Entity {
        self.identities.push(identity);
        Entity(self.identities.len() - 1)
    }
}

/// The steps of a commit that moves nothing about the tree, path by path; `None` where it is not one.
///
/// No step then touches what another one does: each new entry has a slot of its own and takes the place of what stands at
/// its path, and what is to go takes a spare slot. There is nothing to try on a model, whose upkeep costs more than the
/// renames themselves. The order is that of [`general`].
pub(super) fn direct<'a>(
    stage: &str,
    intents: impl Iterator<Item = (&'a RelPath, &'a Intent)> + Clone,
    spare: &mut dyn FnMut() -> u64,
) -> Option<Plan> {
    let slot_place = |slot| Place::slot(stage, slot, &RelPath::root());
    let mut out = Plan { steps: Vec::new(), identities: Vec::new(), displaced: Vec::new() };
    // Sorted: what lies beneath a path comes right behind it.
    let mut above: Option<&RelPath> = None;
    for (path, intent) in intents.clone() {
        let new = match &intent.goal {
            Goal::Moved { .. } => return None,
            // What is inside a new directory comes along with it; what is kept stays.
            Goal::New(new) if !new.inner.0.is_empty() => continue,
            Goal::Kept | Goal::Rewritten { .. } => continue,
            Goal::New(new) => Some(new),
            Goal::Absent | Goal::Emptied => None,
        };
        if intent.base.as_ref() != Some(&intent.path) || above.is_some_and(|above| path.starts_with(above)) {
            return None;
        }
        above = Some(path);
        let Some(new) = new else { continue };
        let entity = out.entity(new.identity);
        let (from, to) = (slot_place(new.slot), Place::tree(path.clone()));
        let step = match intent.prior {
            None => Step::Move { entity, from, to },
            Some(prior) => {
                out.displaced.push(new.slot);
                Step::Exchange { entity, displaced: out.entity(prior), from, to }
            }
        };
        out.steps.push(step);
    }
    for (path, intent) in intents {
        if let (Goal::Absent | Goal::Emptied, Some(prior)) = (&intent.goal, intent.prior) {
            let slot = spare();
            let entity = out.entity(prior);
            out.displaced.push(slot);
            out.steps.push(Step::Move { entity, from: Place::tree(path.clone()), to: slot_place(slot) });
        }
    }
    Some(out)
}

#[derive(Default)]
struct Picture {
    model: Model,
    identities: Vec<Identity>,
    by_base: BTreeMap<RelPath, Entity>,
}

impl Picture {
    fn add(&mut self, place: Place, identity: Identity) -> Entity {
        let entity = Entity(self.identities.len());
        self.identities.push(identity);
        self.model.put(place, entity);
        entity
    }

    fn standing(&mut self, base: RelPath, identity: Identity) -> Entity {
        if let Some(entity) = self.by_base.get(&base) {
            return *entity;
        }
        let entity = self.add(Place::of(&base), identity);
        self.by_base.insert(base, entity);
        entity
    }
}

/// The steps of any commit, by way of the planner.
pub(super) fn general<'a>(
    stage: &str,
    intents: impl Iterator<Item = (&'a RelPath, &'a Intent)> + Clone,
    spare: &mut dyn FnMut() -> u64,
) -> Plan {
    let mut picture = Picture::default();
    let mut goals = Goals::new();
    let mut adopted = Vec::new();
    for (_, intent) in intents.clone() {
        if let (Some(base), Some(prior)) = (&intent.base, intent.prior) {
            picture.standing(base.to_path().unwrap_or_default(), prior);
        }
    }
    for (path, intent) in intents {
        let goal = match &intent.goal {
            Goal::Absent | Goal::Emptied => None,
            Goal::Kept | Goal::Rewritten { .. } => continue,
            Goal::Moved { from, identity } => {
                let from = from.to_path().unwrap_or_default();
                let place = Place::of(&from);
                if place.area != Area::Tree && slot_of(&place).is_none() {
                    adopted.push(place);
                }
                Some(picture.standing(from, *identity))
            }
            // What is inside a new directory comes along with it.
            Goal::New(new) if !new.inner.0.is_empty() => continue,
            Goal::New(new) => Some(picture.add(Place::slot(stage, new.slot, &RelPath::root()), new.identity)),
        };
        goals.insert(path.clone(), goal);
    }
    let mut place = || Place::slot(stage, spare(), &RelPath::root());
    let mut steps = plan(&mut picture.model, &goals, &mut place);
    for from in adopted {
        // What it displaced is removed like anything else that was; under this name it would be kept.
        if let Some(entity) = picture.model.at(&from) {
            let to = place();
            picture.model.rename(&from, &to);
            steps.push(Step::Move { entity, from, to });
        }
    }
    let displaced: BTreeSet<u64> = picture.model.iter().filter_map(|(place, _)| slot_of(place)).collect();
    let displaced = displaced.into_iter().collect();
    Plan { steps, identities: picture.identities, displaced }
}

/// Where what stood at a place stands once the steps are taken.
pub(super) fn place_after(steps: &[Step], mut place: Place) -> Place {
    let moved = |place: &Place, from: &Place, to: &Place| {
        let tail = place.path.strip_prefix(&from.path).filter(|_| place.area == from.area)?;
        Some(Place { area: to.area.clone(), path: to.path.join_path(&tail) })
    };
    for step in steps {
        let after = match step {
            Step::Move { from, to, .. } => moved(&place, from, to),
            Step::Exchange { from, to, .. } => moved(&place, from, to).or_else(|| moved(&place, to, from)),
        };
        place = after.unwrap_or(place);
    }
    place
}

fn slot_of(place: &Place) -> Option<u64> {
    match place.area {
        Area::Tree => None,
        Area::Stage(_) => place.path.components().next()?.to_str()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
