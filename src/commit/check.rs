//! The check: what a transaction is about to replace is still what it saw.

use std::collections::HashSet;
use std::io;

use treewal_journal::Lsn;
use treewal_journal::record::{Goal, Intent};
use treewal_recovery::plan::{Ground, Place};
use treewal_vfs::{Identity, Kind, Meta, RelPath, errno};

use super::flight::pairs;
use crate::transaction::{Emptied, Expectations, Since};
use crate::{Error, Result};

/// Every entry that an intent replaces, removes or moves. Reads only, while the paths are claimed.
///
/// Each look is owed: without it, what a foreign program did since the transaction looked would be noticed only after the
/// promise, and a crash there would leave the transaction in part.
pub(super) fn priors<'a>(
    ground: &mut Ground<'_>,
    paths: &'a [RelPath],
    intents: impl Iterator<Item = &'a Intent> + Clone,
) -> Result<()> {
    for (path, intent) in pairs(paths, intents) {
        let Some(base) = &intent.base else { continue };
        let moved = (*base != intent.path).then(|| base.to_path()).transpose();
        let moved = moved.map_err(|source| Error::InvalidPath { path: path.to_path(), source })?;
        let standing = moved.as_ref().unwrap_or(path);
        let found = stands_as_seen(ground, standing, intent.prior)?;
        let stays = matches!(intent.goal, Goal::Kept | Goal::Rewritten { .. });
        if found.is_some_and(|meta| meta.mounted) && !stays {
            // The kernel refuses the rename to the commit, and would to each recovery. What is mounted after this look, and what
            // the system does not tell of, is met by the renames.
            let busy = io::Error::from_raw_os_error(errno::EBUSY);
            return Err(Error::io("replace what is mounted at", standing)(busy));
        }
    }
    Ok(())
}

/// What gets attributes has still one name. Of several, the record names one, and what a later transaction does to that name
/// says nothing of the others: such a commit must stand alone, and this one has been counted among those that need not.
pub(super) fn single_names<'a>(ground: &mut Ground<'_>, intents: impl Iterator<Item = &'a Intent>) -> Result<()> {
    for base in intents.filter(|intent| intent.look.is_some()).filter_map(|intent| intent.base.as_ref()) {
        let path = base.to_path().unwrap_or_default();
        let found = ground.stat(&Place::tree(path.clone())).map_err(Error::io("look at", &path))?;
        if found.is_some_and(|meta| meta.kind != Kind::Dir && meta.links > 1) {
            let detail = "it has got another name since the transaction looked".to_owned();
            return Err(Error::Conflict { path: path.to_path(), detail });
        }
    }
    Ok(())
}

/// Everything the transaction was told to expect, and that what goes as an empty directory is one.
pub(super) fn expectations(ground: &mut Ground<'_>, expectations: &Expectations) -> Result<()> {
    let Expectations { entries, emptied, since: _ } = expectations;
    entries.iter().try_for_each(|expected| same(ground, &expected.path, expected.identity).map(drop))?;
    emptied.iter().try_for_each(|dir| holds_no_more(ground, &Place::of(&dir.path), dir, &HashSet::new()))
}

/// That nothing was committed since the transaction looked at all that it relies on; `last` is the end of the log now, with
/// nothing under way that could meet it.
pub(super) fn since(expected: &Since, last: Lsn) -> Result<()> {
    if expected.lsn.is_none_or(|lsn| lsn == last) {
        return Ok(());
    }
    Err(Error::Conflict { path: ".".into(), detail: "something was committed since the transaction looked".to_owned() })
}

/// That a directory, which stands at `place` now, holds nothing that the transaction did not take, nor put there on its way:
/// `moved` are all that its steps move. What an entry of the directory displaced stands in that entry's place.
///
/// Its identity says nothing of what is in it: its time of modification changes with everybody's work.
pub(super) fn holds_no_more(
    ground: &mut Ground<'_>,
    place: &Place,
    dir: &Emptied,
    moved: &HashSet<Identity>,
) -> Result<()> {
    let list = ground.dir(place).and_then(|handle| ground.disk().list(&handle));
    let list = match list {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        list => list.map_err(Error::io("look into", &dir.path))?,
    };
    for entry in list {
        let at = Place { area: place.area.clone(), path: place.path.join(&entry.name) };
        let path = dir.path.join(&entry.name);
        let found = ground.stat(&at).map_err(Error::io("look at", &path))?.map(|meta| meta.identity());
        let known = dir.held.binary_search_by(|(name, _)| name.cmp(&entry.name)).ok().map(|index| dir.held[index].1);
        if found.is_some_and(|found| known != Some(found) && !moved.contains(&found)) {
            let detail = "it is in a directory that is to go, and was not when the transaction looked".to_owned();
            return Err(Error::Conflict { path: path.to_path(), detail });
        }
    }
    Ok(())
}

/// That an entry is as it was seen; where nothing was, that its directory is still there to take something. Gives the entry.
fn stands_as_seen(ground: &mut Ground<'_>, path: &RelPath, prior: Option<Identity>) -> Result<Option<Meta>> {
    let found = same(ground, path, prior)?;
    match ground.split(&Place::tree(path.clone())) {
        Err(error) if matches!(error.raw_os_error(), Some(errno::ENOENT | errno::ENOTDIR | errno::ELOOP)) => {
            let detail = "the directory it is in is gone since the transaction looked".to_owned();
            Err(Error::Conflict { path: path.to_path(), detail })
        }
        // Whatever else keeps from looking there comes back when it is used.
        _ => Ok(found),
    }
}

fn same(ground: &mut Ground<'_>, path: &RelPath, expected: Option<Identity>) -> Result<Option<Meta>> {
    let found = ground.stat(&Place::tree(path.clone())).map_err(Error::io("look at", path))?;
    let detail = match (expected, found.map(|meta| meta.identity())) {
        (expected, identity) if expected == identity => return Ok(found),
        (None, Some(_)) => "something has appeared here since the transaction looked",
        (Some(_), None) => "what stood here is gone since the transaction looked",
        _ => "what stands here has changed since the transaction looked",
    };
    Err(Error::Conflict { path: path.to_path(), detail: detail.to_owned() })
}
