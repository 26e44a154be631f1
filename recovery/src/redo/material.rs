//! What a wish needs that is not in the tree: found in the stage, or made there again.
//!
//! A new directory is filled before it gets its name, so that no reader ever meets it half filled. Its place in the stage
//! is a *site*: whatever shall be in the directory is looked for, cleared away and made there.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use treewal_journal::record::{Body, Goal, New, Times};
use treewal_vfs::{Kind, Meta, RelPath, Rename};

use super::survey::{Seen, is_begun, is_copied, judge_new};
use super::{Redo, Wish};
use crate::look::Attributes;
use crate::make::{Filling, Look, make, open_bits};
use crate::plan::{Entity, Place, shown};
use crate::{Error, Result};

impl Redo<'_> {
    /// The place of a path in the new directory above it, wherever that stands; `None` where it is to be made again.
    pub(super) fn inside(&self, path: &RelPath) -> Option<Place> {
        let (parent, name) = path.split()?;
        let dir = self.standing.get(&parent)?;
        Some(Place { area: dir.area.clone(), path: dir.path.join(name) })
    }

    /// Clears a place inside a new directory of the stage, unless what is wanted stands there: an earlier transaction put
    /// it there, a power loss tore it, or a recovery that was cut short began it. That one may have come as far as the contents,
    /// and not to owner, attributes and times: what is not the commit's own entry is made once more.
    pub(super) fn clear(&mut self, site: &Place, seen: Seen, wish: &Wish) -> Result<Seen> {
        let stays = match (seen, &wish.goal) {
            (Seen::Nothing, _) | (_, Goal::Kept | Goal::Moved { .. } | Goal::Rewritten { .. }) => true,
            (Seen::Wanted(meta), Goal::New(new)) => {
                let is_made = matches!(new.body, Body::Inline(_) | Body::Symlink(_));
                !is_made || new.identity.same_inode(&meta.identity())
            }
            (Seen::Foreign(_), Goal::New(new)) => !is_begun(&mut self.ground, site, new)?,
            (Seen::Foreign(_), Goal::Absent | Goal::Emptied) => true,
            (Seen::Wanted(_) | Seen::Torn(_) | Seen::Known(_), Goal::New(_) | Goal::Absent | Goal::Emptied) => false,
        };
        if stays {
            return Ok(seen);
        }
        let spare = self.stages.spare();
        self.ground.rename(site, &spare, Rename::NoReplace)?;
        self.ground.forget();
        Ok(Seen::Nothing)
    }

    /// Sees to it that the directories above a path are there when it is placed. One that somebody made and never synced
    /// may have gone with the power; what was committed into it was promised all the same. `false` where something else
    /// stands in the way.
    pub(super) fn make_way(&mut self, wish: &Wish) -> Result<bool> {
        for above in wish.path.ancestors().skip(1) {
            if self.goals.contains_key(&above) || !self.located.is_empty() {
                continue;
            }
            let place = Place::tree(above.clone());
            match self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))? {
                Some(meta) if meta.kind == Kind::Dir => {}
                Some(_) => return Ok(false),
                None => {
                    let place = self.stages.spare();
                    let entity =
                        self.make(place, Filling::Dir, Look { mode: None, owner: None, xattrs: &[], stamped: false })?;
                    self.goals.insert(above, Some(entity));
                }
            }
        }
        Ok(true)
    }

    /// A large file that was synced in the stage, or a directory that was built there, where it still stands there.
    pub(super) fn staged_place(&mut self, new: &New, wish: &Wish) -> Result<Option<(Place, Meta)>> {
        let place = match (&new.body, new.inner.to_path()) {
            (Body::Staged | Body::Dir, Ok(inner)) => Place::slot(&wish.stage, new.slot, &inner),
            _ => return Ok(None),
        };
        let there = self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))?;
        let is_large = matches!(new.body, Body::Staged);
        let is_it = |meta: &Meta| {
            let is_old = wish.known.iter().any(|known| known.same_inode(&meta.identity()));
            // In a tree that was copied without its times, the size must do, where nothing else can have it.
            let is_alone = self.copied && wish.known.iter().all(|known| known.size != new.identity.size);
            let is_sized = is_alone && meta.kind == Kind::File && meta.size == new.identity.size;
            meta.identity().same_inode(&new.identity) || is_large && !is_old && (is_sized || is_copied(new, meta))
        };
        match there.filter(is_it) {
            Some(meta) => Ok(Some((place, meta))),
            None if matches!(new.body, Body::Staged) => {
                self.stages.find(&mut self.ground, &new.identity, &BTreeSet::new())
            }
            None => Ok(None),
        }
    }

    /// What stands in the slot of a large file and may be it, in a tree that was copied without its times. It may as well be
    /// what the large file displaced, so it is for quarantine alone.
    pub(super) fn in_slot(&mut self, new: &New, wish: &Wish) -> Result<Option<Place>> {
        let (Body::Staged, Ok(inner)) = (&new.body, new.inner.to_path()) else { return Ok(None) };
        let place = Place::slot(&wish.stage, new.slot, &inner);
        let there = self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))?;
        let may_be = there.is_some_and(|meta| {
            let is_old = wish.known.iter().any(|known| known.same_inode(&meta.identity()));
            meta.kind == Kind::File && meta.size == new.identity.size && !is_old
        });
        Ok(may_be.then_some(place))
    }

    /// A small file that somebody wrote into once it had its name, and that the power took back into the stage: what it
    /// holds is neither what was committed nor torn from it.
    pub(super) fn written_since(&mut self, new: &New, wish: &Wish) -> Result<Option<(Place, Meta)>> {
        let (Body::Inline(_), Ok(inner)) = (&new.body, new.inner.to_path()) else { return Ok(None) };
        let place = Place::slot(&wish.stage, new.slot, &inner);
        let there = self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))?;
        let Some(meta) = there.filter(|meta| meta.identity().same_inode(&new.identity)) else { return Ok(None) };
        let is_ours = judge_new(&mut self.ground, &place, &meta, new)?.is_some();
        Ok(Some((place, meta)).filter(|_| !is_ours))
    }

    /// Makes a new entry once more from what the journal holds: inside the new directory that it belongs to, or apart.
    pub(super) fn make_again(&mut self, wish: &Wish, new: &New, inside: Option<Place>) -> Result<Entity> {
        let place = inside.unwrap_or_else(|| self.stages.spare());
        let xattrs: Vec<(OsString, Vec<u8>)> =
            new.xattrs.iter().map(|(key, value)| (OsString::from_vec(key.clone()), value.clone())).collect();
        let is_dir = matches!(new.body, Body::Dir);
        let mode = if is_dir { open_bits(new.mode) } else { new.mode };
        let look = Look { mode: Some(mode), owner: Some((new.uid, new.gid)), xattrs: &xattrs, stamped: false };
        if is_dir && (mode != new.mode || new.times.is_some()) {
            // Once all that shall be in it is there.
            let times = new.times.map(|times| times.to);
            self.relook(&wish.path, Attributes { mode: Some(new.mode), times, ..Attributes::default() });
        }
        let filling = match &new.body {
            Body::Dir => Filling::Dir,
            Body::Inline(bytes) => Filling::File(bytes),
            Body::Symlink(target) => Filling::Symlink(OsStr::from_bytes(target)),
            Body::Staged | Body::Link { .. } => return Err(Error::Changed { path: shown(&place) }),
        };
        let entity = self.make(place.clone(), filling, look)?;
        if let Some(times) = new.times.filter(|_| !is_dir) {
            let (dir, name) = self.ground.split(&place).map_err(Error::io("open", shown(&place)))?;
            let Times { accessed, modified } = times.to;
            let set = self.ground.disk().set_times(&dir, name, accessed, modified);
            let meta = set.and_then(|()| self.ground.disk().stat(&dir, name));
            self.identities[entity.0] = meta.map_err(Error::io("set the times of", shown(&place)))?.identity();
        }
        Ok(entity)
    }

    fn make(&mut self, place: Place, filling: Filling<'_>, look: Look<'_>) -> Result<Entity> {
        let (dir, name) = self.ground.split(&place).map_err(Error::io("open", shown(&place)))?;
        self.made_again = true;
        let meta = make(self.ground.disk(), &dir, name, filling, look).map_err(Error::io("make", shown(&place)))?;
        Ok(self.entity(place, meta.identity()))
    }
}
