//! New entries that are names of one inode. Each name has a wish of its own, with all of the contents, as a later
//! transaction may replace any of them; that they belong together is said by their identity.
//!
//! A name that is missing gets the inode that stands under another of its names, and only where none does is it made
//! again. So the names are one entry afterwards, whichever of them a crash has left.

use std::collections::{BTreeMap, BTreeSet};

use treewal_journal::record::{Body, Goal, New};
use treewal_vfs::{Identity, RelPath, Time};

use super::{Redo, Wish};
use crate::plan::{Entity, Place, shown};
use crate::{Error, Result};

/// What the names of one inode have in common.
pub(super) type Inode = (u64, Time);

/// The inode of a new entry that may have several names.
pub(super) fn inode(wish: &Wish) -> Option<Inode> {
    match &wish.goal {
        Goal::New(New { body: Body::Dir | Body::Link { .. }, .. }) => None,
        Goal::New(new) => Some((new.identity.ino, new.identity.born)),
        _ => None,
    }
}

/// Which inodes have more than one name among the wishes.
#[derive(Debug, Default)]
pub(super) struct Twins<'a> {
    names: BTreeMap<Inode, usize>,
    /// Where one of the names stands.
    standing: BTreeMap<Inode, Place>,
    /// Names that nothing stands under, with the places inside new directories that they belong to.
    missing: Vec<(&'a Wish, Option<Place>)>,
}

impl<'a> Twins<'a> {
    pub(super) fn of(wishes: &'a [Wish]) -> Self {
        let mut names = BTreeMap::new();
        for inode in wishes.iter().filter_map(inode) {
            *names.entry(inode).or_default() += 1;
        }
        names.retain(|_, count| *count > 1);
        Self { names, ..Self::default() }
    }

    /// Whether the entry has other names.
    pub(super) fn has(&self, wish: &Wish) -> bool {
        inode(wish).is_some_and(|inode| self.names.contains_key(&inode))
    }

    pub(super) fn stands(&mut self, wish: &Wish, place: &Place) {
        if let Some(inode) = inode(wish).filter(|inode| self.names.contains_key(inode)) {
            self.standing.entry(inode).or_insert_with(|| place.clone());
        }
    }

    pub(super) fn miss(&mut self, wish: &'a Wish, site: Option<Place>) {
        self.missing.push((wish, site));
    }
}

impl Redo<'_> {
    /// Sees to the names that are missing, once all others are known.
    pub(super) fn reunite(&mut self, mut twins: Twins<'_>) -> Result<()> {
        for (wish, site) in std::mem::take(&mut twins.missing) {
            let Goal::New(new) = &wish.goal else { continue };
            let standing = inode(wish).and_then(|inode| twins.standing.get(&inode).cloned());
            let entity = match standing {
                Some(from) => self.link(&from, site)?,
                None => match self.staged_place(new, wish)? {
                    Some((place, meta)) => self.entity(place, meta.identity()),
                    None if matches!(new.body, Body::Staged) => {
                        self.supersede_lost(wish, new)?;
                        continue;
                    }
                    None => self.make_again(wish, new, site)?,
                },
            };
            if let Some(place) = self.model.place_of(entity).cloned() {
                let meta = self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))?;
                if let Some(meta) = meta {
                    self.compare_looks(wish, new, &place, &meta)?;
                }
                twins.stands(wish, &place);
            }
            self.goals.insert(wish.path.clone(), Some(entity));
        }
        Ok(())
    }

    /// The other name that a transaction gave an entry of the tree: the one it made in the stage, or another one of the
    /// same inode. `None` where the entry is gone.
    pub(super) fn linked(
        &mut self,
        wish: &Wish,
        new: &New,
        from: &RelPath,
        site: Option<Place>,
    ) -> Result<Option<Entity>> {
        let own = new.inner.to_path().map(|inner| Place::slot(&wish.stage, new.slot, &inner));
        if let Some(own) = own.ok().filter(|own| self.model.at(own).is_none()) {
            if let Some(meta) = self.same_inode(&own, new)? {
                return Ok(Some(self.entity(own, meta)));
            }
        }
        let stood = super::scene::where_now(&self.located, from);
        let source = match self.same_inode(&stood, new)? {
            Some(_) => Some(stood),
            None => {
                let moved = self.located.values().find(|(_, meta)| meta.identity().same_inode(&new.identity));
                match moved {
                    Some((place, _)) => Some(place.clone()),
                    None => {
                        let found = self.stages.find(&mut self.ground, &new.identity, &BTreeSet::new())?;
                        found.map(|(place, _)| place)
                    }
                }
            }
        };
        source.map(|source| self.link(&source, site)).transpose()
    }

    fn same_inode(&mut self, place: &Place, new: &New) -> Result<Option<Identity>> {
        let meta = self.ground.stat(place).map_err(Error::io("look at", shown(place)))?;
        Ok(meta.map(|meta| meta.identity()).filter(|found| found.same_inode(&new.identity)))
    }

    /// Gives what stands at a place another name, in the stage: inside the new directory that it belongs to, or apart.
    fn link(&mut self, from: &Place, site: Option<Place>) -> Result<Entity> {
        let to = site.unwrap_or_else(|| self.stages.spare());
        let (from_dir, from_name) = self.ground.split(from).map_err(Error::io("open", shown(from)))?;
        let (dir, name) = self.ground.split(&to).map_err(Error::io("open", shown(&to)))?;
        let disk = self.ground.disk();
        let linked = disk.hard_link(&from_dir, from_name, &dir, name).and_then(|()| disk.stat(&dir, name));
        let meta = linked.map_err(Error::io("link to", shown(from)))?;
        // The name goes into the tree: it is synced before, as all that recovery makes.
        self.made_again = true;
        Ok(self.entity(to, meta.identity()))
    }
}
