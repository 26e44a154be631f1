//! Carrying out what was decided: the missing renames, the looks, and what is left over of them.

use treewal_vfs::RelPath;

use super::{Contents, Redo, Redone, Relook};
use crate::plan::{Area, Place, plan};
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
            let mut done = false;
            self.ground.take(step, &|entity| identities[entity.0], &mut done)?;
        }
        for Relook { path, mode, owner, xattrs } in &self.looks {
            let place = Place::tree(path.clone());
            let io = |verb| Error::io(verb, path.to_path());
            let (dir, name) = self.ground.split(&place).map_err(io("open the directory of"))?;
            if let Some((uid, gid)) = owner {
                match self.ground.disk().set_owner(&dir, name, *uid, *gid) {
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                    other => other.map_err(io("set the owner of"))?,
                }
            }
            for (key, value) in xattrs {
                self.ground.disk().set_xattr(&dir, name, key, value).map_err(io("set an attribute of"))?;
            }
            self.ground.disk().set_mode(&dir, name, *mode).map_err(io("set the mode of"))?;
        }
        self.done.changed = (steps.len() + self.looks.len()) as u64;
        self.save_movers();
        self.done.garbage = self.stages.spares;
        Ok(self.done)
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
