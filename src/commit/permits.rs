//! What the permissions of directories forbid is known before anything is promised, and which of them a commit opens itself.

use std::collections::BTreeSet;
use std::io;

use treewal_journal::record::{Change, Goal, Intent};
use treewal_recovery::plan::{Ground, Place};
use treewal_vfs::{ITSELF, Identity, Kind, RelPath, errno};

use super::flight::pairs;
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
/// A directory that leaves the one it is in is written to itself, as it holds the name of the one above.
pub(super) fn names<'a>(
    ground: &mut Ground<'_>,
    paths: &'a [RelPath],
    intents: impl Iterator<Item = &'a Intent> + Clone,
) -> Result<()> {
    let opened: BTreeSet<&RelPath> =
        pairs(paths, intents.clone()).filter(|(_, intent)| opening(intent).is_some()).map(|(path, _)| path).collect();
    let moved: Vec<Identity> = intents
        .clone()
        .filter_map(|intent| match intent.goal {
            Goal::Moved { identity, .. } => Some(identity),
            _ => None,
        })
        .collect();
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
            if !moved.iter().any(|identity| identity.same_inode(&prior)) {
                may_change(ground, &Place::tree(base), true, path)?;
            }
        }
    }
    Ok(())
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
