//! What the permissions of directories forbid is known before anything is promised, and which of them a commit opens itself.

use std::collections::BTreeSet;
use std::io;

use treewal_journal::record::{Change, Goal, Intent};
use treewal_recovery::make::open_bits;
use treewal_recovery::plan::{Ground, Inodes, Place};
use treewal_vfs::{ITSELF, Kind, RelPath, errno};

use super::flight::pairs;
use crate::transaction::Emptied;
use crate::{Error, Result};

/// New bits of a directory of the tree that let its owner do more in it. They are set before the renames, since names may
/// change in it; all other attributes are set after them.
pub(super) fn opening(intent: &Intent) -> Option<Change<u32>> {
    let is_dir = intent.prior.is_some_and(|prior| prior.kind == Kind::Dir);
    let stays = matches!(intent.goal, Goal::Kept) && intent.base.as_ref() == Some(&intent.path);
    let mode = intent.look.as_ref().and_then(|look| look.mode)?;
    (is_dir && stays && mode.to & !mode.prior & 0o700 != 0).then_some(mode)
}

/// That names may be changed in every directory in which the commit changes some. Reads only.
///
/// A directory that leaves the one it is in is written to itself, as it holds the name of the one above. One that is empty and
/// goes need not be open for `std::fs::remove_dir`: those that this user can open are given back, to be opened before they go.
pub(super) fn names<'a>(
    ground: &mut Ground<'_>,
    paths: &'a [RelPath],
    intents: impl Iterator<Item = &'a Intent> + Clone,
    emptied: &[Emptied],
) -> Result<Vec<(RelPath, Change<u32>)>> {
    let opened: BTreeSet<&RelPath> =
        pairs(paths, intents.clone()).filter(|(_, intent)| opening(intent).is_some()).map(|(path, _)| path).collect();
    let moved = Inodes::of(intents.clone().filter_map(|intent| match &intent.goal {
        Goal::Moved { identity, .. } => Some(identity),
        _ => None,
    }));
    let empty: BTreeSet<&RelPath> = emptied.iter().filter(|dir| dir.held.is_empty()).map(|dir| &dir.path).collect();
    let mut openings = Vec::new();
    let mut seen: Option<RelPath> = None;
    let mut gone: Option<&RelPath> = None;
    for (path, intent) in pairs(paths, intents) {
        let comes_along = matches!(&intent.goal, Goal::New(new) if !new.inner.0.is_empty());
        let Some(base) = intent
            .base
            .as_ref()
            .filter(|_| !comes_along && !matches!(intent.goal, Goal::Kept | Goal::Rewritten { .. }))
        else {
            continue;
        };
        let base = base.to_path().unwrap_or_default();
        let Some(parent) = base.parent().filter(|_| base == *path) else { continue };
        if gone.is_some_and(|gone| path.starts_with(gone)) {
            continue;
        }
        if !opened.contains(&parent) && seen.as_ref() != Some(&parent) {
            may_change(ground, &Place::tree(base.clone()), false, &parent)?;
        }
        seen = Some(parent);
        if let Some(prior) =
            intent.prior.filter(|prior| prior.kind == Kind::Dir && !matches!(intent.goal, Goal::Moved { .. }))
        {
            gone = Some(path);
            if moved.position(&prior).is_some() {
                continue;
            }
            let place = Place::tree(base);
            if let Err(refused) = may_change(ground, &place, true, path) {
                let may_go = empty.contains(&place.path);
                openings.push((path.clone(), may_go.then(|| own_opening(ground, &place)).flatten().ok_or(refused)?));
            }
        }
    }
    Ok(openings)
}

/// The bits that open a directory of this user to itself.
fn own_opening(ground: &mut Ground<'_>, place: &Place) -> Option<Change<u32>> {
    let meta = ground.stat(place).ok()??;
    let to = open_bits(meta.mode);
    (meta.uid == ground.disk().user() && to != meta.mode).then_some(Change { to, prior: meta.mode })
}

/// That names may be changed in the directory that a place is in, or in the one at the place itself.
fn may_change(ground: &mut Ground<'_>, place: &Place, is_itself: bool, path: &RelPath) -> Result<()> {
    let allowed = ground.split(place).and_then(|(dir, name)| {
        let name = if is_itself { name } else { ITSELF.as_ref() };
        ground.disk().may_change_names(&dir, name)
    });
    match allowed {
        Ok(false) => {
            let refused = io::Error::from_raw_os_error(errno::EACCES);
            Err(Error::io("change names in", path)(refused))
        }
        // What is gone meanwhile, or cannot be asked, is met by the renames.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::{Duration, Instant};

    use treewal_journal::record::PathBytes;
    use treewal_vfs::sim::SimDisk;
    use treewal_vfs::{Disk, Identity};

    use super::*;

    /// So many directories that go, beside as many that move; gives the time that the look at them takes.
    fn looked_at(count: usize) -> Duration {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        let (mut paths, mut intents) = (Vec::new(), Vec::new());
        disk.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
        let prior = disk.stat(&root, OsStr::new("d")).unwrap().identity();
        for n in 0..2 * count {
            let path = RelPath::new(format!("{n:07}")).unwrap();
            let identity = Identity { ino: 1000 + n as u64, ..prior };
            let (base, goal) = match n < count {
                true => (Some(PathBytes::from(&path)), Goal::Absent),
                false => (None, Goal::Moved { from: PathBytes::from(&path), identity }),
            };
            intents.push(Intent { path: PathBytes::from(&path), base, prior: Some(identity), goal, look: None });
            paths.push(path);
        }
        let begun = Instant::now();
        let mut ground = Ground::new(&disk, root);
        assert!(names(&mut ground, &paths, intents.iter(), &[]).unwrap().is_empty());
        begun.elapsed()
    }

    /// Sixty-four times as many take some sixty-four times as long, not four thousand times. The least of a few, as others are at
    /// work on this machine.
    #[test]
    fn the_look_takes_no_longer_for_each_of_many_directories() {
        let least = |count| (0..4).map(|_| looked_at(count)).min().unwrap();
        let (few, many) = (least(500), least(32_000));
        assert!(many < 2_500 * few, "{few:?} for 500, {many:?} for 32000");
    }
}
