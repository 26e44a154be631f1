//! Directories that were removed as empty ones: what somebody else has put there since does not go with them.

use treewal_journal::record::Goal;
use treewal_vfs::Identity;

use super::survey::{Seen, is_untouched, look};
use super::{Redo, Wish};
use crate::plan::{Place, shown};
use crate::{Error, Result};

impl Redo<'_> {
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
                match look(&mut self.ground, &at, child)? {
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
