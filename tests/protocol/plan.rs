//! The steps of a commit and of a recovery, by the planner that both have.

use std::collections::BTreeSet;

use treewal_recovery::plan::{Area, Entity, Goals, Model, Place, Step, plan};
use treewal_vfs::RelPath;

use crate::disk::{Disk, Ent, Spot};
use crate::journal::{path, stage};
use crate::script::{Op, Script};
use crate::world::World;

/// One rename, with what it is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Renaming {
    from: Spot,
    to: Spot,
    exchange: bool,
    /// What comes to `to`, and what comes to `from`.
    entity: Ent,
    displaced: Option<Ent>,
    pub(crate) of_commit: bool,
}

impl Renaming {
    /// `false` where it cannot be done; nothing is then.
    pub(crate) fn take(&self, disk: &mut Disk) -> bool {
        if self.exchange { disk.exchange(self.from, self.to) } else { disk.rename(self.from, self.to) }
    }

    pub(crate) fn back(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }

    /// As `Ground::take` proves: what came out of the tree may have been somebody else's.
    pub(crate) fn is_proved(&self, disk: &Disk) -> bool {
        if self.exchange {
            return disk.at(self.from) == self.displaced;
        }
        matches!(self.from, Spot::Slot(..)) || disk.at(self.to) == Some(self.entity)
    }
}

/// What stands where, for the planner.
#[derive(Default)]
pub(crate) struct Scene {
    model: Model,
    entities: Vec<Ent>,
    goals: Goals,
    /// Slots that are taken.
    taken: BTreeSet<Spot>,
}

impl Scene {
    pub(crate) fn of(disk: &Disk) -> Self {
        Self { taken: disk.names().map(|(spot, _)| spot).collect(), ..Self::default() }
    }

    pub(crate) fn put(&mut self, spot: Spot, ent: Ent) -> Entity {
        let entity = Entity(self.entities.len());
        self.entities.push(ent);
        self.model.put(place(spot), entity);
        self.taken.insert(spot);
        entity
    }

    pub(crate) fn want(&mut self, at: u8, entity: Option<Entity>) {
        self.goals.insert(path(at), entity);
    }

    /// A free slot of a stage, from a number on.
    pub(crate) fn spare(&mut self, owner: u8, from: u8) -> Spot {
        let free = (from..).map(|slot| Spot::Slot(owner, slot)).find(|spot| !self.taken.contains(spot)).unwrap();
        self.taken.insert(free);
        free
    }

    /// The renames, and the slots that what they displace goes to.
    pub(crate) fn plan(mut self, owner: u8, from: u8, of_commit: bool) -> (Vec<Renaming>, Vec<Spot>) {
        let mut model = std::mem::take(&mut self.model);
        let goals = std::mem::take(&mut self.goals);
        let mut spares = Vec::new();
        let steps = plan(&mut model, &goals, &mut || {
            let spot = self.spare(owner, from);
            spares.push(spot);
            place(spot)
        });
        let ent = |entity: Entity| self.entities[entity.0];
        let renaming = |step: &Step| match step {
            Step::Move { entity, from, to } => Renaming {
                from: spot(from),
                to: spot(to),
                exchange: false,
                entity: ent(*entity),
                displaced: None,
                of_commit,
            },
            Step::Exchange { entity, displaced, from, to } => Renaming {
                from: spot(from),
                to: spot(to),
                exchange: true,
                entity: ent(*entity),
                displaced: Some(ent(*displaced)),
                of_commit,
            },
        };
        (steps.iter().map(renaming).collect(), spares)
    }
}

pub(crate) fn place(spot: Spot) -> Place {
    match spot {
        Spot::Tree(at) => Place::tree(path(at)),
        Spot::Slot(owner, slot) => Place::slot(&stage(owner), slot.into(), &RelPath::root()),
    }
}

fn spot(place: &Place) -> Spot {
    let name = place.path.to_bytes();
    let text = std::str::from_utf8(&name).unwrap();
    match &place.area {
        Area::Tree => Spot::Tree(text[1..].parse().unwrap()),
        Area::Stage(stage) => Spot::Slot(stage[1..].parse().unwrap(), text.parse().unwrap()),
    }
}

/// The first of the slots that take what a transaction removes: as with `removed_slot`, the number says whose it is.
fn removed_from(txn: u8) -> u8 {
    100 + 10 * txn
}

/// Of which transaction what is in a slot was removed.
pub(crate) fn removed_by(slot: u8) -> Option<u8> {
    (100..200).contains(&slot).then(|| (slot - 100) / 10)
}

/// The renames of the commit under way, from the tree as it was found.
pub(crate) fn commit_steps(world: &World, script: &Script, who: u8) -> Vec<Renaming> {
    let process = world.process(who);
    let txn = script.first(usize::from(who)) + process.begun - 1;
    let mut scene = Scene::of(&world.disk);
    for ((at, op), saw) in script.ops(txn).iter().zip(&process.saw) {
        if let Some(ent) = saw {
            scene.put(Spot::Tree(*at), *ent);
        }
        let wanted = match *op {
            Op::Small(version) | Op::Large(version) => Some(scene.put(Spot::Slot(who, version), Ent::of(version))),
            Op::Remove => None,
        };
        scene.want(*at, wanted);
    }
    scene.plan(who, removed_from(txn), true).0
}
