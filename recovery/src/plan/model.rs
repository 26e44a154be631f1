//! What stands where, as far as a transaction cares: a small picture of the disk that steps can be tried on.

use std::collections::{BTreeMap, HashMap};

use super::Place;

/// One thing that stands, or shall stand, somewhere: an entry of the tree as it was found, or a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(pub usize);

/// Which entity stands at which place. A place that is not in the model is either free or nobody's business.
///
/// Invariant: an entity stands at one place at most, a place holds one entity at most, and moving a directory takes
/// along whatever the model knows beneath it, as a rename does.
#[derive(Debug, Clone, Default)]
pub struct Model {
    at: BTreeMap<Place, Entity>,
    of: HashMap<Entity, Place>,
}

impl Model {
    /// Puts `entity` at `place`, which must be free.
    pub fn put(&mut self, place: Place, entity: Entity) {
        debug_assert!(!self.at.contains_key(&place), "{place:?} is taken");
        debug_assert!(!self.of.contains_key(&entity), "{entity:?} stands elsewhere");
        self.of.insert(entity, place.clone());
        self.at.insert(place, entity);
    }

    /// What stands at `place`.
    #[must_use]
    pub fn at(&self, place: &Place) -> Option<Entity> {
        self.at.get(place).copied()
    }

    /// Where `entity` stands.
    #[must_use]
    pub fn place_of(&self, entity: Entity) -> Option<&Place> {
        self.of.get(&entity)
    }

    /// Everything that stands at a place.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, Entity)> {
        self.at.iter().map(|(place, entity)| (place, *entity))
    }

    /// Renames `from`, with all that is beneath it, to `to`.
    pub fn rename(&mut self, from: &Place, to: &Place) {
        let moving = self.take(from);
        self.settle(moving, from, to);
    }

    /// Exchanges two places with all that is beneath them.
    pub fn exchange(&mut self, a: &Place, b: &Place) {
        let (from_a, from_b) = (self.take(a), self.take(b));
        self.settle(from_a, a, b);
        self.settle(from_b, b, a);
    }

    fn take(&mut self, root: &Place) -> Vec<(Place, Entity)> {
        // A path sorts right before everything beneath it, so the subtree is one run.
        let places: Vec<Place> = self
            .at
            .range(root.clone()..)
            .map(|(place, _)| place)
            .take_while(|place| place.starts_with(root))
            .cloned()
            .collect();
        places.into_iter().filter_map(|place| self.at.remove(&place).map(|entity| (place, entity))).collect()
    }

    fn settle(&mut self, moving: Vec<(Place, Entity)>, from: &Place, to: &Place) {
        for (place, entity) in moving {
            let Some(rest) = place.path.strip_prefix(&from.path) else { continue };
            let place = Place { area: to.area.clone(), path: to.path.join_path(&rest) };
            self.of.insert(entity, place.clone());
            self.at.insert(place, entity);
        }
    }
}
