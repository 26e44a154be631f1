//! Directories that were removed as empty ones: what somebody else has put there since does not go with them.

use std::collections::BTreeMap;

use treewal_journal::record::Goal;
use treewal_vfs::{Identity, Kind, Meta, Time};

use super::survey::{Seen, is_untouched, look};
use super::{Contents, Redo, Superseded, Wish};
use crate::plan::{Area, Entity, Inodes, Place, shown};
use crate::{Error, Result};

pub(super) const FILLED: &str = "somebody put something into the directory that was to be removed";

impl Redo<'_> {
    /// Whether a directory that stands in the way of a wish holds nothing that should not go with it.
    pub(super) fn may_go(
        &mut self,
        wish: &Wish,
        (spot, found): (&Place, &Meta),
        all: (&[Wish], &[Identity]),
    ) -> Result<bool> {
        match &wish.goal {
            Goal::Emptied => {
                let is_emptied = self.may_go_empty(wish, (spot, &found.identity()), all)?;
                if !is_emptied {
                    self.standing.insert(wish.path.clone(), spot.clone());
                }
                Ok(is_emptied)
            }
            _ => {
                let known = wish.dirs.iter().filter(|(known, _)| known.same_inode(&found.identity()));
                let moves = self.moving.contains(&(found.ino, found.born));
                match known.map(|(_, since)| *since).max() {
                    Some(since) if spot.area == Area::Tree && !moves => Ok(!self.holds_newer(since, spot)?),
                    _ => Ok(true),
                }
            }
        }
    }

    /// Whether a directory that is to go with all that is in it holds something that somebody has made or changed since that
    /// was committed. What our own renames touch is known, wherever they left it. Reads only.
    ///
    /// A directory's own times say nothing: they move with all that is taken out of it.
    pub(super) fn holds_newer(&mut self, since: Time, spot: &Place) -> Result<bool> {
        let mut dirs = vec![spot.clone()];
        let mut dev = None;
        while let Some(at) = dirs.pop() {
            let io = |verb| Error::io(verb, shown(&at));
            let list = self.ground.dir(&at).and_then(|dir| self.ground.disk().list(&dir));
            for entry in list.map_err(io("look into"))? {
                let place = Place { area: at.area.clone(), path: at.path.join(&entry.name) };
                let Some(meta) = self.ground.stat(&place).map_err(io("look into"))? else { continue };
                // What moves is ours, wherever the power has left it or one of its names.
                if self.moving.contains(&(meta.ino, meta.born)) {
                    continue;
                }
                let is_dir = meta.kind == Kind::Dir;
                let is_newer = if is_dir { meta.born > since } else { meta.modified.max(meta.changed) > since };
                // What has another name that we moved, removed or gave it is as we left it: that sets its time of change.
                let renamed = self.handled.get(&(meta.ino, meta.born)).is_some_and(|known| meta.modified <= *known);
                if is_newer && !renamed {
                    return Ok(true);
                }
                // What is mounted there is nobody's to take away: the rename above it is refused.
                if is_dir && *dev.get_or_insert(meta.dev) == meta.dev {
                    dirs.push(place);
                }
            }
        }
        Ok(false)
    }

    /// Looks into the directories that others stand in the place of, or nothing, now that all steps are taken: whatever is
    /// newer than the commit in one of them goes to quarantine with it.
    pub(super) fn look_behind(&mut self) -> Result<()> {
        let displaced = std::mem::take(&mut self.displaced);
        // They can be as many as there are directories.
        let inodes = if displaced.is_empty() { Inodes::default() } else { Inodes::of(&self.identities) };
        for (txn, path, identity, since) in displaced {
            let entity = inodes.position(&identity).map(Entity);
            let place = match entity.and_then(|entity| self.model.place_of(entity)) {
                Some(place) => Some(place.clone()),
                None => self.stages.top(&identity).map(|(place, _)| place),
            };
            let place = place.map(|place| self.aside.get(&place).cloned().unwrap_or(place));
            let Some(place) = place.filter(|place| place.area != Area::Tree) else { continue };
            if self.holds_newer(since, &place)? {
                let contents = Some(Contents::Staged(place));
                self.done.superseded.push(Superseded { contents, ..Superseded::of(txn, path, FILLED) });
            }
        }
        Ok(())
    }

    /// A directory that went as an empty one, and in whose last moment somebody put something there: it comes back. The
    /// commit would have taken it back itself, had the process not died before it looked.
    pub(super) fn bring_back(&mut self, wish: &Wish, (wishes, siblings): (&[Wish], &[Identity])) -> Result<()> {
        for (known, _) in &wish.dirs {
            let Some((place, meta)) = self.stages.top(known) else { continue };
            if self.may_go_empty(wish, (&place, known), (wishes, siblings))? {
                continue;
            }
            self.supersede(wish, FILLED)?;
            if self.make_way(wish)? {
                self.standing.insert(wish.path.clone(), place.clone());
                let entity = self.entity(place, meta.identity());
                self.goals.insert(wish.path.clone(), Some(entity));
            } else if let Some(lost) = self.done.superseded.last_mut() {
                lost.contents = Some(Contents::Staged(place));
            }
            break;
        }
        Ok(())
    }

    /// Whether a directory that is known to have stood where an emptied one was removed may go. That one must be empty of
    /// what others did; one that an earlier transaction had replaced before takes along what that one found in it.
    pub(super) fn may_go_empty(
        &mut self,
        wish: &Wish,
        (spot, found): (&Place, &Identity),
        all: (&[Wish], &[Identity]),
    ) -> Result<bool> {
        let is_last = wish.dirs.last().is_none_or(|(last, _)| last.same_inode(found));
        let since = wish.dirs.iter().filter(|(known, _)| known.same_inode(found)).map(|(_, since)| *since).max();
        match since {
            Some(since) if !is_last => Ok(!self.holds_newer(since, spot)?),
            _ => self.is_emptied(wish, Some(spot), all),
        }
    }

    /// Whether a directory, which stands at `spot`, holds only what is to go or to move, all the way down. Reads only.
    pub(super) fn is_emptied(
        &mut self,
        wish: &Wish,
        spot: Option<&Place>,
        (wishes, siblings): (&[Wish], &[Identity]),
    ) -> Result<bool> {
        let mut dirs: Vec<_> = spot.map(|spot| (wish, spot.clone())).into_iter().collect();
        while let Some((wish, spot)) = dirs.pop() {
            let list = self.ground.dir(&spot).and_then(|dir| self.ground.disk().list(&dir));
            for entry in list.map_err(Error::io("look into", shown(&spot)))? {
                let at = Place { area: spot.area.clone(), path: spot.path.join(&entry.name) };
                let path = wish.path.join(&entry.name);
                let Ok(index) = wishes.binary_search_by(|other| other.path.cmp(&path)) else { return Ok(false) };
                let child = &wishes[index];
                if !matches!(child.goal, Goal::Absent | Goal::Emptied) {
                    return Ok(false);
                }
                match look(&mut self.ground, &at, child, &[])? {
                    Seen::Nothing => {}
                    Seen::Foreign(meta) if siblings.iter().any(|known| is_untouched(known, &meta.identity())) => {}
                    Seen::Foreign(_) => return Ok(false),
                    Seen::Wanted(_) | Seen::Torn(_) | Seen::Known(_) if child.goal == Goal::Emptied => {
                        dirs.push((child, at));
                    }
                    Seen::Wanted(_) | Seen::Torn(_) | Seen::Known(_) => {}
                }
            }
        }
        Ok(true)
    }
}

/// When what our own renames touch was last written to, as far as the journal knows, by inode number and time of birth.
pub(super) fn handled(wishes: &[Wish]) -> BTreeMap<(u64, Time), Time> {
    let mut handled = BTreeMap::new();
    for wish in wishes {
        let goal = match &wish.goal {
            Goal::Moved { identity, .. } => Some(identity),
            Goal::New(new) => Some(&new.identity),
            Goal::Absent | Goal::Emptied | Goal::Kept | Goal::Rewritten { .. } => None,
        };
        for known in wish.known.iter().chain(goal) {
            let at = handled.entry((known.ino, known.born)).or_insert(known.modified);
            *at = known.modified.max(*at);
        }
    }
    handled
}

/// What moves, where something does.
pub(super) fn moved(wish: &Wish) -> Option<(u64, Time)> {
    match &wish.goal {
        Goal::Moved { identity, .. } => Some((identity.ino, identity.born)),
        _ => None,
    }
}
